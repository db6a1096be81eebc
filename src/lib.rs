//! Stores of memory-mapped numeric arrays: the format, and a tree of virtual files on top of it.
//!
//! A dense array consists of `x.yaml` and `x.array`, a sparse matrix (CSR) of `x.yaml`, `x.data`, `x.indices`
//! and `x.indptr`: the metadata, and raw little-endian numbers for mapping into memory. Programs that map
//! them use [`daf::memory_mapping`]. For all others, [`tree`] offers every part as a file in every format,
//! [`fuse`] mounts these files, and the command line reads them without a mount.
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
//! These methods copy. A view of the mapped file is `unsafe`, because the compiler cannot check what other
//! processes do to the file:
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
//! The library is [`daf`] (the format: create, open, write, remove), [`dtype`], [`store::mmap`] (the cache of maps) and
//! [`error`]. The other modules are the parts of the program `arrayfs`. They are public for its command line only and
//! change without notice. `ARCHITECTURE.md` describes them in the order in which data flows; each uses only those
//! before it: `error`, `dtype`, `word`, `task`, `rows`, `store`, `bytes`, `daf`, `array`, `import`, `check`, `encode`,
//! `oracle`, `formats`, `verify`, `tree`, `fuse`.

#[doc(hidden)]
pub mod array;
#[doc(hidden)]
pub mod bytes;
#[doc(hidden)]
pub mod check;
pub mod daf;
pub mod dtype;
#[doc(hidden)]
pub mod encode;
pub mod error;
#[doc(hidden)]
pub mod formats;
#[doc(hidden)]
pub mod fuse;
#[cfg(feature = "import")]
#[doc(hidden)]
pub mod import;
#[cfg(feature = "verify")]
pub(crate) mod oracle;
#[doc(hidden)]
pub mod rows;
pub mod store;
mod task;
#[doc(hidden)]
pub mod tree;
#[cfg(feature = "verify")]
#[doc(hidden)]
pub mod verify;
#[doc(hidden)]
pub mod word;

pub use error::{Error, Result};
