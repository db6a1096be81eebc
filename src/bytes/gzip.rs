//! gzip without compression (RFC 1952, and RFC 1951 section 3.2.4).
//!
//! Compression would make the size depend on the data. Stored blocks have a fixed overhead, so the size and
//! the place of every byte are known in advance.
//!
//! ```text
//! 1F 8B 08 00  mtime 0  0  3                  10 bytes: deflate, no name, Unix
//! last?  length  !length  up to 65535 bytes   blocks: 1 + 2 + 2 bytes, then a piece of the content
//! …
//! CRC-32 of the content   its length          4 + 4 bytes
//! ```

use std::sync::Arc;

use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::error::{Error, Result};
use crate::store::source::Source;

/// Deflate, no flags, no modification time, no hints, Unix.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];

/// The most bytes of content in a block.
const MOST: u64 = 0xFFFF;

/// Bytes of a block's header.
const FRONT: u64 = 5;

/// `content` as a gzip file. `crc32` is the CRC-32 of `content` (4 bytes, little-endian).
///
/// # Errors
///
/// [`Error::Refused`] when the result would exceed the largest size of a file.
pub fn stored(content: VirtualFile, crc32: Extent) -> Result<VirtualFile> {
    // Empty content still needs one block, the one marked as last.
    let blocks = content.len().div_ceil(MOST).max(1);
    let length = content.len().checked_add(blocks * FRONT);
    let length = length.ok_or_else(|| Error::refused("", "more bytes than a file can have"))?;
    // ISIZE: the length modulo 2^32.
    let size = content.len().to_le_bytes()[..4].to_vec();
    let blocks = Extent::Generated { content: Arc::new(Blocks { content }), length };
    VirtualFile::new([Extent::Literal(HEADER.to_vec().into()), blocks, crc32, Extent::Literal(size.into())])
}

struct Blocks {
    content: VirtualFile,
}

impl Blocks {
    /// The header of block `i`, and the bytes of content that follow it.
    fn front(&self, i: u64) -> ([u8; 5], u64) {
        let left = self.content.len() - i * MOST;
        let length = left.min(MOST);
        let [low, high, ..] = length.to_le_bytes();
        ([u8::from(left <= MOST), low, high, !low, !high], length)
    }
}

impl Generate for Blocks {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        let first = out.seek_item(MOST + FRONT);
        for block in first..self.content.len().div_ceil(MOST).max(1) {
            if out.is_full() {
                break;
            }
            let (front, length) = self.front(block);
            out.put(&front);
            out.put_file(&self.content, block * MOST, length)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.content.sources()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(file: &VirtualFile) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
        bytes
    }

    #[test]
    fn blocks_are_as_the_standard_says() {
        let crc = |bytes: &[u8]| Extent::Literal(crc32fast::hash(bytes).to_le_bytes().to_vec().into());
        let small = stored(VirtualFile::literal(*b"123456789"), crc(b"123456789")).unwrap();
        let mut wanted = HEADER.to_vec();
        wanted.extend(b"\x01\x09\x00\xF6\xFF123456789\x26\x39\xF4\xCB\x09\x00\x00\x00");
        assert_eq!(whole(&small), wanted);
        let empty = stored(VirtualFile::default(), crc(b"")).unwrap();
        assert_eq!(whole(&empty)[10..15], [1, 0, 0, 0xFF, 0xFF]);

        for length in [0xFFFE, 0xFFFF, 0x10000, 200_000] {
            let content: Vec<u8> = (0..length).map(|i: u32| (i * 7 + i / 256).to_le_bytes()[0]).collect();
            let file = stored(VirtualFile::literal(content.clone()), crc(&content)).unwrap();
            let bytes = whole(&file);
            let (mut found, mut at) = (Vec::<u8>::new(), 10);
            loop {
                let size = usize::from(u16::from_le_bytes([bytes[at + 1], bytes[at + 2]]));
                found.extend(&bytes[at + 5..at + 5 + size]);
                at += 5 + size;
                if bytes[at - size - 5] == 1 {
                    break;
                }
            }
            assert!(found == content && at + 8 == bytes.len(), "{length}");
            for (offset, piece) in [(0, 20), (65_540, 30), (65_549, 3), (65_552, 65_545)] {
                let piece = piece.min(bytes.len().saturating_sub(offset));
                let mut some = vec![0; piece];
                file.read_at(offset as u64, &mut some).unwrap();
                assert_eq!(some, bytes[offset.min(bytes.len())..][..piece]);
            }
        }
    }
}
