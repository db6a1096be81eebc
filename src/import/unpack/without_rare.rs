//! A build without bzip2, xz and Zstandard says how to get them.

use std::io::{self, BufRead, Read};

use super::Packing;

/// A reader that fails.
pub(super) fn unpacked<'f>(packing: Packing, _: impl BufRead + 'f) -> Box<dyn Read + 'f> {
    Box::new(Without(packing))
}

struct Without(Packing);

impl Read for Without {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let why = "this arrayfs was built without it: cargo install --path . --features full has it";
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{:?}: {why}", self.0)))
    }
}
