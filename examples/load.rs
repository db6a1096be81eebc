//! The load generator of `scripts/bench`. Reads in one of the ways in which programs read, and prints the
//! time as JSON. It is compiled, so that the benchmark measures the file system and not the reader.
#![allow(unsafe_code)] // for memory maps; nothing writes to the benchmark's files

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use memmap2::Mmap;
use serde_json::{Value, json};

/// Size of a block in a sequential read, in bytes.
const BLOCK: usize = 1 << 20;

/// Read in one way and print the nanoseconds it took, as JSON
#[derive(Parser)]
enum Load {
    /// A whole file, in blocks of 1 MiB
    Read { file: PathBuf },
    /// Blocks at random offsets
    Pread {
        file: PathBuf,
        #[arg(long)]
        count: u64,
        #[arg(long, default_value_t = 4096)]
        size: usize,
        /// Stop after this many seconds
        #[arg(long, default_value_t = f64::MAX)]
        seconds: f64,
    },
    /// A whole file, mapped and summed
    Mmap { file: PathBuf },
    /// Files with numbers as names: open, read to the end, close
    Files(Files),
    /// The cost of a column without a file system: one element per stride of a mapped file
    Gather {
        file: PathBuf,
        /// Bytes from one element of a column to the next
        #[arg(long)]
        stride: usize,
        #[arg(long)]
        threads: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// List the names only
    List { folder: PathBuf },
    /// List the names, and stat each file
    Stat { folder: PathBuf },
}

#[derive(clap::Args)]
struct Files {
    folder: PathBuf,
    /// Digits in a name
    #[arg(long)]
    width: usize,
    #[arg(long)]
    count: u64,
    /// How often to read all files
    #[arg(long, default_value_t = 1)]
    passes: usize,
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Stop after this many seconds
    #[arg(long, default_value_t = 1e9)]
    seconds: f64,
}

fn main() -> io::Result<()> {
    let measured = match Load::parse() {
        Load::Read { file } => read(&file)?,
        Load::Pread { file, count, size, seconds } => pread(&file, count, size, seconds)?,
        Load::Mmap { file } => mmap(&file)?,
        Load::Files(files) => files.read()?,
        Load::Gather { file, stride, threads, seconds } => gather(&file, stride, threads, seconds)?,
        Load::List { folder } => list(&folder, false)?,
        Load::Stat { folder } => list(&folder, true)?,
    };
    println!("{measured}");
    Ok(())
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Reads an open file to its end through `buffer`. Returns the number of bytes.
fn drain(file: &mut File, buffer: &mut [u8]) -> io::Result<u64> {
    let mut total = 0;
    loop {
        match file.read(buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

fn read(path: &Path) -> io::Result<Value> {
    let mut buffer = vec![0; BLOCK];
    let start = Instant::now();
    let bytes = drain(&mut File::open(path)?, &mut buffer)?;
    Ok(json!({ "ns": nanoseconds(start), "bytes": bytes }))
}

fn pread(path: &Path, count: u64, size: usize, seconds: f64) -> io::Result<Value> {
    let file = File::open(path)?;
    let blocks = (file.metadata()?.len() / size as u64).max(1);
    let mut buffer = vec![0; size];
    // A fixed seed, so that all file systems are read at the same offsets.
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let start = Instant::now();
    let mut done = 0;
    while done < count && start.elapsed().as_secs_f64() < seconds {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        file.read_exact_at(&mut buffer, random % blocks * size as u64)?;
        done += 1;
    }
    Ok(json!({ "ns": nanoseconds(start), "count": done }))
}

fn mmap(path: &Path) -> io::Result<Value> {
    let start = Instant::now();
    // SAFETY: no process writes to the benchmark's files.
    let map = unsafe { Mmap::map(&File::open(path)?)? };
    // Sum eight bytes at a time, or summing would take longer than reading.
    let (words, rest) = map.as_chunks::<8>();
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    let sum = rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    Ok(json!({ "ns": nanoseconds(start), "bytes": map.len(), "sum": sum }))
}

impl Files {
    fn read(&self) -> io::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs_f64(self.seconds);
        let mut passes = Vec::new();
        while passes.len() < self.passes && Instant::now() < deadline {
            passes.push(self.pass(deadline)?);
        }
        Ok(json!({ "passes": passes }))
    }

    fn pass(&self, deadline: Instant) -> io::Result<Value> {
        let start = Instant::now();
        let (mut bytes, mut latencies) = (0, Vec::new());
        std::thread::scope(|scope| {
            let share = |first| scope.spawn(move || self.share(first, deadline));
            let readers: Vec<_> = (0..self.threads).map(share).collect();
            for reader in readers {
                let (read, took) = reader.join().expect("a reader does not panic")?;
                bytes += read;
                latencies.extend(took);
            }
            io::Result::Ok(())
        })?;
        let ns = nanoseconds(start);
        latencies.sort_unstable();
        let percentile = |part: usize| latencies.get(latencies.len() * part / 100).copied();
        let (p50, p99) = (percentile(50), percentile(99));
        Ok(json!({ "ns": ns, "files": latencies.len(), "bytes": bytes, "p50": p50, "p99": p99 }))
    }

    /// Reads one thread's share of the files. Returns the bytes read, and the time for each file in
    /// nanoseconds.
    fn share(&self, first: u64, deadline: Instant) -> io::Result<(u64, Vec<u64>)> {
        let mut buffer = vec![0; BLOCK];
        let (mut bytes, mut latencies) = (0, Vec::new());
        for number in (first..self.count).step_by(usize::try_from(self.threads).unwrap_or(1)) {
            let path = self.folder.join(format!("{number:0width$}", width = self.width));
            let start = Instant::now();
            if start >= deadline {
                break;
            }
            bytes += drain(&mut File::open(path)?, &mut buffer)?;
            latencies.push(nanoseconds(start));
        }
        Ok((bytes, latencies))
    }
}

fn gather(path: &Path, stride: usize, threads: usize, seconds: f64) -> io::Result<Value> {
    // SAFETY: no process writes to the benchmark's files.
    let map = unsafe { Mmap::map(&File::open(path)?)? };
    let start = Instant::now();
    let columns: u64 = std::thread::scope(|scope| {
        let gather = |first| {
            let map = &map;
            move || {
                let (mut done, mut column) = (0, Vec::new());
                while start.elapsed().as_secs_f64() < seconds {
                    let at = (first + usize::try_from(done).unwrap_or(0) * threads) * 4 % stride;
                    column.clear();
                    map[at..]
                        .chunks(stride)
                        .for_each(|row| column.extend_from_slice(&row[..4.min(row.len())]));
                    std::hint::black_box(&column);
                    done += 1;
                }
                done
            }
        };
        let readers: Vec<_> = (0..threads).map(|first| scope.spawn(gather(first))).collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).sum()
    });
    Ok(json!({ "ns": nanoseconds(start), "columns": columns }))
}

fn list(folder: &Path, with_stat: bool) -> io::Result<Value> {
    let start = Instant::now();
    let (mut entries, mut bytes) = (0_u64, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        entries += 1;
        if with_stat {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(json!({ "ns": nanoseconds(start), "entries": entries, "bytes": bytes }))
}
