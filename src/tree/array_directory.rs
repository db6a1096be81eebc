//! The directory of an array: its children by name and in order. It knows formats only from their
//! [table](formats::FORMATS).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attr::{Attr, EntryKind, Ino, Ttl};
use super::node::{InodeLayout, NodeId, NodeKind};
use crate::array::format_id::{FormatId, Formats};
use crate::array::names::AxisNames;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::array::stored_array::StoredArray;
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::{Kind, Shape};
use crate::encode::members::Members;
use crate::error::{Error, Result};
use crate::formats;
use crate::rows::{index_width, parse_index};
use crate::store::source::ByteRange;
use crate::task;
use crate::word::to_usize;

pub(super) const ROWS: &str = "rows";
pub(super) const BY_NAME: &str = "by-name";
pub(super) const COLUMNS: &str = "cols";
pub(super) const SLICES: &str = "slices";

/// The subdirectories of an array's directory. Each exists only where it makes sense.
const FOLDERS: [(&str, NodeKind); 4] = [
    (ROWS, NodeKind::Rows),
    (COLUMNS, NodeKind::Columns),
    (SLICES, NodeKind::Slices),
    (BY_NAME, NodeKind::ByName),
];

/// Size in bytes of the blocks into which `slices/` divides an array.
const BLOCK: u64 = 64 << 20;

/// The directory of some or all rows of an array.
#[derive(Debug)]
pub struct ArrayDirectory {
    /// The rows.
    pub selection: Selection,
    /// Determines the inode numbers of the nodes.
    pub extent: InodeLayout,
    /// The path in the mount of a whole array. Directories in `slices/` have none.
    path: Option<PathBuf>,
}

/// A callback with a child's position in a listing, its name, its type, and its node unless it is a slice,
/// which has inode numbers of its own. It returns whether to continue.
pub type Visit<'v> = dyn FnMut(u64, &str, EntryKind, Option<NodeId>) -> bool + 'v;

/// The meaning of a name in a directory.
pub enum Child {
    /// A node of this directory.
    NodeId(NodeId),
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
    Names(Arc<AxisNames>),
    /// The members of a format that is a directory.
    Members(Box<Members>),
}

impl ArrayDirectory {
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
    pub fn extent_of(selection: &Selection) -> InodeLayout {
        let (kind, members) = (selection.array().metadata.kind(), Members::room(selection));
        let (rows, columns) = match (selection.shape(), kind) {
            (Shape::Vector(_), _) => (0, 0),
            (Shape::Matrix(rows, columns), Kind::Dense) => (rows, columns),
            (Shape::Matrix(rows, _), Kind::Sparse) => (rows, 0),
        };
        InodeLayout::new(kind, rows, columns, members)
    }

    /// The attributes of a node.
    pub fn attr(&self, node_id: NodeId, ino: Ino) -> Result<Attr> {
        let (NodeKind::File(component, format) | NodeKind::Member(component, format, _)) = node_id.node
        else {
            let array = self.selection.array();
            let is_named =
                matches!(node_id.node, NodeKind::ByName | NodeKind::NamedRows | NodeKind::NamedColumns);
            return Ok(Attr::folder(ino, &if is_named { array.stat_with_names() } else { array.stat() }));
        };
        let part = Part { component, of: node_id.of };
        let is_raw = matches!(extension(format), "" | "yaml");
        if let Some(run) = self.byte_range(node_id) {
            let stat = self.selection.stat_of(part, is_raw);
            let attr = Attr::file(ino, run.length, &stat, Ttl::Version);
            return Ok(Attr { blocks: run.blocks(), ..attr });
        }
        let content = self.content(node_id)?;
        // The content comes first: names that turn out not to fit are not shown, so their permissions do not
        // apply.
        let stat = match self.shows_names(node_id) {
            true => self.selection.array().stat_with_names(),
            false => self.selection.stat_of(part, is_raw),
        };
        match content {
            Some(file) => {
                Ok(Attr { blocks: file.blocks(), ..Attr::file(ino, file.len(), &stat, Ttl::Version) })
            }
            None => Ok(Attr::folder(ino, &stat)),
        }
    }

