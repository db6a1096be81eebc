//! What is said beside the file that is imported.

use crate::daf::memory_mapping::Existing;
use crate::dtype::Dtype;

/// What the file itself does not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the file is, where its name does not say it: an ending of [`formats`].
    pub format: Option<String>,
    /// Type of the elements, of text.
    pub dtype: Option<Dtype>,
    /// Which array, of a `.npz` that has several.
    pub member: Option<String>,
    /// Whether the nearest number is taken where the type does not have the one of the file.
    pub is_lossy: bool,
    /// Whether the first line of a table has names.
    pub header: Choice,
    /// Whether the first column of a table has names.
    pub row_names: Choice,
    /// What stands between the cells of a table.
    pub delimiter: Option<Delimiter>,
    /// What stands before fractions: `.` or `,`.
    pub decimal: Option<u8>,
    /// What lines begin with that are no part of a table; nothing does if it is empty.
    pub comment: Option<String>,
    /// More words that stand for a missing number.
    pub missing: Vec<String>,
    /// Lines that come before a table.
    pub skip_lines: u64,
    /// Whether columns of text are left out.
    pub skips_text: bool,
    /// What to do where an array is already.
    pub existing: Existing,
}

/// Whether something is so, or is to be found out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Choice {
    /// To be found out.
    #[default]
    Auto,
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What stands between two cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delimiter {
    /// This byte.
    Byte(u8),
    /// Spaces and tabs, as many as there are.
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

    /// Bytes up to the end of the cell.
    pub(crate) fn find(self, text: &[u8]) -> usize {
        let end = match self {
            Self::Byte(delimiter) => memchr::memchr(delimiter, text),
            Self::Blanks => memchr::memchr2(b' ', b'\t', text),
        };
        end.unwrap_or(text.len())
    }

    /// What is around a cell and means nothing.
    pub(crate) fn is_padding(self, byte: u8) -> bool {
        is_blank(byte) && self != Self::Byte(byte)
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
