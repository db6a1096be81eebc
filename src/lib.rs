//! Stores of memory-mapped numeric arrays: the format, and a tree of virtual files over it.
//!
//! A dense array is `x.yaml` beside `x.array`, a sparse matrix in CSR is `x.yaml` beside `x.data`,
//! `x.indices` and `x.indptr`: metadata, and raw little-endian numbers that are meant to be mapped.
//! Programs that map them use [`memory_mapping`]; for all others [`tree`] makes files of every part in
//! every format, [`fuse`] mounts them, and the command line reads them without a mount too.
//!
//! ```
//! use arrayfs::array::DenseArray;
//! use arrayfs::dtype::Dtype;
//! use arrayfs::memory_mapping::create_memory_mapped_array;
//! use arrayfs::mmap::Mode;
//!
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("counts");
//! create_memory_mapped_array(&path, &[2, 3], Dtype::Float32)?;
//! DenseArray::open(&path, Mode::ReadWrite)?.write_row(1, &[0_f32, 0.0, 7.5])?;
//! assert_eq!(DenseArray::open(&path, Mode::Read)?.to_array::<f32>()?.sum(), 7.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! These are copies. What is viewed as it lies in the file needs a promise that no compiler can check:
//!
//! ```
//! # use arrayfs::dtype::Dtype;
//! # use arrayfs::memory_mapping::{create_memory_mapped_array, open_memory_mapped_array};
//! # use arrayfs::mmap::Mode;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("counts");
//! # create_memory_mapped_array(&path, &[2, 3], Dtype::Float32)?;
//! // SAFETY: nobody truncates this array or uses it otherwise while `counts` lives.
//! let mut counts = unsafe { open_memory_mapped_array(&path, Mode::ReadWrite)? };
//! counts.view_mut::<f32>()?[[1, 2]] = 7.5;
//! assert_eq!(counts.view::<f32>()?.sum(), 7.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Data flows one way, and so do the imports: [`error`], `task`, [`dtype`], [`format`](mod@format), [`select`],
//! [`open_files`], [`generation`], [`store`], [`mmap`], [`source`], [`names`], [`array`](mod@array), [`staging`], [`memory_mapping`],
//! `import`, [`memo`], [`offsets`], [`catalog`], [`check`], [`vfile`], [`checksum`], [`gzip`], [`cast`], [`grid`], [`strings`], [`part`],
//! [`hdf5`], [`text`], [`view`], `verify`, [`tree`], [`mountpoint`], [`fuse`].

pub mod array;
pub mod cast;
pub mod catalog;
pub mod check;
pub mod checksum;
pub mod dtype;
pub mod error;
pub mod format;
pub mod fuse;
pub mod generation;
pub mod grid;
pub mod gzip;
mod handles;
pub mod hdf5;
#[cfg(feature = "import")]
pub mod import;
pub mod memo;
pub mod memory_mapping;
pub mod mmap;
pub mod mountpoint;
pub mod names;
pub mod offsets;
pub mod open_files;
pub mod part;
pub mod select;
pub mod source;
pub mod staging;
pub mod store;
pub mod strings;
mod task;
pub mod text;
pub mod tree;
#[cfg(feature = "verify")]
pub mod verify;
pub mod vfile;
pub mod view;

pub use error::{Error, Result};
