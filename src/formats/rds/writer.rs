//! R's serialization: items, each a word of flags and what belongs to it.

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

/// Flags of an item.
pub(super) const HAS_ATTRIBUTES: u32 = 1 << 9;
const IS_OBJECT: u32 = 1 << 8;
const HAS_TAG: u32 = 1 << 10;
const IS_S4: u32 = 1 << 16;
const IS_UTF8: u32 = 1 << 15;
const IS_ASCII: u32 = 1 << 18;

/// A file of items, one after the other.
pub(super) struct Writer {
    extents: Vec<Extent>,
    /// What comes after these.
    bytes: Vec<u8>,
}

impl Default for Writer {
    /// A file that R 2.3 and later read, as if R 4.2 wrote it.
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

    /// The number of elements of a vector: a word, or -1 and two words.
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

    /// A short vector of integers that fit R's.
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
        // R itself finds out which of them are ASCII.
        self.extend([strings.extent(8, |length, out| {
            out.extend_from_slice(&(CHARACTERS | IS_UTF8).to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
        })]);
    }

    /// The start of a list of so many items, which follow.
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

    /// The start of an attribute, whose value follows. After the last there is a null.
    pub fn tag(&mut self, name: &str) {
        self.word(PAIRS | HAS_TAG);
        self.word(SYMBOL);
        self.characters(name);
    }

    /// The start of an object, whose slots follow as attributes.
    pub fn object(&mut self) {
        self.word(S4 | IS_S4 | IS_OBJECT | HAS_ATTRIBUTES);
    }

    /// The name of an object's class, and the package that knows it.
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
