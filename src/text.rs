//! Numbers and names as text whose size is known beforehand, and which can be read at any byte.
//!
//! A number is a [cell] of a width that its type gives, so that the cell of a byte is
//! arithmetic: [`Table`] has rows of them, [`Coordinates`] has one element a line with its row and
//! column. Names have the widths they have; where a line starts is a sum that [`Axis`] knows.

mod axis;
pub mod cell;
mod coordinates;
mod lines;
mod market;
mod row;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod window;

pub use axis::{Axis, NameLines, Piece};
pub use coordinates::{Coordinates, Layout};
pub use market::{market_length_of, matrix_market};
pub use row::{WIDEST_ROW, exact_row};
pub use table::{NamedTable, Table};
