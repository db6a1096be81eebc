//! `arrayfs mount`: serves a store in the background or in the foreground.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use arrayfs::array::format_id::Formats;
use arrayfs::array::names::{idle_axes, idle_words};
use arrayfs::daf::memory_mapping::allow_maximal_open_files;
use arrayfs::error::shown;
use arrayfs::fuse::mountpoint::{self, MountpointState};
use arrayfs::fuse::{self, Mounted, Options};
use arrayfs::store::mmap::{map_large_buffers, spare_addresses};
use arrayfs::tree::Tree;
use nix::sys::signal::{SigSet, Signal};

use super::mount_log;
use super::say::say;

/// Mount a store as a folder tree; returns when it is ready
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs mount data/pbmc68k /tmp/a
  arrayfs mount --formats npy,csv data/pbmc68k /tmp/a   no other formats
  arrayfs mount --foreground data/pbmc68k /tmp/a      until Ctrl-C
  arrayfs mount --allow-other data/pbmc68k /mnt/data  for all users, as far as the store's modes let them
  arrayfs -v mount --log-file a.log data/pbmc68k /tmp/a

Unmount with `arrayfs unmount /tmp/a`. What is broken in the store, and why, is in
/tmp/a/.arrayfs/errors.yaml; mount.yaml beside it says whether the kernel reads raw files by itself.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
    /// An empty directory outside the store
    mountpoint: PathBuf,
    /// Stay in the foreground until interrupted or unmounted
    #[arg(long)]
    foreground: bool,
    /// Let other users in; modes and owners are those of the store, and are enforced
    #[arg(long)]
    allow_other: bool,
    /// Threads that serve, 1 to 256 [default: two for each core, 8 to 32]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Formats to offer, with commas between, such as npy,csv; raw files, meta.yaml and README.md are
    /// always there [default: all]
    #[arg(long, alias = "views", value_name = "FORMATS", value_delimiter = ',')]
    formats: Option<Vec<String>>,
    /// Have no file read by the kernel itself, as for whoever is not root; the tree then has no links
    #[arg(long)]
    no_passthrough: bool,
    /// Append what the mount has to say to this file (-v and -vv: more); without it a mount in the
    /// foreground says it on standard error, and one in the background tells the system's log
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// The mount's own process: say on standard output when it is ready, then let go of the terminal
    #[arg(long, hide = true)]
    background_child: bool,
}

/// What the background process writes to standard output when the mount is ready.
const READY: &[u8] = b"ready\n";

/// How long a mount that was asked to end waits for readers.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn run(args: &Args, verbose: u8) -> Result<ExitCode> {
    // Before it is made: the directory has to be empty.
    if let Some(log) = &args.log_file
        && mountpoint::would_hide(&args.mountpoint, log)
    {
        let log = shown(log);
        bail!("{log}: the log cannot be inside the mountpoint, which would hide it; put it somewhere else");
    }
    if args.foreground || args.background_child { serve(args, verbose) } else { start(args, verbose) }
}

/// Starts the server process, and waits until it is ready or has failed.
fn start(args: &Args, verbose: u8) -> Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let mut child = Command::new(program);
    child.arg("mount").arg("--background-child");
    child.args((0..verbose).map(|_| "-v"));
    if let Some(file) = &args.log_file {
        child.arg("--log-file").arg(std::path::absolute(file)?);
    }
    child.args(args.allow_other.then_some("--allow-other"));
    child.args(args.formats.as_ref().map(|formats| format!("--formats={}", formats.join(","))));
    child.args(args.no_passthrough.then_some("--no-passthrough"));
    child.args(args.threads.map(|threads| format!("--threads={threads}")));
    child.arg("--").arg(std::path::absolute(&args.store)?).arg(std::path::absolute(&args.mountpoint)?);
    let mut child =
        child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the server")?;
    let mut said = Vec::new();
    child.stdout.take().context("the server has no standard output")?.read_to_end(&mut said)?;
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    // The server has printed the reason to the shared standard error. If a signal killed it, it could not
    // unmount.
    let status = child.wait().context("cannot wait for the server")?;
    if status.signal().is_some() {
        let _ = mountpoint::unmount(&args.mountpoint);
        say(format_args!("arrayfs: not mounted: the server was ended by {status}"));
    }
    Ok(ExitCode::FAILURE)
}

