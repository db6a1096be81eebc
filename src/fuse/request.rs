//! A kernel request on its way to a reply: its description, and its form for the pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use fuser::{
    Errno, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek,
    ReplyOpen, ReplyStatfs,
};

use super::serving::Serving;
use super::slow_pool::{Work, tell_panic};
use crate::error::{Error, Result};
use crate::task;
use crate::tree::Ino;

/// A way to reply to a request.
pub(super) trait Reply: Send + 'static {
    /// Replies with an error.
    fn refuse(self, errno: Errno);
}

macro_rules! replies {
    ($($reply:ty),*) => {$(
        impl Reply for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        }
    )*};
}

replies!(
    ReplyAttr,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLseek,
    ReplyOpen,
    ReplyStatfs
);

/// The operation, the node, and the requester.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The operation as a verb, for messages.
    pub operation: &'static str,
    pub node: Ino,
    /// The ID of the requesting thread. It is 0 if the thread is in another PID namespace.
    pub client: u32,
}

/// Handles a request. A panic is a bug in this program, but must fail only this request. `fuser` replies with
/// EIO when the reply is dropped.
pub(super) fn guarded(operation: &'static str, handle: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(handle)) {
        tell_panic(operation, &*panic);
    }
}

/// A reply that is used once: by the thread with the result, or when nobody waits for it any more.
struct Slot<R>(Mutex<Option<R>>);

impl<R: Reply> Slot<R> {
    fn new(reply: R) -> Self {
        Self(Mutex::new(Some(reply)))
    }

    fn take(&self) -> Option<R> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refuse(&self, errno: Errno) {
        if let Some(reply) = self.take() {
            reply.refuse(errno);
        }
    }
}

/// Replies with a result. There is no reply if nobody waits for it any more.
pub(super) type Answer<R, T> = fn(&Serving, Request, Option<R>, T);

/// A request for the pool: `work` computes the result, and `answer` replies with it.
pub(super) struct Pooled<R, T, W> {
    serving: Arc<Serving>,
    request: Request,
    reply: Slot<R>,
    work: W,
    answer: Answer<R, T>,
}

impl<R: Reply, T, W> Pooled<R, T, W> {
    pub fn new(serving: &Arc<Serving>, request: Request, reply: R, work: W, answer: Answer<R, T>) -> Self {
        Self { serving: Arc::clone(serving), request, reply: Slot::new(reply), work, answer }
    }
}

impl<R: Reply, T, W: Fn(&Serving) -> Result<T> + Send + Sync> Work for Pooled<R, T, W> {
    fn run(&self) -> Result<()> {
        let done = (self.work)(&self.serving);
        task::finished()?;
        match done {
            Ok(done) => (self.answer)(&self.serving, self.request, self.reply.take(), done),
            Err(Error::Unfinished) => return Err(Error::Unfinished),
            Err(error) => self.reply.refuse(self.serving.errno(self.request, &error)),
        }
        Ok(())
    }

    fn refuse(&self, errno: Errno) {
        self.reply.refuse(errno);
    }

    fn name(&self) -> &'static str {
        self.request.operation
    }
}

/// A read request for the pool.
pub(super) struct PooledRead {
    serving: Arc<Serving>,
    request: Request,
    offset: u64,
    length: usize,
    reply: Slot<ReplyData>,
}

impl PooledRead {
    pub fn new(
        serving: &Arc<Serving>,
        request: Request,
        offset: u64,
        length: usize,
        reply: ReplyData,
    ) -> Self {
        Self { serving: Arc::clone(serving), request, offset, length, reply: Slot::new(reply) }
    }
}

impl Work for PooledRead {
    fn run(&self) -> Result<()> {
        let answer = &mut |bytes: &[u8]| {
            if let Some(reply) = self.reply.take() {
                reply.data(bytes);
            }
        };
        match self.serving.read(self.request.node, self.offset, self.length, answer) {
            Err(error) if !task::is_unfinished() && !matches!(error, Error::Unfinished) => {
                self.reply.refuse(self.serving.errno(self.request, &error));
                Ok(())
            }
            done => done,
        }
    }

    fn refuse(&self, errno: Errno) {
        self.reply.refuse(errno);
    }

    fn name(&self) -> &'static str {
        self.request.operation
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::time::Duration;

    use fuser::{Config, FileAttr, FileHandle, FileType, Filesystem, INodeNo, Session};

    use super::*;

    /// A file system with a bug.
    struct Faulty;

    impl Filesystem for Faulty {
        fn lookup(&self, _: &fuser::Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
            guarded("lookup", move || match name == "faulty" {
                true => panic!("on purpose"),
                false => reply.error(Errno::ENOENT),
            });
        }

        fn getattr(&self, _: &fuser::Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
            let attr = FileAttr {
                kind: FileType::Directory,
                perm: 0o555,
                ..crate::fuse::convert::bare_attr(Ino(number.0), crate::tree::EntryKind::Directory)
            };
            guarded("getattr", move || reply.attr(&Duration::ZERO, &attr));
        }
    }

    #[test]
    fn a_panic_in_a_handler_is_an_error_and_costs_no_thread() {
        if !Path::new("/dev/fuse").exists() || !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a mount of its own needs root and FUSE");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.n_threads = Some(1);
        let mounted = Session::new(Faulty, dir.path(), &config).unwrap().spawn().unwrap();
        let errno = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap_err().raw_os_error();
        for _ in 0..3 {
            assert_eq!(errno("faulty"), Some(libc::EIO));
            assert_eq!(errno("none"), Some(libc::ENOENT));
        }
        mounted.umount_and_join().unwrap();
    }
}
