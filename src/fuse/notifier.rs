//! Notifications to the kernel: that names expire or are invalid, and that its cache of a node is out of
//! date.
//!
//! To handle the invalidation of a name, the kernel waits for all lookups in that directory. To drop the
//! pages of a node, it waits for all reads that it has requested. If this process ended meanwhile, each would
//! wait for the other forever. Therefore it stops notifying before it ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::tree::Ino;

/// `FUSE_NOTIFY_INVAL_INODE` of `linux/fuse.h`.
const INVAL_INODE: i32 = 2;
/// `FUSE_NOTIFY_INVAL_ENTRY`.
const INVAL_ENTRY: i32 = 3;
/// `FUSE_NOTIFY_INC_EPOCH` (Linux 6.16): the kernel looks up all names again.
const INC_EPOCH: i32 = 8;
/// A flag of `INVAL_ENTRY`, `FUSE_EXPIRE_ONLY`: the kernel looks up the name again, but its users keep it.
const EXPIRE_ONLY: u32 = 1;

/// How long `stop` waits for notifications in progress before it aborts the connections.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends notifications on all connections.
#[derive(Debug)]
pub(super) struct Notifier {
    connections: RwLock<Connections>,
    sending: Mutex<Sending>,
    is_done: Condvar,
}

#[derive(Debug, Default)]
struct Connections {
    /// The current connection of each mount of the tree.
    current: Vec<Arc<Connection>>,
    /// Connections of mounts that were removed and restored. They may still have readers.
    replaced: Vec<Arc<Connection>>,
}

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Connection {
    /// The FUSE device of this connection.
    pub device: File,
    /// Its number in `/sys/fs/fuse/connections`, if it is known.
    pub number: Option<u64>,
}

#[derive(Debug, Default)]
struct Sending {
    count: usize,
    is_stopped: bool,
}

impl Notifier {
    pub fn new(connections: impl IntoIterator<Item = Connection>) -> Self {
        let current = connections.into_iter().map(Arc::new).collect();
        let connections = RwLock::new(Connections { current, ..Connections::default() });
        Self { connections, sending: Mutex::default(), is_done: Condvar::new() }
    }

    /// Replaces the last connection. The old one still gets notifications until it is
    /// [forgotten](Self::forget).
    pub fn replace_last(&self, connection: Connection) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = connections.current.pop() {
            connections.replaced.push(before);
        }
        connections.current.push(Arc::new(connection));
    }

    /// Removes a replaced connection, which has ended.
    pub fn forget(&self, number: u64) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        connections.replaced.retain(|connection| connection.number != Some(number));
    }

    /// Makes the kernel look up a name in a directory again on its next use.
    pub fn expire(&self, parent: Ino, name: &OsStr) {
        self.all().iter().for_each(|connection| {
            let _ = self.send_entry(connection, parent, name, EXPIRE_ONLY);
        });
    }

    /// Makes the kernel look up all names again. Returns false if it does not support this.
    pub fn expire_all(&self) -> bool {
        self.current().iter().all(|connection| self.send(connection, INC_EPOCH, &[]).is_ok())
    }

    /// Invalidates a name on the connection with this index. Its node goes with its last user.
    pub fn take_back(&self, connection: usize, parent: Ino, name: &OsStr) {
        if let Some(connection) = self.current().get(connection) {
            // This fails if the kernel does not know the name, which is fine.
            let _ = self.send_entry(connection, parent, name, 0);
        }
    }

    /// Invalidates the pages and attributes of a node.
    pub fn forget_content(&self, node: Ino) {
        let whole = [node.0.to_ne_bytes(), [0; 8], [0; 8]];
        let body = whole.as_flattened();
        self.all().iter().for_each(|connection| {
            let _ = self.send(connection, INVAL_INODE, &[body]);
        });
    }

    fn current(&self) -> Vec<Arc<Connection>> {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        connections.current.iter().chain(&connections.replaced).cloned().collect()
    }

    /// Stops all notifications, and returns when none is in progress. If that takes long, because a slow read
    /// is pending, it aborts the connections.
    pub fn stop(&self) {
        let mut sending = self.lock();
        sending.is_stopped = true;
        let is_busy = |sending: &mut Sending| sending.count > 0;
        let waited = self.is_done.wait_timeout_while(sending, PATIENCE, is_busy);
        let (sending, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            self.all().iter().for_each(|connection| connection.abort());
            drop(self.is_done.wait_timeout_while(sending, PATIENCE, is_busy));
        }
    }

    fn send_entry(&self, connection: &Connection, parent: Ino, name: &OsStr, flags: u32) -> io::Result<()> {
        let length = u32::try_from(name.len()).map_err(io::Error::other)?;
        let mut head = [0; 16];
        head[..8].copy_from_slice(&parent.0.to_ne_bytes());
        head[8..12].copy_from_slice(&length.to_ne_bytes());
        head[12..].copy_from_slice(&flags.to_ne_bytes());
        self.send(connection, INVAL_ENTRY, &[&head, name.as_bytes(), &[0]])
    }

    /// Sends a notification, unless they were stopped. `fuser` does not support all of them.
    fn send(&self, connection: &Connection, kind: i32, body: &[&[u8]]) -> io::Result<()> {
        self.begin()?;
        let sent = connection.send(kind, body);
        self.lock().count -= 1;
        self.is_done.notify_all();
        sent
    }

    fn begin(&self) -> io::Result<()> {
        let mut sending = self.lock();
        if sending.is_stopped {
            return Err(io::ErrorKind::Interrupted.into());
        }
        sending.count += 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn send(&self, kind: i32, body: &[&[u8]]) -> io::Result<()> {
        let length = 16 + body.iter().map(|part| part.len()).sum::<usize>();
        let mut head = [0; 16];
        head[..4].copy_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_ne_bytes());
        head[4..8].copy_from_slice(&kind.to_ne_bytes());
        let parts: Vec<_> =
            std::iter::once(&head[..]).chain(body.iter().copied()).map(IoSlice::new).collect();
        (&self.device).write_vectored(&parts).map(drop)
    }

    /// Aborts the connection, which ends all requests in progress.
    fn abort(&self) {
        if let Some(number) = self.number
            && let Err(error) = fs::write(format!("/sys/fs/fuse/connections/{number}/abort"), "1")
        {
            log::warn!("the connection to the kernel cannot be cut: {error}");
        }
    }
}
