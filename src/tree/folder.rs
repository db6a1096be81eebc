//! The directory of an array: its children by name and in order. It knows formats only from their
//! [table](formats::FORMATS).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attr::{Attr, Ino, Lasting, NodeKind};
use super::leaf::{Extent, Leaf, Node};
use crate::array::catalog::StoredArray;
use crate::array::format_id::{FormatId, Formats};
use crate::array::names::Labels;
use crate::array::selection::{Part, Scope, Selection, Thing};
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::{Kind, Shape};
use crate::encode::members::Members;
use crate::error::{Error, Result};
use crate::formats;
use crate::rows::{index_width, parse_index};
use crate::store::source::Run;
use crate::task;
use crate::word::to_usize;

pub(super) const ROWS: &str = "rows";
pub(super) const BY_NAME: &str = "by-name";
pub(super) const COLUMNS: &str = "cols";
pub(super) const SLICES: &str = "slices";

/// The subdirectories of an array's directory. Each exists only where it makes sense.
const FOLDERS: [(&str, Node); 4] =
    [(ROWS, Node::Rows), (COLUMNS, Node::Columns), (SLICES, Node::Slices), (BY_NAME, Node::ByName)];

/// Size in bytes of the blocks into which `slices/` divides an array.
const BLOCK: u64 = 64 << 20;

/// The directory of some or all rows of an array.
#[derive(Debug)]
pub struct Folder {
    /// The rows.
    pub selection: Selection,
    /// Determines the inode numbers of the nodes.
    pub extent: Extent,
    /// The path in the mount of a whole array. Directories in `slices/` have none.
    path: Option<PathBuf>,
}

/// A callback with a child's position in a listing, its name, its type, and its node unless it is a slice,
/// which has inode numbers of its own. It returns whether to continue.
pub type Visit<'v> = dyn FnMut(u64, &str, NodeKind, Option<Leaf>) -> bool + 'v;

/// The meaning of a name in a directory.
pub enum Child {
    /// A node of this directory.
    Leaf(Leaf),
    /// A different spelling of the directory of a row.
    Row(u64),
    /// The directory of a slice.
    Slice(Selection),
}

/// The data that a listing needs and that may fail to load. It is loaded before the listing begins.
#[derive(Debug)]
pub enum Listed {
    /// None: shape and formats determine the listing.
    Known,
    /// The names of rows or columns.
    Names(Arc<Labels>),
    /// The members of a format that is a directory.
    Members(Box<Members>),
}

impl Folder {
    /// The directory of a whole array in these formats, at this path in the mount.
    pub fn whole(array: Arc<StoredArray>, formats: Formats, path: &Path) -> Self {
        Self::new(Selection::whole(array).in_formats(formats), Some(path.to_owned()))
    }

    /// The directory of a slice.
    pub fn slice(selection: Selection) -> Self {
        Self::new(selection, None)
    }

    /// The same directory, without anything that was computed from the data.
    pub fn anew(&self) -> Self {
        Self { selection: self.selection.anew(), extent: self.extent, path: self.path.clone() }
    }

    fn new(selection: Selection, path: Option<PathBuf>) -> Self {
        let extent = Self::extent_of(&selection);
        Self { selection, extent, path }
    }

    /// Whether this is a directory in `slices/`.
    pub fn is_slice(&self) -> bool {
        self.path.is_none()
    }

    /// The extent of inode numbers for the directory of a selection.
    pub fn extent_of(selection: &Selection) -> Extent {
        let (kind, members) = (selection.array().metadata.kind(), Members::room(selection));
        let (rows, columns) = match (selection.shape(), kind) {
            (Shape::Vector(_), _) => (0, 0),
            (Shape::Matrix(rows, columns), Kind::Dense) => (rows, columns),
            (Shape::Matrix(rows, _), Kind::Sparse) => (rows, 0),
        };
        Extent::new(kind, rows, columns, members)
    }

