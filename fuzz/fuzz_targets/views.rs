//! Any array, sound or not, by every file of its folder: the size that is told is the number of bytes
//! that are read, in whatever pieces; the bytes of rows, columns and slices are those of the array; and
//! data that break the rules are an error, never a panic.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use arbitrary::Arbitrary;
use arrayfs::dtype::{Dtype, FIXED_DTYPES};
use arrayfs::tree::{Answer, Ino, EntryKind, Tree};
use arrayfs::formats;
use libfuzzer_sys::fuzz_target;

/// How far down an array's folder is walked.
const DEEPEST: u32 = 2;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: Kind,
    rows: u8,
    columns: u8,
    dtype: u8,
    data: Vec<u8>,
    slice: (u8, u8, u8),
    pieces: Vec<u8>,
    has_names: bool,
    format: u8,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Vector,
    Matrix,
    /// Stored where a bit is set.
    Sparse {
        bits: Vec<u8>,
        types: (bool, bool),
    },
    /// Whatever bytes as the parts.
    Broken {
        nnz: u8,
        indices: Vec<u8>,
        indptr: Vec<u8>,
        types: (u8, u8),
    },
}

/// So many of these bytes, again from the start where they end.
fn fill(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().chain(bytes.is_empty().then_some(&0)).copied().cycle().take(length).collect()
}

fn item(dtype: Dtype) -> usize {
    dtype.itemsize() as usize
}

fn numbers(dtype: Dtype, numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| number.to_le_bytes()[..item(dtype)].to_vec()).collect()
}

impl Input {
    fn rows(&self) -> usize {
        usize::from(self.rows % 9) + 1
    }

    fn columns(&self) -> usize {
        if matches!(self.kind, Kind::Vector) { 1 } else { usize::from(self.columns % 9) + 1 }
    }

    fn dtype(&self) -> Dtype {
        FIXED_DTYPES[usize::from(self.dtype) % FIXED_DTYPES.len()]
    }

    /// Writes the array, and returns its dense bytes if it is sound.
    fn write(&self, path: &Path) -> Option<Vec<u8>> {
        let (rows, columns, dtype) = (self.rows(), self.columns(), self.dtype());
        let mut data = fill(&self.data, rows * columns * item(dtype));
        if dtype == Dtype::Bool {
            data.iter_mut().for_each(|byte| *byte &= 1);
        }
        if self.has_names {
            let names = |count: usize| (0..count).map(|i| format!("n/{i}%\n")).collect::<String>();
            fs::write(path.with_extension("rows.txt"), names(rows)).unwrap();
            fs::write(path.with_extension("cols.txt"), names(columns)).unwrap();
        }
        let write = |suffix: &str, bytes: &[u8]| fs::write(path.with_extension(suffix), bytes).unwrap();
        let sparse = |nnz: usize, data: &[u8], indices: (Dtype, &[u8]), indptr: (Dtype, &[u8])| {
            let yaml = format!(
                "{{version: [1, 0], data_dtype: {}, indices_dtype: {}, indptr_dtype: {}, shape: [{rows}, {columns}], nnz: {nnz}}}",
                dtype.name(),
                indices.0.name(),
                indptr.0.name(),
            );
            for (suffix, bytes) in
                [("data", data), ("indices", indices.1), ("indptr", indptr.1), ("yaml", yaml.as_bytes())]
            {
                write(suffix, bytes);
            }
        };
        match &self.kind {
            Kind::Vector | Kind::Matrix => {
                let shape = if matches!(self.kind, Kind::Vector) {
                    format!("[{rows}]")
                } else {
                    format!("[{rows}, {columns}]")
                };
                write("array", &data);
                write(
                    "yaml",
                    format!("{{version: [1, 0], dtype: {}, shape: {shape}}}", dtype.name()).as_bytes(),
                );
                Some(data)
            }
            Kind::Sparse { bits, types } => {
                let bits = fill(bits, rows * columns);
                let mut dense = vec![0; data.len()];
                let (mut stored, mut indices, mut indptr) = (Vec::new(), Vec::new(), vec![0]);
                for (i, _) in bits.iter().enumerate().filter(|(_, bit)| **bit % 3 == 1) {
                    let element = i * item(dtype)..(i + 1) * item(dtype);
                    dense[element.clone()].copy_from_slice(&data[element.clone()]);
                    stored.extend_from_slice(&data[element]);
                    indices.push((i % columns) as u64);
                    indptr.resize(i / columns + 1, indices.len() as u64 - 1);
                }
                indptr.resize(rows + 1, indices.len() as u64);
                let of = if types.0 { Dtype::Int64 } else { Dtype::Uint8 };
                let to = if types.1 { Dtype::Uint32 } else { Dtype::Int16 };
                let nnz = indices.len();
                sparse(nnz, &stored, (of, &numbers(of, indices)), (to, &numbers(to, indptr)));
                Some(dense)
            }
            Kind::Broken { nnz, indices, indptr, types } => {
                let integers = &FIXED_DTYPES[1..9];
                let [of, to] = [types.0, types.1].map(|i| integers[usize::from(i) % integers.len()]);
                let nnz = usize::from(nnz % 20);
                let (indices, indptr) = (fill(indices, nnz * item(of)), fill(indptr, (rows + 1) * item(to)));
                sparse(nnz, &fill(&self.data, nnz * item(dtype)), (of, &indices), (to, &indptr));
                None
            }
        }
    }
}

