//! What a store holds: the arrays that are found in it, their names of rows and columns, and parts of them.
//!
//! ```text
//! catalog    which arrays and plain files a directory has, and what is wrong with the rest
//! format_id  the number that stands for a format
//! names      names of rows and columns
//! selection  some rows of an array, and blocks of them as virtual files
//! ```

pub mod catalog;
pub mod format_id;
pub mod names;
pub mod selection;