    /// The attributes of a node.
    pub fn attr(&self, leaf: Leaf, ino: Ino) -> Result<Attr> {
        let (Node::File(thing, format) | Node::Member(thing, format, _)) = leaf.node else {
            let array = self.selection.array();
            let is_named = matches!(leaf.node, Node::ByName | Node::NamedRows | Node::NamedColumns);
            return Ok(Attr::folder(ino, &if is_named { array.stat_with_names() } else { array.stat() }));
        };
        let part = Part { thing, of: leaf.of };
        let is_raw = matches!(extension(format), "" | "yaml");
        if let Some(run) = self.run(leaf) {
            let stat = self.selection.stat_of(part, is_raw);
            let attr = Attr::file(ino, run.length, &stat, Lasting::Version);
            return Ok(Attr { blocks: run.blocks(), ..attr });
        }
        let content = self.content(leaf)?;
        // The content comes first: names that turn out not to fit are not shown, so their permissions do not
        // apply.
        let stat = match self.shows_names(leaf) {
            true => self.selection.array().stat_with_names(),
            false => self.selection.stat_of(part, is_raw),
        };
        match content {
            Some(file) => {
                Ok(Attr { blocks: file.blocks(), ..Attr::file(ino, file.len(), &stat, Lasting::Version) })
            }
            None => Ok(Attr::folder(ino, &stat)),
        }
    }

    /// Whether the size of a node can only be computed from the data.
    pub fn size_needs_data(&self, leaf: Leaf) -> bool {
        let (Node::File(thing, format) | Node::Member(thing, format, _)) = leaf.node else { return false };
        let part = Part { thing, of: leaf.of };
        formats::format(format).is_some_and(|format| format.size_needs_data(&self.selection, part))
    }

    /// Whether the size of a file that is not cached depends on data.
    pub fn is_sized_by_data(&self, leaf: Leaf) -> bool {
        let is_stored = matches!(leaf.node, Node::File(Thing::Data | Thing::Indices, _));
        is_stored && leaf.of != Scope::All || self.size_needs_data(leaf)
    }

    /// Whether rendering a node needs names, and there are many.
    fn has_many_names(&self, leaf: Leaf) -> bool {
        !self.selection.array().names.are_small() && self.shows_names(leaf)
    }

    /// Whether a node may show names of rows or columns.
    pub fn shows_names(&self, leaf: Leaf) -> bool {
        let (Node::File(thing, format) | Node::Member(thing, format, _)) = leaf.node else { return true };
        formats::format(format).is_none_or(|format| format.shows_names(Part { thing, of: leaf.of }))
    }

    /// The content of a file. None for a directory.
    pub fn content(&self, leaf: Leaf) -> Result<Option<VirtualFile>> {
        match leaf.node {
            Node::File(thing, format) if file_kind(format) == NodeKind::File => {
                if self.has_many_names(leaf) {
                    task::begin_long()?;
                }
                let part = Part { thing, of: leaf.of };
                Ok(self.view(part, format)?.render(&self.selection, part)?.file())
            }
            Node::Member(thing, format, member) => {
                let members = self.members(thing, format)?;
                Ok(members.get(member).ok_or_else(|| self.not_found())?.file)
            }
            _ => Ok(None),
        }
    }

