//! The tree as a FUSE file system. Nothing outside this module depends on `fuser`.
//!
//! The kernel can read whole files of the store itself ("passthrough"), but only on a connection that handles
//! `open`. On a connection without `open` it opens files without a request. One connection cannot do both. So
//! if this program may use passthrough, there are two: the outer one, and mounted inside it, in a directory
//! that no listing shows, the inner one. In the outer mount, `rows`, `cols`, `slices` and `by-name` of an
//! array are links into the inner one, so that a million small files can be read without a million opens.
//! Without passthrough, a single connection without `open` serves the tree, and there are no links.

mod adapter;
mod changes;
mod clients;
mod confine;
mod convert;
mod entries;
mod failures;
mod handles;
mod mounted;
pub mod mountpoint;
mod notifier;
mod passthrough;
mod ready_latch;
mod request;
mod room;
mod serving;
mod slow_pool;
mod watch;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Weak, mpsc};

use fuser::{Config, MountOption, Session, SessionACL};

use crate::store::generation::Listener;
use crate::tree::Tree;
use adapter::ArrayFs;
use confine::confine;
use mounted::{Ending, Event, Inner, Served, Side};
use mountpoint::Device;
use notifier::Connection;
use passthrough::Backings;
use ready_latch::ReadyLatch;
use watch::{Watch, Watching};

pub use convert::MOMENT;
pub use mounted::{Mounted, Teller};

/// Options of a mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether other users may access the mount. The kernel then checks permissions.
    pub allow_other: bool,
    /// Number of threads for each connection.
    pub threads: usize,
    /// Whether the kernel should read whole files itself, if possible.
    pub passthrough: bool,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, Into::into);
        Self { allow_other: false, threads: (2 * cores).clamp(8, 32), passthrough: true }
    }
}

/// Read-ahead of the kernel, in KiB, if we have permission to set it.
const READ_AHEAD_KIB: u32 = 1024;

/// Mounts a tree on the directory `mountpoint`: read-only, without devices, set-user-ID bits and program
/// execution. The mount is ready when this function returns.
///
/// # Errors
///
/// Any error of the system. See [`crate::fuse::mountpoint`] for the checks to make first.
pub fn mount(tree: &Tree, mountpoint: &Path, options: Options) -> io::Result<Mounted> {
    // Only root may use passthrough, and mount inside another mount.
    let why_not = match options.passthrough {
        true if nix::unistd::geteuid().is_root() => None,
        true => Some("only root may use it"),
        false => Some("switched off by --no-passthrough"),
    };
    let connections = if why_not.is_none() { 2 } else { 1 };
    room::check(connections * options.threads)?;
    if let Some(why) = why_not {
        return mount_single(tree, mountpoint, options, why);
    }
    let (linked, watch, events) = (tree.linked(), watch(tree), mpsc::channel());
    let backings = Backings::new(linked.clone());
    let inner = Inner {
        tree: tree.clone(),
        options,
        watch: watch.as_ref().map(Arc::downgrade).unwrap_or_default(),
        entries: Arc::default(),
        is_passthrough: backings.is_possible(),
    };
    let outer = ArrayFs::new(linked, Some(backings), watch.clone(), options.threads);
    // A program that comes early must not find links whose target is not mounted yet.
    let links = Arc::new(ReadyLatch::default());
    let outer = outer.with_links_behind(&links);
    let outer = serve(outer, tree, mountpoint, options, Ending::new(&events.0, 0))?;
    match inner.mount(mountpoint, &events.0, 1) {
        Ok(served) => {
            links.open();
            Ok(Mounted::new(tree, [outer, served], Some(inner), watch.as_deref(), events))
        }
        Err(error) => {
            mountpoint::unmount(mountpoint).map_err(io::Error::other)?;
            while events.1.recv().is_ok_and(|event| !matches!(event, Event::Ended(0, _))) {}
            log::warn!("no second mount inside the first, so no passthrough: {error}");
            mount_single(tree, mountpoint, options, "the system does not let one mount be inside another")
        }
    }
}

