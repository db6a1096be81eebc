//! Imports sparse matrices that SciPy saved. A CSR matrix with sorted rows is copied component by component,
//! all others are sorted in memory.

use super::copy;
use super::members::{Items, all_integers, integers, open, word};
use crate::daf::metadata::{Metadata, SparseMeta};
use crate::error::Result;
use crate::import::Found;
use crate::import::input::Input;
use crate::import::sparse::{Elements, See, check_lines, check_rows, into_csr};

/// A matrix whose member `format` names its format.
pub(super) fn find<'f>(input: &'f Input<'f>, is_lossy: bool) -> Result<Found<'f>> {
    let shape = shape(input)?;
    match &word(input, "format")?[..] {
        "csr" => in_rows(input, shape, bounds(input, Some(shape[0]), "rows")?, is_lossy),
        "csc" => in_columns(input, shape, bounds(input, Some(shape[1]), "columns")?, is_lossy),
        "coo" => {
            let coordinates = Coordinates { input, shape };
            into_csr(input, coordinates.check()?, shape, &coordinates, is_lossy)
        }
        other => Err(input.refused(format!("a matrix in the format {other}: save it as CSR, with tocsr()"))),
    }
}

/// A matrix of data, indices and indptr that does not say whether it is CSR or CSC.
pub(super) fn without_format<'f>(input: &'f Input<'f>, has_shape: bool, is_lossy: bool) -> Result<Found<'f>> {
    let bounds = bounds(input, None, "rows")?;
    let count = (bounds.len() as u64).saturating_sub(1);
    let shape = if has_shape { shape(input)? } else { [count, 1 + largest(input)?] };
    let mut found = match shape.map(|axis| axis == count) {
        [true, _] => in_rows(input, shape, bounds, is_lossy)?,
        [false, true] => in_columns(input, shape, bounds, is_lossy)?,
        [false, false] => {
            return Err(input.refused(format!(
                "data, indices and indptr make no matrix of shape {shape:?}: save it with scipy.sparse.save_npz"
            )));
        }
    };
    let taken = if shape[0] == count { "in rows (CSR)" } else { "in columns (CSC)" };
    let shape = if has_shape { "" } else { " with as many columns as are in use" };
    found
        .notes
        .push(format!("no format is named: data, indices and indptr are taken as a matrix {taken}{shape}"));
    Ok(found)
}

/// The offsets at which the rows or columns start: one more than there are rows or columns.
fn bounds(input: &Input<'_>, count: Option<u64>, what: &str) -> Result<Vec<u64>> {
    check_lines(input, count.unwrap_or(0), what)?;
    all_integers(input, "indptr", |found| match count {
        Some(count) => found == count.saturating_add(1),
        None => check_lines(input, found, what).is_ok(),
    })
}

fn shape(input: &Input<'_>) -> Result<[u64; 2]> {
    match integers(input, "shape")?[..] {
        [rows, columns] => Ok([rows, columns]),
        ref shape => Err(input.refused(format!("a sparse matrix of shape {shape:?}"))),
    }
}

fn largest(input: &Input<'_>) -> Result<u64> {
    let mut archive = open(input)?;
    let mut indices = Items::of(input, &mut archive, "indices")?;
    let mut largest = 0;
    while indices.left() > 0 {
        largest = indices.next_integer()?.max(largest);
    }
    match largest.checked_add(1) {
        Some(_) => Ok(largest),
        None => Err(input.refused("indices are no integers from 0")),
    }
}

fn in_columns<'f>(
    input: &'f Input<'f>,
    shape: [u64; 2],
    bounds: Vec<u64>,
    is_lossy: bool,
) -> Result<Found<'f>> {
    let compressed = Compressed { input, shape, bounds, is_in_rows: false };
    let (data, _) = compressed.check()?;
    into_csr(input, data, shape, &compressed, is_lossy)
}

fn in_rows<'f>(input: &'f Input<'f>, shape: [u64; 2], bounds: Vec<u64>, is_lossy: bool) -> Result<Found<'f>> {
    let compressed = Compressed { input, shape, bounds, is_in_rows: true };
    let (data, is_sorted) = compressed.check()?;
    if !is_sorted {
        let mut found = into_csr(input, data, shape, &compressed, is_lossy)?;
        found.notes.insert(0, "the columns of its rows were not in order, and are now".into());
        return Ok(found);
    }
    let mut types = [data; 3];
    for (dtype, name) in types.iter_mut().zip(["data", "indices", "indptr"]) {
        *dtype = Items::of(input, &mut open(input)?, name)?.header.dtype;
    }
    let nnz = compressed.bounds.last().copied().unwrap_or(0);
    let meta = SparseMeta::new(types, shape, nnz).map_err(|flaw| flaw.at(&input.path))?;
    let fill = ["data", "indices", "indptr"].map(|name| copy(input, name.to_owned()));
    Ok(Found { metadata: Metadata::Sparse(meta), fill: fill.into(), beside: Vec::new(), notes: Vec::new() })
}

/// A matrix in CSR or CSC.
struct Compressed<'f> {
    input: &'f Input<'f>,
    shape: [u64; 2],
    bounds: Vec<u64>,
    is_in_rows: bool,
}

