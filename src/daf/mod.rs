//! The format on disk: YAML metadata and files of raw numbers, and how to create, open and remove them.
//!
//! ```text
//! metadata        the YAML of an array: parsing and writing
//! keys            the individual keys of the YAML
//! indptr          the rule that row bounds increase from 0 to nnz
//! memory_mapping  the API of the format under its documented function names
//! arrays          open arrays: safe copies, or unsafe mapped views
//! staging         writing files so that they appear all together
//! ```

pub mod arrays;
pub(crate) mod indptr;
mod keys;
pub mod memory_mapping;
pub mod metadata;
pub mod staging;
