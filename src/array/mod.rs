//! The content of a store: its arrays, the names of their rows and columns, and selections of them.
//!
//! ```text
//! stored_array  one version of an array: its metadata and its files
//! catalog       the arrays and plain files of a directory, and what is invalid in it
//! format_id     the number of a format
//! names         names of rows and columns
//! selection     some rows of an array, and blocks of them as virtual files
//! ```

pub mod catalog;
pub mod format_id;
pub mod names;
pub mod selection;
pub mod stored_array;