    /// The run of a file of the store that is the content of a node, if this is known without rendering it.
    pub fn run(&self, leaf: Leaf) -> Option<Run<'_>> {
        let Node::File(thing, format) = leaf.node else { return None };
        formats::format(format)?.run(&self.selection, Part { thing, of: leaf.of })
    }

    /// The members of a format that is a directory.
    ///
    /// # Errors
    ///
    /// As [`formats::Format::render`].
    fn members(&self, thing: Thing, format: FormatId) -> Result<Members> {
        let part = Part { thing, of: Scope::All };
        if self.has_many_names(Leaf { of: part.of, node: Node::File(thing, format) }) {
            task::begin_long()?;
        }
        let rendered = self.view(part, format)?.render(&self.selection, part)?;
        rendered.directory().ok_or_else(|| self.not_found())
    }

    /// The format with this number, if it offers the part.
    fn view(&self, part: Part, format: FormatId) -> Result<&'static dyn formats::Format> {
        let mut offered = formats::offered(&self.selection, part);
        offered.find(|(place, _)| *place == format).map(|(_, view)| view).ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> Error {
        Error::not_found(&self.selection.array().path)
    }

    /// The child of a directory with this name.
    ///
    /// # Errors
    ///
    /// Any error from rendering a format that is a directory, and from reading names.
    pub fn child(&self, folder: Leaf, name: &OsStr) -> Result<Option<Child>> {
        let name = name.as_bytes();
        Ok(match folder.node {
            Node::Folder => self.named_folder(folder.of, name).or_else(|| self.named_file(folder.of, name)),
            Node::Rows => self.row(name),
            Node::Columns => {
                let (index, format) = split_format(name);
                let column = parse_index(index, self.extent.columns);
                column.and_then(|column| self.leaf(Scope::Column(column), Thing::Array, format))
            }
            Node::Slices => self.selection.slice(name).map(Child::Slice),
            Node::ByName => {
                let axis = self.named_axes().find(|(other, _)| other.as_bytes() == name);
                axis.map(|(_, node)| Child::Leaf(Leaf { of: folder.of, node }))
            }
            Node::NamedRows | Node::NamedColumns => self.named(folder, name)?,
            Node::Link(_) => None,
            Node::File(thing, format) => self.member(thing, format, None, name)?,
            Node::Member(thing, format, member) => self.member(thing, format, Some(member), name)?,
        })
    }

    /// `rows/`, `cols/`, `slices/` or `by-name/`.
    fn named_folder(&self, of: Scope, name: &[u8]) -> Option<Child> {
        let (_, node) = FOLDERS.into_iter().find(|(other, _)| other.as_bytes() == name)?;
        let leaf = Leaf { of, node };
        self.has_folder(leaf).then_some(Child::Leaf(leaf))
    }

    /// The path in the mount of one of the directories with the parts of a whole array.
    pub fn path_of_parts(&self, leaf: Leaf) -> Option<PathBuf> {
        let (name, _) = FOLDERS.into_iter().find(|(_, node)| *node == leaf.node)?;
        self.has_folder(leaf).then(|| Some(self.path.as_ref()?.join(name)))?
    }

    fn has_folder(&self, leaf: Leaf) -> bool {
        leaf.of == Scope::All
            && match leaf.node {
                Node::Rows => self.extent.rows > 0,
                Node::Columns => self.extent.columns > 0,
                Node::ByName => self.has_names(),
                _ => true,
            }
    }

    fn folders(&self, of: Scope) -> impl Iterator<Item = (&'static str, Node)> {
        FOLDERS.into_iter().filter(move |(_, node)| self.has_folder(Leaf { of, node: *node }))
    }

    /// The subdirectories that a listing shows. In the directory of a slice, `slices/` can be opened but is
    /// not listed, because otherwise a walk of the tree would never end.
    fn listed_folders(&self, of: Scope) -> impl Iterator<Item = (&'static str, Node)> {
        let endless = self.is_slice();
        self.folders(of).filter(move |(_, node)| !(endless && *node == Node::Slices))
    }

    /// A component, with or without an extension.
    fn named_file(&self, of: Scope, name: &[u8]) -> Option<Child> {
        let (thing, format) = split_format(name);
        let thing = Thing::ALL.into_iter().find(|other| other.name().as_bytes() == thing)?;
        self.leaf(of, thing, format)
    }

    fn leaf(&self, of: Scope, thing: Thing, format: &[u8]) -> Option<Child> {
        let format = formats::find(&self.selection, Part { thing, of }, format)?;
        Some(Child::Leaf(Leaf { of, node: Node::File(thing, format) }))
    }

    /// A file or directory in a format that is a directory.
    fn member(
        &self,
        thing: Thing,
        format: FormatId,
        folder: Option<u64>,
        name: &[u8],
    ) -> Result<Option<Child>> {
        let members = self.members(thing, format)?;
        let member = std::str::from_utf8(name).ok().and_then(|name| members.child(folder, name));
        let leaf = |member| Leaf { of: Scope::All, node: Node::Member(thing, format, member) };
        Ok(member.map(|member| Child::Leaf(leaf(member))))
    }

    /// A row by its number: a file for a dense array, a directory for a sparse matrix. With an extension it
    /// has the elements of the row, including zeros.
    fn row(&self, name: &[u8]) -> Option<Child> {
        let (index, format) = split_format(name);
        let row = parse_index(index, self.extent.rows)?;
        let of = Scope::Row(row);
        match self.selection.array().metadata.kind() {
            Kind::Dense => self.leaf(of, Thing::Array, format),
            Kind::Sparse if !format.is_empty() => self.leaf(of, Thing::Dense, format),
            Kind::Sparse if index == self.row_name(row).as_bytes() => {
                Some(Child::Leaf(Leaf { of, node: Node::Folder }))
            }
            Kind::Sparse => Some(Child::Row(row)),
        }
    }

    pub(super) fn row_name(&self, row: u64) -> String {
        format!("{row:0width$}", width = index_width(self.extent.rows))
    }

    pub(super) fn column_name(&self, column: u64) -> String {
        format!("{column:0width$}", width = index_width(self.extent.columns))
    }

    /// Number of numbered children that a listing of the directory shows.
    fn len(&self, folder: Leaf) -> u64 {
        match folder.node {
            Node::Rows => self.extent.rows,
            Node::Columns => self.extent.columns,
            Node::Slices => self.blocks().1,
            _ => 0,
        }
    }

    /// Loads what a listing needs, so that errors occur before it begins.
    ///
    /// # Errors
    ///
    /// Any error from rendering a format that is a directory, and from reading names. [`Error::NotFound`] if
    /// the members do not exist.
    pub fn listed(&self, folder: Leaf) -> Result<Listed> {
        match folder.node {
            Node::File(thing, format) | Node::Member(thing, format, _) => {
                self.members(thing, format).map(Box::new).map(Listed::Members)
            }
            Node::NamedRows | Node::NamedColumns => {
                // Names that turned out not to fit are left out.
                Ok(self.names_in(folder)?.map_or(Listed::Known, Listed::Names))
            }
            _ => Ok(Listed::Known),
        }
    }

    /// Calls `visit` with the children in order, starting at position `first`, until it returns false.
    pub fn list(&self, folder: Leaf, listed: &Listed, first: u64, visit: &mut Visit<'_>) {
        let sparse = self.selection.array().metadata.kind() == Kind::Sparse;
        let count = self.len(folder);
        match folder.node {
            Node::Folder => self.list_folder(folder.of, first, visit),
            Node::Rows if sparse => {
                let node = |row| Leaf { of: Scope::Row(row), node: Node::Folder };
                self.list_numbers(first..count, self.extent.rows, NodeKind::Folder, &node, visit);
            }
            Node::Rows => {
                let node = |row| Leaf { of: Scope::Row(row), node: Node::File(Thing::Array, FormatId::RAW) };
                self.list_numbers(first..count, self.extent.rows, NodeKind::File, &node, visit);
            }
            Node::Columns => {
                let node = |column| Leaf {
                    of: Scope::Column(column),
                    node: Node::File(Thing::Array, FormatId::RAW),
                };
                self.list_numbers(first..count, self.extent.columns, NodeKind::File, &node, visit);
            }
            Node::Slices => self.list_slices(first..count, visit),
            Node::ByName => {
                let skip = to_usize(first);
                for (i, (name, node)) in (0..).zip(self.named_axes()).skip(skip) {
                    if !visit(i, name, NodeKind::Folder, Some(Leaf { of: folder.of, node })) {
                        return;
                    }
                }
            }
            Node::NamedRows | Node::NamedColumns => {
                if let Listed::Names(labels) = listed {
                    self.list_named(folder, labels, first, visit);
                }
            }
            Node::Link(_) => {}
            Node::File(thing, format) => listed.list_members(thing, format, None, first, visit),
            Node::Member(thing, format, member) => {
                listed.list_members(thing, format, Some(member), first, visit);
            }
        }
    }

    fn list_folder(&self, of: Scope, first: u64, visit: &mut Visit<'_>) {
        let files = self
            .files(of)
            .into_iter()
            .map(|(thing, format)| (file_name(thing, format), file_kind(format), Node::File(thing, format)));
        let folders = self.listed_folders(of).map(|(name, node)| (name.to_owned(), NodeKind::Folder, node));
        for (i, (name, kind, node)) in (0..).zip(files.chain(folders)).skip(to_usize(first)) {
            if !visit(i, &name, kind, Some(Leaf { of, node })) {
                return;
            }
        }
    }

    fn list_numbers(
        &self,
        range: std::ops::Range<u64>,
        count: u64,
        kind: NodeKind,
        node: &dyn Fn(u64) -> Leaf,
        visit: &mut Visit<'_>,
    ) {
        use std::fmt::Write;
        let width = index_width(count);
        let mut name = String::new();
        for i in range {
            name.clear();
            write!(name, "{i:0width$}").expect("a string takes whatever is written");
            if !visit(i, &name, kind, Some(node(i))) {
                return;
            }
        }
    }

    fn list_slices(&self, range: std::ops::Range<u64>, visit: &mut Visit<'_>) {
        let (rows, _) = self.blocks();
        let count = self.selection.rows().count();
        let width = index_width(count);
        for i in range {
            let (start, stop) = (i * rows, ((i + 1) * rows).min(count));
            if !visit(i, &format!("{start:0width$}:{stop:0width$}"), NodeKind::Folder, None) {
                return;
            }
        }
    }

    /// The number of rows in a block of about [`BLOCK`] bytes, and the number of blocks.
    fn blocks(&self) -> (u64, u64) {
        let count = self.selection.rows().count();
        let metadata = &self.selection.array().metadata;
        let all_rows = metadata.shape().rows();
        let bytes = metadata.files().iter().fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes));
        let rows = (BLOCK / (bytes / all_rows).max(1)).clamp(1, count);
        (rows, count.div_ceil(rows))
    }

    /// The files that a listing of this region's directory shows.
    fn files(&self, of: Scope) -> Vec<(Thing, FormatId)> {
        let formats = |thing| {
            let part = Part { thing, of };
            let offered = formats::offered(&self.selection, part);
            offered.filter(move |(_, view)| view.is_listed(part)).map(move |(format, _)| (thing, format))
        };
        Thing::ALL.into_iter().flat_map(formats).collect()
    }
}

