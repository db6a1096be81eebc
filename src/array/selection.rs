//! The components of an array, or of some of its rows, as blocks of numbers. Formats encode these blocks.
//!
//! A [`Part`] names a component ([`Component`]) and a region of it ([`Region`]): the whole, a row or a column. A
//! [`Selection`] returns it as a [`Block`]. Blocks refer to the files of the store wherever possible;
//! otherwise they are computed when they are read.

mod bounds;
mod dense;
mod gather;
mod indptr;
mod rising;
mod strided;

use std::sync::{Arc, OnceLock};

use crate::array::format_id::Formats;
use crate::array::names::Names;
use crate::array::stored_array::StoredArray;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::{DenseMeta, Kind, Metadata, Shape, SparseMeta};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::store::Stat;
use crate::store::source::{ByteRange, Source};
use crate::task::{self, Flight};
pub use bounds::RowBounds;
use dense::Densify;
use gather::GatherRows;
use indptr::{Indptr, RebasedIndptr, RowSums, Stored};
use rising::{CsrParts, Order, Rising, Which};
use strided::Strided;

/// Up to this many rows, reading the bounds takes hardly any time, even if the rows are far apart.
const FEW_ROWS: u64 = 256;

/// The component of an array that a file shows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Component {
    /// The metadata.
    Meta,
    /// The elements of a dense array.
    Array,
    /// The stored elements of a sparse matrix.
    Data,
    /// The column of each stored element.
    Indices,
    /// Where each row starts among the stored elements.
    Indptr,
    /// A sparse matrix converted to dense.
    Dense,
    /// A whole sparse matrix, in formats that can store one.
    Matrix,
    /// A dense matrix with exchanged axes.
    Transposed,
    /// How to read this particular array.
    Readme,
    /// The directory that single-cell programs read.
    TenX,
}

impl Component {
    /// All components, ordered by number.
    pub const ALL: [Self; 10] = [
        Self::Meta,
        Self::Array,
        Self::Data,
        Self::Indices,
        Self::Indptr,
        Self::Dense,
        Self::Matrix,
        Self::Transposed,
        Self::Readme,
        Self::TenX,
    ];

    /// Whether the component is numbers of one dtype, which [`Selection::block`] returns.
    pub const fn is_block(self) -> bool {
        matches!(self, Self::Array | Self::Data | Self::Indices | Self::Indptr | Self::Dense)
    }

    /// The file name, up to the dot and the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Array => "array",
            Self::Data => "data",
            Self::Indices => "indices",
            Self::Indptr => "indptr",
            Self::Dense => "dense",
            Self::Matrix => "matrix",
            Self::Transposed => "transposed",
            Self::Readme => "README",
            Self::TenX => "10x",
        }
    }
}

/// The region of a component.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Region {
    /// The whole: all selected rows.
    Whole,
    /// The selected row with this index.
    Row(u64),
    /// The column with this index.
    Column(u64),
}

/// A part of a selection: a component and a region of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Part {
    /// The component.
    pub component: Component,
    /// The region.
    pub of: Region,
}

/// A vector or matrix of numbers of one dtype.
#[derive(Clone, Debug)]
pub struct Block {
    /// Type of the elements.
    pub dtype: Dtype,
    /// One or two axes, row-major.
    pub shape: Shape,
    /// The elements, little-endian.
    pub bytes: VirtualFile,
}

/// Some rows of an array, or all of them.
#[derive(Debug)]
pub struct Selection {
    array: Arc<StoredArray>,
    rows: Rows,
    formats: Formats,
    /// For a sparse matrix, where the elements of the selected rows are. Cached, so that reported sizes
    /// stay valid.
    stored: OnceLock<Stored>,
    finding: Flight,
    /// For a sparse matrix, the order in which the elements of the selected rows are stored.
    order: OnceLock<Arc<Order>>,
}

impl Selection {
    /// The whole array.
    pub fn whole(array: Arc<StoredArray>) -> Self {
        let rows = Rows::all(array.metadata.shape().rows());
        Self::new(array, rows)
    }

    fn new(array: Arc<StoredArray>, rows: Rows) -> Self {
        let (stored, finding, order) = Default::default();
        Self { array, rows, formats: Formats::ALL, stored, finding, order }
    }

    /// The same selection without any results cached from the data.
    pub fn anew(&self) -> Self {
        self.of_rows(self.rows)
    }

