//! What of an array goes into an HDF5 file, in the encodings of AnnData's file format.

use std::sync::Arc;

use super::cast::Cast;
use super::cells::{Cells, Text};
use super::{Dataset, Node, Type, Value};
use crate::array::names::Labels;
use crate::array::selection::{Block, Part, Scope, Selection, Thing};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::{Dtype, encode_integer};
use crate::error::Result;
use crate::rows::Rows;

/// The most bytes that cells of one width may have beyond those of the names in them.
const PADDING: u64 = 1 << 30;

/// Numbers as a dataset.
fn numbers(block: Block) -> Node {
    Dataset { kind: Type::Number(block.dtype), shape: block.shape.axes(), bytes: block.bytes }.into()
}

/// The elements of an array, or of a sparse matrix as if it were dense: one dataset.
///
/// # Errors
///
/// As [`Selection::block`].
pub fn array(selection: &Selection, part: Part) -> Result<Node> {
    Ok(numbers(selection.block(part)?).encoded("array", "0.2.0"))
}

/// A sparse matrix: a group of its [`parts`], with its shape as an attribute.
///
/// # Errors
///
/// As [`Selection::block`].
pub fn csr(selection: &Selection) -> Result<Node> {
    let shape = selection.shape().axes();
    let shape = shape.into_iter().map(|count| i64::try_from(count).unwrap_or(i64::MAX)).collect();
    Ok(Node::group(parts(selection)?).encoded("csr_matrix", "0.1.0").with("shape", Value::Integers(shape)))
}

