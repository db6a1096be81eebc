//! The file formats. Each format is one directory, and one line in the `registry`.
//!
//! ```text
//! npy/mod.rs     layout of the format, the parts it offers, and how a file is rendered
//! npy/verify.rs  decodes a file and compares it with the store, sharing no code with the renderer
//! npy/import.rs  turns an existing file into an array (only formats that can be imported)
//! ```

mod arrow;
mod csv;
mod envi;
#[cfg(test)]
mod extremes;
mod format;
mod h5;
mod h5ad;
mod h5tenx;
mod mat;
mod meta;
mod mtx;
mod npy;
mod npz;
mod nrrd;
mod parquet;
mod pgm;
mod raw;
mod rds;
mod readme;
mod registry;
mod safetensors;
mod tenx;
mod tif;
mod zarr;

pub(crate) use format::Format;
#[cfg(feature = "import")]
pub use registry::IMPORTERS;
pub(crate) use registry::has_countable_axes;
pub(crate) use registry::{FORMATS, find, format, offered};
pub use registry::{formats, names};
