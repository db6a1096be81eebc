//! `arrayfs verify` in a build without it: explains how to get it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};

/// Verify what the mount shows, decoded by other readers and compared with the store (not in this build)
#[derive(clap::Args)]
pub struct Args {
    /// What to verify
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<OsString>,
}

pub fn run(_: &Args) -> Result<ExitCode> {
    bail!("this arrayfs was built without verify: cargo install --path . --features full has it")
}
