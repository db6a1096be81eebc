//! arrayfs
pub mod array;
pub mod catalog;
pub mod dtype;
pub mod error;
pub mod format;
pub mod memory_mapping;
pub mod mmap;
pub mod part;
pub mod select;
pub mod source;
pub mod store;
pub mod vfile;
pub mod view;
pub use error::{Error, Result};
