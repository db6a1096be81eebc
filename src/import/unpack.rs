//! Compressed text: gzip, bzip2, xz and Zstandard, recognized by the first bytes. There may be several
//! streams.
//!
//! Memory is bounded whatever the file says: a Zstandard window or an xz dictionary beyond the limits is an
//! error. So is text that is a thousand times and more as long as the file, once it is long: nobody's numbers
//! are.

use std::cell::Cell;
use std::io::{self, BufReader, ErrorKind, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::input::{PIECE, Reader};

#[cfg(feature = "packed")]
mod rare;
#[cfg(not(feature = "packed"))]
#[path = "unpack/without_rare.rs"]
mod rare;

/// Unpacked bytes of one packed byte: gzip cannot do more than 1032.
const MOST_TIMES: u64 = 1100;
/// Unpacked bytes that are taken however few the packed ones are.
const ALLOWED: u64 = 128 << 20;

/// How a file is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstandard,
}

/// How a file is packed that begins with these bytes.
pub(crate) fn packing(magic: [u8; 6]) -> Option<Packing> {
    match magic {
        [0x1F, 0x8B, 8, ..] => Some(Packing::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, _] => Some(Packing::Bzip2),
        [0xFD, b'7', b'z', b'X', b'Z', 0] => Some(Packing::Xz),
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Packing::Zstandard),
        _ => None,
    }
}

/// The uncompressed content of a file.
pub(crate) fn unpacked<'f>(file: Reader<'f>, packing: Option<Packing>) -> Box<dyn Read + 'f> {
    let packed = file.count();
    let Some(packing) = packing else { return Box::new(file) };
    let file = BufReader::with_capacity(PIECE, file);
    let unpacked: Box<dyn Read + 'f> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        other => rare::unpacked(other, file),
    };
    Box::new(Bounded { unpacked, packed, count: 0 })
}

/// Ends what unpacks to far more than it is.
struct Bounded<'f> {
    unpacked: Box<dyn Read + 'f>,
    packed: Rc<Cell<u64>>,
    count: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.unpacked.read(buffer).map_err(said)?;
        self.count += count as u64;
        if self.count > ALLOWED && self.count / MOST_TIMES > self.packed.get() {
            let (packed, count) = (self.packed.get(), self.count);
            let why = format!("{packed} bytes hold more than {count} (what you unpack yourself is taken)");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(count)
    }
}

/// Errors of the unpackers in one form; what comes from the system stays.
fn said(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => error,
        _ if error.raw_os_error().is_some() => error,
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::OutOfMemory => {
            io::Error::new(ErrorKind::InvalidData, error.to_string())
        }
        _ => error,
    }
}
