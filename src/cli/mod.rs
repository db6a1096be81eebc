//! The commands, one file each. Data goes to standard output, messages to standard error.

mod cat;
mod check;
mod create;
mod demo;
#[cfg(feature = "import")]
mod import;
mod info;
#[cfg(feature = "import")]
mod interrupt;
mod ls;
mod mount;
mod mount_log;
mod progress;
mod remove;
mod say;
mod unmount;
#[cfg(feature = "verify")]
mod verify;
#[cfg(not(feature = "verify"))]
#[path = "without_verify.rs"]
mod verify;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use arrayfs::Error;
use arrayfs::array::stored_array::StoredArray;
use arrayfs::tree::Tree;
use clap::{Parser, Subcommand};
use say::say;

/// Mounts a store of memory-mapped numeric arrays as a folder tree that any program can read.
#[derive(Parser)]
#[command(version, about, long_about = None, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    /// Say more; twice for everything (or set RUST_LOG)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  arrayfs demo                                       see it work
  arrayfs mount data/pbmc68k /tmp/a                  mount a store
  less '/tmp/a/cell,gene#scaled/README.md'            how to read this array, in every language
  dd if='/tmp/a/cell,gene#scaled/rows/017' of=row    read a row with any program
  arrayfs unmount /tmp/a
  arrayfs cat data/pbmc68k 'cell,gene#scaled/rows/17.csv'     the same without a mount
  arrayfs import counts.npz data/counts              a file of SciPy as an array of a store
  arrayfs verify data/pbmc68k                        decode all formats, compare with the store";

#[derive(Subcommand)]
enum Command {
    Mount(mount::Args),
    #[command(visible_alias = "umount")]
    Unmount(unmount::Args),
    Ls(ls::Args),
    Info(info::Args),
    Cat(cat::Args),
    Create(create::Args),
    #[cfg(feature = "import")]
    Import(import::Args),
    Remove(remove::Args),
    Check(check::Args),
    Verify(verify::Args),
    Demo(demo::Args),
}

/// Runs the command line. Exit code 0 means success, 1 failure, and 2 wrong usage.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let verbose = cli.verbose;
    // A mount sets up its own log.
    if !matches!(cli.command, Command::Mount(_)) {
        log_of(verbose).init();
    }
    let done = match cli.command {
        Command::Mount(args) => mount::run(&args, verbose),
        Command::Unmount(args) => unmount::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Create(args) => create::run(&args),
        #[cfg(feature = "import")]
        Command::Import(args) => import::run(&args),
        Command::Remove(args) => remove::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match done {
        Ok(code) => code,
        // The reader of our output has seen enough, as in `arrayfs cat … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("arrayfs: {}", in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Formats an error with its causes. The library's own errors already include their causes.
fn in_words(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(error @ Error::Exists { .. }) => format!("{error}; --force replaces it"),
        Some(error) => error.to_string(),
        None => format!("{error:#}"),
    }
}

/// If a path is missing from the tree because it leads into a broken array, returns the error of that
/// array.
fn why_missing(tree: &Tree, path: &Path, error: Error) -> Error {
    if !error.is_not_found() {
        return error;
    }
    let load =
        |path: &Path| StoredArray::load(tree.store(), path).err().filter(|error| !error.is_not_found());
    path.ancestors().find_map(load).unwrap_or(error)
}

/// A logger to standard error with the requested verbosity.
fn log_of(verbose: u8) -> env_logger::Builder {
    let level = match verbose {
        0 => "warn,fuser=off",
        1 => "info,fuser=error",
        _ => "debug",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
