//! arrayfs
pub mod array;
pub mod dtype;
pub mod error;
pub mod format;
pub mod memory_mapping;
pub mod mmap;
pub mod select;
pub mod source;
pub mod store;
pub use error::{Error, Result};
