//! Decompression: gzip, bzip2, xz and Zstandard, recognized by the first bytes, with one or more members or
//! frames.
//!
//! Memory is bounded whatever the file declares: a Zstandard window or an xz dictionary beyond the limits is
//! an error. So is a long content that is more than a thousand times as long as the file. No table of numbers
//! compresses that well, so this must be a decompression bomb.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::rc::Rc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::input::{PIECE, Reader};

/// The memory limit for an xz dictionary. `xz -9` uses 64 MiB.
const MOST_XZ_KIB: u32 = 256 << 10;
/// The limit on unpacked bytes per packed byte. gzip cannot exceed 1032.
const MOST_TIMES: u64 = 1100;
/// Unpacked bytes that are accepted regardless of the ratio.
const ALLOWED: u64 = 128 << 20;

/// A compression format.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstandard,
}

/// The compression format of a file that begins with these bytes.
pub(crate) fn packing(magic: [u8; 6]) -> Option<Packing> {
    match magic {
        [0x1F, 0x8B, 8, ..] => Some(Packing::Gzip),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, _] => Some(Packing::Bzip2),
        [0xFD, b'7', b'z', b'X', b'Z', 0] => Some(Packing::Xz),
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Packing::Zstandard),
        _ => None,
    }
}

/// A reader of the decompressed content.
pub(crate) fn unpacked<'f>(file: Reader<'f>, packing: Option<Packing>) -> Box<dyn Read + 'f> {
    let packed = file.count();
    let Some(packing) = packing else { return Box::new(file) };
    let file = BufReader::with_capacity(PIECE, file);
    let unpacked: Box<dyn Read + 'f> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(file, true, MOST_XZ_KIB)),
        Packing::Zstandard => Box::new(Zstandard { file, frame: FrameDecoder::new(), is_over: true }),
    };
    Box::new(Bounded { unpacked, packed, count: 0 })
}

/// Fails if the content is far longer than the compressed file.
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

/// Gives errors of the decoders one kind, `InvalidData`. Errors of the system stay as they are.
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

/// A reader of the frames of a Zstandard file, one after the other. `FrameDecoder` stops after each.
struct Zstandard<R> {
    file: R,
    frame: FrameDecoder,
    /// Whether no frame is open, so that the next one must begin.
    is_over: bool,
}

impl<R: BufRead> Zstandard<R> {
    /// Begins the next frame, and skips skippable ones. Returns false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.file.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.frame.reset(&mut self.file) {
                Ok(()) => {
                    self.is_over = false;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.file).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(invalid(&error)),
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        self.is_over = true;
        let (said, found) = (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum());
        match said {
            Some(said) if Some(said) != found => Err(invalid(&"its checksum is wrong")),
            _ => Ok(()),
        }
    }
}

fn invalid(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_over && !self.begin()? {
                return Ok(0);
            }
            if self.frame.can_collect() > 0 || buffer.is_empty() {
                return self.frame.read(buffer);
            }
            if self.frame.is_finished() {
                self.end()?;
                continue;
            }
            if self.file.fill_buf()?.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let strategy = BlockDecodingStrategy::UptoBlocks(1);
            self.frame.decode_blocks(&mut self.file, strategy).map_err(|e| invalid(&e))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_one_another_and_a_cut_one_is_told() {
        // "1,2\n" and "3,4\n" as `zstd` compresses them, without a checksum. Between them is a skippable
        // frame.
        let frame = |text: &[u8; 4]| [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, 4, 0x21, 0, 0], &text[..]].concat();
        let skip = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let file = [frame(b"1,2\n"), skip.to_vec(), frame(b"3,4\n")].concat();
        let read = |bytes: &[u8]| {
            let mut text = String::new();
            let mut frames = Zstandard { file: bytes, frame: FrameDecoder::new(), is_over: true };
            frames.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(&file).unwrap(), "1,2\n3,4\n");
        for length in [1, 8, 10, file.len() - 1] {
            assert!(read(&file[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(read(&file[..24]).unwrap(), "1,2\n");
    }
}