/// `data`, `indices` and `indptr` of a sparse matrix, as datasets.
///
/// # Errors
///
/// As [`csr_blocks`].
pub fn parts(selection: &Selection) -> Result<[(&'static str, Node); 3]> {
    Ok(csr_blocks(selection)?.map(|(thing, block)| (thing.name(), numbers(block))))
}

/// `data`, `indices` and `indptr` of a sparse matrix.
///
/// `indices` and `indptr` are of one type, int32 or int64, as SciPy has them: others are cast, `indices`
/// only where need be. SciPy has no float16 at all: such `data` is float32. Bounds in `indptr` that do not
/// rise are an error of who reads them.
///
/// # Errors
///
/// As [`Selection::block`].
pub fn csr_blocks(selection: &Selection) -> Result<[(Thing, Block); 3]> {
    let block = |thing| selection.block(Part { thing, of: Scope::All });
    let (data, indices, indptr) = (block(Thing::Data)?, block(Thing::Indices)?, block(Thing::Indptr)?);
    let columns = selection.shape().columns();
    let nnz = indices.shape.rows();
    let index = match indices.dtype {
        Dtype::Int32 | Dtype::Int64 => indices.dtype,
        _ => index_type(columns - 1),
    };
    let pointer = if index == Dtype::Int32 { index_type(nnz) } else { index };
    let value = if data.dtype == Dtype::Float16 { Dtype::Float32 } else { data.dtype };
    // Which of the array's files, its elements, their type, the largest that makes sense.
    let cast = |file: usize, block: Block, to: Dtype, most: u64| -> Result<Block> {
        let name = selection.array().files()[file].name().to_owned();
        let (from, sources) = (block.dtype, selection.array().files().to_vec());
        let cast = Cast { bytes: block.bytes, from, to, most, rising: file == 2, name, sources };
        Ok(Block { dtype: to, shape: block.shape, bytes: cast.file()? })
    };
    Ok([
        (Thing::Data, cast(0, data, value, 0)?),
        (Thing::Indices, cast(1, indices, index, columns - 1)?),
        (Thing::Indptr, cast(2, indptr, pointer, nnz)?),
    ])
}

/// The narrower of the two types that SciPy counts with.
fn index_type(most: u64) -> Dtype {
    if i32::try_from(most).is_ok() { Dtype::Int32 } else { Dtype::Int64 }
}

/// The names of these rows (or columns) as a dataset of text in cells as wide as the longest name of all.
///
/// None where one name is so long that the cells would be mostly padding: more than 1 GiB of it for all
/// rows together.
///
/// # Errors
///
/// [`crate::Error::Refused`] for more bytes than a file can have.
pub fn names(labels: &Arc<Labels>, rows: Rows) -> Result<Option<Node>> {
    let width = labels.longest().max(1);
    match fit_in_cells(labels, width) {
        true => text(Text::Names(Arc::clone(labels)), rows, width).map(Some),
        false => Ok(None),
    }
}

/// The names of these rows (or columns); where there are none, their numbers in the array, counted from 0.
///
/// # Errors
///
/// As [`names`].
pub fn names_or_numbers(labels: Option<&Arc<Labels>>, rows: Rows) -> Result<Node> {
    if let Some(labels) = labels
        && let Some(names) = names(labels, rows)?
    {
        return Ok(names);
    }
    let last = rows.row(rows.count() - 1);
    let numbers = text(Text::Numbers, rows, u64::from(last.checked_ilog10().unwrap_or(0)) + 1)?;
    Ok(match labels {
        Some(labels) => numbers.with("names", Value::Text(left_out(labels))),
        None => numbers,
    })
}

/// The names of these rows (or columns) once more, as text of NumPy's own type, for readers that have no other
/// characters than ASCII in HDF5's. None where all are ASCII, or there are no [`names`].
///
/// # Errors
///
/// As [`names`].
pub fn wide_names(labels: &Arc<Labels>, rows: Rows) -> Result<Option<Node>> {
    let all = || (0..labels.len()).map(|i| labels.get(i));
    if all().all(str::is_ascii) || !fit_in_cells(labels, labels.longest()) {
        return Ok(None);
    }
    let longest = all().map(|name| name.chars().count() as u64).max().unwrap_or(0);
    if !fit_in_cells(labels, longest * 4) {
        return Ok(None);
    }
    text(Text::Wide(Arc::clone(labels)), rows, longest * 4).map(Some)
}

/// Whether cells of so many bytes are not mostly padding.
fn fit_in_cells(labels: &Labels, width: u64) -> bool {
    let all = u128::from(width.max(1)) * u128::from(labels.len());
    all.saturating_sub(labels.bytes().into()) <= PADDING.into()
}

/// Why a file has no names although the store has.
pub fn left_out(labels: &Labels) -> String {
    format!("left out: one of them has {} bytes, and all cells would be as wide", labels.longest())
}

/// The same word (of one byte or more) for each of these rows (or columns).
///
/// # Errors
///
/// As [`names`].
pub fn words(word: &'static str, rows: Rows) -> Result<Node> {
    text(Text::Word(word), rows, word.len() as u64)
}

/// Counts as a vector: int32 if they fit, else int64.
pub fn counts(counts: &[u64]) -> Node {
    let most = counts.iter().copied().max().unwrap_or(0);
    let dtype = index_type(most);
    let mut bytes = Vec::new();
    counts.iter().for_each(|count| encode_integer(dtype, *count, &mut bytes));
    let shape = Shape::Vector(counts.len() as u64);
    numbers(Block { dtype, shape, bytes: VirtualFile::literal(bytes) })
}

fn text(text: Text, rows: Rows, width: u64) -> Result<Node> {
    let length = rows.count().saturating_mul(width);
    let is_wide = matches!(text, Text::Wide(_));
    let cells = Cells { rows, width: usize::try_from(width).unwrap_or(usize::MAX), text };
    let extent = Extent::Generated { content: Arc::new(cells), length };
    let bytes = VirtualFile::new([extent])?;
    let width = u32::try_from(width).unwrap_or(u32::MAX);
    let kind = if is_wide { Type::Wide(width / 4) } else { Type::Text(width) };
    Ok(Node::from(Dataset { kind, shape: vec![rows.count()], bytes }).encoded("string-array", "0.2.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_mostly_padding_are_left_out() {
        let long = "x".repeat(20_000);
        let of = |names: usize| {
            let short = std::iter::repeat_n("cell", names - 1);
            Arc::new([long.as_str()].into_iter().chain(short).collect::<Labels>())
        };
        assert!(names(&of(50_000), Rows::all(50_000)).unwrap().is_some());
        assert!(names(&of(60_000), Rows::all(60_000)).unwrap().is_none());
        // A slice has names when the whole array has.
        assert!(names(&of(60_000), Rows::parse(b":9", 60_000).unwrap()).unwrap().is_none());
        assert!(names_or_numbers(Some(&of(60_000)), Rows::all(60_000)).is_ok());
    }
}
