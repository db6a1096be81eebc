//! The inode numbers of the nodes in an array's directory.
//!
//! The nodes of the whole array come first: its directories, then 32 numbers for each component (one for each
//! format), then 64 for the members of each format that is a directory. After that, each row and each column
//! has 32 numbers for each kind of node that it can have. A dense array has two kinds, and a sparse matrix
//! has room for eight. Last come the further members of each format that is a directory, its chunks. Every
//! format gets as many as the one with the most.
//!
//! So a number alone determines its node. No state is kept per node, however many rows or chunks there are.

use super::inode_numbers;
use crate::array::format_id::FormatId;
use crate::array::selection::{Component, Region};
use crate::daf::metadata::Kind;
use crate::encode::members::Members;

/// Numbers per component: the maximum number of formats.
const FORMATS: u64 = FormatId::COUNT;
/// First number of the files of the whole.
const FILES: u64 = 512;
/// First number of the members.
const MEMBERS: u64 = 1024;
/// Number of members of one format that are numbered here. The others are numbered at the end.
const MEMBERS_EACH: u64 = Members::MOST as u64;
/// First number of the rows. Columns follow rows.
pub const SINGLE: u64 = MEMBERS + COMPONENTS_AND_FORMATS * MEMBERS_EACH;
/// Number of files of the whole that have numbers.
const COMPONENTS_AND_FORMATS: u64 = MEMBERS - FILES;
/// Maximum number of further members per format, so that all of them take at most half of the numbers.
const MOST_FURTHER: u64 = inode_numbers::MOST / 2 / COMPONENTS_AND_FORMATS;

/// The kinds of nodes of a row or column.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Of {
    Links,
    Components(Component),
    Folder,
}

/// In the order of their numbers. A dense array has only the first two.
const OF_ONE: [Of; 6] = [
    Of::Links,
    Of::Components(Component::Array),
    Of::Folder,
    Of::Components(Component::Data),
    Of::Components(Component::Indices),
    Of::Components(Component::Dense),
];

/// A node in an array's directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NodeId {
    /// The region that the node belongs to.
    pub of: Region,
    /// The node within that region.
    pub node: NodeKind,
}

/// The nodes of one region.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// The directory of the region.
    Directory,
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
    /// The link by name to this row or column, in this format.
    Link(FormatId),
    /// A component in this format.
    File(Component, FormatId),
    /// A file or directory with this number inside a format that is a directory. Only the whole array has
    /// members.
    Member(Component, FormatId, u64),
}

/// Determines the inode numbers in an array's directory: the number of rows and columns, and the maximum
/// number of members of a format.
#[derive(Clone, Copy, Debug)]
pub struct InodeLayout {
    /// Numbered rows: all or none.
    pub rows: u64,
    /// Numbered columns: all or none.
    pub columns: u64,
    /// Number of inode numbers of each row or column.
    span: u64,
    /// Numbered further members of each format: all or none.
    further: u64,
}

impl InodeLayout {
    /// The layout for an array of this kind and shape, with at most `members` members in each format that is
    /// a directory. Rows, columns or members that are too many for the available
    /// [numbers](inode_numbers::MOST) get none.
    pub const fn new(kind: Kind, rows: u64, columns: u64, members: u64) -> Self {
        let further = members.saturating_sub(MEMBERS_EACH);
        let further = if further <= MOST_FURTHER { further } else { 0 };
        let span = match kind {
            Kind::Dense => 2 * FORMATS,
            Kind::Sparse => 8 * FORMATS,
        };
        let most = (inode_numbers::MOST - SINGLE - further * COMPONENTS_AND_FORMATS) / span;
        let rows = if rows <= most { rows } else { 0 };
        let columns = if columns <= most - rows { columns } else { 0 };
        Self { rows, columns, span, further }
    }

    /// Total number of inode numbers.
    pub const fn count(&self) -> u64 {
        self.first_further() + self.further * COMPONENTS_AND_FORMATS
    }

    /// First number of the further members.
    const fn first_further(&self) -> u64 {
        SINGLE + (self.rows + self.columns) * self.span
    }

    /// The inode numbers of a region: the first, and how many. For the whole array, the numbers of rows and
    /// columns are not included.
    pub const fn scope(&self, of: Region) -> (u64, u64) {
        let single = match of {
            Region::Whole => return (0, SINGLE),
            Region::Row(i) => i,
            Region::Column(j) => self.rows + j,
        };
        (SINGLE + single * self.span, self.span)
    }

    /// The number of a node. None if the region has no such node.
    pub fn encode(&self, node_id: NodeId) -> Option<u64> {
        if let NodeKind::Member(component, format, member) = node_id.node
            && let Some(further) = member.checked_sub(MEMBERS_EACH)
        {
            let is_numbered = node_id.of == Region::Whole && further < self.further;
            let file = file(component, format).filter(|_| is_numbered)?;
            return Some(self.first_further() + file * self.further + further);
        }
        let (first, count) = self.scope(node_id.of);
        let node = if node_id.of == Region::Whole { of_whole(node_id.node)? } else { of_one(node_id.node)? };
        (node < count).then_some(first + node)
    }

