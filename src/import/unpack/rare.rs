//! bzip2, xz and Zstandard, whose decoders take as long to build as all else that imports.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Packing;

/// The memory limit of an xz dictionary. `xz -9` uses 64 MiB.
const MOST_XZ_KIB: u32 = 256 << 10;

/// The unpacked content of a file.
pub(super) fn unpacked<'f>(packing: Packing, file: impl BufRead + 'f) -> Box<dyn Read + 'f> {
    match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(file)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(file, true, MOST_XZ_KIB)),
        Packing::Zstandard => Box::new(Zstandard { file, frame: FrameDecoder::new(), is_over: true }),
    }
}

/// The frames of a Zstandard file, one after the other.
struct Zstandard<R> {
    file: R,
    frame: FrameDecoder,
    /// Whether the next frame is to be begun.
    is_over: bool,
}

impl<R: BufRead> Zstandard<R> {
    /// Begins the next frame; false at the end of the file.
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
        // "1,2\n" and "3,4\n" as `zstd` packs them, without a checksum; between them a frame to skip.
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
