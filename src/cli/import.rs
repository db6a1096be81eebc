//! `arrayfs import`: imports a file of another program as an array.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use arrayfs::daf::memory_mapping::Existing;
use arrayfs::daf::metadata::Metadata;
use arrayfs::daf::staging::abandon;
use arrayfs::dtype::Dtype;
use arrayfs::error::shown;
use arrayfs::formats::IMPORTERS;
use arrayfs::import::{Choice, Delimiter, Options, STANDARD_INPUT, path_of};
use indicatif::ProgressBar;
use nix::sys::signal::{SigSet, Signal};

use super::say::say;
use super::{interrupt, progress};

/// Make an array of a file that another program wrote
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = RULES)]
pub struct Args {
    /// .npy, .npz, .mtx, .csv, .tsv or .txt, packed or not (.gz, .bz2, .xz, .zst); - is standard input
    file: PathBuf,
    /// Path of the array, without a suffix; in a directory the array has the name of the file
    path: PathBuf,
    /// What the file is, where its name does not say it
    #[arg(long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(IMPORTERS.formats()))]
    format: Option<String>,
    /// Type of the elements, for text; without it that of the numbers: bool, int64, uint64 or float64
    #[arg(long)]
    dtype: Option<Dtype>,
    /// Take the nearest number where the type does not have the one of the file
    #[arg(long)]
    lossy: bool,
    /// Which array of a .npz that has several
    #[arg(long)]
    member: Option<String>,
    /// Replace the array that is there, of whatever kind
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    table: Table,
}

