//! Words on standard error. It may be full, or gone, or a pipe that nobody reads: that stops nothing.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use nix::sys::signal::SigSet;

/// Says a line.
pub fn say(words: impl Display) {
    let _ = io::stderr().write_all(format!("{words}\n").as_bytes());
}

/// A log for those who must not wait: what nobody takes is dropped.
pub struct Log(SyncSender<Vec<u8>>);

impl Log {
    /// Messages that wait to be taken.
    const MOST: usize = 1024;

    pub fn start() -> io::Result<Self> {
        let (sender, messages) = sync_channel::<Vec<u8>>(Self::MOST);
        thread::Builder::new().name("log".into()).spawn(move || {
            // They are for others, and would end the process here.
            let _ = SigSet::all().thread_block();
            for message in messages {
                let _ = io::stderr().write_all(&message);
            }
        })?;
        Ok(Self(sender))
    }
}

impl Write for Log {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(message.to_vec());
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
