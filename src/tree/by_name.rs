//! `by-name/`: links to rows and columns by the names that the store gives them.
//!
//! ```text
//! by-name/rows/NAME          -> ../../rows/017
//! by-name/cols/NAME.FORMAT   -> ../../cols/017.FORMAT
//! ```
//!
//! In a file name, `/`, `%` and NUL become `%2F`, `%25` and `%00`, and the names `.` and `..` are written
//! with `%2E`. A lookup decodes any `%` with two hexadecimal digits, and then also tries the text as it is. A
//! complete name takes precedence over a shorter name with a format, and a longer name over a shorter one. A
//! duplicate name leads to the first row or column of the selection that has it. Rows and columns with an
//! empty name have no link.

use std::path::PathBuf;
use std::sync::Arc;

use super::array_directory::{ArrayDirectory, Child, Visit};
use super::attr::EntryKind;
use super::node::{NodeId, NodeKind};
use crate::array::format_id::FormatId;
use crate::array::names::AxisNames;
use crate::array::selection::{Component, Part, Region};
use crate::daf::metadata::Kind;
use crate::error::Result;
use crate::formats;

/// Limit on the length of a file name, in bytes.
const LONGEST: usize = 255;

impl ArrayDirectory {
    /// Whether rows or columns of this directory have names. A large file of names is not read to find out.
    pub fn has_names(&self) -> bool {
        self.named_axes().next().is_some()
    }

    /// The directories in `by-name/`.
    pub fn named_axes(&self) -> impl Iterator<Item = (&'static str, NodeKind)> {
        let names = &self.selection.array().names;
        let rows = self.extent.rows > 0 && names.of_rows().is_some();
        let columns = self.extent.columns > 0 && names.of_columns().is_some();
        let axes = [
            (rows, super::array_directory::ROWS, NodeKind::NamedRows),
            (columns, super::array_directory::COLUMNS, NodeKind::NamedColumns),
        ];
        axes.into_iter().filter_map(|(is_there, name, node)| is_there.then_some((name, node)))
    }

    /// The names that a directory shows, if it shows names.
    ///
    /// # Errors
    ///
    /// As [`Selection::names`](crate::array::selection::Selection::names).
    pub fn names_in(&self, folder: NodeId) -> Result<Option<Arc<AxisNames>>> {
        Ok(match folder.node {
            NodeKind::NamedRows => self.selection.names()?.rows,
            NodeKind::NamedColumns => self.selection.names()?.columns,
            _ => None,
        })
    }

    /// The link with this name in `by-name/rows/` or `by-name/cols/`.
    ///
    /// # Errors
    ///
    /// As [`names_in`](Self::names_in).
    pub fn named(&self, folder: NodeId, text: &[u8]) -> Result<Option<Child>> {
        Ok(self.names_in(folder)?.and_then(|axis_names| self.named_by(&axis_names, folder, text)))
    }

