//! `arrayfs verify`: decodes every file that a mount would show, and compares it with the store.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use arrayfs::array::catalog::{Finding, walk};
use arrayfs::array::stored_array::StoredArray;
use arrayfs::error::shown;
use arrayfs::store::Store;
use arrayfs::verify::{Case, cases};

use super::progress;
use super::say::say;

/// Verify what the mount shows: each file, decoded by other readers and compared with the store; exit 1 where they differ
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs verify data/pbmc68k
  arrayfs verify data/pbmc68k 'cell,gene#scaled'

One line on standard output for each fault: the array, its file, and what is wrong.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
    /// One array of it; all without
    array: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let store = Arc::new(Store::open(&args.store)?);
    let mut out = io::stdout().lock();
    let (mut arrays, mut faults) = (Vec::new(), 0u64);
    let is_wanted = |path: &PathBuf| args.array.as_ref().is_none_or(|wanted| wanted == path);
    let mut broken = Vec::new();
    walk(&store, &mut |finding| match finding {
        Finding::Array(array) if is_wanted(&array.path) => arrays.push(Arc::from(array)),
        Finding::Broken(path, error) if is_wanted(&path) => broken.push((path, error)),
        _ => {}
    });
    if let Some(array) = &args.array {
        ensure!(!arrays.is_empty() || !broken.is_empty(), "{}: no such array", shown(array));
    }
    for (path, error) in &broken {
        writeln!(out, "{}: {error}", shown(path))?;
        faults += 1;
    }
    let mut files = 0;
    for array in &arrays {
        let cases = cases(array);
        files += cases.len();
        for line in verify(array, &cases) {
            writeln!(out, "{line}")?;
            faults += 1;
        }
    }
    say(format_args!("{files} files of {} arrays verified, {faults} faults", arrays.len() + broken.len()));
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies all files of an array, and returns a line for each mismatch.
fn verify(array: &StoredArray, cases: &[Case]) -> Vec<String> {
    let bytes = cases.iter().filter_map(|case| case.size().ok());
    let bar = progress::bar(bytes.fold(0, u64::saturating_add));
    let (mut lines, mut seen) = (Vec::new(), BTreeSet::new());
    for case in cases {
        bar.set_message(format!("{}/{case}", shown(&array.path)));
        // A violation in the store affects all files of the array. Report it only once.
        if let Err(why) = case.verify(&|bytes| bar.inc(bytes))
            && seen.insert(why.clone())
        {
            lines.push(format!("{}/{case}: {why}", shown(&array.path)));
        }
    }
    bar.finish_and_clear();
    lines
}