    /// The same selection, offered only in these formats.
    pub fn in_formats(self, formats: Formats) -> Self {
        Self { formats, ..self }
    }

    /// The rows that a slice such as `100:200` selects from this selection. `None` for an invalid or empty
    /// slice.
    pub fn slice(&self, text: &[u8]) -> Option<Self> {
        let rows = Rows::parse(text, self.rows.count())?.of(&self.rows)?;
        Some(self.of_rows(rows))
    }

    /// These rows of the whole array, in the same formats.
    pub fn of_rows(&self, rows: Rows) -> Self {
        Self::new(Arc::clone(&self.array), rows).in_formats(self.formats)
    }

    /// The formats to offer.
    pub fn formats(&self) -> Formats {
        self.formats
    }

    /// The array from which rows are selected.
    pub fn array(&self) -> &Arc<StoredArray> {
        &self.array
    }

    /// The selected rows.
    pub fn rows(&self) -> Rows {
        self.rows
    }

    /// The names of the rows and columns of the whole array, not only of the selected [`rows`](Self::rows).
    /// They are read on first use.
    ///
    /// # Errors
    ///
    /// Errors from reading the files with the names. Names that do not fit the array are not an error, and
    /// are left out.
    pub fn names(&self) -> Result<Names> {
        self.array.names.names()
    }

    /// The shape of the selection.
    pub fn shape(&self) -> Shape {
        self.array.metadata.shape().with_rows(self.rows.count())
    }

    /// Whether all rows are selected.
    pub fn is_whole(&self) -> bool {
        self.rows == Rows::all(self.array.metadata.shape().rows())
    }

    /// Whether the part exists for this array. Reads no data.
    pub fn has(&self, part: Part) -> bool {
        let matrix = matches!(self.shape(), Shape::Matrix(..));
        if self.needs_sums(part) && self.rows.count() > RowSums::MOST {
            return false;
        }
        match (self.array.metadata.kind(), part.component, part.of) {
            (_, Component::Meta | Component::Readme, of) => of == Region::Whole,
            (_, Component::TenX, of) => of == Region::Whole && matrix,
            (kind, Component::Matrix, of) => of == Region::Whole && kind == Kind::Sparse,
            (kind, Component::Transposed, of) => of == Region::Whole && kind == Kind::Dense && matrix,
            (Kind::Dense, Component::Array, of) => matrix || of == Region::Whole,
            (Kind::Dense, ..)
            | (Kind::Sparse, Component::Array, _)
            | (Kind::Sparse, _, Region::Column(_)) => false,
            (Kind::Sparse, Component::Data | Component::Indices, _) => true,
            (Kind::Sparse, Component::Indptr, of) => of == Region::Whole,
            (Kind::Sparse, Component::Dense, _) => self.shape().bytes(self.array.metadata.dtype()).is_some(),
        }
    }

    /// Whether locating the elements of the part requires reading `indptr` for all selected rows.
    fn needs_sums(&self, part: Part) -> bool {
        let is_stored = matches!(
            part.component,
            Component::Data | Component::Indices | Component::Indptr | Component::Matrix | Component::TenX
        );
        let is_sparse = self.array.metadata.kind() == Kind::Sparse;
        is_sparse && is_stored && part.of == Region::Whole && !self.rows.is_contiguous()
    }

    /// The number of elements or rows that a format must handle for the part: for `indptr`, rows + 1; for
    /// the elements of a sparse matrix, an upper bound. Reads no data.
    pub fn count(&self, part: Part) -> u64 {
        let shape = self.shape();
        let nnz = match &self.array.metadata {
            Metadata::Sparse(meta) => meta.nnz,
            Metadata::Dense(_) => 0,
        };
        match (part.component, part.of) {
            (Component::Meta | Component::Readme, _) => 0,
            (Component::Data | Component::Indices, _) => nnz,
            (Component::Indptr, _) => shape.rows() + 1,
            (Component::Matrix, _) => nnz.max(shape.rows() + 1),
            (Component::TenX, _) if self.array.metadata.kind() == Kind::Sparse => nnz.max(shape.rows() + 1),
            (
                Component::Array | Component::Dense | Component::Transposed | Component::TenX,
                Region::Whole,
            ) => shape.elements(),
            (
                Component::Array | Component::Dense | Component::Transposed | Component::TenX,
                Region::Row(_),
            ) => shape.columns(),
            (
                Component::Array | Component::Dense | Component::Transposed | Component::TenX,
                Region::Column(_),
            ) => shape.rows(),
        }
    }

