//! Messages on standard error. Errors are ignored: a full disk or a closed terminal must not stop a
//! command.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints a line.
pub fn say(words: impl Display) {
    let _ = io::stderr().write_all(format!("{words}\n").as_bytes());
}