/// Bytes of a file as the kernel would be given them, or why not.
fn read(tree: &Tree, ino: Ino, offset: u64, length: usize) -> Result<Vec<u8>, arrayfs::Error> {
    tree.read(ino, offset, length, |answer| match answer? {
        // SAFETY: nobody else knows the store.
        Answer::Mapped(bytes) => Ok(unsafe { bytes.bytes() }.to_vec()),
        Answer::Made { file, length, .. } => {
            let mut buffer = vec![0; length];
            let filled = tree.read_at(&file, offset, &mut buffer)?;
            buffer.truncate(filled);
            Ok(buffer)
        }
    })
}

/// Reads a file whole and in pieces; its bytes, if they can be read.
fn check_file(tree: &Tree, ino: Ino, pieces: &[u8], is_sound: bool) -> Option<Vec<u8>> {
    let size = match tree.attr(ino) {
        Ok(attr) => attr.size,
        Err(error) => return assert_broken(is_sound, &error),
    };
    let whole = match read(tree, ino, 0, size as usize + 1) {
        Ok(whole) => whole,
        Err(error) => return assert_broken(is_sound, &error),
    };
    assert_eq!(whole.len() as u64, size, "the size that was told");
    let mut at = 0;
    for piece in pieces.iter().map(|piece| usize::from(*piece) + 1) {
        let found = read(tree, ino, at as u64, piece).expect("what was read whole");
        assert_eq!(found, whole[at..(at + piece).min(whole.len())]);
        at = (at + piece * 7) % (whole.len() + 1);
    }
    Some(whole)
}

fn assert_broken(is_sound: bool, error: &arrayfs::Error) -> Option<Vec<u8>> {
    // Some formats have no integers as large as some arrays.
    assert!(!is_sound || error.to_string().contains("holds exactly"), "a sound array: {error}");
    None
}

/// What a folder lists, as far as there are not very many alike.
fn walk(tree: &Tree, folder: Ino, pieces: &[u8], is_sound: bool, depth: u32) {
    let Ok(listing) = tree.list(folder) else { return assert!(!is_sound) };
    let mut names = Vec::new();
    listing.visit(0, &mut |_, name, _, _| {
        names.push(name.to_owned());
        true
    });
    let most = if depth == DEEPEST { usize::MAX } else { 3 };
    for name in names.iter().take(most) {
        visit(tree, folder, name, pieces, is_sound, depth).expect("what is listed is found");
    }
}