    /// The dtype of a part that is a single block, if it can be known from the metadata.
    pub fn dtype_of(&self, part: Part) -> Option<Dtype> {
        match (&self.array.metadata, part.component) {
            (Metadata::Dense(meta), Component::Array) => Some(meta.dtype),
            (Metadata::Sparse(meta), Component::Data | Component::Dense) => Some(meta.data_dtype),
            (Metadata::Sparse(meta), Component::Indices) => Some(meta.indices_dtype),
            (Metadata::Sparse(meta), Component::Indptr) => Some(meta.indptr_dtype),
            _ => None,
        }
    }

    /// The source that contains the part as one run of bytes, if there is one.
    pub fn source_of(&self, part: Part) -> Option<&Arc<Source>> {
        let [first, rest @ ..] = self.array.files() else { return None };
        match (part.component, part.of) {
            (Component::Meta, _) => Some(&self.array.yaml),
            (Component::Array, _) => Some(first),
            (Component::Data, Region::Whole) if self.is_whole() => Some(first),
            (Component::Indices, Region::Whole) if self.is_whole() => rest.first(),
            (Component::Indptr, Region::Whole) if self.is_whole() => rest.get(1),
            _ => None,
        }
    }

    /// The run of bytes of a source that equals the part, if that is known without reading anything.
    pub fn run(&self, part: Part) -> Option<ByteRange<'_>> {
        if !self.has(part) || !part.component.is_block() {
            return None;
        }
        let source = self.source_of(part)?;
        let Metadata::Dense(meta) = &self.array.metadata else {
            return Some(ByteRange { source, offset: 0, length: source.len() });
        };
        let row_bytes = meta.shape.columns() * meta.dtype.itemsize();
        let (first, count) = match part.of {
            Region::Row(i) => (self.rows.row(i), 1),
            Region::Whole if self.rows.is_contiguous() => (self.rows.start(), self.rows.count()),
            _ => return None,
        };
        Some(ByteRange { source, offset: first * row_bytes, length: count * row_bytes })
    }

    /// File attributes for the part: those of the source behind it if `is_raw`, otherwise those of the
    /// array.
    pub fn stat_of(&self, part: Part, is_raw: bool) -> Stat {
        match self.source_of(part) {
            Some(source) if is_raw => *source.stat(),
            _ => self.array.stat(),
        }
    }

    /// The numbers of a part. The selection must [have](Self::has) it, and it must be a single block.
    /// Formats assemble all other components from these blocks.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for any other part. For a sparse matrix, also errors from reading `indptr` to
    /// locate the rows.
    pub fn block(&self, part: Part) -> Result<Block> {
        if !self.has(part) || !part.component.is_block() {
            return Err(Error::not_found(&self.array.path));
        }
        match &self.array.metadata {
            Metadata::Dense(meta) => self.dense_block(meta, part.of),
            Metadata::Sparse(meta) => self.sparse_block(meta, part),
        }
    }

    fn dense_block(&self, meta: &DenseMeta, of: Region) -> Result<Block> {
        let source = Arc::clone(self.array.elements());
        let (item, columns, rows) = (meta.dtype.itemsize(), meta.shape.columns(), self.rows);
        let row_bytes = columns * item;
        let strided = |offset: u64, item: u64| {
            Strided {
                source: Arc::clone(&source),
                offset,
                item,
                stride: rows.step() * row_bytes,
                count: rows.count(),
            }
            .extent()
        };
        let shape = match of {
            Region::Whole => self.shape(),
            Region::Row(_) => Shape::Vector(columns),
            Region::Column(_) => Shape::Vector(rows.count()),
        };
        let extent = match (self.run(Part { component: Component::Array, of }), of) {
            (Some(ByteRange { offset, length, .. }), _) => Extent::Slice { source, offset, length },
            (None, Region::Column(j)) => strided(rows.start() * row_bytes + j * item, item),
            (None, _) => strided(rows.start() * row_bytes, row_bytes),
        };
        Ok(Block { dtype: meta.dtype, shape, bytes: VirtualFile::new([extent])? })
    }

    fn sparse_block(&self, meta: &SparseMeta, Part { component, of }: Part) -> Result<Block> {
        let rows = match of {
            Region::Row(i) => self.rows.only(i),
            _ => self.rows,
        };
        match component {
            Component::Indptr => self.indptr_block(meta),
            Component::Dense => self.densified_block(meta, rows, of),
            Component::Indices => self.stored_block(meta.indices_dtype, self.array.indices(), rows),
            _ => self.stored_block(meta.data_dtype, self.array.data(), rows),
        }
    }

    /// `data` or `indices` of some rows: one run of the file, or one run for each row.
    fn stored_block(&self, dtype: Dtype, source: &Arc<Source>, rows: Rows) -> Result<Block> {
        let source = Arc::clone(source);
        let item = dtype.itemsize();
        let (count, extent) = if rows == self.rows && self.is_whole() {
            let length = source.len();
            (length / item, Extent::Slice { source, offset: 0, length })
        } else {
            let stored = if rows == self.rows { self.stored()? } else { self.find_stored(rows)? };
            let (count, indptr) = (stored.count(), self.indptr());
            let extent = match stored {
                Stored::Run(run) => Extent::Slice { source, offset: run.start * item, length: count * item },
                Stored::Apart(sums) => {
                    let content = Arc::new(GatherRows { source, item, indptr, rows, sums });
                    Extent::Generated { content, length: count * item }
                }
            };
            (count, extent)
        };
        Ok(Block { dtype, shape: Shape::Vector(count), bytes: VirtualFile::new([extent])? })
    }

    fn indptr_block(&self, meta: &SparseMeta) -> Result<Block> {
        let dtype = meta.indptr_dtype;
        let count = self.rows.count() + 1;
        let length = count * dtype.itemsize();
        let extent = if self.is_whole() {
            Extent::Slice { source: Arc::clone(self.array.indptr()), offset: 0, length }
        } else {
            let content = RebasedIndptr { indptr: self.indptr(), rows: self.rows, stored: self.stored()? };
            Extent::Generated { content: Arc::new(content), length }
        };
        Ok(Block { dtype, shape: Shape::Vector(count), bytes: VirtualFile::new([extent])? })
    }

    fn densified_block(&self, meta: &SparseMeta, rows: Rows, of: Region) -> Result<Block> {
        let columns = meta.shape[1];
        let shape = match of {
            Region::Row(_) => Shape::Vector(columns),
            _ => Shape::Matrix(rows.count(), columns),
        };
        let content = Densify {
            data: Arc::clone(self.array.data()),
            indices: Arc::clone(self.array.indices()),
            indptr: self.indptr(),
            data_dtype: meta.data_dtype,
            indices_dtype: meta.indices_dtype,
            columns,
            rows,
        };
        let length = shape.bytes(meta.data_dtype).ok_or_else(|| Error::not_found(&self.array.path))?;
        let extent = Extent::Generated { content: Arc::new(content), length };
        Ok(Block { dtype: meta.data_dtype, shape, bytes: VirtualFile::new([extent])? })
    }

    /// `data`, `indices` and `indptr` of a sparse matrix with the columns of each row in increasing order
    /// and without duplicates: repeated elements are summed. In this case, `indptr` may have another dtype.
    ///
    /// The size of the result is unknown until all `indices` have been read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a dense array. Errors from reading `indptr` and `indices`.
    /// [`Error::Refused`] for an unsorted row that is too long to be sorted.
    pub fn rising(&self) -> Result<[Block; 3]> {
        let Metadata::Sparse(meta) = &self.array.metadata else {
            return Err(Error::not_found(&self.array.path));
        };
        let stored = CsrParts {
            data: Arc::clone(self.array.data()),
            indices: Arc::clone(self.array.indices()),
            indptr: self.indptr(),
            data_dtype: meta.data_dtype,
            indices_dtype: meta.indices_dtype,
            columns: meta.shape[1],
            rows: self.rows,
        };
        let order = self.order(&stored)?;
        if order.is_rising() {
            let block = |component| self.block(Part { component, of: Region::Whole });
            return Ok([block(Component::Data)?, block(Component::Indices)?, block(Component::Indptr)?]);
        }
        let block = |which, dtype: Dtype, count: u64| {
            let content = Rising { stored: stored.clone(), order: Arc::clone(&order), which };
            let extent = Extent::Generated { content: Arc::new(content), length: count * dtype.itemsize() };
            Ok(Block { dtype, shape: Shape::Vector(count), bytes: VirtualFile::new([extent])? })
        };
        Ok([
            block(Which::Data, meta.data_dtype, order.total())?,
            block(Which::Indices, meta.indices_dtype, order.total())?,
            block(Which::Indptr, Dtype::Uint64, self.rows.count() + 1)?,
        ])
    }

    /// Computed once for a selection, because it reads the `indices` of all selected rows.
    fn order(&self, stored: &CsrParts) -> Result<Arc<Order>> {
        if let Some(order) = self.order.get() {
            return Ok(Arc::clone(order));
        }
        task::begin_long()?;
        let order = Arc::new(Order::new(stored)?);
        Ok(Arc::clone(self.order.get_or_init(|| order)))
    }

    /// The `indptr` of the array, which must be sparse.
    fn indptr(&self) -> Indptr {
        let Metadata::Sparse(meta) = &self.array.metadata else {
            unreachable!("only sparse matrices have rows of ranges")
        };
        Indptr { source: Arc::clone(self.array.indptr()), dtype: meta.indptr_dtype, rule: meta.indptr_rule() }
    }

    /// Where the elements of the selected rows are. Computed once, so that all parts of a selection agree.
    fn stored(&self) -> Result<Stored> {
        let find = || {
            let stored = self.find_stored(self.rows)?;
            Ok(self.stored.get_or_init(|| stored).clone())
        };
        self.finding.run(|| self.stored.get().cloned(), find)
    }

    /// Where the elements of these rows are. Reads `indptr` at both ends, or for all rows if they are not
    /// contiguous.
    fn find_stored(&self, rows: Rows) -> Result<Stored> {
        let indptr = self.indptr();
        if rows.is_contiguous() {
            return Ok(Stored::Run(indptr.run(rows.start(), rows.count())?));
        }
        if rows.count() > FEW_ROWS {
            task::begin_long()?;
        }
        Ok(Stored::Apart(Arc::new(RowSums::new(&indptr, rows)?)))
    }
}