/// How a table is read.
#[derive(clap::Args)]
#[command(next_help_heading = "Tables")]
struct Table {
    /// Whether the first line has names of columns
    #[arg(long, value_name = "yes|no|auto", default_value = "auto", hide_default_value = true)]
    header: Flag,
    /// Whether the first column has names of rows
    #[arg(long, value_name = "yes|no|auto", default_value = "auto", hide_default_value = true)]
    row_names: Flag,
    /// What stands between cells: a character, tab or blanks
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<Delimiter>,
    /// What stands before fractions: . or ,
    #[arg(long, value_name = "CHARACTER", value_parser = decimal)]
    decimal: Option<u8>,
    /// What lines begin with that are comments; none if no line is one
    #[arg(long, value_name = "MARK")]
    comment: Option<String>,
    /// A word that stands for a missing number; may be given several times
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    na: Vec<String>,
    /// Leave out columns of text
    #[arg(long)]
    skip_text: bool,
    /// Lines before the table
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    skip_lines: u64,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Flag {
    Yes,
    No,
    Auto,
}

impl From<Flag> for Choice {
    fn from(flag: Flag) -> Self {
        match flag {
            Flag::Yes => Self::Yes,
            Flag::No => Self::No,
            Flag::Auto => Self::Auto,
        }
    }
}

fn decimal(text: &str) -> Result<u8, String> {
    match text {
        "." | "," => Ok(text.as_bytes()[0]),
        _ => Err("expected . or ,".into()),
    }
}

impl Args {
    fn options(&self) -> Options {
        let table = &self.table;
        let comment = table.comment.as_deref().map(|mark| if mark == "none" { "" } else { mark });
        Options {
            format: self.format.clone(),
            dtype: self.dtype,
            member: self.member.clone(),
            is_lossy: self.lossy,
            header: table.header.into(),
            row_names: table.row_names.into(),
            delimiter: table.delimiter,
            decimal: table.decimal,
            comment: comment.map(str::to_owned),
            missing: table.na.clone(),
            skip_lines: table.skip_lines,
            skips_text: table.skip_text,
            existing: if self.force { Existing::Replace } else { Existing::Refuse },
        }
    }
}

const EXAMPLES: &str = "Examples:
  arrayfs import counts.npy store/counts                        of NumPy
  arrayfs import counts.npz store/                              of SciPy: CSR, CSC or COO
  arrayfs import matrix.mtx.gz store/counts --dtype int32
  arrayfs import table.csv store/table --header yes             its first line has names
  arrayfs import GSE1_series_matrix.txt.gz store/gse1
  arrayfs import several.npz store/ages --member ages
  zcat *.csv.gz | arrayfs import - store/all --format csv

--help says how a table is read.";

const RULES: &str = "\
How a table is read:
  The first line behind comments (lines that begin with # or !) and --skip-lines has names of columns where
    1. it has one cell fewer than the others (R's write.table);
    2. its first cell is empty (pandas, R's write.csv);
    3. a cell of it is no number and stands above numbers;
    4. all its cells are in quotes, and numbers below are not;
    5. it has numbers above numbers, and text above text; unless this text is there again below, or two of its
       numbers are the same, or its first cell is made like those below it, as cell_1 is above cell_2.
  Else it has numbers, and the comment before it has the names if it has as many cells as there are columns.
  The first column has names of rows in 1 and 2, where it is headed `row` or `ID_REF`, and where its cells are no
  numbers; a few that are none among numbers are refused. Names c0, c1, ... are none. What could be otherwise is said,
  with the option that makes it so.
  Lines further down that begin with # or ! are comments too, unless the first column has names in other lines, or
  all lines begin so.

  Cells stand between commas in a .csv, tabs in a .tsv, tabs or blanks in a .txt, unless others (also ; and |) make
  a table of numbers of it. A comma stands before fractions where it is between no cells and makes numbers of them.
  true and false are 1 and 0. A number is missing where there is nothing, or NA, N/A, null, None and the like: NaN.
  In a table of one column an empty line is a missing number.

  The type is bool, int64, uint64 or float64, the first that has all numbers. A number that the type does not have
  is refused by line and column: an integer beyond it, or one that a float would round, 1e400, 1e40 as float32, a
  fraction or nothing as an integer. 2.0 and 1e+05 are integers.

A matrix that is not in rows and in order is sorted in memory: 4 bytes and those of a number for each element, 8 for
each row. Elements at one place are added up.

Names go to NAME.rows.txt and NAME.cols.txt beside the array. What is there already stays, unless --force is given:
then the old array and its names go. Whoever looks meanwhile sees the old array, none, or the new one; so too when
this is interrupted.

Examples:
  arrayfs import counts.npy store/counts                        of NumPy
  arrayfs import counts.npz store/                              of SciPy: CSR, CSC or COO
  arrayfs import matrix.mtx.gz store/counts --dtype int32
  arrayfs import table.csv store/table --header yes             its first line has names
  arrayfs import GSE1_series_matrix.txt.gz store/gse1
  arrayfs import several.npz store/ages --member ages
  zcat *.csv.gz | arrayfs import - store/all --format csv";

pub fn run(args: &Args) -> Result<ExitCode> {
    // Exceeding the file size limit must be an ordinary error. By default, SIGXFSZ kills the process.
    [Signal::SIGXFSZ].into_iter().collect::<SigSet>().thread_block()?;
    let (path, options) = (path_of(&args.file, &args.path)?, args.options());
    let bar = progress::bar(IMPORTERS.bytes_to_read(&args.file, &options)?);
    end_on_signals(&bar)?;
    let progress = |bytes| {
        bar.inc(bytes);
        Ok(())
    };
    let imported = IMPORTERS.import(&args.file, &path, &options, &progress);
    bar.finish_and_clear();
    let imported = imported?;
    let file = if args.file.as_os_str() == STANDARD_INPUT { Path::new("standard input") } else { &args.file };
    for note in imported.notes {
        say(format_args!("{}: {note}", shown(file)));
    }
    say(format_args!("{}: {}", shown(&path), in_words(&imported.metadata)));
    Ok(ExitCode::SUCCESS)
}

/// Ends the process on a signal, and removes its staging files first.
fn end_on_signals(bar: &ProgressBar) -> Result<()> {
    let signals = interrupt::block()?;
    let bar = bar.clone();
    std::thread::Builder::new().spawn(move || {
        let Ok(signal) = signals.wait() else { return };
        if !abandon() {
            // The array is already in place, so let the command finish its output.
            return;
        }
        if interrupt::is_heard() {
            bar.finish_and_clear();
            say("arrayfs: interrupted; nothing was changed");
        }
        std::process::exit(128 + signal as i32);
    })?;
    Ok(())
}

fn in_words(metadata: &Metadata) -> String {
    let (kind, dtype, shape) = (metadata.kind().name(), metadata.dtype(), metadata.shape().axes());
    match metadata.nnz() {
        Some(nnz) => format!("{kind} {dtype} {shape:?}, {nnz} elements stored"),
        None => format!("{kind} {dtype} {shape:?}"),
    }
}
