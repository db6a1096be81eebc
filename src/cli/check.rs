//! `arrayfs check`: checks every array of a store completely.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Result;
use arrayfs::array::catalog::{Finding, walk};
use arrayfs::check::{Options, Report, check};
use arrayfs::error::shown;
use arrayfs::store::Store;

use super::progress;
use super::say::say;

/// Check the store's own files: every array, end to end; exit 1 if any is broken
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs check data/pbmc68k
  arrayfs check --values data/pbmc68k    count NaN and infinities too

Every byte is read; indptr must rise from 0 to nnz, and columns must be in range. Columns of a row that do not
rise, or are there twice, are noted on standard error and no fault.
One line on standard output for each fault: the array, and what is wrong. With --values one more for
each array of floating-point numbers; NaN and infinities are no faults. This reads the store's own
files; `arrayfs verify` reads what is made of them.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
    /// Count the NaN and the infinities of each array
    #[arg(long)]
    values: bool,
    /// Threads at work [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    // Before any thread starts, because threads inherit the signal mask.
    let signals = super::mount::block_signals()?;
    let interrupted = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&interrupted);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            // On a second signal, exit without waiting for the disk.
            if seen.swap(signal as i32, Ordering::Relaxed) != 0 {
                std::process::exit(128 + signal as i32);
            }
        }
    })?;
    let store = Arc::new(Store::open(&args.store)?);
    let (mut arrays, mut reports) = (Vec::new(), Vec::new());
    walk(&store, &mut |finding| match finding {
        Finding::Array(array) => arrays.push(*array),
        Finding::Broken(path, error) => reports.push(Report { faults: vec![error], ..Report::new(path) }),
        Finding::Clash(..) => {}
    });
    let count = arrays.len() + reports.len();
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = Options { values: args.values, jobs: args.jobs.unwrap_or_else(cores) };
    let bytes = arrays.iter().flat_map(|array| array.metadata.files()).map(|(_, bytes)| bytes);
    let bar = progress::bar(bytes.fold(0, u64::saturating_add));
    reports.extend(check(arrays, options, &|bytes| {
        bar.inc(bytes);
        interrupted.load(Ordering::Relaxed) == 0
    }));
    bar.finish_and_clear();
    reports.sort_by(|a, b| a.path.cmp(&b.path));
    let broken = show(&reports)?;
    match interrupted.load(Ordering::Relaxed) {
        0 => {
            say(format_args!("{count} arrays verified, {broken} broken"));
            Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        signal => {
            say(format_args!(
                "arrayfs: interrupted; {} of {count} arrays verified, {broken} broken",
                reports.len()
            ));
            Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)))
        }
    }
}

/// Prints the violations, and returns the number of broken arrays.
fn show(reports: &[Report]) -> io::Result<usize> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for Report { path, faults, flaws, notes, values } in reports {
        let path = shown(path);
        for flaw in flaws {
            say(format_args!("{path}: names are not used: {flaw}"));
        }
        for note in notes {
            say(format_args!("{path}: {note}"));
        }
        for fault in faults {
            writeln!(out, "{path}: {fault}")?;
        }
        if let Some(values) = values {
            writeln!(out, "{path}: {} NaN, {} infinite", values.nan, values.infinite)?;
        }
    }
    out.flush()?;
    let mut broken: Vec<&Path> = reports
        .iter()
        .filter(|report| !report.faults.is_empty())
        .map(|report| report.path.as_path())
        .collect();
    broken.dedup();
    Ok(broken.len())
}
