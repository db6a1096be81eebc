//! The options of an import.

use crate::daf::memory_mapping::Existing;
use crate::dtype::Dtype;

/// What the file itself does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The file type, if the file name does not tell: one of the extensions of `IMPORTERS`.
    pub format: Option<String>,
    /// Data type of the elements. Only text needs it, other files declare theirs.
    pub dtype: Option<Dtype>,
    /// The array to import from a `.npz` that holds several.
    pub member: Option<String>,
    /// Whether the nearest number is taken if the type cannot represent the one in the file.
    pub is_lossy: bool,
    /// Whether the first line of a table holds names.
    pub header: Choice,
    /// Whether the first column of a table holds names.
    pub row_names: Choice,
    /// The delimiter between the cells of a table.
    pub delimiter: Option<Delimiter>,
    /// The decimal mark: `.` or `,`.
    pub decimal: Option<u8>,
    /// The start of comment lines, which are not part of a table. If it is empty, there are none.
    pub comment: Option<String>,
    /// Further words for a missing number.
    pub missing: Vec<String>,
    /// Lines to skip before a table.
    pub skip_lines: u64,
    /// Whether columns of text are left out.
    pub skips_text: bool,
    /// What to do if the array exists already.
    pub existing: Existing,
}

/// A yes-or-no option that can also be guessed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// Guess from the file.
    #[default]
    Auto,
    /// Yes.
    Yes,
    /// No.
    No,
}

/// The separator between two cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delimiter {
    /// This byte.
    Byte(u8),
    /// Any number of spaces and tabs.
    Blanks,
}

impl std::str::FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "blanks" | " " => Ok(Self::Blanks),
            "tab" | "\\t" => Ok(Self::Byte(b'\t')),
            "comma" => Ok(Self::Byte(b',')),
            "semicolon" => Ok(Self::Byte(b';')),
            _ => match *text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(Self::Byte(byte)),
                _ => Err("expected one character, tab or blanks".into()),
            },
        }
    }
}

impl Delimiter {
    pub(crate) fn is(self, byte: u8) -> bool {
        match self {
            Self::Byte(delimiter) => byte == delimiter,
            Self::Blanks => is_blank(byte),
        }
    }

    /// Bytes up to the next delimiter, or to the end of the text.
    pub(crate) fn find(self, text: &[u8]) -> usize {
        let end = match self {
            Self::Byte(delimiter) => memchr::memchr(delimiter, text),
            Self::Blanks => memchr::memchr2(b' ', b'\t', text),
        };
        end.unwrap_or(text.len())
    }

    /// Whether the byte is insignificant space around a cell.
    pub(crate) fn is_padding(self, byte: u8) -> bool {
        is_blank(byte) && self != Self::Byte(byte)
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
