//! What the kernel is told without having asked: that names expire or go, that what it keeps of a node is no
//! longer so.
//!
//! To hear of a name the kernel waits until nobody asks this program for one in that folder, and to let go of a
//! node's pages until those that it asked for have come. Were this program to end meanwhile, each would wait for the
//! other for ever: so it stops telling before it ends.

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
/// `FUSE_NOTIFY_INC_EPOCH` (Linux 6.16): all names are asked for anew.
const INC_EPOCH: i32 = 8;
/// A flag of `INVAL_ENTRY`, `FUSE_EXPIRE_ONLY`: the name is asked for anew, and not taken from who is inside.
const EXPIRE_ONLY: u32 = 1;

/// How long the end waits for the kernel to have heard what it is being told, before it is made to hear.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells the kernel by each of the connections to it.
#[derive(Debug)]
pub(super) struct Notifier {
    connections: RwLock<Connections>,
    sending: Mutex<Sending>,
    is_done: Condvar,
}

#[derive(Debug, Default)]
struct Connections {
    /// Of each mount of the tree, the one that it has now.
    current: Vec<Arc<Connection>>,
    /// Those of mounts that were taken away and made anew: there may be some who read by them still.
    replaced: Vec<Arc<Connection>>,
}

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Connection {
    /// The device, for this connection.
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

    /// Puts a connection in the place of the last one, which is told of changes on until it is
    /// [forgotten](Self::forget).
    pub fn replace_last(&self, connection: Connection) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = connections.current.pop() {
            connections.replaced.push(before);
        }
        connections.current.push(Arc::new(connection));
    }

    /// Forgets a connection that was replaced, by its number: it has ended.
    pub fn forget(&self, number: u64) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        connections.replaced.retain(|connection| connection.number != Some(number));
    }

    /// Has a name in a folder asked for anew, when it is next walked over.
    pub fn expire(&self, parent: Ino, name: &OsStr) {
        self.all().iter().for_each(|connection| {
            let _ = self.send_entry(connection, parent, name, EXPIRE_ONLY);
        });
    }

    /// Has all names asked for anew; false where the kernel does not know how.
    pub fn expire_all(&self) -> bool {
        self.current().iter().all(|connection| self.send(connection, INC_EPOCH, &[]).is_ok())
    }

    /// Takes a name from the connection of this place; what it stands for goes with its last user.
    pub fn take_back(&self, connection: usize, parent: Ino, name: &OsStr) {
        if let Some(connection) = self.current().get(connection) {
            // A name that the kernel does not know needs no telling.
            let _ = self.send_entry(connection, parent, name, 0);
        }
    }

    /// Has the kernel let go of the pages and attributes that it keeps of a node.
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

    /// Tells nothing any more, and returns when the kernel has heard what it was being told. If that takes long, for
    /// somebody waits for what is slowly read, the connections are cut.
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

    /// Sends a message of this kind, unless there are to be none. `fuser` does not know all of them.
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

    /// Ends all that the kernel waits for on this connection.
    fn abort(&self) {
        if let Some(number) = self.number
            && let Err(error) = fs::write(format!("/sys/fs/fuse/connections/{number}/abort"), "1")
        {
            log::warn!("the connection to the kernel cannot be cut: {error}");
        }
    }
}
