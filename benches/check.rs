//! The speed of `check` with one thread, and with the store's pages in memory. `cargo bench --bench check`.
#![allow(missing_docs)] // for items that the macros generate

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrayfs::array::stored_array::StoredArray;
use arrayfs::check::{Options, check};
use arrayfs::daf::memory_mapping::{SparseInRows, create_memory_mapped_array, write_memory_mapped_sparse};
use arrayfs::dtype::{Dtype, Element};
use arrayfs::store::Store;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Stored elements of the sparse matrices, and elements per row.
const NNZ: usize = 8 << 20;
const PER_ROW: usize = 100;

fn sparse<I: Element>(path: PathBuf, column: impl Fn(usize) -> I) {
    let indices: Vec<I> = (0..NNZ).map(|element| column(element % PER_ROW * 3)).collect();
    let indptr: Vec<u64> = (0..=NNZ.div_ceil(PER_ROW)).map(|row| (row * PER_ROW).min(NNZ) as u64).collect();
    let shape = [indptr.len() as u64 - 1, 300];
    let sparse = SparseInRows { shape, data: &vec![1_u8; NNZ], indices: &indices, indptr: &indptr };
    write_memory_mapped_sparse(path, &sparse).expect("there is room");
}

fn checks(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = |name: &str| dir.path().join(name);
    for dtype in [Dtype::Float16, Dtype::Float32, Dtype::Float64] {
        let items = (64 << 20) / dtype.itemsize();
        create_memory_mapped_array(path(dtype.name()), &[items], dtype).expect("there is room");
        // Write real bytes, because reading a hole is faster.
        let bytes = vec![0x3D; 64 << 20];
        std::fs::write(path(&format!("{dtype}.array")), bytes).expect("there is room");
    }
    sparse(path("int16"), |column| i16::try_from(column).unwrap_or(0));
    sparse(path("int32"), |column| i32::try_from(column).unwrap_or(0));
    sparse(path("int64"), |column| column as u64);

    let store = Arc::new(Store::open(dir.path()).expect("it is a directory"));
    let mut group = criterion.benchmark_group("check");
    let arrays = ["float16", "float32", "float64", "int16", "int32", "int64"];
    for (name, values) in arrays.map(|name| (name, true)).into_iter().chain([("float32", false)]) {
        let load = || StoredArray::load(&store, Path::new(name)).expect("it was just written");
        let bytes = load().metadata.files().iter().map(|(_, bytes)| bytes).sum();
        group.throughput(Throughput::Bytes(bytes)).sample_size(20);
        let what = if values { "with values" } else { "without" };
        group.bench_function(format!("{name}, {what}"), |bencher| {
            let options = Options { jobs: NonZeroUsize::MIN, values };
            bencher.iter(|| check(vec![load()], options, &|_| true));
        });
    }
    group.finish();
}

criterion_group!(benches, checks);
criterion_main!(benches);
