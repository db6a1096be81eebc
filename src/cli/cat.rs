//! `arrayfs cat`: prints a virtual file without a mount.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use arrayfs::tree::{EntryKind, Tree};

/// Write any file of the tree to standard output, without a mount
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs cat data/pbmc68k 'cell,gene#scaled/rows/17.csv'
  arrayfs cat data/pbmc68k 'cell,gene#log1p/slices/:100/dense.npy' > first.npy
  arrayfs cat data/pbmc68k 'cell,gene#scaled/by-name/cols/CD52.csv'
  arrayfs cat data/pbmc68k 'cell,gene#log1p/matrix.h5ad' > pbmc68k.h5ad

`arrayfs cat STORE ARRAY/README.md` names all files of an array.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
    /// Path of the file, as it would be in a mount
    vpath: PathBuf,
}

/// Bytes per read.
const BUFFER: usize = 1 << 20;

pub fn run(args: &Args) -> Result<ExitCode> {
    let tree = Tree::open(&args.store)?;
    let attr = tree.resolve(&args.vpath).map_err(|error| super::why_missing(&tree, &args.vpath, error))?;
    if attr.kind != EntryKind::File {
        bail!("{}: a folder, not a file; it holds {}", args.vpath.display(), contents(&tree, attr.ino)?);
    }
    let file = tree.open_file(attr.ino)?;
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; BUFFER];
    let mut offset = 0;
    loop {
        match tree.read_at(&file, offset, &mut buffer)? {
            0 => break,
            filled => {
                out.write_all(&buffer[..filled])?;
                offset += filled as u64;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The first names in a directory, as one line.
fn contents(tree: &Tree, folder: arrayfs::tree::Ino) -> Result<String> {
    let mut names = Vec::new();
    tree.list(folder)?.visit(0, &mut |i, name, _, kind| {
        let slash = if kind == EntryKind::Directory { "/" } else { "" };
        names.push(if i < 8 { format!("{}{slash}", arrayfs::error::one_line(name)) } else { "…".into() });
        i < 8
    });
    Ok(names.join(" "))
}
