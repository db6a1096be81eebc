//! Numbers and names as text whose size is known beforehand, and which can be read at any byte.
//!
//! Up to a size that [`is_short`] tells, numbers are as short as they can be: [`ShortTable`] has rows of them,
//! [`ShortCoordinates`] one element a line with its row and column. To know their lengths all are looked at once.
//! Beyond it a number is a [cell] of a width that its type gives, so that the cell of a byte is arithmetic:
//! [`Table`] and [`Coordinates`]. Names have the widths they have; where a line starts is a sum that [`Axis`]
//! knows.

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
