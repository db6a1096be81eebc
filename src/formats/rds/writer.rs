//! Writes R's serialization: items, each a word of flags and its content.

use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::encode::strings::Strings;
use crate::error::Result;

/// Types of items.
pub(super) const LOGICAL: u32 = 10;
pub(super) const INTEGER: u32 = 13;
pub(super) const REAL: u32 = 14;
const SYMBOL: u32 = 1;
const PAIRS: u32 = 2;
const CHARACTERS: u32 = 9;
const STRING: u32 = 16;
const LIST: u32 = 19;
const S4: u32 = 25;
const NULL: u32 = 254;

/// Flags of items.
pub(super) const HAS_ATTRIBUTES: u32 = 1 << 9;
const IS_OBJECT: u32 = 1 << 8;
const HAS_TAG: u32 = 1 << 10;
const IS_S4: u32 = 1 << 16;
const IS_UTF8: u32 = 1 << 15;
const IS_ASCII: u32 = 1 << 18;

/// A file of consecutive items.
pub(super) struct Writer {
    extents: Vec<Extent>,
    /// Bytes to follow the extents. They become an extent when elements are appended.
    bytes: Vec<u8>,
}

impl Default for Writer {
    /// Starts a file for R 2.3 and later, which claims to be written by R 4.2.
    fn default() -> Self {
        let mut writer = Self { extents: Vec::new(), bytes: b"B\n".to_vec() };
        for word in [2, 0x0004_0200, 0x0002_0300] {
            writer.word(word);
        }
        writer
    }
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    fn extend(&mut self, extents: impl IntoIterator<Item = Extent>) {
        self.extents.push(Extent::Literal(std::mem::take(&mut self.bytes).into()));
        self.extents.extend(extents);
    }

    /// Writes the length of a vector: one word, or -1 and two words if it does not fit an int32.
    fn length(&mut self, length: u64) {
        match u32::try_from(length) {
            Ok(length) if i32::try_from(length).is_ok() => self.word(length),
            _ => {
                self.word(u32::MAX);
                self.word(u32::try_from(length >> 32).unwrap_or(u32::MAX));
                self.word(u32::try_from(length & 0xFFFF_FFFF).unwrap_or(u32::MAX));
            }
        }
    }

    pub fn vector(&mut self, flags: u32, length: u64, elements: &VirtualFile) {
        self.word(flags);
        self.length(length);
        self.extend(elements.extents().iter().cloned());
    }

    /// Writes a short vector of integers, which must fit R's int32.
    pub fn integers(&mut self, numbers: &[u64]) {
        self.word(INTEGER);
        self.length(numbers.len() as u64);
        for number in numbers {
            self.word(u32::try_from(*number).unwrap_or(u32::MAX));
        }
    }

    pub fn strings(&mut self, strings: &Strings) {
        self.word(STRING);
        self.length(strings.count());
        // All strings are marked as UTF-8. R detects on its own which of them are ASCII.
        self.extend([strings.extent(8, |length, out| {
            out.extend_from_slice(&(CHARACTERS | IS_UTF8).to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
        })]);
    }

    /// Begins a list of `length` items, which follow.
    pub fn list(&mut self, length: u64) {
        self.word(LIST);
        self.length(length);
    }

    pub fn null(&mut self) {
        self.word(NULL);
    }

    fn characters(&mut self, text: &str) {
        self.word(CHARACTERS | IS_ASCII);
        self.length(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Begins an attribute, whose value follows. A null ends the attributes.
    pub fn tag(&mut self, name: &str) {
        self.word(PAIRS | HAS_TAG);
        self.word(SYMBOL);
        self.characters(name);
    }

    /// Begins an S4 object, whose slots follow as attributes.
    pub fn object(&mut self) {
        self.word(S4 | IS_S4 | IS_OBJECT | HAS_ATTRIBUTES);
    }

    /// Writes the name of an object's class, and the package that defines it.
    pub fn class(&mut self, name: &str, package: &str) {
        self.word(STRING | HAS_ATTRIBUTES);
        self.length(1);
        self.characters(name);
        self.tag("package");
        self.word(STRING);
        self.length(1);
        self.characters(package);
        self.null();
    }

    pub fn finish(mut self) -> Result<VirtualFile> {
        self.extend([]);
        VirtualFile::new(self.extents)
    }
}
