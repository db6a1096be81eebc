//! A zip archive of uncompressed members, as extents.
//!
//! ```text
//! for each member    local header 30, name, extra (zip64 sizes, alignment), content
//! for each member    central header 46, name, extra (zip64 sizes and offset)
//! where needed       zip64 end of central directory 56, its locator 20
//! end of central directory 22
//! ```
//!
//! Specification: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3. Contents are
//! aligned to 64 bytes. An extra field pads the local header: that of Android's `zipalign` (0xD935: the
//! alignment, then zeros).

use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::error::{Error, Result};

/// Alignment of the contents in bytes, the same as NumPy uses within `.npy`.
const ALIGNMENT: u64 = 64;

/// From this value on, sizes and offsets are written to a zip64 field.
const MOST: u64 = 0xFFFF_FFFF;

/// Version of the specification needed to extract: with zip64, or without.
const VERSION_ZIP64: u16 = 45;
const VERSION: u16 = 20;

/// 1 January 1980. A fixed date makes the archive identical on every read.
const DATE: u16 = 0x0021;

/// Mode of a regular file that its owner may write. Unix modes go in the upper 16 bits.
const MODE: u32 = 0o100_644 << 16;

/// A file in the archive.
pub(super) struct Member {
    /// Name of the file, which must be ASCII.
    pub name: String,
    pub content: VirtualFile,
    /// CRC-32 of the content: the 4 bytes of the field. An extent, because it may be computed on read.
    pub crc32: Extent,
}

/// A header, split around its CRC-32.
struct Piece {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Assembles the archive.
///
/// # Errors
///
/// [`Error::Refused`] if the archive exceeds the largest file size.
pub(super) fn archive(members: &[Member]) -> Result<VirtualFile> {
    let mut extents = Vec::new();
    let mut central = Vec::new();
    let (mut at, mut central_length) = (0u64, 0u64);
    for member in members {
        let local = local_header(member, at);
        let header = Header { member, offset: at }.central();
        at = [local.len(), member.content.len()]
            .into_iter()
            .try_fold(at, u64::checked_add)
            .ok_or_else(too_large)?;
        central_length += header.len();
        extents.extend(local.extents(member));
        extents.extend(member.content.extents().iter().cloned());
        central.extend(header.extents(member));
    }
    extents.append(&mut central);
    extents.push(Extent::Literal(end(members.len() as u64, at, central_length).into()));
    VirtualFile::new(extents)
}

fn too_large() -> Error {
    Error::refused("", "more bytes than a file can have")
}

impl Piece {
    fn len(&self) -> u64 {
        self.before.len() as u64 + 4 + self.after.len() as u64
    }

    fn extents(self, member: &Member) -> [Extent; 3] {
        [Extent::Literal(self.before.into()), member.crc32.clone(), Extent::Literal(self.after.into())]
    }
}

/// Concatenates numbers in little-endian.
macro_rules! bytes {
    ($($number:expr),* $(,)?) => { [$(&$number.to_le_bytes()[..]),*].concat() };
}

/// The fields that both kinds of header share.
struct Header<'m> {
    member: &'m Member,
    offset: u64,
}

impl Header<'_> {
    fn size(&self) -> u64 {
        self.member.content.len()
    }

    fn version(&self) -> u16 {
        if self.size() >= MOST || self.offset >= MOST { VERSION_ZIP64 } else { VERSION }
    }

    /// The zip64 extra field: the numbers that do not fit their regular 32-bit fields.
    fn zip64(numbers: &[u64]) -> Vec<u8> {
        let large: Vec<u8> =
            numbers.iter().filter(|number| **number >= MOST).flat_map(|n| n.to_le_bytes()).collect();
        match u16::try_from(large.len()) {
            Ok(length @ 1..) => [bytes![1u16, length], large].concat(),
            _ => Vec::new(),
        }
    }

    fn central(&self) -> Piece {
        let Self { member, offset } = self;
        let (version, size) = (self.version(), short(self.size()));
        let extra = Self::zip64(&[self.size(), self.size(), *offset]);
        let before = bytes![0x0201_4B50u32, version | 3 << 8, version, 0u16, 0u16, 0u16, DATE];
        let after =
            bytes![size, size, length(&member.name), length(&extra), 0u16, 0u16, 0u16, MODE, short(*offset),];
        Piece { before, after: [after, member.name.clone().into_bytes(), extra].concat() }
    }
}

