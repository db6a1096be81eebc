//! `arrayfs remove`: the files of an array.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use arrayfs::memory_mapping::{
    exists_memory_mapped_array, exists_memory_mapped_sparse, remove_memory_mapped_array,
    remove_memory_mapped_sparse,
};

/// Remove the files of an array of either kind
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs remove store/counts")]
pub struct Args {
    /// Path of the array, without a suffix
    path: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    if exists_memory_mapped_array(&args.path) {
        remove_memory_mapped_array(&args.path)?;
    } else if exists_memory_mapped_sparse(&args.path) {
        remove_memory_mapped_sparse(&args.path)?;
    } else {
        bail!("{}: no array whose files are all there", arrayfs::error::shown(&args.path));
    }
    Ok(ExitCode::SUCCESS)
}
