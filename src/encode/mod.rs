//! Encodings that several formats share.
//!
//! ```text
//! text      numbers as text, of equal width or as short as they are
//! hdf5      the structures of HDF5
//! strings   runs of names of any length
//! numbers   float16 as float32
//! checksum  checksums of content, computed once and remembered
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

/// What a format makes of a part of an array.
#[derive(Debug)]
pub enum Rendered {
    /// One file.
    File(VirtualFile),
    /// A directory of files.
    Directory(Members),
}

impl Rendered {
    /// The file, if it is one.
    pub fn file(self) -> Option<VirtualFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Directory(_) => None,
        }
    }

    /// The files of the directory, if it is one.
    pub fn directory(self) -> Option<Members> {
        match self {
            Self::File(_) => None,
            Self::Directory(members) => Some(members),
        }
    }
}