fn local_header(member: &Member, offset: u64) -> Piece {
    let header = Header { member, offset: 0 };
    let size = short(header.size());
    let mut extra = Header::zip64(&[header.size(), header.size()]);
    let fixed = 30 + (member.name.len() + extra.len()) as u64;
    // The padding is itself a field of at least 6 bytes: its id, its length and the alignment.
    let padding = (offset + fixed + 6).next_multiple_of(ALIGNMENT) - (offset + fixed);
    extra.extend(bytes![0xD935u16, field_length(padding - 4), u16::try_from(ALIGNMENT).unwrap_or(0)]);
    extra.resize(extra.len() + usize::try_from(padding - 6).unwrap_or(0), 0);
    let before = bytes![0x0403_4B50u32, header.version(), 0u16, 0u16, 0u16, DATE];
    let after = bytes![size, size, length(&member.name), length(&extra)];
    Piece { before, after: [after, member.name.clone().into_bytes(), extra].concat() }
}

fn length(bytes: impl AsRef<[u8]>) -> u16 {
    field_length(bytes.as_ref().len() as u64)
}

fn field_length(length: u64) -> u16 {
    u16::try_from(length).expect("names and extra fields are short")
}

/// The 32-bit field of a size or offset. The maximum means that the number is in the zip64 field.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The end of the archive: records for a central directory of `length` bytes at `offset`.
fn end(members: u64, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if offset >= MOST {
        let version = VERSION_ZIP64;
        bytes.extend(bytes![0x0606_4B50u32, 44u64, version | 3 << 8, version, 0u32, 0u32]);
        bytes.extend(bytes![members, members, length, offset]);
        bytes.extend(bytes![0x0706_4B50u32, 0u32, offset + length, 1u32]);
    }
    let members = u16::try_from(members).expect("there are few members");
    bytes.extend(bytes![0x0605_4B50u32, 0u16, 0u16, members, members, short(length), short(offset), 0u16]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: VirtualFile, crc32: u32) -> Member {
        Member { name: name.into(), content, crc32: Extent::Literal(crc32.to_le_bytes().to_vec().into()) }
    }

    fn read(file: &VirtualFile, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        assert_eq!(file.read_at(offset, &mut bytes).unwrap(), length);
        bytes
    }

    #[test]
    fn a_small_archive_byte_for_byte() {
        let content = VirtualFile::literal(*b"123456789");
        let file = archive(&[member("a.npy", content, 0xCBF4_3926)]).unwrap();
        let local: &[u8] =
            b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\x26\x39\xF4\xCB\x09\0\0\0\x09\0\0\0\x05\0\x1D\0a.npy";
        let padding: &[u8] = b"\x35\xD9\x19\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let central: &[u8] =
            b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\x21\0\x26\x39\xF4\xCB\x09\0\0\0\x09\0\0\0\
            \x05\0\0\0\0\0\0\0\0\0\0\0\xA4\x81\0\0\0\0a.npy";
        let end: &[u8] = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x33\0\0\0\x49\0\0\0\0\0";
        let expected = [local, padding, b"123456789", central, end].concat();
        let bytes = read(&file, 0, usize::try_from(file.len()).unwrap());
        assert_eq!(bytes, expected);
        assert_eq!((local.len() + padding.len()) % 64, 0);
    }

    #[test]
    fn what_is_large_has_zip64_fields() {
        let large = VirtualFile::new([Extent::Zeros(5_000_000_000)]).unwrap();
        let file = archive(&[member("a", large, 1), member("b", VirtualFile::literal(*b"x"), 2)]).unwrap();
        // Local header of the first member, with the sizes in its extra field.
        let local = read(&file, 0, 128);
        assert_eq!(local[4..6], [45, 0]);
        assert_eq!(local[18..26], [0xFF; 8]);
        assert_eq!(local[31..35], [1, 0, 16, 0]);
        assert_eq!(local[35..43], 5_000_000_000u64.to_le_bytes());
        let start = 30 + 1 + u64::from(u16::from_le_bytes([local[28], local[29]]));
        assert_eq!(start % 64, 0);
        let second = start + 5_000_000_000;
        // From the end: end record 22, locator 20, zip64 record 56, central headers 46 + 1 + 20 and 46 + 1 +
        // 12.
        let end = file.len() - 22;
        assert_eq!(read(&file, end + 16, 4), [0xFF; 4]);
        assert_eq!(read(&file, end - 20, 4), *b"PK\x06\x07");
        assert_eq!(read(&file, end - 76, 4), *b"PK\x06\x06");
        let central = end - 76 - (46 + 1 + 12);
        assert_eq!(read(&file, central, 4), *b"PK\x01\x02");
        assert_eq!(read(&file, central + 42, 4), [0xFF; 4]);
        assert_eq!(read(&file, central + 47, 12), [&[1, 0, 8, 0][..], &second.to_le_bytes()].concat());
        assert_eq!(read(&file, second, 4), *b"PK\x03\x04");
    }
}
