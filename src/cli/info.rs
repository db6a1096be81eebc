//! `arrayfs info`: describes one array.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use arrayfs::tree::Tree;

/// Tell all about one array
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs info 'data/pbmc68k/cell,gene#scaled'")]
pub struct Args {
    /// Directory of the store, and the array in it
    #[arg(value_name = "STORE/ARRAY")]
    array: PathBuf,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let parent = args.array.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = args.array.file_name().context("the path of an array ends in its name")?;
    let tree = Tree::open(parent.unwrap_or(Path::new(".")))?;
    let path = Path::new(name).join("meta.yaml");
    let meta = tree.resolve(&path).map_err(|error| super::why_missing(&tree, &path, error))?;
    let file = tree.open_file(meta.ino)?;
    let mut text = vec![0; usize::try_from(file.len())?];
    tree.read_at(&file, 0, &mut text)?;
    io::stdout().lock().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
