//! Numbers and names as text that has a known size and can be read from any byte.
//!
//! There are two ways. Up to the limit of [`is_short`], numbers are written as short as possible:
//! [`ShortTable`] for rows of numbers, [`ShortCoordinates`] for one element a line with its row and column.
//! Their lengths differ, so all numbers must be read once to index them. Beyond the limit that would take
//! too long. There, each number is a [cell] of a width given by its dtype, and the cell at any byte follows
//! by arithmetic: [`Table`] and [`Coordinates`]. Names always have their own lengths; [`Axis`] knows the
//! sums that tell where a line starts.

mod axis;
mod blocks;
pub mod cell;
mod coordinates;
mod lines;
mod market;
mod short;
mod short_coordinates;
mod short_table;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod window;

pub use axis::{Axis, NameLines, Piece};
pub use coordinates::{Coordinates, Layout};
pub use market::{market_length_of, matrix_market};
pub use short::{Separators, Text, is_short};
pub use short_coordinates::ShortCoordinates;
pub use short_table::ShortTable;
pub use table::{NamedTable, Table};
