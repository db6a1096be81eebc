//! `arrayfs unmount`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

/// Take a mounted store away, alive or dead
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs unmount /tmp/a

Programs that have files of it open go on reading them.")]
pub struct Args {
    /// Where it is mounted
    mountpoint: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    arrayfs::mountpoint::unmount(&args.mountpoint)?;
    Ok(ExitCode::SUCCESS)
}
