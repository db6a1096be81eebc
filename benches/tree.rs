//! Microbenchmarks of what a request of the kernel comes down to, without the kernel: extents, lookup,
//! listing, attributes and text. `cargo bench -- --quick`; `scripts/bench` measures the mount itself.
#![allow(missing_docs)] // for items that the macros generate

use std::ffi::OsStr;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use arrayfs::daf::arrays::DenseArray;
use arrayfs::daf::memory_mapping::create_memory_mapped_array;
use arrayfs::dtype::Dtype;
use arrayfs::store::mmap::Mode;
use arrayfs::tree::{Answer, File, Ino, Tree};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Rows of the tall array, which has many short rows.
const ROWS: u64 = 1_000_000;
/// Shape of the array that is read; 64 MiB.
const READ: [u64; 2] = [4096, 4096];

/// A store with a tall array and an array to read, and its tree. Dropping it deletes the directory.
struct Store {
    tree: Tree,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        create_memory_mapped_array(dir.path().join("tall"), &[ROWS, 2], Dtype::Float32)
            .expect("there is room");
        let path = dir.path().join("read");
        create_memory_mapped_array(&path, &READ, Dtype::Float32).expect("there is room");
        fill(&path);
        Self { tree: Tree::open(dir.path()).expect("the store is whole"), _dir: dir }
    }

    fn ino(&self, path: &str) -> Ino {
        self.tree.resolve(Path::new(path)).expect("the path is in the tree").ino
    }

    fn open(&self, path: &str) -> Arc<File> {
        self.tree.open_file(self.ino(path)).expect("the file can be opened")
    }
}

/// Fills the array with numbers whose text has a typical length. The text of zeros is too short.
fn fill(path: &Path) {
    let array = DenseArray::open(path, Mode::ReadWrite).expect("it was just made");
    let mut seed = 1_u32;
    let mut elements = array.to_array::<f32>().expect("it is float32");
    elements.map_inplace(|element| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *element = f32::from_bits(0x3F80_0000 | seed >> 9) - 1.0;
    });
    array.assign(elements.view()).expect("there is room");
}

/// Reads `length` bytes at `offset` as the mount does: mapped if possible, and copied otherwise.
fn read(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, path: &str, offset: u64, length: usize) {
    let file = store.open(path);
    let mut buffer = vec![0; length];
    group.throughput(Throughput::Bytes(length as u64));
    group.bench_function(format!("{path}, {} KiB at {offset}", length / KIB), |bencher| {
        bencher.iter(|| store.tree.read_at(black_box(&file), offset, &mut buffer));
    });
}

/// A read of the mount up to the point where the kernel copies: from the inode to the mapped bytes.
fn mapped(group: &mut BenchmarkGroup<'_, WallTime>, store: &Store, path: &str, offset: u64, length: usize) {
    let ino = store.ino(path);
    let found = || store.tree.read(ino, offset, length, |answer| matches!(answer, Ok(Answer::Mapped(_))));
    assert!(found(), "{path} is not answered from a map");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("{path}, {} KiB at {offset}, mapped", length / KIB), |bencher| {
        bencher.iter(found);
    });
}

fn extents(criterion: &mut Criterion) {
    let store = Store::new();
    let mut group = criterion.benchmark_group("extents");
    // One slice; a literal and a slice, from the start and after the literal; separate items.
    read(&mut group, &store, "read/array", 0, MIB);
    read(&mut group, &store, "read/array.npy", 0, MIB);
    read(&mut group, &store, "read/array.npy", MIB as u64, MIB);
    read(&mut group, &store, "read/rows/0017", 0, 16 * KIB);
    read(&mut group, &store, "read/cols/0017", 0, 16 * KIB);
    mapped(&mut group, &store, "read/array", 0, MIB);
    mapped(&mut group, &store, "read/array.npy", MIB as u64, MIB);
    mapped(&mut group, &store, "read/rows/0017", 0, 16 * KIB);
    group.finish();
}

fn names(criterion: &mut Criterion) {
    let store = Store::new();
    let mut group = criterion.benchmark_group("names");
    group.throughput(Throughput::Elements(1));
    let rows = store.ino("tall/rows");
    for name in ["0500000", "-1", "500000.csv"] {
        let lookup = || store.tree.lookup(rows, black_box(OsStr::new(name)));
        // Forget the inode as the kernel does eventually, or lookup counts would grow without end.
        group.bench_function(format!("lookup {name} and forget it"), |bencher| {
            bencher.iter(|| lookup().map(|attr| store.tree.forget(attr.ino, 1)));
        });
    }
    let row = store.ino("tall/rows/0500000");
    group.bench_function("attr of a row", |bencher| bencher.iter(|| store.tree.attr(black_box(row))));
    group.bench_function("open a row", |bencher| bencher.iter(|| store.tree.open_file(black_box(row))));
    group.finish();
}

fn listing(criterion: &mut Criterion) {
    let store = Store::new();
    let rows = store.ino("tall/rows");
    let mut group = criterion.benchmark_group("listing");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    group.bench_function(format!("{ROWS} rows"), |bencher| {
        bencher.iter(|| {
            let mut bytes = 0;
            let listing = store.tree.list(rows).expect("the folder can be listed");
            listing.visit(0, &mut |_, name, _, _| {
                bytes += name.len();
                true
            });
            bytes
        });
    });
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let store = Store::new();
    let mut group = criterion.benchmark_group("text");
    let ino = store.ino("read/rows/17.csv");
    // Open the file for each read, as the mount does for each reader. Otherwise, what is cached while a file
    // is open would hide the cost.
    let read = || {
        let file = store.tree.open_file(black_box(ino)).expect("the file can be opened");
        let mut buffer = vec![0; usize::try_from(file.len()).unwrap_or(0)];
        store.tree.read_at(&file, 0, &mut buffer).expect("the file can be read")
    };
    group.throughput(Throughput::Bytes(read() as u64));
    group.bench_function(format!("a row of {} as .csv", READ[1]), |bencher| bencher.iter(read));
    group.finish();
}

criterion_group!(benches, extents, names, listing, text);
criterion_main!(benches);
