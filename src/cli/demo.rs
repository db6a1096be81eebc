//! `arrayfs demo`: a first look for new users.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use arrayfs::daf::arrays::DenseArray;
use arrayfs::daf::memory_mapping::{SparseInRows, create_memory_mapped_array, write_memory_mapped_sparse};
use arrayfs::dtype::Dtype;
use arrayfs::fuse::{Mounted, Options, Teller};
use arrayfs::store::mmap::Mode;
use arrayfs::tree::{EntryKind, Ino, Tree};
use ndarray::ArrayView1;
use tempfile::TempDir;

use super::say::say;

/// See it work: a small built-in store, mounted, with commands to try
#[derive(clap::Args)]
#[command(after_help = "Examples:
  arrayfs demo              mounts on a directory of its own, and cleans up
  arrayfs demo /tmp/a       mounts there

On a terminal it waits for Enter, so that you can look around from another one.")]
pub struct Args {
    /// Where to mount [default: a temporary directory]
    mountpoint: Option<PathBuf>,
}

/// Commands that the demo runs in the mount. They use only tools that every system has.
const COMMANDS: [&str; 6] = [
    "ls",
    "cat temperature/meta.yaml",
    "cat temperature/rows/06.csv",
    "od -A d -t f4 temperature/rows/06 | head -n 3",
    "cmp temperature/array \"$STORE\"/temperature.array && echo the same bytes",
    "cat friends/rows/0/dense.csv friends/rows/1/dense.csv",
];

/// The built-in store and its mount. Cleans up on drop.
struct Stage {
    store: TempDir,
    mountpoint: PathBuf,
    own_mountpoint: bool,
    /// Notifies the kernel of changes. `None` until the store is mounted.
    mounted: Option<Teller>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(teller) = &self.mounted {
            teller.stop();
            if let Err(error) = arrayfs::fuse::mountpoint::unmount(&self.mountpoint) {
                say(format_args!("arrayfs: {error}"));
            }
        }
        if self.own_mountpoint {
            // `remove_dir` keeps a directory that is not empty: its content is not ours to remove.
            let _ = fs::remove_dir(&self.mountpoint);
        }
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let signals = super::mount::block_signals()?;
    let mut stage = Stage::new(args.mountpoint.as_deref())?;
    let mounted = Tree::open(stage.store.path())
        .map_err(anyhow::Error::from)
        .and_then(|tree| super::mount::mount(&tree, &stage.mountpoint, Options::default()));
    stage.mounted = mounted.as_ref().ok().map(Mounted::teller);
    let (store, mountpoint) = (stage.store.path().to_owned(), stage.mountpoint.clone());
    let stage = Arc::new(Mutex::new(Some(stage)));
    let clean_up = Arc::clone(&stage);
    std::thread::spawn(move || {
        let signal = signals.wait();
        drop(clean_up.lock().unwrap_or_else(PoisonError::into_inner).take());
        std::process::exit(signal.map_or(1, |signal| 128 + signal as i32));
    });
    let shown = match mounted {
        Ok(_) => show_mounted(&store, &mountpoint),
        Err(error) => show_without_mount(&store, &error),
    };
    drop(stage.lock().unwrap_or_else(PoisonError::into_inner).take());
    shown?;
    Ok(ExitCode::SUCCESS)
}

impl Stage {
    fn new(mountpoint: Option<&Path>) -> Result<Self> {
        let store = tempfile::Builder::new().prefix("arrayfs-demo-store-").tempdir()?;
        write_store(store.path())?;
        let (mountpoint, own_mountpoint) = match mountpoint {
            Some(path) => (path.to_owned(), fs::create_dir(path).is_ok()),
            None => (tempfile::Builder::new().prefix("arrayfs-demo-").tempdir()?.keep(), true),
        };
        Ok(Self { store, mountpoint, own_mountpoint, mounted: None })
    }
}