/// Helpers shared by the tests of the formats.
#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
pub(crate) mod tests {
    use std::path::Path;

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::store::Store;

    /// All bytes of a file. Checks that any two consecutive reads return the same bytes, and short reads
    /// anywhere too.
    pub(crate) fn whole(file: &VirtualFile) -> Vec<u8> {
        let size = usize::try_from(file.len()).unwrap();
        let read = |from: usize, to: usize| {
            let mut bytes = vec![0xAA; to - from];
            assert_eq!(file.read_at(from as u64, &mut bytes).unwrap(), to - from);
            bytes
        };
        let bytes = read(0, size);
        let step = (size / 500).max(1);
        for at in (0..size).step_by(step) {
            assert!([read(0, at), read(at, size)].concat() == bytes, "split at {at}");
            let to = size.min(at + 1 + at % 23);
            assert_eq!(read(at, to), bytes[at..to], "{at}..{to}");
            if let Some(run) = file.run_at(at as u64) {
                let length = run.length.min(50) as usize;
                let mut found = vec![0; length];
                run.source.read_exact_at(&mut found, run.offset).unwrap();
                assert_eq!(found, bytes[at..at + length], "the run at {at}");
            }
        }
        bytes
    }

    /// A sparse matrix with these numbers of elements in its rows: int16 data, uint8 columns, int32 bounds.
    pub(crate) fn sparse_selection(counts: &[u64], columns: u64) -> (TempDir, Selection) {
        let mut indptr = vec![0u64];
        indptr.extend(counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }));
        sparse_with(&indptr, counts.iter().sum(), columns)
    }

    /// A sparse matrix with this `indptr`, valid or not.
    pub(crate) fn sparse_with(indptr: &[u64], nnz: u64, columns: u64) -> (TempDir, Selection) {
        let dir = tempdir().unwrap();
        let shape = [indptr.len() as u64 - 1, columns];
        let yaml = format!(
            "{{version: [1, 0], data_dtype: int16, indices_dtype: uint8, indptr_dtype: int32, nnz: {nnz}, shape: {shape:?}}}"
        );
        let write = |suffix: &str, bytes: Vec<u8>| {
            std::fs::write(dir.path().join(format!("s.{suffix}")), bytes).unwrap()
        };
        write("data", (0..nnz as u16).flat_map(|i| (i * 257 + 1).to_le_bytes()).collect());
        write("indices", (0..nnz).map(|i| (i % columns) as u8).collect());
        write("indptr", indptr.iter().flat_map(|bound| (*bound as u32).to_le_bytes()).collect());
        write("yaml", yaml.into_bytes());
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let array = StoredArray::load(&store, Path::new("s")).unwrap();
        (dir, Selection::whole(Arc::new(array)))
    }
}
