//! `arrayfs check`: every array of a store verified, end to end.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use arrayfs::catalog::{Finding, StoredArray, walk};
use arrayfs::check::check_array;
use arrayfs::error::{Error, shown};
use arrayfs::store::Store;
use indicatif::{ProgressBar, ProgressStyle};

/// Verify every array of a store, end to end; exit 1 if any is broken
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs check data/pbmc68k

One line on standard output for each fault: the array, and what is wrong. This reads the store's own
files; `arrayfs verify` reads what is made of them.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let store = Arc::new(Store::open(&args.store)?);
    let (mut arrays, mut faults) = (Vec::new(), Vec::new());
    walk(&store, &mut |finding| match finding {
        Finding::Array(array) => arrays.push(*array),
        Finding::Broken(path, error) => faults.push((path, error)),
        Finding::Clash(..) => {}
    });
    let broken_before = faults.len();
    let bar = progress_bar(&arrays);
    let (count, mut warnings) = (arrays.len() + broken_before, Vec::new());
    for array in arrays {
        bar.set_message(shown(&array.path));
        faults.extend(verify(&array, &bar).into_iter().map(|error| (array.path.clone(), error)));
        faults.extend(array.names.names().err().map(|error| (array.path.clone(), error)));
        let warning = |flaw| format!("{}: names are not used: {flaw}", shown(&array.path));
        warnings.extend(array.names.flaws().map(warning));
    }
    bar.finish_and_clear();
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let mut out = io::stdout().lock();
    for (path, error) in &faults {
        writeln!(out, "{}: {error}", shown(path))?;
    }
    let mut broken: Vec<_> = faults.iter().map(|(path, _)| path).collect();
    broken.dedup();
    eprintln!("{} arrays verified, {} broken", count, broken.len());
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with an array; that it cannot be read is a fault like any other.
fn verify(array: &StoredArray, bar: &ProgressBar) -> Vec<Error> {
    check_array(array, &mut |bytes| bar.inc(bytes)).unwrap_or_else(|error| vec![error])
}

/// Shown on a terminal only.
fn progress_bar(arrays: &[StoredArray]) -> ProgressBar {
    let bytes = arrays.iter().flat_map(|array| array.metadata.files()).map(|(_, bytes)| bytes);
    let bar = ProgressBar::new(bytes.fold(0, u64::saturating_add));
    let style =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
