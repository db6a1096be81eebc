//! Names, one a line, as they are kept beside an array.

use crate::array::names::{LONGEST_NAME, oddities};

/// The most bytes that are kept of all names: more would not be read.
const MOST_BYTES: usize = 1 << 30;

/// The most bytes of names that are held against each other, which takes as many again.
const MOST_COMPARED: usize = 256 << 20;

/// Names as the file has them.
#[derive(Default)]
pub(super) struct NameList {
    /// Each and a newline.
    pub lines: Vec<u8>,
    count: u64,
    /// Names with ends of lines in them, which are blanks now.
    pub unfolded: u64,
}

impl NameList {
    /// Takes one more name.
    ///
    /// # Errors
    ///
    /// Why it cannot be kept.
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

    /// What they are, and what is odd about them; `of` says whose they are.
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

    /// The first few, for people.
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