    /// Whether the size of a node can only be computed from the data.
    pub fn size_needs_data(&self, node_id: NodeId) -> bool {
        let (NodeKind::File(component, format) | NodeKind::Member(component, format, _)) = node_id.node
        else {
            return false;
        };
        let part = Part { component, of: node_id.of };
        formats::format(format).is_some_and(|format| format.size_needs_data(&self.selection, part))
    }

    /// Whether the size of a file depends on data that can change, for example a row of a sparse matrix,
    /// whose bounds are in `indptr`.
    pub fn is_sized_by_data(&self, node_id: NodeId) -> bool {
        let is_stored = matches!(node_id.node, NodeKind::File(Component::Data | Component::Indices, _));
        is_stored && node_id.of != Region::Whole || self.size_needs_data(node_id)
    }

    /// Whether rendering a node needs names, and there are many.
    fn has_many_names(&self, node_id: NodeId) -> bool {
        !self.selection.array().names.are_small() && self.shows_names(node_id)
    }

    /// Whether a node may show names of rows or columns.
    pub fn shows_names(&self, node_id: NodeId) -> bool {
        let (NodeKind::File(component, format) | NodeKind::Member(component, format, _)) = node_id.node
        else {
            return true;
        };
        formats::format(format).is_none_or(|format| format.shows_names(Part { component, of: node_id.of }))
    }

    /// The content of a file. None for a directory.
    pub fn content(&self, node_id: NodeId) -> Result<Option<VirtualFile>> {
        match node_id.node {
            NodeKind::File(component, format) if file_kind(format) == EntryKind::File => {
                if self.has_many_names(node_id) {
                    task::begin_long()?;
                }
                let part = Part { component, of: node_id.of };
                Ok(self.view(part, format)?.render(&self.selection, part)?.file())
            }
            NodeKind::Member(component, format, member) => {
                let members = self.members(component, format)?;
                Ok(members.get(member).ok_or_else(|| self.not_found())?.file)
            }
            _ => Ok(None),
        }
    }