/// Writes a matrix, a vector, a sparse matrix, and a file that is not an array.
fn write_store(store: &Path) -> Result<()> {
    let path = store.join("temperature");
    create_memory_mapped_array(&path, &[12, 24], Dtype::Float32)?;
    let array = DenseArray::open(&path, Mode::ReadWrite)?;
    for month in 0..12_u8 {
        array.write_row(month.into(), &temperatures(month))?;
    }
    let path = store.join("days");
    create_memory_mapped_array(&path, &[12], Dtype::Uint8)?;
    let days: Vec<u8> = vec![31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    DenseArray::open(&path, Mode::ReadWrite)?.assign(ArrayView1::from(&days))?;
    let friends = SparseInRows {
        shape: [5, 5],
        data: &[1i16, 2, 1, 3, 2, 3],
        indices: &[1i32, 3, 0, 4, 0, 1],
        indptr: &[0i64, 2, 4, 4, 5, 6],
    };
    write_memory_mapped_sparse(store.join("friends"), &friends)?;
    fs::write(store.join("notes.txt"), "Monthly means by the hour; degrees Celsius.\n")?;
    Ok(())
}

/// Hourly temperatures of a month, in multiples of a quarter of a degree.
fn temperatures(month: u8) -> [f32; 24] {
    let wave = |turn: f32| (turn * std::f32::consts::TAU).cos();
    let season = 10.0 - 10.0 * wave(f32::from(month) / 12.0);
    let mut hours = [0.0; 24];
    for (item, hour) in hours.iter_mut().zip(0..24_u8) {
        *item = ((season - 4.0 * wave(f32::from(hour) / 24.0)) * 4.0).round() / 4.0;
    }
    hours
}

fn show_mounted(store: &Path, mountpoint: &Path) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "A small store is mounted on {}:\n", mountpoint.display())?;
    print_tree(&mut out, &Tree::open(store)?)?;
    writeln!(out, "\nAny program can read it. From that directory:\n")?;
    for command in COMMANDS {
        writeln!(out, "$ {command}")?;
        let shell =
            Command::new("sh").args(["-c", command]).current_dir(mountpoint).env("STORE", store).output()?;
        out.write_all(&shell.stdout)?;
        out.write_all(&shell.stderr)?;
        anyhow::ensure!(shell.status.success(), "{command}: {}", shell.status);
        writeln!(out)?;
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        writeln!(out, "Look around in {}; press Enter to unmount and clean up.", mountpoint.display())?;
        io::stdin().read_line(&mut String::new())?;
    }
    writeln!(out, "Unmounted, and cleaned up. Now your own: arrayfs mount STORE MOUNTPOINT")?;
    Ok(())
}

fn show_without_mount(store: &Path, error: &anyhow::Error) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "No mount here: {error:#}\nThe same tree without one:\n")?;
    let tree = Tree::open(store)?;
    print_tree(&mut out, &tree)?;
    let path = "temperature/rows/06.csv";
    writeln!(out, "\n$ arrayfs cat STORE {path}")?;
    let file = tree.open_file(tree.resolve(Path::new(path))?.ino)?;
    let mut text = vec![0; usize::try_from(file.len())?];
    tree.read_at(&file, 0, &mut text)?;
    out.write_all(&text)?;
    Ok(())
}

/// The most names shown for a directory. If there are more, the first and the last ones are shown.
const SHOWN: usize = 20;

fn print_tree(out: &mut impl Write, tree: &Tree) -> Result<()> {
    print_folder(out, tree, Ino::ROOT, 1)
}

fn print_folder(out: &mut impl Write, tree: &Tree, folder: Ino, depth: usize) -> Result<()> {
    let mut children = Vec::new();
    tree.list(folder)?.visit(0, &mut |_, name, _, kind| {
        children.push((name.to_owned(), kind));
        true
    });
    let indent = "  ".repeat(depth);
    if children.len() > SHOWN {
        let name = |i: usize| children[i].0.to_string_lossy();
        writeln!(out, "{indent}{}  {}  …  {}", name(0), name(1), name(children.len() - 1))?;
        return Ok(());
    }
    let (files, folders): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|(_, kind)| *kind == EntryKind::File);
    if !files.is_empty() {
        let names: Vec<_> = files.iter().map(|(name, _)| name.to_string_lossy()).collect();
        writeln!(out, "{indent}{}", names.join("  "))?;
    }
    for (name, _) in folders {
        writeln!(out, "{indent}{}/", name.to_string_lossy())?;
        let child = tree.lookup(folder, &name).context("a listed name resolves")?;
        if depth < 3 {
            print_folder(out, tree, child.ino, depth + 1)?;
        }
    }
    Ok(())
}
