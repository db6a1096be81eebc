//! The expected names of rows and columns.

use std::sync::Arc;

use crate::array::names::AxisNames;
use crate::array::selection::Selection;
use crate::error::Result;

/// The names of the rows and columns of a selection, in order.
pub(crate) struct MatrixNames {
    pub rows: Called,
    pub columns: Called,
}

/// The names of one axis.
pub(crate) struct Called {
    axis_names: Option<Arc<AxisNames>>,
    /// Maps a position in the selection to the number of the row or column in the array.
    numbers: Box<dyn Fn(u64) -> u64>,
    pub count: u64,
    /// Number of rows or columns in the whole array.
    all: u64,
}

impl MatrixNames {
    pub(crate) fn of(selection: &Selection) -> Result<Self> {
        let (names, rows, columns) = (selection.names()?, selection.rows(), selection.shape().columns());
        let all = selection.array().metadata.shape().rows();
        Ok(Self {
            rows: Called {
                axis_names: names.rows,
                numbers: Box::new(move |i| rows.row(i)),
                count: rows.count(),
                all,
            },
            columns: Called {
                axis_names: names.columns,
                numbers: Box::new(|j| j),
                count: columns,
                all: columns,
            },
        })
    }
}

impl Called {
    /// The names, if they can be cells of equal width with at most 1 GiB of padding.
    pub(crate) fn in_cells(&self) -> Option<&AxisNames> {
        let axis_names = self.axis_names.as_deref()?;
        let cells = u128::from(axis_names.longest().max(1)) * u128::from(axis_names.len());
        (cells <= u128::from(axis_names.bytes()) + (1 << 30)).then_some(axis_names)
    }

    /// Whether all names in cells are ASCII. The names of the whole array count, even for a slice.
    pub(crate) fn is_ascii(&self) -> bool {
        self.in_cells().is_none_or(|axis_names| (0..axis_names.len()).all(|i| axis_names.get(i).is_ascii()))
    }

    /// The message that says why names are left out, if they are.
    pub(crate) fn left_out(&self) -> Option<String> {
        let longest = self.axis_names.as_ref().filter(|_| self.in_cells().is_none())?.longest();
        Some(format!("left out: one of them has {longest} bytes, and all cells would be as wide"))
    }

    /// The name at position `i`, if there are names.
    pub(crate) fn name(&self, i: u64) -> Option<&[u8]> {
        Some(self.axis_names.as_ref()?.get((self.numbers)(i)).as_bytes())
    }

    /// The number of row or column `i` in the array, as text.
    pub(crate) fn number(&self, i: u64) -> Vec<u8> {
        (self.numbers)(i).to_string().into_bytes()
    }

    /// The name at position `i` as it is in a cell. Its number if the names are left out or missing.
    pub(crate) fn cell(&self, i: u64) -> Vec<u8> {
        match self.in_cells() {
            Some(axis_names) => axis_names.get((self.numbers)(i)).as_bytes().to_vec(),
            None => self.number(i),
        }
    }

    /// The name at position `i`. If it is missing or empty, its number, padded to the digits of the last one.
    pub(crate) fn name_or_number(&self, i: u64, word: &str) -> Vec<u8> {
        let width = (self.all - 1).to_string().len();
        let number = || format!("{word}_{:0width$}", (self.numbers)(i)).into_bytes();
        self.name(i).filter(|name| !name.is_empty()).map_or_else(number, <[u8]>::to_vec)
    }
}
