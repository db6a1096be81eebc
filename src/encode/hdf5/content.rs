//! The content of an array as HDF5 groups and datasets, in the encodings of AnnData's file format.

use std::sync::Arc;

use super::cast::Cast;
use super::cells::{Cells, Text};
use super::{Dataset, Node, Type, Value};
use crate::array::names::AxisNames;
use crate::array::selection::{Block, Component, Part, Region, Selection};
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::daf::metadata::Shape;
use crate::dtype::{Dtype, encode_integer};
use crate::error::Result;
use crate::rows::Rows;
use crate::word::to_usize;

/// The most bytes of padding that cells of equal width may add to the names.
const PADDING: u64 = 1 << 30;

/// Numbers as a dataset.
fn numbers(block: Block) -> Node {
    Dataset { kind: Type::Number(block.dtype), shape: block.shape.axes(), bytes: block.bytes }.into()
}

/// One dataset with the elements of a dense array, or of a sparse matrix converted to dense.
///
/// # Errors
///
/// Like [`Selection::block`].
pub fn array(selection: &Selection, part: Part) -> Result<Node> {
    Ok(numbers(selection.block(part)?).encoded("array", "0.2.0"))
}

/// A sparse matrix as a group of its [`parts`] with its shape as an attribute.
///
/// # Errors
///
/// Like [`Selection::block`].
pub fn csr(selection: &Selection) -> Result<Node> {
    let shape = selection.shape().axes();
    let shape = shape.into_iter().map(|count| i64::try_from(count).unwrap_or(i64::MAX)).collect();
    Ok(Node::group(parts(selection)?).encoded("csr_matrix", "0.1.0").with("shape", Value::Integers(shape)))
}

