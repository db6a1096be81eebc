//! Reads the numbers of an array in row order, chunk by chunk.

use std::io::{self, Read};

use crate::oracle::expect;
use crate::oracle::{FileReader, expect_end};
use crate::oracle::{Mismatch, Verified};
use crate::word::to_usize;

/// Opens the chunk with this number.
type Open<'a> = dyn Fn(u64) -> Result<FileReader<'a>, Mismatch> + 'a;

/// The numbers of all chunks, without the padding of the last one.
pub(super) struct Chunks<'o, 'a> {
    open: &'o Open<'a>,
    current: Option<FileReader<'a>>,
    /// Number of the next chunk.
    next: u64,
    count: u64,
    /// Bytes of numbers left in the current chunk, and in all later chunks.
    here: u64,
    left: u64,
    chunk_bytes: u64,
}

impl<'o, 'a> Chunks<'o, 'a> {
    /// Checks the shape of the chunks: whole rows, at most 8 MiB unless it is a single row, and at least half
    /// of that unless it is the only chunk.
    pub fn new(shape: &[u64], chunk: &[u64], item: u64, open: &'o Open<'a>) -> Result<Self, Mismatch> {
        const MOST: u64 = 8 << 20;
        let wrong = || Mismatch(format!("chunks of shape {chunk:?} of an array of shape {shape:?}"));
        let ([rows, across @ ..], [height, width @ ..]) = (shape, chunk) else { return Err(wrong()) };
        let row_bytes =
            across.iter().try_fold(item, |bytes, axis| bytes.checked_mul(*axis)).ok_or_else(wrong)?;
        let chunk_bytes = row_bytes.checked_mul(*height).ok_or_else(wrong)?;
        let left = row_bytes.checked_mul(*rows).ok_or_else(wrong)?;
        let is_right = across == width
            && *height > 0
            && (chunk_bytes <= MOST || *height == 1)
            && (chunk_bytes >= MOST / 2 || height >= rows);
        match is_right {
            true => {
                let count = rows.div_ceil(*height);
                Ok(Self { open, current: None, next: 0, count, here: 0, left, chunk_bytes })
            }
            false => Err(wrong()),
        }
    }

    fn open_next(&mut self) -> Verified {
        let file = (self.open)(self.next)?;
        expect(&format!("bytes of chunk {}", self.next), &file.len(), &self.chunk_bytes)?;
        self.next += 1;
        self.here = self.left.min(self.chunk_bytes);
        self.left -= self.here;
        self.current = Some(file);
        Ok(())
    }

    /// Checks that the current chunk ends here, or is padded with zeros.
    fn close(&mut self) -> Verified {
        let Some(mut file) = self.current.take() else { return Ok(()) };
        let mut filled = (&mut file).take(self.chunk_bytes);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match filled.read(&mut buffer)? {
                0 => return expect_end(&mut file),
                count if buffer[..count].iter().any(|byte| *byte != 0) => {
                    return Err(Mismatch(format!("chunk {} is filled up with no zeros", self.next - 1)));
                }
                _ => {}
            }
        }
    }
}

impl Read for Chunks<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.here == 0 {
            self.close().map_err(|Mismatch(why)| io::Error::other(why))?;
            if self.next == self.count {
                return Ok(0);
            }
            self.open_next().map_err(|Mismatch(why)| io::Error::other(why))?;
        }
        let most = to_usize(self.here).min(buffer.len());
        let filled = match &mut self.current {
            Some(file) => file.read(&mut buffer[..most])?,
            None => 0,
        };
        self.here -= filled as u64;
        Ok(filled)
    }
}
