//! The expected content of formats that require sorted columns: in each row of a sparse matrix, columns are
//! sorted and unique, and stored elements in the same place are added up.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::element::{Element, sum};
use super::truth::{Numbers, Stored, stored};
use crate::array::selection::{Component, Part, Region, Selection};
use crate::dtype::Dtype;
use crate::error::Result;

/// `data`, `indices` and `indptr`. The last two are uint64.
pub(crate) fn rising(selection: &Selection) -> Result<[Numbers<'_>; 3]> {
    let rows = || Rows::of(selection);
    // A first pass counts the elements, because sums make them fewer than nnz.
    let mut count = 0;
    for row in rows()? {
        count += row?.len() as u64;
    }
    let dtype = selection.array().metadata.dtype();
    let width = usize::try_from(dtype.itemsize()).unwrap_or(8);
    let data = rows()?
        .map(move |row| Ok(row?.values().flat_map(|element| element[..width].to_vec()).collect::<Vec<u8>>()));
    let indices =
        rows()?.map(|row| Ok(row?.keys().flat_map(|column| column.to_le_bytes()).collect::<Vec<u8>>()));
    let mut bound = 0u64;
    let bounds = rows()?.map(move |row| {
        bound += row?.len() as u64;
        Ok(bound.to_le_bytes().to_vec())
    });
    let bounds = std::iter::once(Ok(0u64.to_le_bytes().to_vec())).chain(bounds);
    let numbers = |dtype, count, pieces| Numbers { dtype, shape: vec![count], pieces };
    Ok([
        numbers(dtype, count, Box::new(data)),
        numbers(Dtype::Uint64, count, Box::new(indices)),
        numbers(Dtype::Uint64, selection.rows().count() + 1, Box::new(bounds)),
    ])
}

/// Iterates over the rows of a sparse matrix, including empty ones. Each row maps columns to elements.
struct Rows<'s> {
    elements: Peekable<Box<dyn Iterator<Item = Result<Stored>> + 's>>,
    dtype: Dtype,
    next: u64,
    count: u64,
}

impl<'s> Rows<'s> {
    fn of(selection: &'s Selection) -> Result<Self> {
        let (_, elements) = stored(selection, Part { component: Component::Matrix, of: Region::Whole })?;
        let (dtype, count) = (selection.array().metadata.dtype(), selection.rows().count());
        Ok(Self { elements: elements.peekable(), dtype, next: 0, count })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<BTreeMap<u64, Element>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let (row, dtype) = (self.next, self.dtype);
        self.next += 1;
        let mut columns = BTreeMap::new();
        let is_of_row = |element: &Result<Stored>| element.as_ref().map_or(true, |(other, ..)| *other == row);
        while let Some(element) = self.elements.next_if(is_of_row) {
            match element {
                Ok((_, column, value)) => {
                    let total = columns.get(&column).map_or(value, |before| sum(dtype, *before, value));
                    columns.insert(column, total);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(columns))
    }
}
