//! Stores of memory-mapped numeric arrays: the format, and a tree of virtual files over it.
//!
//! A dense array is `x.yaml` beside `x.array`, a sparse matrix in CSR is `x.yaml` beside `x.data`,
//! `x.indices` and `x.indptr`: metadata, and raw little-endian numbers that are meant to be mapped.
//! Programs that map them use [`daf::memory_mapping`]; for all others [`tree`] makes files of every part in
//! every format, [`fuse`] mounts them, and the command line reads them without a mount too.
//!
//! ```
//! use arrayfs::daf::arrays::DenseArray;
//! use arrayfs::dtype::Dtype;
//! use arrayfs::daf::memory_mapping::create_memory_mapped_array;
//! use arrayfs::store::mmap::Mode;
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
//! # use arrayfs::daf::memory_mapping::{create_memory_mapped_array, open_memory_mapped_array};
//! # use arrayfs::store::mmap::Mode;
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
//! The rooms, in the order in which data flows; each uses only those before it: [`error`], [`dtype`], `task`,
//! [`rows`], [`store`], [`bytes`], [`daf`], [`array`](mod@array), `import`, [`check`], [`encode`], `oracle`,
//! [`formats`], `verify`, [`tree`], [`fuse`]. `ARCHITECTURE.md` draws them.

pub mod array;
pub mod bytes;
pub mod check;
pub mod daf;
pub mod dtype;
pub mod encode;
pub mod error;
pub mod formats;
pub mod fuse;
#[cfg(feature = "import")]
pub mod import;
#[cfg(feature = "verify")]
pub(crate) mod oracle;
pub mod rows;
pub mod store;
mod task;
pub mod tree;
#[cfg(feature = "verify")]
pub mod verify;

pub use error::{Error, Result};
