//! The format on the disk: metadata in YAML, files of raw numbers, and how they are made, opened and removed.
//!
//! ```text
//! metadata        the YAML of an array, read and written
//! keys            its keys, one by one
//! indptr          the rule that the bounds of rows rise from 0 to nnz
//! memory_mapping  the functions under which programs know the format
//! arrays          open arrays: copies in safe code, views in unsafe
//! staging         written aside, and then there as a whole
//! ```

pub mod arrays;
pub(crate) mod indptr;
mod keys;
pub mod memory_mapping;
pub mod metadata;
pub mod staging;
