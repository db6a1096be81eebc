//! `arrayfs remove`: removes the files of arrays, including their names.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use arrayfs::Error;
use arrayfs::daf::memory_mapping::{files_of_array, remove_array};
use arrayfs::error::shown;

use super::say::say;

/// Remove the files of arrays of either kind, and their names of rows and columns
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs remove store/counts
  arrayfs remove -n store/counts store/ages     only print which files would go
  arrayfs remove -f store/counts                do not ask, even on a terminal

The names are NAME.rows.txt and NAME.cols.txt beside the array. What is left of an array of which files are missing
goes too. Exit code 1 when one of the arrays is not there or cannot be removed; the others go all the same.")]
pub struct Args {
    /// Paths of arrays, without a suffix
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Remove nothing, and print the files that would go
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask on a terminal
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in &args.paths {
        match files_of_array(path).and_then(|files| remove(args, path, &files)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                say(format_args!("arrayfs: {error}"));
                code = ExitCode::FAILURE;
            }
            Ok(()) => {}
        }
    }
    Ok(code)
}

fn remove(args: &Args, path: &Path, files: &[PathBuf]) -> arrayfs::Result<()> {
    if files.is_empty() {
        return Err(Error::refused(path, "there is no array of that name"));
    }
    if args.dry_run {
        return print(files).map_err(|e| Error::io(path, "print", e));
    }
    let asks = !args.force && io::stdin().is_terminal();
    match !asks || is_confirmed(path, files) {
        true => remove_array(path),
        false => Ok(()),
    }
}

fn print(files: &[PathBuf]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    files.iter().try_for_each(|file| writeln!(out, "{}", shown(file)))
}

/// Asks the user at the terminal for confirmation.
fn is_confirmed(path: &Path, files: &[PathBuf]) -> bool {
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name().map(shown)).collect();
    let _ = write!(io::stderr(), "Remove {} ({})? [y/N] ", shown(path), names.join(", "));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}
