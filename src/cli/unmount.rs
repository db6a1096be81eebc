//! `arrayfs unmount`: unmounts stores.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::say::say;

/// Take mounted stores away, alive or dead
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs unmount /tmp/a
  arrayfs unmount /mnt/*

It is done at once, whatever the server does, even if it is stopped or its disk does not answer. Programs that
have files open go on reading them; where there are none, the store's own file system can be unmounted next, and a
server of yours that is stopped is ended for that.
Root's mounts have a second one inside, of which a plain umount says that it is busy: this takes away both.")]
pub struct Args {
    /// Where they are mounted
    #[arg(required = true, value_name = "MOUNTPOINT")]
    mountpoints: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for mountpoint in &args.mountpoints {
        if let Err(error) = arrayfs::fuse::mountpoint::unmount_and_wait(mountpoint) {
            say(format_args!("arrayfs: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