    /// The node with this number.
    pub fn decode(&self, number: u64) -> Option<NodeId> {
        let Some(past) = number.checked_sub(SINGLE) else {
            return Some(NodeId { of: Region::Whole, node: node_of_whole(number)? });
        };
        if let Some(further) = number.checked_sub(self.first_further()) {
            // Without further members, the division fails, and the number is beyond the last node.
            let (component, format) = component_and_format(further.checked_div(self.further)?)?;
            let member = MEMBERS_EACH + further % self.further;
            return Some(NodeId { of: Region::Whole, node: NodeKind::Member(component, format, member) });
        }
        let single = past / self.span;
        let of = match single.checked_sub(self.rows) {
            None => Region::Row(single),
            Some(column) => Region::Column(column),
        };
        Some(NodeId { of, node: node_of_one(past % self.span)? })
    }
}

/// The directories of the whole, in the order of their numbers.
const FOLDERS: [NodeKind; 7] = [
    NodeKind::Directory,
    NodeKind::Rows,
    NodeKind::Columns,
    NodeKind::Slices,
    NodeKind::ByName,
    NodeKind::NamedRows,
    NodeKind::NamedColumns,
];

fn of_whole(node: NodeKind) -> Option<u64> {
    match node {
        NodeKind::File(component, format) => Some(FILES + file(component, format)?),
        NodeKind::Member(component, format, member) => {
            Some(MEMBERS + file(component, format)? * MEMBERS_EACH + member)
        }
        node => FOLDERS.iter().position(|other| *other == node).map(|number| number as u64),
    }
}

fn node_of_whole(number: u64) -> Option<NodeKind> {
    if let Some(member) = number.checked_sub(MEMBERS) {
        let (component, format) = component_and_format(member / MEMBERS_EACH)?;
        return Some(NodeKind::Member(component, format, member % MEMBERS_EACH));
    }
    match number.checked_sub(FILES) {
        Some(file) => component_and_format(file).map(|(component, format)| NodeKind::File(component, format)),
        None => FOLDERS.get(usize::try_from(number).ok()?).copied(),
    }
}

fn of_one(node: NodeKind) -> Option<u64> {
    let (of, format) = match node {
        NodeKind::Directory => (Of::Folder, FormatId::RAW),
        NodeKind::Link(format) => (Of::Links, format),
        NodeKind::File(component, format) => (Of::Components(component), format),
        _ => return None,
    };
    Some(numbered(OF_ONE.iter().position(|other| *other == of)?, format))
}

fn node_of_one(number: u64) -> Option<NodeKind> {
    let (of, format) = (usize::try_from(number / FORMATS).ok()?, FormatId::from_number(number % FORMATS)?);
    match OF_ONE.get(of)? {
        Of::Links => Some(NodeKind::Link(format)),
        Of::Components(component) => Some(NodeKind::File(*component, format)),
        Of::Folder => (format.number() == 0).then_some(NodeKind::Directory),
    }
}

/// The offset of a file among the files of the whole.
fn file(component: Component, format: FormatId) -> Option<u64> {
    Some(numbered(Component::ALL.iter().position(|other| *other == component)?, format))
}

fn numbered(component: usize, format: FormatId) -> u64 {
    component as u64 * FORMATS + format.number()
}

