//! The log of a mount.
//!
//! Readers of the mount must never wait for the log. Its disk may be full, or it may be a pipe that nobody
//! reads. So a thread of its own writes the messages, and messages that do not fit into its queue are lost.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use log::{Level, Log, Metadata, Record};
use nix::sys::signal::SigSet;

/// Capacity of the queue of messages.
const MOST: usize = 1024;
/// How long a flush waits for earlier messages.
const PATIENCE: Duration = Duration::from_millis(500);
/// The socket of the system log.
const SYSTEM: &str = "/dev/log";
/// The syslog facility for daemons, to be added to the severity; see RFC 3164, section 4.1.1.
const DAEMON: u8 = 3 << 3;

/// Starts the log of a mount. Until it is [settled](MountLog::settle), messages also go to standard error.
pub fn start(filter: env_logger::Logger, file: Option<&Path>) -> Result<MountLog> {
    let open = |path: &Path| {
        let mut options = File::options();
        // Mode 0600: messages may name files in directories that other users cannot read. `O_NONBLOCK`:
        // never wait for the reader of a pipe.
        options.append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
        options.open(path).with_context(|| format!("cannot open the log {}", path.display()))
    };
    let file = file.map(open).transpose()?;
    let (sender, messages) = sync_channel(MOST);
    let is_settled = Arc::new(AtomicBool::new(false));
    let outlets = Outlets { file, system: System::default(), is_settled: Arc::clone(&is_settled) };
    thread::Builder::new().name("log".into()).spawn(move || outlets.serve(&messages))?;
    log::set_max_level(filter.filter());
    log::set_boxed_logger(Box::new(Sender { filter, sender }))?;
    // The default hook prints to the terminal, which goes away.
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    Ok(MountLog { is_settled })
}

/// The log of a mount.
pub struct MountLog {
    is_settled: Arc<AtomicBool>,
}

impl MountLog {
    /// From now on, messages go only to the file, or to the system log: nobody is at the terminal any more.
    pub fn settle(&self) {
        log::logger().flush();
        self.is_settled.store(true, Ordering::Release);
    }
}

enum Message {
    Words {
        when: SystemTime,
        level: Level,
        target: String,
        words: String,
    },
    /// Replied to when all earlier messages are written.
    Flush(SyncSender<()>),
}

/// Accepts messages from all threads, and never blocks.
struct Sender {
    filter: env_logger::Logger,
    sender: SyncSender<Message>,
}

impl Log for Sender {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.matches(record) {
            let (level, target) = (record.level(), record.target().to_owned());
            let words = record.args().to_string();
            let _ = self.sender.try_send(Message::Words { when: SystemTime::now(), level, target, words });
        }
    }

    /// Waits at most [`PATIENCE`].
    fn flush(&self) {
        let (start, (say, said)) = (Instant::now(), sync_channel(1));
        let mut flush = Message::Flush(say);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(flush) {
            if start.elapsed() > PATIENCE {
                return;
            }
            flush = back;
            thread::sleep(Duration::from_millis(10));
        }
        let _ = said.recv_timeout(PATIENCE.saturating_sub(start.elapsed()));
    }
}

/// The destinations of messages.
struct Outlets {
    file: Option<File>,
    system: System,
    is_settled: Arc<AtomicBool>,
}

impl Outlets {
    fn serve(mut self, messages: &Receiver<Message>) {
        // Signals are for other threads. Here, SIGPIPE, for example, would end the process.
        let _ = SigSet::all().thread_block();
        for message in messages {
            match message {
                Message::Words { when, level, target, words } => self.put(when, level, &target, &words),
                Message::Flush(say) => drop(say.try_send(())),
            }
        }
    }

    fn put(&mut self, when: SystemTime, level: Level, target: &str, words: &str) {
        let is_settled = self.is_settled.load(Ordering::Acquire);
        let line = format!("[{} {level:<5} {target}] {words}\n", stamp(when));
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line.as_bytes());
        } else if is_settled {
            self.system.put(level, words);
        }
        if !is_settled {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// The connection to the system log, if there is one.
#[derive(Default)]
struct System(Option<UnixDatagram>);

impl System {
    /// Sends a message as specified by RFC 3164, without a time: the system log adds the time of arrival.
    fn put(&mut self, level: Level, words: &str) {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        let message = format!("<{}>arrayfs[{}]: {words}", DAEMON + severity, std::process::id());
        if !self.send(message.as_bytes()) {
            // The system log may have been restarted.
            self.0 = Self::connect().ok();
            self.send(message.as_bytes());
        }
    }

    fn send(&self, message: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|socket| socket.send(message).is_ok())
    }

    fn connect() -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SYSTEM)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

/// Formats a time as RFC 3339 does, in UTC and without fractions of a second.
fn stamp(when: SystemTime) -> String {
    let seconds = when.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Count years from March, so that the leap day comes last. 400 years are 146,097 days.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * era + year + later;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_others_write_it() {
        // From `date -u -d @SECONDS +%FT%TZ`.
        let moments = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in moments {
            assert_eq!(stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