impl Listed {
    fn list_members(
        &self,
        thing: Thing,
        format: FormatId,
        folder: Option<u64>,
        first: u64,
        visit: &mut Visit<'_>,
    ) {
        let Self::Members(members) = self else { return };
        members.list(folder, first, &mut |i, member, name, is_file| {
            let kind = if is_file { NodeKind::File } else { NodeKind::Folder };
            visit(i, name, kind, Some(Leaf { of: Scope::All, node: Node::Member(thing, format, member) }))
        });
    }
}

fn file_kind(format: FormatId) -> NodeKind {
    let is_directory = formats::format(format).is_some_and(|format| format.is_directory());
    if is_directory { NodeKind::Folder } else { NodeKind::File }
}

fn extension(format: FormatId) -> &'static str {
    formats::format(format).map_or("", |format| format.extension())
}

/// The file name of a component in this format.
pub(super) fn file_name(thing: Thing, format: FormatId) -> String {
    match extension(format) {
        "" => thing.name().to_owned(),
        format => format!("{}.{format}", thing.name()),
    }
}

/// Splits a name at its first dot into the part before it and the extension.
fn split_format(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|byte| *byte == b'.') {
        // A dot at the end begins no extension, and no component has one in its name.
        Some(dot) if dot + 1 < name.len() => (&name[..dot], &name[dot + 1..]),
        _ => (name, b""),
    }
}
