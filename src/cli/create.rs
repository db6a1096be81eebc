//! `arrayfs create`: a dense array of zeros.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use arrayfs::dtype::Dtype;
use arrayfs::memory_mapping::create_memory_mapped_array;

/// Create a dense array of zeros, which takes no room on the disk until it is written
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs create store/counts --shape 1000,20 --dtype float32
  arrayfs create store/ages --shape 1000 --dtype int16

An array or sparse matrix of that name is overwritten.")]
pub struct Args {
    /// Path of the array, without a suffix
    path: PathBuf,
    /// One or two axes above zero: elements, or rows and columns
    #[arg(long, value_delimiter = ',', num_args = 1.., required = true)]
    shape: Vec<u64>,
    /// Type of the elements: bool, int8 … uint64, float16, float32 or float64
    #[arg(long)]
    dtype: Dtype,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    create_memory_mapped_array(&args.path, &args.shape, args.dtype)?;
    Ok(ExitCode::SUCCESS)
}
