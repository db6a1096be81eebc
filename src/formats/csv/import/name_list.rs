//! Lists of names, one per line, in the form in which a store keeps them.

use crate::array::names::{LONGEST_NAME, oddities};

/// Limit on the bytes of all names. The reader would reject a longer file.
const MOST_BYTES: usize = 1 << 30;

/// Limit on the bytes of names that are checked for duplicates, because the check takes as much memory again.
const MOST_COMPARED: usize = 256 << 20;

/// The names found in the file.
#[derive(Default)]
pub(super) struct NameList {
    /// Each name, followed by a newline.
    pub lines: Vec<u8>,
    count: u64,
    /// Number of names that had line breaks. Those are spaces now, because a line break ends a name.
    pub unfolded: u64,
}

impl NameList {
    /// Appends a name.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be kept.
    pub fn push(&mut self, name: &[u8]) -> Result<(), String> {
        if name.len() as u64 > LONGEST_NAME {
            return Err(format!("a name of {} bytes: {LONGEST_NAME} are the most", name.len()));
        }
        if self.lines.len() + name.len() >= MOST_BYTES {
            return Err(format!("more than {} MiB of names (--row-names no)", MOST_BYTES >> 20));
        }
        self.lines.try_reserve(name.len() + 1).map_err(|_| "there is no memory for the names")?;
        let start = self.lines.len();
        self.lines.extend_from_slice(name);
        let mut is_unfolded = false;
        for byte in &mut self.lines[start..] {
            if matches!(byte, b'\n' | b'\r') {
                (*byte, is_unfolded) = (b' ', true);
            }
        }
        self.unfolded += u64::from(is_unfolded);
        self.lines.push(b'\n');
        self.count += 1;
        Ok(())
    }

    /// Notes about the names and anything unusual in them. `of` says what they name: rows or columns.
    pub fn notes(&self, of: &str) -> Vec<String> {
        let mut notes = vec![format!("names of {of}: {}", self.shown())];
        if self.lines.len() <= MOST_COMPARED {
            notes.extend(oddities(&self.lines, self.count).iter().map(|odd| format!("names of {of}: {odd}")));
        }
        if self.unfolded > 0 {
            notes.push(format!(
                "names of {of}: {} had more than one line, and have blanks there now",
                self.unfolded
            ));
        }
        notes
    }

    /// The first few, for messages.
    fn shown(&self) -> String {
        let mut names = self.lines.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let name: String = String::from_utf8_lossy(line.trim_ascii_end()).chars().take(20).collect();
            name
        });
        let first: Vec<_> = names.by_ref().take(3).collect();
        let more = if names.next().is_some() { ", …" } else { "" };
        format!("{}{more}", first.join(", "))
    }
}