/// `data`, `indices` and `indptr` of a sparse matrix as datasets.
///
/// # Errors
///
/// Like [`csr_blocks`].
pub fn parts(selection: &Selection) -> Result<[(&'static str, Node); 3]> {
    Ok(csr_blocks(selection)?.map(|(component, block)| (component.name(), numbers(block))))
}

/// `data`, `indices` and `indptr` of a sparse matrix, with the dtypes that SciPy supports.
///
/// SciPy uses one dtype for both `indices` and `indptr`, int32 or int64. `indptr` is cast to match, and
/// `indices` only if it has another dtype. SciPy has no float16, so such `data` becomes float32. Reading
/// `indptr` fails where it does not increase.
///
/// # Errors
///
/// Like [`Selection::block`].
pub fn csr_blocks(selection: &Selection) -> Result<[(Component, Block); 3]> {
    let block = |component| selection.block(Part { component, of: Region::Whole });
    let (data, indices, indptr) =
        (block(Component::Data)?, block(Component::Indices)?, block(Component::Indptr)?);
    let columns = selection.shape().columns();
    let nnz = indices.shape.rows();
    let index = match indices.dtype {
        Dtype::Int32 | Dtype::Int64 => indices.dtype,
        _ => index_type(columns - 1),
    };
    let pointer = if index == Dtype::Int32 { index_type(nnz) } else { index };
    let value = if data.dtype == Dtype::Float16 { Dtype::Float32 } else { data.dtype };
    // Arguments: the index of the array's file, its elements, the target dtype, the largest valid number.
    let cast = |file: usize, block: Block, to: Dtype, most: u64| -> Result<Block> {
        let name = selection.array().files()[file].name().to_owned();
        let (from, sources) = (block.dtype, selection.array().files().to_vec());
        let cast = Cast { bytes: block.bytes, from, to, most, rising: file == 2, name, sources };
        Ok(Block { dtype: to, shape: block.shape, bytes: cast.file()? })
    };
    Ok([
        (Component::Data, cast(0, data, value, 0)?),
        (Component::Indices, cast(1, indices, index, columns - 1)?),
        (Component::Indptr, cast(2, indptr, pointer, nnz)?),
    ])
}

/// The narrower of SciPy's two index dtypes that holds `most`.
fn index_type(most: u64) -> Dtype {
    if i32::try_from(most).is_ok() { Dtype::Int32 } else { Dtype::Int64 }
}

/// The names of these rows or columns as a dataset of text, in cells as wide as the longest name.
///
/// `None` if one very long name would make the cells mostly padding: more than 1 GiB of padding for all
/// names of the axis. The answer does not depend on `rows`, so a slice has names exactly when the whole
/// array has.
///
/// # Errors
///
/// [`crate::Error::Refused`] when the result would exceed the largest size of a file.
pub fn names(axis_names: &Arc<AxisNames>, rows: Rows) -> Result<Option<Node>> {
    let width = axis_names.longest().max(1);
    match fit_in_cells(axis_names, width) {
        true => text(Text::Names(Arc::clone(axis_names)), rows, width).map(Some),
        false => Ok(None),
    }
}

/// The names of these rows or columns. If there are none, their numbers in the array, counted from 0.
///
/// # Errors
///
/// Like [`names`].
pub fn names_or_numbers(axis_names: Option<&Arc<AxisNames>>, rows: Rows) -> Result<Node> {
    if let Some(axis_names) = axis_names
        && let Some(names) = names(axis_names, rows)?
    {
        return Ok(names);
    }
    let last = rows.row(rows.count() - 1);
    let numbers = text(Text::Numbers, rows, u64::from(last.checked_ilog10().unwrap_or(0)) + 1)?;
    Ok(match axis_names {
        Some(axis_names) => numbers.with("names", Value::Text(left_out(axis_names))),
        None => numbers,
    })
}

/// The same names as text of NumPy's own type, for readers that support only ASCII in HDF5's text. `None`
/// if all names are ASCII, or [`names`] leaves them out.
///
/// # Errors
///
/// Like [`names`].
pub fn wide_names(axis_names: &Arc<AxisNames>, rows: Rows) -> Result<Option<Node>> {
    let all = || (0..axis_names.len()).map(|i| axis_names.get(i));
    if all().all(str::is_ascii) || !fit_in_cells(axis_names, axis_names.longest()) {
        return Ok(None);
    }
    let longest = all().map(|name| name.chars().count() as u64).max().unwrap_or(0);
    if !fit_in_cells(axis_names, longest * 4) {
        return Ok(None);
    }
    text(Text::Wide(Arc::clone(axis_names)), rows, longest * 4).map(Some)
}

/// Whether cells of this many bytes stay within the limit for padding.
fn fit_in_cells(axis_names: &AxisNames, width: u64) -> bool {
    let all = u128::from(width.max(1)) * u128::from(axis_names.len());
    all.saturating_sub(axis_names.bytes().into()) <= PADDING.into()
}

/// The reason why a file has no names although the array has.
pub fn left_out(axis_names: &AxisNames) -> String {
    format!("left out: one of them has {} bytes, and all cells would be as wide", axis_names.longest())
}

/// The same word (not empty) for each of these rows or columns.
///
/// # Errors
///
/// Like [`names`].
pub fn words(word: &'static str, rows: Rows) -> Result<Node> {
    text(Text::Word(word), rows, word.len() as u64)
}

/// A vector of counts: int32 if they fit, otherwise int64.
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
    let cells = Cells { rows, width: to_usize(width), text };
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
            Arc::new([long.as_str()].into_iter().chain(short).collect::<AxisNames>())
        };
        assert!(names(&of(50_000), Rows::all(50_000)).unwrap().is_some());
        assert!(names(&of(60_000), Rows::all(60_000)).unwrap().is_none());
        // A slice has names exactly when the whole array has.
        assert!(names(&of(60_000), Rows::parse(b":9", 60_000).unwrap()).unwrap().is_none());
        assert!(names_or_numbers(Some(&of(60_000)), Rows::all(60_000)).is_ok());
    }
}
