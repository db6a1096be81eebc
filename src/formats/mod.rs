//! The formats. Each is one directory and one line in the [`registry`].
//!
//! ```text
//! npy/mod.rs     what the format offers, its layout, and how it is made
//! npy/verify.rs  how a file is decoded and compared with the store, by nothing that makes it
//! npy/import.rs  how a file of others becomes an array, for formats that are imported
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
