//! Encodings shared by several formats.
//!
//! ```text
//! text      numbers as text, in cells of equal width or as short as possible
//! hdf5      the structures of HDF5
//! strings   variable-length names, each behind a header
//! numbers   float16 as float32
//! checksum  checksums of content, computed on first read and cached
//! members   the files of a format that is a directory
//! ```

pub mod checksum;
pub mod hdf5;
pub mod members;
pub mod numbers;
pub mod strings;
pub mod text;

use crate::bytes::virtual_file::VirtualFile;
use members::Members;

/// What a format renders one part of an array as.
#[derive(Debug)]
pub enum Rendered {
    /// One file.
    File(VirtualFile),
    /// A directory of files.
    Directory(Members),
}

impl Rendered {
    /// The file, or `None` for a directory.
    pub fn file(self) -> Option<VirtualFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Directory(_) => None,
        }
    }

    /// The files of the directory, or `None` for a file.
    pub fn directory(self) -> Option<Members> {
        match self {
            Self::File(_) => None,
            Self::Directory(members) => Some(members),
        }
    }
}
