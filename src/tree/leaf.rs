//! The numbers of the nodes inside an array's folder.
//!
//! A folder of `n` rows and `m` columns has `1 + n + m` scopes of 1024 numbers each: first the folder
//! itself, then its rows, then its columns. Within a scope the folders come first, then 32 numbers
//! (one for each format) for each thing. After the scopes come the numbers for the members of each
//! format that is a folder, as many as any has. So a node's number tells what it is, and no state is kept for it, however
//! many rows there are.

use crate::part::{Scope, Thing};
use crate::view::Members;

/// Numbers of one scope.
const SPAN: u64 = 1024;
/// Where the links by name start in a scope of one row or column.
const LINKS: u64 = 256;
/// Where the files start in a scope.
const FILES: u64 = 512;
/// Numbers of one thing: the most formats there can be.
const FORMATS: u64 = 32;
/// The most rows and columns that are numbered.
const MOST: u64 = 1 << 48;

/// A node inside an array's folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// The whole folder, or the row or column it belongs to.
    pub of: Scope,
    /// Which node of that scope.
    pub node: Node,
}

/// The nodes of one scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Node {
    /// The folder of the scope.
    Folder,
    /// `rows/`.
    Rows,
    /// `cols/`.
    Columns,
    /// `slices/`.
    Slices,
    /// `by-name/`.
    ByName,
    /// `by-name/rows/`.
    NamedRows,
    /// `by-name/cols/`.
    NamedColumns,
    /// The link by name to this row or column, in the format of that number.
    Link(usize),
    /// A thing in the format of that number.
    File(Thing, usize),
    /// A file or folder of that number in a format that is a folder, of the whole scope.
    Member(Thing, usize, u64),
}

/// What fixes the numbers in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rows, each with a scope of numbers.
    pub rows: u64,
    /// Columns, each with a scope of numbers.
    pub columns: u64,
    /// Numbers of the members of one format.
    members: u64,
}

impl Extent {
    /// Of so many rows and columns; beyond what can be numbered none are.
    pub const fn new(rows: u64, columns: u64) -> Self {
        let (rows, columns) = if rows > MOST || columns > MOST { (0, 0) } else { (rows, columns) };
        Self { rows, columns, members: Members::MOST as u64 }
    }

    /// With so many numbers for the members of each format that is a folder.
    pub const fn with_members(self, members: u64) -> Self {
        Self { members, ..self }
    }

    /// Numbers of the whole folder.
    pub const fn count(&self) -> u64 {
        self.first_member() + (SPAN - FILES) * self.members
    }

    /// Where the numbers of members start.
    const fn first_member(&self) -> u64 {
        (1 + self.rows + self.columns) * SPAN
    }

    /// The numbers of one scope: the first, and how many.
    pub const fn scope(&self, of: Scope) -> (u64, u64) {
        let scope = match of {
            Scope::All => 0,
            Scope::Row(i) => 1 + i,
            Scope::Column(j) => 1 + self.rows + j,
        };
        (scope * SPAN, SPAN)
    }

    /// The number of a node.
    pub fn encode(&self, leaf: Leaf) -> u64 {
        let node = match leaf.node {
            Node::Folder => 0,
            Node::Rows => 1,
            Node::Columns => 2,
            Node::Slices => 3,
            Node::ByName => 4,
            Node::NamedRows => 5,
            Node::NamedColumns => 6,
            Node::Link(format) => LINKS + format as u64,
            Node::File(thing, format) => FILES + file(thing, format),
            Node::Member(thing, format, member) => {
                return self.first_member() + file(thing, format) * self.members + member;
            }
        };
        self.scope(leaf.of).0 + node
    }

    /// The node of a number.
    pub fn decode(&self, number: u64) -> Option<Leaf> {
        if let Some(member) = number.checked_sub(self.first_member()) {
            let (thing, format) = thing_and_format(member / self.members)?;
            return Some(Leaf { of: Scope::All, node: Node::Member(thing, format, member % self.members) });
        }
        let (scope, node) = (number / SPAN, number % SPAN);
        let of = match scope {
            0 => Scope::All,
            scope if scope <= self.rows => Scope::Row(scope - 1),
            scope => Scope::Column(scope - self.rows - 1),
        };
        let node = match node {
            0 => Node::Folder,
            1 => Node::Rows,
            2 => Node::Columns,
            3 => Node::Slices,
            4 => Node::ByName,
            5 => Node::NamedRows,
            6 => Node::NamedColumns,
            LINKS..FILES => Node::Link(usize::try_from(node - LINKS).ok()?),
            node => {
                let (thing, format) = thing_and_format(node.checked_sub(FILES)?)?;
                Node::File(thing, format)
            }
        };
        Some(Leaf { of, node })
    }
}

/// The number of a file among those of its scope.
fn file(thing: Thing, format: usize) -> u64 {
    let thing = Thing::ALL.iter().position(|other| *other == thing).unwrap_or(0);
    thing as u64 * FORMATS + format as u64
}

/// The thing and the format of a file's number.
fn thing_and_format(file: u64) -> Option<(Thing, usize)> {
    let thing = usize::try_from(file / FORMATS).ok()?;
    Some((*Thing::ALL.get(thing)?, usize::try_from(file % FORMATS).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        let extent = Extent::new(700, 765).with_members(1000);
        let scopes = [Scope::All, Scope::Row(0), Scope::Row(699), Scope::Column(0), Scope::Column(764)];
        let nodes = [
            Node::Folder,
            Node::Rows,
            Node::Columns,
            Node::Slices,
            Node::ByName,
            Node::NamedRows,
            Node::NamedColumns,
            Node::Link(0),
            Node::Link(31),
            Node::File(Thing::Meta, 1),
            Node::File(Thing::TenX, 31),
        ];
        let members = [Node::Member(Thing::Meta, 0, 0), Node::Member(Thing::TenX, 31, 999)];
        let members = members.map(|node| Leaf { of: Scope::All, node });
        let leaves = scopes.into_iter().flat_map(|of| nodes.map(|node| Leaf { of, node })).chain(members);
        for leaf in leaves {
            assert!(extent.encode(leaf) < extent.count());
            assert_eq!(extent.decode(extent.encode(leaf)), Some(leaf));
        }
        assert_eq!(extent.decode(extent.count()), None);
        assert_eq!(extent.decode(7), None);
    }

    #[test]
    fn what_is_too_large_is_not_numbered() {
        assert_eq!(Extent::new(u64::MAX, 1).count(), Extent::new(0, 0).count());
        // As many chunks as the largest file has.
        assert!(Extent::new(MOST, MOST).with_members(1 << 42).count() < 1 << 62);
    }

    #[test]
    fn all_things_and_formats_have_numbers() {
        assert!(Thing::ALL.len() as u64 * FORMATS <= SPAN - FILES);
        const { assert!(FORMATS <= FILES - LINKS) };
        assert!(crate::view::VIEWS.len() as u64 <= FORMATS);
    }
}