impl Compressed<'_> {
    /// Checks that this is a valid matrix. Returns the type of the elements, and whether all indices ascend.
    fn check(&self) -> Result<(crate::dtype::Dtype, bool)> {
        let [major, minor] = if self.is_in_rows { self.shape } else { [self.shape[1], self.shape[0]] };
        check_rows(self.input, self.shape[0])?;
        let (mut of_data, mut of_indices) = (open(self.input)?, open(self.input)?);
        let data = Items::of(self.input, &mut of_data, "data")?;
        let mut indices = Items::of(self.input, &mut of_indices, "indices")?;
        let nnz = data.left();
        if indices.left() != nnz {
            return Err(self
                .input
                .refused(format!("{nnz} numbers in data and {} in indices", indices.left())));
        }
        let bounds = &self.bounds;
        let rise = bounds.first() == Some(&0) && bounds.last() == Some(&nnz) && bounds.is_sorted();
        if bounds.len() as u64 != major.saturating_add(1) || !rise {
            let count = major.saturating_add(1);
            return Err(self.input.refused(format!("indptr is not {count} numbers rising from 0 to {nnz}")));
        }
        let mut is_sorted = true;
        for pair in bounds.windows(2) {
            let mut before = None;
            for _ in pair[0]..pair[1] {
                let index = indices.next_integer()?;
                if index >= minor {
                    let what = if self.is_in_rows { "column" } else { "row" };
                    return Err(self.input.refused(format!(
                        "indices leave the matrix: there is no {what} {index} of {minor}"
                    )));
                }
                is_sorted &= before.is_none_or(|before| before < index);
                before = Some(index);
            }
        }
        indices.end()?;
        Ok((data.header.dtype, is_sorted))
    }
}

impl Elements for Compressed<'_> {
    fn rows(&self, see: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        if self.is_in_rows {
            let rows = (0..).zip(self.bounds.windows(2));
            return rows
                .into_iter()
                .try_for_each(|(row, pair)| (pair[0]..pair[1]).try_for_each(|_| see(row)));
        }
        let mut archive = open(self.input)?;
        let mut indices = Items::of(self.input, &mut archive, "indices")?;
        while indices.left() > 0 {
            see(indices.next_integer()?)?;
        }
        Ok(())
    }

    fn each(&self, see: See<'_>) -> Result<()> {
        let (mut of_data, mut of_indices) = (open(self.input)?, open(self.input)?);
        let mut data = Items::of(self.input, &mut of_data, "data")?;
        let mut indices = Items::of(self.input, &mut of_indices, "indices")?;
        for (major, pair) in (0..).zip(self.bounds.windows(2)) {
            for _ in pair[0]..pair[1] {
                let minor = indices.next_integer()?;
                let [row, column] = if self.is_in_rows { [major, minor] } else { [minor, major] };
                see(row, column, data.next()?)?;
            }
        }
        data.end()
    }
}

/// A matrix in COO.
struct Coordinates<'f> {
    input: &'f Input<'f>,
    shape: [u64; 2],
}

impl Coordinates<'_> {
    /// Checks that this is a valid matrix. Returns the type of the elements.
    fn check(&self) -> Result<crate::dtype::Dtype> {
        let (mut of_data, mut of_rows, mut of_columns) =
            (open(self.input)?, open(self.input)?, open(self.input)?);
        let data = Items::of(self.input, &mut of_data, "data")?;
        let mut rows = Items::of(self.input, &mut of_rows, "row")?;
        let mut columns = Items::of(self.input, &mut of_columns, "col")?;
        if [rows.left(), columns.left()] != [data.left(); 2] {
            let counts = [rows.left(), columns.left(), data.left()];
            return Err(self.input.refused(format!("row, col and data are not of one length: {counts:?}")));
        }
        while rows.left() > 0 {
            let place = [rows.next_integer()?, columns.next_integer()?];
            if place[0] >= self.shape[0] || place[1] >= self.shape[1] {
                return Err(self
                    .input
                    .refused(format!("an element at {place:?} in a matrix of {:?}", self.shape)));
            }
        }
        rows.end()?;
        columns.end()?;
        Ok(data.header.dtype)
    }
}

impl Elements for Coordinates<'_> {
    fn rows(&self, see: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let mut archive = open(self.input)?;
        let mut rows = Items::of(self.input, &mut archive, "row")?;
        while rows.left() > 0 {
            see(rows.next_integer()?)?;
        }
        Ok(())
    }

    fn each(&self, see: See<'_>) -> Result<()> {
        let (mut of_data, mut of_rows, mut of_columns) =
            (open(self.input)?, open(self.input)?, open(self.input)?);
        let mut data = Items::of(self.input, &mut of_data, "data")?;
        let mut rows = Items::of(self.input, &mut of_rows, "row")?;
        let mut columns = Items::of(self.input, &mut of_columns, "col")?;
        while data.left() > 0 {
            see(rows.next_integer()?, columns.next_integer()?, data.next()?)?;
        }
        data.end()
    }
}
