//! `arrayfs create`: creates a dense array of zeros.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use arrayfs::daf::memory_mapping::{create_memory_mapped_array, create_new_memory_mapped_array};
use arrayfs::dtype::Dtype;
use nix::sys::signal::{SigSet, Signal};

/// Create a dense array of zeros, which takes no room on the disk until it is written
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs create store/counts --shape 1000,20 --dtype float32
  arrayfs create store/ages --shape 1000 --dtype int16
  arrayfs create store/ages --shape 2000 --dtype int16 --force     in the place of the old one

What is there already stays, unless --force is given: then the old array and its names (NAME.rows.txt, NAME.cols.txt)
go. Whoever looks meanwhile sees the old one, none, or the new one; so too when this is interrupted, and the
next `create` in the directory removes what it left.")]
pub struct Args {
    /// Path of the array, without a suffix
    path: PathBuf,
    /// One or two axes above zero: elements, or rows and columns
    #[arg(long, value_delimiter = ',', num_args = 1.., required = true)]
    shape: Vec<u64>,
    /// Type of the elements: bool, int8 … uint64, float16, float32 or float64
    #[arg(long)]
    dtype: Dtype,
    /// Replace the array that is there, of whatever kind
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    // Exceeding the file size limit must be an ordinary error. By default, SIGXFSZ kills the process.
    [Signal::SIGXFSZ].into_iter().collect::<SigSet>().thread_block()?;
    let create = if args.force { create_memory_mapped_array } else { create_new_memory_mapped_array };
    create(&args.path, &args.shape, args.dtype)?;
    Ok(ExitCode::SUCCESS)
}
