//! `arrayfs ls`: lists the arrays of a store.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use arrayfs::array::catalog::{Finding, walk};
use arrayfs::array::names::idle_words;
use arrayfs::array::stored_array::StoredArray;
use arrayfs::error::shown;
use arrayfs::store::Store;

use super::say::say;

/// List the arrays of a store: name, kind, dtype, shape, nnz, bytes
#[derive(clap::Args)]
#[command(after_help = "Example:
  arrayfs ls data/pbmc68k

What is broken is told on standard error; `arrayfs check` verifies the data too.")]
pub struct Args {
    /// Directory of the store
    store: PathBuf,
}

const HEADER: [&str; 6] = ["name", "kind", "dtype", "shape", "nnz", "bytes"];

pub fn run(args: &Args) -> Result<ExitCode> {
    let store = Arc::new(Store::open(&args.store)?);
    let mut table = vec![HEADER.map(str::to_owned)];
    let mut idle = BTreeSet::new();
    walk(&store, &mut |finding| match finding {
        Finding::Array(array) => {
            idle.extend(array.names.idle());
            table.push(row(&array));
        }
        Finding::Broken(_, error) => say(format_args!("arrayfs: left out: {error}")),
        Finding::Clash(array, folder) => {
            let (array, folder) = (shown(array), shown(folder));
            say(format_args!("arrayfs: {array}: something else has that name; mounted as {folder}"));
        }
    });
    for file in idle {
        say(format_args!("arrayfs: {}", idle_words(&file)));
    }
    print(&table)?;
    Ok(ExitCode::SUCCESS)
}

fn row(array: &StoredArray) -> [String; 6] {
    let metadata = &array.metadata;
    let bytes: u64 = metadata.files().iter().map(|(_, bytes)| bytes).sum();
    [
        shown(&array.path),
        metadata.kind().name().to_owned(),
        metadata.dtype().to_string(),
        metadata.shape().to_string(),
        metadata.nnz().map_or("-".into(), |nnz| nnz.to_string()),
        bytes.to_string(),
    ]
}

/// Prints the table. Columns are as wide as their widest cell, and numbers are right-aligned.
fn print(table: &[[String; 6]]) -> io::Result<()> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = io::stdout().lock();
    for [name, kind, dtype, shape, nnz, bytes] in table {
        let [w0, w1, w2, w3, w4, w5] = widths;
        writeln!(out, "{name:w0$}  {kind:w1$}  {dtype:w2$}  {shape:w3$}  {nnz:>w4$}  {bytes:>w5$}")?;
    }
    out.flush()
}
