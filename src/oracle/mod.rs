//! The expected content of files, read from the store in the simplest possible way. Verifiers compare the
//! files of each format with it.
//!
//! No code is shared with the code that renders the files, so that an error there cannot hide itself.
//! Decoders come from third-party crates where there are any. `truth` reads the expected numbers from the
//! store's files, element by element.

mod compare;
mod element;
pub(crate) mod hdf5;
mod members;
mod names;
mod reader;
mod rising;
mod truth;

use crate::array::selection::{Part, Selection};
use crate::encode::Rendered;
pub(crate) use {compare::*, element::*, members::Files, names::*, reader::*, rising::*, truth::*};

/// A mismatch: why the numbers in a file differ from those in the store, or why the file cannot be decoded.
#[derive(Debug)]
pub(crate) struct Mismatch(pub String);

impl<E: std::error::Error> From<E> for Mismatch {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The result of a verifying function.
pub(crate) type Verified = std::result::Result<(), Mismatch>;

/// A rendered part of an array, to be verified.
pub(crate) struct Shown<'a> {
    pub selection: &'a Selection,
    pub part: Part,
    pub content: Rendered,
    /// Is called with the number of bytes read since the last call.
    pub progress: &'a dyn Fn(u64),
}

impl Shown<'_> {
    /// The content as a file. Fails if it is a directory.
    pub(crate) fn file(&self) -> std::result::Result<FileReader<'_>, Mismatch> {
        match &self.content {
            Rendered::File(file) => Ok(FileReader::new(file.clone(), self.progress)),
            Rendered::Directory(_) => Err(Mismatch("a folder where there should be a file".into())),
        }
    }
}
