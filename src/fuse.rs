//! The tree as a file system of the kernel's. Nothing outside this module names `fuser`.
//!
//! The kernel reads whole files of the store by itself ("passthrough") on a connection on which files
//! are opened, and opens files without asking on one that knows no `open`; one connection cannot
//! do both. So where this program may use passthrough there are two: the outer one, and inside it,
//! in a directory that no listing shows, the inner one. In the outer, `rows`, `cols`, `slices` and `by-name`
//! of an array are links into the inner one, so that a million small files are read without a million opens.
//! Where it may not, the tree is served by one connection without `open`, and has no links.

mod adapter;
mod clients;
mod confine;
mod convert;
mod entries;
mod failures;
mod gate;
mod passthrough;
mod request;
mod serving;
mod slow_pool;
mod watch;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use fuser::{Config, MountOption, Session, SessionACL};

use crate::mountpoint;
use crate::tree::Tree;
use adapter::ArrayFs;
use confine::confine;
use entries::Entries;
use gate::Gate;
use passthrough::Backings;
use watch::Watch;

pub use convert::MOMENT;

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether other users than the one who mounts may come in; the kernel then checks the modes.
    pub allow_other: bool,
    /// Threads that serve each connection.
    pub threads: usize,
    /// Whether the kernel is to read whole files by itself, if it may.
    pub passthrough: bool,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, Into::into);
        Self { allow_other: false, threads: (2 * cores).clamp(8, 32), passthrough: true }
    }
}

/// Bytes that the kernel reads ahead, where we may tell it.
const READ_AHEAD_KIB: u32 = 1024;

/// A mounted tree, served by threads of its own.
#[derive(Debug)]
pub struct Mounted {
    served: Vec<JoinHandle<io::Result<()>>>,
    teller: Teller,
}

/// What tells the kernel of changes in the store.
#[derive(Clone, Debug, Default)]
pub struct Teller(Weak<Watch>);

impl Teller {
    /// Tells nothing any more. To be called before the process ends while the tree is mounted, lest the kernel
    /// waits for ever for a process that is gone.
    pub fn stop(&self) {
        if let Some(watch) = self.0.upgrade() {
            watch.stop();
        }
    }
}

impl Mounted {
    /// What these connections serve; from here on they are told of changes in the store.
    fn new<const N: usize>(tree: &Tree, served: [Served; N], watch: Option<Arc<Watch>>) -> Self {
        let (served, connections) =
            served.into_iter().map(|served| (served.thread, (served.connection, served.entries))).unzip();
        let teller = Teller(watch.as_ref().map(Arc::downgrade).unwrap_or_default());
        if let Some(Err(error)) = watch.map(|watch| watch.start(tree, connections)) {
            log::warn!("changes in the store show after a moment only: {error}");
        }
        Self { served, teller }
    }

    /// What tells the kernel of changes.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Waits until the tree is unmounted, by whomever, and nobody reads it any more.
    ///
    /// # Errors
    ///
    /// What the connection to the kernel ended with, if not an unmount.
    pub fn wait(self) -> io::Result<()> {
        let panicked = |_| Err(io::Error::other("a thread that served has panicked"));
        self.served.into_iter().try_for_each(|served| served.join().unwrap_or_else(panicked))
    }
}

/// Mounts a tree on the directory `mountpoint`: read-only, without devices, set-id bits and programs.
/// When this returns, the mount is ready.
///
/// # Errors
///
/// Whatever the system says; see [`crate::mountpoint`] for the checks to make first.
pub fn mount(tree: &Tree, mountpoint: &Path, options: Options) -> io::Result<Mounted> {
    // The kernel lets nobody else use passthrough, nor mount one thing inside another.
    let why_not = match options.passthrough {
        true if nix::unistd::geteuid().is_root() => None,
        true => Some("only root may use it"),
        false => Some("switched off by --no-passthrough"),
    };
    if let Some(why) = why_not {
        return mount_single(tree, mountpoint, options, why);
    }
    let linked = tree.linked();
    let watch = watch(tree);
    let outer = ArrayFs::new(linked.clone(), Some(Backings::new(linked)), watch.clone(), options.threads);
    // Whoever comes early must not find links that lead nowhere yet.
    let links = Arc::new(Gate::default());
    let outer = serve(outer.with_links_behind(&links), tree, mountpoint, options)?;
    let inner = ArrayFs::new(tree.clone(), None, watch.clone(), options.threads);
    match serve(inner, tree, &mountpoint.join(Tree::inner()), options) {
        Ok(inner) => {
            links.open();
            Ok(Mounted::new(tree, [outer, inner], watch))
        }
        Err(error) => {
            mountpoint::unmount(mountpoint).map_err(io::Error::other)?;
            let _ = outer.thread.join();
            log::warn!("no second mount inside the first, so no passthrough: {error}");
            mount_single(tree, mountpoint, options, "the system does not let one mount be inside another")
        }
    }
}

/// Mounts a tree by one connection, without passthrough and for this reason.
fn mount_single(tree: &Tree, mountpoint: &Path, options: Options, why: &str) -> io::Result<Mounted> {
    if options.passthrough {
        log::warn!("no passthrough: {why}; all else works");
    }
    passthrough::describe(tree, Some(why));
    let watch = watch(tree);
    let single =
        serve(ArrayFs::new(tree.clone(), None, watch.clone(), options.threads), tree, mountpoint, options)?;
    Ok(Mounted::new(tree, [single], watch))
}

/// A watch for changes in the store, if the system has one for us.
fn watch(tree: &Tree) -> Option<Arc<Watch>> {
    let without = |error: &io::Error| log::warn!("changes in the store show after a moment only: {error}");
    Watch::new(tree).inspect_err(without).ok()
}

/// A connection that is served.
struct Served {
    thread: JoinHandle<io::Result<()>>,
    connection: File,
    entries: Arc<Entries>,
}

fn serve(fs: ArrayFs, tree: &Tree, mountpoint: &Path, options: Options) -> io::Result<Served> {
    let entries = fs.entries();
    let session = Session::new(fs, mountpoint, &config(tree, options))?;
    let connection = File::from(session.as_fd().try_clone_to_owned()?);
    let store = tree.store().path().to_owned();
    let (say, is_confined) = mpsc::channel();
    // Not `Session::spawn`: that unmounts where it is dropped, and this mount outlives its maker.
    let thread = std::thread::Builder::new().name("serve".into()).spawn(move || {
        let _ = say.send(confine(&store));
        session.run()
    })?;
    describe_rights(tree, is_confined.recv().map_err(io::Error::other)?);
    if let Err(error) = read_ahead(mountpoint) {
        log::debug!("the kernel keeps its own read-ahead: {error}");
    }
    Ok(Served { thread, connection, entries })
}

/// Puts down for `.arrayfs/mount.yaml` whether the threads that serve are held to what they need.
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
        // Options go to `fusermount3` as one text.
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

/// Makes the kernel read ahead by more than the 128 KiB that a connection can ask for.
fn read_ahead(mountpoint: &Path) -> io::Result<()> {
    let device = fs::metadata(mountpoint)?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), READ_AHEAD_KIB.to_string())
}