    /// The byte range of a file of the store that is the content of a node, if it is known without rendering.
    pub fn byte_range(&self, node_id: NodeId) -> Option<ByteRange<'_>> {
        let NodeKind::File(component, format) = node_id.node else { return None };
        formats::format(format)?.byte_range(&self.selection, Part { component, of: node_id.of })
    }

    /// The members of a format that is a directory.
    ///
    /// # Errors
    ///
    /// As [`formats::Format::render`].
    fn members(&self, component: Component, format: FormatId) -> Result<Members> {
        let part = Part { component, of: Region::Whole };
        if self.has_many_names(NodeId { of: part.of, node: NodeKind::File(component, format) }) {
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
    pub fn child(&self, folder: NodeId, name: &OsStr) -> Result<Option<Child>> {
        let name = name.as_bytes();
        Ok(match folder.node {
            NodeKind::Directory => {
                self.named_folder(folder.of, name).or_else(|| self.named_file(folder.of, name))
            }
            NodeKind::Rows => self.row(name),
            NodeKind::Columns => {
                let (index, format) = split_format(name);
                let column = parse_index(index, self.extent.columns);
                column.and_then(|column| self.node_id(Region::Column(column), Component::Array, format))
            }
            NodeKind::Slices => self.selection.slice(name).map(Child::Slice),
            NodeKind::ByName => {
                let axis = self.named_axes().find(|(other, _)| other.as_bytes() == name);
                axis.map(|(_, node)| Child::NodeId(NodeId { of: folder.of, node }))
            }
            NodeKind::NamedRows | NodeKind::NamedColumns => self.named(folder, name)?,
            NodeKind::Link(_) => None,
            NodeKind::File(component, format) => self.member(component, format, None, name)?,
            NodeKind::Member(component, format, member) => {
                self.member(component, format, Some(member), name)?
            }
        })
    }

    /// `rows/`, `cols/`, `slices/` or `by-name/`.
    fn named_folder(&self, of: Region, name: &[u8]) -> Option<Child> {
        let (_, node) = FOLDERS.into_iter().find(|(other, _)| other.as_bytes() == name)?;
        let node_id = NodeId { of, node };
        self.has_folder(node_id).then_some(Child::NodeId(node_id))
    }

    /// The path in the mount of one of the directories with the parts of a whole array.
    pub fn path_of_parts(&self, node_id: NodeId) -> Option<PathBuf> {
        let (name, _) = FOLDERS.into_iter().find(|(_, node)| *node == node_id.node)?;
        self.has_folder(node_id).then(|| Some(self.path.as_ref()?.join(name)))?
    }

    fn has_folder(&self, node_id: NodeId) -> bool {
        node_id.of == Region::Whole
            && match node_id.node {
                NodeKind::Rows => self.extent.rows > 0,
                NodeKind::Columns => self.extent.columns > 0,
                NodeKind::ByName => self.has_names(),
                _ => true,
            }
    }

    fn folders(&self, of: Region) -> impl Iterator<Item = (&'static str, NodeKind)> {
        FOLDERS.into_iter().filter(move |(_, node)| self.has_folder(NodeId { of, node: *node }))
    }

    /// The subdirectories that a listing shows. In the directory of a slice, `slices/` can be opened but is
    /// not listed, because otherwise a walk of the tree would never end.
    fn listed_folders(&self, of: Region) -> impl Iterator<Item = (&'static str, NodeKind)> {
        let endless = self.is_slice();
        self.folders(of).filter(move |(_, node)| !(endless && *node == NodeKind::Slices))
    }

    /// A component, with or without an extension.
    fn named_file(&self, of: Region, name: &[u8]) -> Option<Child> {
        let (component, format) = split_format(name);
        let component = Component::ALL.into_iter().find(|other| other.name().as_bytes() == component)?;
        self.node_id(of, component, format)
    }

    fn node_id(&self, of: Region, component: Component, format: &[u8]) -> Option<Child> {
        let format = formats::find(&self.selection, Part { component, of }, format)?;
        Some(Child::NodeId(NodeId { of, node: NodeKind::File(component, format) }))
    }

    /// A file or directory in a format that is a directory.
    fn member(
        &self,
        component: Component,
        format: FormatId,
        folder: Option<u64>,
        name: &[u8],
    ) -> Result<Option<Child>> {
        let members = self.members(component, format)?;
        let member = std::str::from_utf8(name).ok().and_then(|name| members.child(folder, name));
        let node_id =
            |member| NodeId { of: Region::Whole, node: NodeKind::Member(component, format, member) };
        Ok(member.map(|member| Child::NodeId(node_id(member))))
    }

    /// A row by its number: a file for a dense array, a directory for a sparse matrix. With an extension it
    /// has the elements of the row, including zeros.
    fn row(&self, name: &[u8]) -> Option<Child> {
        let (index, format) = split_format(name);
        let row = parse_index(index, self.extent.rows)?;
        let of = Region::Row(row);
        match self.selection.array().metadata.kind() {
            Kind::Dense => self.node_id(of, Component::Array, format),
            Kind::Sparse if !format.is_empty() => self.node_id(of, Component::Dense, format),
            // Only the listed spelling is a node of this directory. Others, such as `7` for `007`, get a
            // range of their own.
            Kind::Sparse if index == self.row_name(row).as_bytes() => {
                Some(Child::NodeId(NodeId { of, node: NodeKind::Directory }))
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
    fn len(&self, folder: NodeId) -> u64 {
        match folder.node {
            NodeKind::Rows => self.extent.rows,
            NodeKind::Columns => self.extent.columns,
            NodeKind::Slices => self.blocks().1,
            _ => 0,
        }
    }

    /// Loads what a listing needs, so that errors occur before it begins.
    ///
    /// # Errors
    ///
    /// Any error from rendering a format that is a directory, and from reading names. [`Error::NotFound`] if
    /// the members do not exist.
    pub fn listed(&self, folder: NodeId) -> Result<Listed> {
        match folder.node {
            NodeKind::File(component, format) | NodeKind::Member(component, format, _) => {
                self.members(component, format).map(Box::new).map(Listed::Members)
            }
            NodeKind::NamedRows | NodeKind::NamedColumns => {
                // Names that turned out not to fit are left out.
                Ok(self.names_in(folder)?.map_or(Listed::Known, Listed::Names))
            }
            _ => Ok(Listed::Known),
        }
    }

    /// Calls `visit` with the children in order, starting at position `first`, until it returns false.
    pub fn list(&self, folder: NodeId, listed: &Listed, first: u64, visit: &mut Visit<'_>) {
        let sparse = self.selection.array().metadata.kind() == Kind::Sparse;
        let count = self.len(folder);
        match folder.node {
            NodeKind::Directory => self.list_folder(folder.of, first, visit),
            NodeKind::Rows if sparse => {
                let node = |row| NodeId { of: Region::Row(row), node: NodeKind::Directory };
                self.list_numbers(first..count, self.extent.rows, EntryKind::Directory, &node, visit);
            }
            NodeKind::Rows => {
                let node = |row| NodeId {
                    of: Region::Row(row),
                    node: NodeKind::File(Component::Array, FormatId::RAW),
                };
                self.list_numbers(first..count, self.extent.rows, EntryKind::File, &node, visit);
            }
            NodeKind::Columns => {
                let node = |column| NodeId {
                    of: Region::Column(column),
                    node: NodeKind::File(Component::Array, FormatId::RAW),
                };
                self.list_numbers(first..count, self.extent.columns, EntryKind::File, &node, visit);
            }
            NodeKind::Slices => self.list_slices(first..count, visit),
            NodeKind::ByName => {
                let skip = to_usize(first);
                for (i, (name, node)) in (0..).zip(self.named_axes()).skip(skip) {
                    if !visit(i, name, EntryKind::Directory, Some(NodeId { of: folder.of, node })) {
                        return;
                    }
                }
            }
            NodeKind::NamedRows | NodeKind::NamedColumns => {
                if let Listed::Names(axis_names) = listed {
                    self.list_named(folder, axis_names, first, visit);
                }
            }
            NodeKind::Link(_) => {}
            NodeKind::File(component, format) => listed.list_members(component, format, None, first, visit),
            NodeKind::Member(component, format, member) => {
                listed.list_members(component, format, Some(member), first, visit);
            }
        }
    }

    fn list_folder(&self, of: Region, first: u64, visit: &mut Visit<'_>) {
        let files = self.files(of).into_iter().map(|(component, format)| {
            (file_name(component, format), file_kind(format), NodeKind::File(component, format))
        });
        let folders =
            self.listed_folders(of).map(|(name, node)| (name.to_owned(), EntryKind::Directory, node));
        for (i, (name, kind, node)) in (0..).zip(files.chain(folders)).skip(to_usize(first)) {
            if !visit(i, &name, kind, Some(NodeId { of, node })) {
                return;
            }
        }
    }

    fn list_numbers(
        &self,
        range: std::ops::Range<u64>,
        count: u64,
        kind: EntryKind,
        node: &dyn Fn(u64) -> NodeId,
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
            if !visit(i, &format!("{start:0width$}:{stop:0width$}"), EntryKind::Directory, None) {
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
    fn files(&self, of: Region) -> Vec<(Component, FormatId)> {
        let formats = |component| {
            let part = Part { component, of };
            let offered = formats::offered(&self.selection, part);
            offered.filter(move |(_, view)| view.is_listed(part)).map(move |(format, _)| (component, format))
        };
        Component::ALL.into_iter().flat_map(formats).collect()
    }
}

impl Listed {
    fn list_members(
        &self,
        component: Component,
        format: FormatId,
        folder: Option<u64>,
        first: u64,
        visit: &mut Visit<'_>,
    ) {
        let Self::Members(members) = self else { return };
        members.list(folder, first, &mut |i, member, name, is_file| {
            let kind = if is_file { EntryKind::File } else { EntryKind::Directory };
            visit(
                i,
                name,
                kind,
                Some(NodeId { of: Region::Whole, node: NodeKind::Member(component, format, member) }),
            )
        });
    }
}

fn file_kind(format: FormatId) -> EntryKind {
    let is_directory = formats::format(format).is_some_and(|format| format.is_directory());
    if is_directory { EntryKind::Directory } else { EntryKind::File }
}

fn extension(format: FormatId) -> &'static str {
    formats::format(format).map_or("", |format| format.extension())
}

/// The file name of a component in this format.
pub(super) fn file_name(component: Component, format: FormatId) -> String {
    match extension(format) {
        "" => component.name().to_owned(),
        format => format!("{}.{format}", component.name()),
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
