//! `arrayfs import`: another program's file as an array of a store.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use arrayfs::dtype::Dtype;
use arrayfs::error::shown;
use arrayfs::format::Metadata;
use arrayfs::import::{Options, bytes_to_read, import, path_of};
use arrayfs::memory_mapping::Existing;
use nix::sys::signal::{SigSet, Signal};

use super::progress;
use super::say::say;

/// Make an array of a file that another program wrote
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs import counts.npy store/counts                        of NumPy
  arrayfs import counts.npz store/counts                        of SciPy: CSR, CSC or COO
  arrayfs import matrix.mtx.gz store/counts --dtype int32
  arrayfs import table.csv store/table --dtype float32          with names or without
  arrayfs import several.npz store/ages --member ages
  arrayfs import counts.npy store/                              is store/counts
  arrayfs import counts.npy store/ --force                      in the place of the old one

Names in a table go to NAME.rows.txt and NAME.cols.txt beside the array. What is there already stays, unless --force
is given: then the old array and its names go. Whoever looks meanwhile sees the old one, none, or the new one; so too
when this is interrupted.")]
pub struct Args {
    /// .npy, .npz, .mtx, .csv or .tsv; of the last three .gz too
    file: PathBuf,
    /// Path of the array, without a suffix; in a directory that is there, the file's name without its end
    path: PathBuf,
    /// Type of the elements, for text; without it that of the numbers: bool, int64, uint64 or float64
    #[arg(long)]
    dtype: Option<Dtype>,
    /// Which array of a .npz that has several
    #[arg(long)]
    member: Option<String>,
    /// Replace the array that is there, of whatever kind
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    // A file that may not grow so long is an error to be told, not a signal to die of.
    [Signal::SIGXFSZ].into_iter().collect::<SigSet>().thread_block()?;
    let is_stopped = stop_on_signals()?;
    let bar = progress::bar(bytes_to_read(&args.file)?);
    let progress = |bytes| {
        bar.inc(bytes);
        match is_stopped.load(Ordering::Relaxed) {
            true => Err(io::Error::other("interrupted")),
            false => Ok(()),
        }
    };
    let existing = if args.force { Existing::Replace } else { Existing::Refuse };
    let options = Options { dtype: args.dtype, member: args.member.clone(), existing };
    let path = path_of(&args.file, &args.path);
    let imported = import(&args.file, &path, &options, &progress);
    bar.finish_and_clear();
    if imported.is_err() && is_stopped.load(Ordering::Relaxed) {
        say("arrayfs: interrupted; nothing was changed");
        return Ok(ExitCode::from(128 + Signal::SIGINT as u8));
    }
    say(format_args!("{}: {}", shown(&path), in_words(&imported?)));
    Ok(ExitCode::SUCCESS)
}

/// Is true once SIGINT or SIGTERM has come: what was written aside is then removed before the end.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block()?;
    let is_stopped = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&is_stopped);
    std::thread::Builder::new().spawn(move || {
        if signals.wait().is_ok() {
            says.store(true, Ordering::Relaxed);
        }
    })?;
    Ok(is_stopped)
}

fn in_words(metadata: &Metadata) -> String {
    let (kind, dtype, shape) = (metadata.kind().name(), metadata.dtype(), metadata.shape().axes());
    match metadata.nnz() {
        Some(nnz) => format!("{kind} {dtype} {shape:?}, {nnz} elements stored"),
        None => format!("{kind} {dtype} {shape:?}"),
    }
}
