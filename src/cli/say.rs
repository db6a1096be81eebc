//! Words on standard error. It may be full, or gone: that stops nothing.

use std::fmt::Display;
use std::io::{self, Write};

/// Says a line.
pub fn say(words: impl Display) {
    let _ = io::stderr().write_all(format!("{words}\n").as_bytes());
}