/// The component and format of a file, from its offset.
fn component_and_format(file: u64) -> Option<(Component, FormatId)> {
    let component = usize::try_from(file / FORMATS).ok()?;
    Some((*Component::ALL.get(component)?, FormatId::from_number(file % FORMATS)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::selection::tests::sparse_selection;
    use crate::array::selection::{Part, Selection};
    use crate::array::stored_array::StoredArray;
    use crate::daf::memory_mapping::create_memory_mapped_array;
    use crate::dtype::Dtype;
    use crate::formats;
    use crate::store::Store;
    use std::path::Path;
    use std::sync::Arc;

    const WHOLE: [NodeKind; 12] = [
        NodeKind::Directory,
        NodeKind::Rows,
        NodeKind::Columns,
        NodeKind::Slices,
        NodeKind::ByName,
        NodeKind::NamedRows,
        NodeKind::NamedColumns,
        NodeKind::File(Component::Meta, FormatId::new(1)),
        NodeKind::File(Component::TenX, FormatId::new(31)),
        NodeKind::Member(Component::Meta, FormatId::new(0), 0),
        NodeKind::Member(Component::TenX, FormatId::new(0), 63),
        NodeKind::Member(Component::TenX, FormatId::new(31), 63),
    ];

    #[track_caller]
    fn assert_reads_back(extent: InodeLayout, node_id: NodeId) -> u64 {
        let number = extent.encode(node_id).unwrap_or_else(|| panic!("{node_id:?} has no number"));
        assert!(number < extent.count(), "{node_id:?}");
        assert_eq!(extent.decode(number), Some(node_id));
        number
    }

    /// The first, the middle and the last row and column that have numbers.
    fn singles(extent: InodeLayout) -> Vec<Region> {
        let of = |count: u64, scope: fn(u64) -> Region| {
            let mut places = vec![0, count / 2, count.saturating_sub(1)];
            places.dedup();
            places.into_iter().filter(move |i| *i < count).map(scope)
        };
        of(extent.rows, Region::Row).chain(of(extent.columns, Region::Column)).collect()
    }

    #[test]
    fn numbers_read_back_whatever_the_shape() {
        let sizes = [0, 1, 700, 1 << 30, 1 << 44, (1 << 46) - 1024, 1 << 46, 1 << 53, 1 << 62, u64::MAX];
        for (kind, file) in [(Kind::Dense, Component::Array), (Kind::Sparse, Component::Indices)] {
            let pairs = sizes.into_iter().flat_map(|rows| sizes.map(|columns| (rows, columns)));
            let members = [0, 66, 1 << 20, MOST_FURTHER, u64::MAX].into_iter().cycle();
            for ((rows, columns), members) in pairs.zip(members) {
                let extent = InodeLayout::new(kind, rows, columns, members);
                assert!([0, rows].contains(&extent.rows) && [0, columns].contains(&extent.columns));
                assert!(extent.count() <= inode_numbers::MOST);
                let mut seen: Vec<_> =
                    WHOLE.map(|node| assert_reads_back(extent, NodeId { of: Region::Whole, node })).into();
                for of in singles(extent) {
                    for node in [
                        NodeKind::Link(FormatId::new(0)),
                        NodeKind::Link(FormatId::new(31)),
                        NodeKind::File(file, FormatId::new(31)),
                    ] {
                        seen.push(assert_reads_back(extent, NodeId { of, node }));
                    }
                }
                for member in
                    [MEMBERS_EACH, MEMBERS_EACH + extent.further / 2, MEMBERS_EACH + extent.further - 1]
                {
                    if extent.further > 2 {
                        for (component, format) in [(Component::Meta, 0), (Component::TenX, 31)] {
                            let node = NodeKind::Member(component, FormatId::new(format), member);
                            seen.push(assert_reads_back(extent, NodeId { of: Region::Whole, node }));
                        }
                    }
                }
                let beyond =
                    NodeKind::Member(Component::Meta, FormatId::new(3), MEMBERS_EACH + extent.further);
                assert_eq!(extent.encode(NodeId { of: Region::Whole, node: beyond }), None);
                seen.sort_unstable();
                let before = seen.len();
                seen.dedup();
                assert_eq!(seen.len(), before);
                for number in [7, FILES - 1, extent.count(), extent.count() + 1, u64::MAX] {
                    assert_eq!(extent.decode(number), None, "{number}");
                }
            }
        }
    }

    #[test]
    fn as_many_as_fit_are_numbered() {
        let numbered = |kind, rows, columns| {
            let extent = InodeLayout::new(kind, rows, columns, 0);
            (extent.rows, extent.columns)
        };
        assert_eq!(numbered(Kind::Dense, 1, 1 << 44), (1, 1 << 44));
        assert_eq!(numbered(Kind::Dense, 3, 1 << 46), (3, 0));
        assert_eq!(numbered(Kind::Dense, 1 << 62, 1), (0, 1));
        assert_eq!(numbered(Kind::Sparse, 1 << 40, 0), (1 << 40, 0));
        assert!(InodeLayout::new(Kind::Dense, 1 << 40, 1 << 40, 0).count() < 1 << 48);
        assert!(InodeLayout::new(Kind::Dense, 1_000_000, 10_000, 0).count() < 1 << 28);
        assert!(InodeLayout::new(Kind::Dense, 100, 100, 0).count() <= 1 << 16);
    }

    fn all_parts_have_numbers(selection: &Selection, extent: InodeLayout) {
        for component in Component::ALL {
            for of in [Region::Whole].into_iter().chain(singles(extent)) {
                if selection.has(Part { component, of }) {
                    for (format, _) in formats::FORMATS {
                        assert_reads_back(extent, NodeId { of, node: NodeKind::File(component, *format) });
                    }
                }
            }
        }
    }

    #[test]
    fn all_things_and_formats_have_numbers() {
        let dir = tempfile::tempdir().unwrap();
        create_memory_mapped_array(dir.path().join("x"), &[3, 2], Dtype::Int16).unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let dense = Selection::whole(Arc::new(StoredArray::load(&store, Path::new("x")).unwrap()));
        all_parts_have_numbers(&dense, InodeLayout::new(Kind::Dense, 3, 2, 0));
        let (_dir, sparse) = sparse_selection(&[1, 2, 0], 4);
        let extent = InodeLayout::new(Kind::Sparse, 3, 4, 0);
        all_parts_have_numbers(&sparse, extent);
        assert_reads_back(extent, NodeId { of: Region::Row(2), node: NodeKind::Directory });
        assert!(Component::ALL.len() as u64 * FORMATS <= MEMBERS - FILES);
    }
}
