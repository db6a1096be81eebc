//! `arrayfs unmount`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

/// Take a mounted store away, alive or dead
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs unmount /tmp/a

Programs that have files of it open go on reading them. Root's mounts have a second one inside, of
which a plain umount says that it is busy: this takes away both.")]
pub struct Args {
    /// Where it is mounted
    mountpoint: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    arrayfs::mountpoint::unmount(&args.mountpoint)?;
    Ok(ExitCode::SUCCESS)
}