    fn named_by(&self, axis_names: &AxisNames, folder: NodeId, text: &[u8]) -> Option<Child> {
        let dots = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(dot, _)| dot);
        let splits =
            dots.map(|dot| (&text[..dot], &text[dot + 1..])).filter(|(_, format)| !format.is_empty());
        std::iter::once((text, &b""[..])).chain(splits).find_map(|(name, format)| {
            let of = self.first_of(folder.node, axis_names, place(axis_names, name)?)?;
            let format = match format {
                b"" => FormatId::RAW,
                format => {
                    formats::find(&self.selection, Part { component: self.named_component(), of }, format)?
                }
            };
            Some(Child::NodeId(NodeId { of, node: NodeKind::Link(format) }))
        })
    }

    /// The first row or column of the selection with a name. `first` is the first one of the array with that
    /// name.
    fn first_of(&self, folder: NodeKind, axis_names: &AxisNames, first: u64) -> Option<Region> {
        std::iter::once(first).chain(axis_names.further(first)).find_map(|place| self.scope_of(folder, place))
    }

    /// The component to which a link with a format leads.
    fn named_component(&self) -> Component {
        match self.selection.array().metadata.kind() {
            Kind::Dense => Component::Array,
            Kind::Sparse => Component::Dense,
        }
    }

    /// The row or column of the selection that is number `place` in the whole array.
    fn scope_of(&self, folder: NodeKind, place: u64) -> Option<Region> {
        match folder {
            NodeKind::NamedRows => self.selection.rows().position(place).map(Region::Row),
            _ => Some(Region::Column(place)),
        }
    }

    /// The target of a link in `by-name/`.
    pub fn link_target(&self, node_id: NodeId) -> Option<PathBuf> {
        let NodeKind::Link(format) = node_id.node else { return None };
        let (folder, number) = match node_id.of {
            Region::Row(i) => (super::array_directory::ROWS, self.row_name(i)),
            Region::Column(j) => (super::array_directory::COLUMNS, self.column_name(j)),
            Region::Whole => return None,
        };
        let format = match formats::format(format)?.extension() {
            "" => String::new(),
            format => format!(".{format}"),
        };
        Some(format!("../../{folder}/{number}{format}").into())
    }

    /// Number of positions in a directory of links.
    pub fn count_named(&self, folder: NodeKind) -> u64 {
        if folder == NodeKind::NamedRows { self.extent.rows } else { self.extent.columns }
    }

    /// Calls `visit` with the links of a directory, starting at position `first`, until it returns false.
    pub fn list_named(&self, folder: NodeId, axis_names: &AxisNames, first: u64, visit: &mut Visit<'_>) {
        for i in first..self.count_named(folder.node) {
            let (of, place) = match folder.node {
                NodeKind::NamedRows => (Region::Row(i), self.selection.rows().row(i)),
                _ => (Region::Column(i), i),
            };
            let name = axis_names.get(place);
            // A duplicate name is listed only once.
            let is_first = || {
                let first =
                    axis_names.find(name).and_then(|first| self.first_of(folder.node, axis_names, first));
                first == Some(of)
            };
            if name.is_empty() || axis_names.repeat() && !is_first() {
                continue;
            }
            let Some(name) = encode(name) else { continue };
            if !visit(i, &name, EntryKind::Link, Some(NodeId { of, node: NodeKind::Link(FormatId::RAW) })) {
                return;
            }
        }
    }
}

/// The row or column of the whole array for a file name.
fn place(axis_names: &AxisNames, text: &[u8]) -> Option<u64> {
    let find = |name: &[u8]| axis_names.find(std::str::from_utf8(name).ok()?);
    find(&decode(text)).or_else(|| find(text))
}

/// The file name for a name. None if it would be too long.
fn encode(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '/' => text.push_str("%2F"),
            '%' => text.push_str("%25"),
            '\0' => text.push_str("%00"),
            '.' if matches!(name, "." | "..") => text.push_str("%2E"),
            c => text.push(c),
        }
    }
    (text.len() <= LONGEST).then_some(text)
}

/// The name for a file name.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut name, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let code = match after {
            [high, low, after @ ..] if *first == b'%' => {
                digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (byte, after) = code.unwrap_or((*first, after));
        name.push(byte);
        rest = after;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_file_name_and_reads_back() {
        let cases = [
            ("FOXA1", "FOXA1"),
            ("HLA-A.1", "HLA-A.1"),
            ("Forebrain/Midbrain/Hindbrain", "Forebrain%2FMidbrain%2FHindbrain"),
            ("100%", "100%25"),
            ("100%25", "100%2525"),
            (".", "%2E"),
            ("..", "%2E%2E"),
            ("...", "..."),
            ("../x", "..%2Fx"),
            ("nul\0", "nul%00"),
            ("größe 数 🦀", "größe 数 🦀"),
        ];
        for (name, text) in cases {
            assert_eq!(encode(name).unwrap(), text);
            assert_eq!(decode(text.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn other_spellings_are_understood() {
        let cases = [
            ("a%2fb", "a/b"),
            ("%41", "A"),
            ("100%", "100%"),
            ("%2", "%2"),
            ("%zz%2F", "%zz/"),
            ("%%41", "%A"),
        ];
        for (text, name) in cases {
            assert_eq!(decode(text.as_bytes()), name.as_bytes(), "{text}");
        }
    }

    #[test]
    fn names_too_long_for_a_file_are_left_out() {
        assert!(encode(&"n".repeat(255)).is_some());
        assert_eq!(encode(&"n".repeat(256)), None);
        assert_eq!(encode(&"/".repeat(86)), None);
    }
}