/// Mounts a tree with one connection, without passthrough. `why` is the reason.
fn mount_single(tree: &Tree, mountpoint: &Path, options: Options, why: &str) -> io::Result<Mounted> {
    if options.passthrough {
        log::warn!("no passthrough: {why}; all else works");
    }
    passthrough::describe(tree, Some(why));
    let (watch, events) = (watch(tree), mpsc::channel());
    let single = ArrayFs::new(tree.clone(), None, watch.clone(), options.threads);
    let single = serve(single, tree, mountpoint, options, Ending::new(&events.0, 0))?;
    Ok(Mounted::new(tree, [single], None, watch.as_deref(), events))
}

/// A watch for changes in the store, if the system provides one.
fn watch(tree: &Tree) -> Option<Arc<Watching>> {
    let without = |error: &io::Error| log::warn!("changes in the store show after a moment only: {error}");
    let watch = Arc::new(Watch::new(tree).inspect_err(without).ok()?);
    tree.store().generations().set_listener(Arc::downgrade(&watch) as Weak<dyn Listener>);
    Some(Arc::new(Watching(watch)))
}

fn serve(
    fs: ArrayFs,
    tree: &Tree,
    mountpoint: &Path,
    options: Options,
    ending: Ending,
) -> io::Result<Served> {
    let (entries, number) = (fs.entries(), ending.number);
    let session = Session::new(fs, mountpoint, &config(tree, options))?;
    let device = File::from(session.as_fd().try_clone_to_owned()?);
    let store = Arc::clone(tree.store());
    let (say, is_confined) = mpsc::channel();
    std::thread::Builder::new().name("serve".into()).spawn(move || {
        let _ = say.send(confine(&store));
        ending.with(run(session));
    })?;
    describe_rights(tree, is_confined.recv().map_err(io::Error::other)?);
    let side = Side::new(mountpoint, number).inspect_err(|_| drop(mountpoint::unmount(mountpoint)))?;
    if let Err(error) = read_ahead(side.device()) {
        log::debug!("the kernel keeps its own read-ahead: {error}");
    }
    // The kernel numbers connections by the minor device number of the mount.
    let connection = Connection { device, number: Some(side.device().minor()) };
    Ok(Served { connection, entries, side })
}

/// Serves a connection until it ends, but does not unmount: another mount may be in its place by then, and
/// `fuser` would unmount that one. This is why the session is taken apart.
fn run(session: Session<ArrayFs>) -> io::Result<()> {
    let nobody = std::thread::Builder::new().spawn(|| Ok(()))?;
    let mut served = session.spawn()?;
    let thread = std::mem::replace(&mut served.guard, nobody);
    std::mem::forget(served);
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that served has panicked")))
}

/// Records for `.arrayfs/mount.yaml` whether the serving threads are confined.
fn describe_rights(tree: &Tree, is_confined: Result<bool, impl std::fmt::Display>) {
    let why_not = match is_confined {
        Ok(true) => None,
        Ok(false) => Some("this kernel has none, or it is switched off".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = &why_not {
        log::info!("no Landlock: {why}");
    }
    tree.describe_mount("sandbox", why_not.as_deref());
}

fn config(tree: &Tree, options: Options) -> Config {
    let mut config = Config::default();
    let mut source = tree.store().path().to_string_lossy().into_owned();
    if !nix::unistd::geteuid().is_root() {
        // `fusermount3` takes all options in one argument, separated by commas.
        source = source.replace('\\', "\\\\").replace(',', "\\,");
    }
    config.mount_options = vec![
        MountOption::FSName(source),
        MountOption::CUSTOM("subtype=arrayfs".into()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
        MountOption::DefaultPermissions,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(options.threads.max(1));
    config
}

/// Raises the read-ahead of the kernel above 128 KiB, the limit of what a connection can request.
fn read_ahead(device: Device) -> io::Result<()> {
    fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), READ_AHEAD_KIB.to_string())
}