/// What a folder has in formats that it does not list: one of all, for there are many.
fn look_up(tree: &Tree, folder: Ino, which: u8, pieces: &[u8], is_sound: bool) {
    let names: Vec<_> = formats::names().collect();
    let format = names[usize::from(which) % names.len()];
    for component in ["array", "transposed", "matrix", "dense", "data", "indices", "indptr", "10x"] {
        visit(tree, folder, OsStr::new(&format!("{component}.{format}")), pieces, is_sound, 1);
    }
}

fn visit(tree: &Tree, folder: Ino, name: &OsStr, pieces: &[u8], is_sound: bool, depth: u32) -> Option<()> {
    let attr = match tree.lookup(folder, name) {
        Ok(attr) => attr,
        Err(arrayfs::Error::NotFound { .. }) => return None,
        Err(error) => return assert_broken(is_sound, &error).map(drop).or(Some(())),
    };
    match attr.kind {
        EntryKind::File => drop(check_file(tree, attr.ino, pieces, is_sound)),
        EntryKind::Directory if depth > 0 => walk(tree, attr.ino, pieces, is_sound, depth - 1),
        EntryKind::Directory => {}
        EntryKind::Link => drop(tree.read_link(attr.ino)),
    }
    tree.forget(attr.ino, 1);
    Some(())
}

fn bytes(tree: &Tree, path: &str) -> Option<Vec<u8>> {
    let attr = tree.resolve(Path::new(path)).ok()?;
    read(tree, attr.ino, 0, attr.size as usize).ok()
}

/// The bytes of rows, columns and a slice, by a plain model.
fn check_numbers(tree: &Tree, input: &Input, dense: &[u8]) {
    let (rows, columns, item) = (input.rows(), input.columns(), item(input.dtype()));
    let (is_sparse, is_vector) =
        (matches!(input.kind, Kind::Sparse { .. }), matches!(input.kind, Kind::Vector));
    let row = |row: usize| &dense[row * columns * item..(row + 1) * columns * item];
    let (whole, of_row) = if is_sparse { ("dense", "/dense") } else { ("array", "") };
    assert_eq!(bytes(tree, &format!("x/{whole}")).as_deref(), Some(dense));
    for i in (0..rows).filter(|_| !is_vector) {
        assert_eq!(bytes(tree, &format!("x/rows/{i}{of_row}")).as_deref(), Some(row(i)), "row {i}");
    }
    for j in (0..columns).filter(|_| !is_vector && !is_sparse) {
        let column: Vec<u8> = (0..rows).flat_map(|i| row(i)[j * item..(j + 1) * item].to_vec()).collect();
        assert_eq!(bytes(tree, &format!("x/cols/{j}")), Some(column), "column {j}");
    }
    let (start, stop, step) = (
        usize::from(input.slice.0 % 10),
        usize::from(input.slice.1 % 12),
        usize::from(input.slice.2 % 4) + 1,
    );
    let selected: Vec<usize> = (start..stop.min(rows)).step_by(step).collect();
    let expected: Vec<u8> = selected.iter().flat_map(|i| row(*i).to_vec()).collect();
    let found = bytes(tree, &format!("x/slices/{start}:{stop}:{step}/{whole}"));
    assert_eq!(found, (!selected.is_empty()).then_some(expected), "{start}:{stop}:{step} of {rows}");
}

fuzz_target!(|input: Input| {
    let store = tempfile::tempdir_in("/dev/shm").expect("room in /dev/shm");
    let dense = input.write(&store.path().join("x"));
    let tree = Tree::open(store.path()).expect("a store");
    let pieces = &input.pieces[..input.pieces.len().min(4)];
    let Ok(array) = tree.lookup(Ino::ROOT, OsStr::new("x")) else { panic!("an array of the right sizes") };
    walk(&tree, array.ino, pieces, dense.is_some(), DEEPEST);
    look_up(&tree, array.ino, input.format, pieces, dense.is_some());
    if let Ok(slice) = tree.resolve(Path::new("x/slices/::2")) {
        look_up(&tree, slice.ino, input.format, pieces, dense.is_some());
    }
    if let Some(dense) = &dense {
        check_numbers(&tree, &input, dense);
    }
});