fn serve(args: &Args, verbose: u8) -> Result<ExitCode> {
    map_large_buffers();
    spare_addresses();
    ignore_broken_leases();
    if args.background_child {
        nix::unistd::setsid().context("cannot leave the terminal")?;
    }
    // Block signals before any thread starts, so that only `wait` receives them.
    let signals = block_signals()?;
    let log = mount_log::start(super::log_of(verbose).build(), args.log_file.as_deref())?;
    // A panic fails only one request. So log it like any other problem, on one line.
    std::panic::set_hook(Box::new(|panic| log::error!("{}", panic.to_string().replace('\n', " "))));
    let mut options = Options { allow_other: args.allow_other, ..Options::default() };
    options.passthrough = !args.no_passthrough;
    options.threads = args.threads.map_or(options.threads, usize::from);
    let formats = args.formats.as_deref().map_or(Ok(Formats::ALL), arrayfs::formats::formats)?;
    let tree = Tree::open(&args.store)?.in_formats(formats);
    let mounted = mount(&tree, &args.mountpoint, options)?;
    if args.background_child {
        log.settle();
        say_ready().context("cannot tell that the mount is ready")?;
    } else {
        if args.log_file.is_some() {
            log.settle();
        }
        let words = format!("arrayfs: mounted on {}; Ctrl-C unmounts", args.mountpoint.display());
        // On another thread: a blocked terminal must not keep this one from waiting for signals.
        std::thread::Builder::new().name("say".into()).spawn(|| say(words))?;
    }
    log::info!("{} is mounted on {}", tree.store().path().display(), args.mountpoint.display());
    wait(mounted, &args.mountpoint, &signals, !args.background_child)
}

/// Mounts a tree. First runs all checks that are possible in advance.
pub fn mount(tree: &Tree, mountpoint: &Path, options: Options) -> Result<Mounted> {
    if mountpoint::prepare(mountpoint, tree.store().path())? == MountpointState::Cleared {
        say(format_args!("arrayfs: {}: cleared a dead mount whose server was gone", mountpoint.display()));
    }
    for file in idle_axes(tree.store(), Path::new("")).unwrap_or_default() {
        say(format_args!("arrayfs: {}", idle_words(&file)));
    }
    if let Err(error) = allow_maximal_open_files() {
        log::warn!("{error}");
    }
    fuse::mount(tree, mountpoint, options).map_err(|error| explain(&error))
}

/// Explains a system error, and what the user can do about it.
fn explain(error: &io::Error) -> anyhow::Error {
    let device = Path::new("/dev/fuse");
    let advice = match error.kind() {
        _ if !device.exists() => "there is no /dev/fuse here; load the kernel's module with `modprobe fuse`",
        _ if error.to_string().contains("user_allow_other") => {
            "add the line user_allow_other to /etc/fuse.conf, or mount without --allow-other"
        }
        io::ErrorKind::OutOfMemory => {
            "the system gives too little memory for the threads that serve, or too few of them; raise its limits \
             (`ulimit -v`, `ulimit -u`), or have fewer (`--threads`)"
        }
        io::ErrorKind::NotFound => "mounting without root needs fusermount3; install the package fuse3",
        io::ErrorKind::PermissionDenied => "the system does not let this user use /dev/fuse",
        _ => "the system refused",
    };
    anyhow!("cannot mount: {advice} ({})", error.to_string().trim())
}

/// Blocks SIGINT, SIGTERM and SIGHUP, the signals that end a mount.
pub fn block_signals() -> Result<SigSet> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    Ok(signals)
}

/// Ignores SIGIO, the signal for a broken lease, because its default action kills the process. Another
/// program that opens a file of the store for writing breaks a lease; this must not end the mount.
#[allow(unsafe_code)]
fn ignore_broken_leases() {
    // SAFETY: no other code has a handler for SIGIO, and there is only one thread.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGIO, nix::sys::signal::SigHandler::SigIgn) };
}

/// Notifies the waiting parent process, and detaches from its terminal and directory.
fn say_ready() -> io::Result<()> {
    io::stdout().write_all(READY)?;
    io::stdout().flush()?;
    std::env::set_current_dir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

/// Waits for a signal, or until someone else unmounts. Reports errors on standard error if `is_heard`,
/// otherwise in the log.
fn wait(mounted: Mounted, mountpoint: &Path, signals: &SigSet, is_heard: bool) -> Result<ExitCode> {
    let (target, teller) = (std::path::absolute(mountpoint)?, mounted.teller());
    // The new thread waits for the kernel and ends the process. This one waits for signals.
    std::thread::Builder::new().name("end".into()).spawn(move || {
        let code = match mounted.wait() {
            Ok(()) => 0,
            Err(error) => {
                match is_heard {
                    true => say(format_args!("arrayfs: {error}")),
                    false => log::error!("{error}"),
                }
                1
            }
        };
        log::info!("the mount has ended");
        log::logger().flush();
        std::process::exit(code);
    })?;
    signals.wait().context("cannot wait for signals")?;
    teller.stop();
    mountpoint::unmount(&target)?;
    // Unless readers are left, the other thread ends the process before this.
    std::thread::sleep(PATIENCE);
    Ok(ExitCode::SUCCESS)
}
