//! Progress of long work, shown only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar for this many bytes, with a message.
pub fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
