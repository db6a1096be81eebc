//! Shared by all tests: a temporary store with every kind of array, and mounts that are always unmounted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayfs::dtype::FIXED_DTYPES;
use tempfile::TempDir;

/// The program under test.
pub fn arrayfs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arrayfs"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs the program and returns its output and exit status.
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    arrayfs().args(args).output().unwrap()
}

/// Runs a script of `tests/readers`. Fails with its output if it fails.
#[track_caller]
pub fn python(script: &str, args: &[&Path]) {
    let python = std::env::var_os("ARRAYFS_TEST_PYTHON").expect(
        "ARRAYFS_TEST_PYTHON is not set: run scripts/test, or set it to what scripts/python-env prints",
    );
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let output = Command::new(&python)
        .arg("-B")
        .arg(scripts.join(script))
        .args(args)
        .output()
        .expect("Python does not start");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{script} {args:?}: {}\n{said}", output.status);
    println!("{script}: {said}");
}

/// The standard output of a run that must succeed.
pub fn stdout<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let output = run(args);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A store mounted by the program itself. Dropping the last clone unmounts it, even if a test fails or hangs
/// in another thread.
#[derive(Clone)]
pub struct Mount {
    dir: Arc<TempDir>,
}

impl Mount {
    pub fn new(store: &Path) -> Self {
        Self::with(store, &[])
    }

    pub fn with(store: &Path, options: &[&str]) -> Self {
        Self::by(arrayfs(), store, options)
    }

    /// Mounts with a server that runs under a limit set by `ulimit`.
    pub fn limited(store: &Path, options: &[&str], limit: &str) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_arrayfs"));
        Self::by(shell, store, options)
    }

    fn by(mut command: Command, store: &Path, options: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("arrayfs-test-mount-").tempdir().unwrap();
        let output = command.arg("mount").args(options).arg(store).arg(dir.path()).output().unwrap();
        assert!(output.status.success(), "cannot mount, and these tests need FUSE: {output:?}");
        Self { dir: Arc::new(dir) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The content of a file in the mount.
    pub fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.join(path);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The errno of reading a file in the mount.
    pub fn read_error(&self, path: impl AsRef<Path>) -> i32 {
        let path = self.join(path);
        match fs::read(&path) {
            Ok(bytes) => panic!("{}: expected an error, read {} bytes", path.display(), bytes.len()),
            Err(error) => error.raw_os_error().unwrap(),
        }
    }

    /// The names in a directory of the mount, sorted.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        names(&self.join(path))
    }

    /// The content of `.arrayfs/errors.yaml`.
    pub fn errors(&self) -> String {
        String::from_utf8(self.read(".arrayfs/errors.yaml")).unwrap()
    }

    /// The entries of `.arrayfs/errors.yaml`. Each must be one line.
    pub fn faults(&self) -> BTreeMap<String, String> {
        let text = self.errors();
        let faults: BTreeMap<String, String> =
            serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(text.lines().count(), faults.len().max(1), "{text}");
        faults
    }

    /// The process ID of the server.
    pub fn server(&self) -> u32 {
        let wanted = self.dir.path().as_os_str().as_encoded_bytes();
        let serves = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let parts: Vec<_> = line.split(|byte| *byte == 0).collect();
            parts.contains(&&b"--background-child"[..]) && parts.contains(&wanted)
        };
        let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
        pids.into_iter().find(serves).expect("a mount has a process that serves it")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = arrayfs().arg("unmount").arg(self.dir.path()).output();
    }
}

/// The names in a directory, sorted.
pub fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Waits until `done` returns true. For changes that the system makes asynchronously.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs `test` in a thread, and fails if it does not return within `seconds`.
pub fn within<T: Send + 'static>(seconds: u64, what: &str, test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(test);
    let limit = Duration::from_secs(seconds);
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < limit, "{what} hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Writes a dense array of zeros as a hole, which takes no space on disk.
pub fn write_hole(path: &Path, dtype: &str, shape: &[u64]) {
    let itemsize = FIXED_DTYPES.iter().find(|known| known.name() == dtype).unwrap().itemsize();
    write_files(path, &format!("dtype: {dtype}\nshape: {shape:?}\nversion: [1, 0]\n"), &[("array", b"")]);
    let file = fs::File::options().write(true).open(path.with_extension("array")).unwrap();
    file.set_len(shape.iter().product::<u64>() * itemsize).unwrap();
}

/// Writes the files of a dense array without the library. Neighbouring bytes differ.
pub fn write_dense(path: &Path, dtype: &str, shape: &[u64]) -> Vec<u8> {
    let itemsize = FIXED_DTYPES.iter().find(|known| known.name() == dtype).unwrap().itemsize();
    let count = shape.iter().product::<u64>() * itemsize;
    let pattern = |i: u64| if dtype == "bool" { i.is_multiple_of(3).into() } else { (i * 7 + i / 256) as u8 };
    let bytes: Vec<u8> = (0..count).map(pattern).collect();
    write_files(path, &format!("dtype: {dtype}\nshape: {shape:?}\nversion: [1, 0]\n"), &[("array", &bytes)]);
    bytes
}

/// A sparse matrix as it is on disk: int32 data, int32 indices, int64 indptr.
pub struct Sparse {
    pub shape: [u64; 2],
    pub data: Vec<i32>,
    pub indices: Vec<i32>,
    pub indptr: Vec<i64>,
}

impl Sparse {
    /// A matrix with rows of many lengths, whose first and last columns are empty.
    pub fn example(rows: usize, columns: usize) -> Self {
        let (mut data, mut indices, mut indptr) = (vec![], vec![], vec![0]);
        for row in 0..rows {
            for column in
                (1..columns.saturating_sub(1)).filter(|column| (row * 5 + column * 3) % (row % 7 + 2) == 0)
            {
                indices.push(column as i32);
                data.push((row * 1000 + column) as i32);
            }
            indptr.push(data.len() as i64);
        }
        Self { shape: [rows as u64, columns as u64], data, indices, indptr }
    }

    /// Writes the files without the library.
    pub fn write(&self, path: &Path) {
        let yaml = format!(
            "data_dtype: int32\nindices_dtype: int32\nindptr_dtype: int64\nnnz: {}\nshape: {:?}\nversion: [1, 0]\n",
            self.data.len(),
            self.shape
        );
        let bytes32 = |items: &[i32]| items.iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>();
        let indptr: Vec<u8> = self.indptr.iter().flat_map(|item| item.to_le_bytes()).collect();
        let files: [(&str, &[u8]); 3] =
            [("data", &bytes32(&self.data)), ("indices", &bytes32(&self.indices)), ("indptr", &indptr)];
        write_files(path, &yaml, &files);
    }

    /// The elements as if the matrix were dense.
    pub fn dense(&self) -> Vec<i32> {
        let columns = self.shape[1] as usize;
        let mut dense = vec![0; self.shape[0] as usize * columns];
        for row in 0..self.shape[0] as usize {
            for i in self.indptr[row] as usize..self.indptr[row + 1] as usize {
                dense[row * columns + self.indices[i] as usize] += self.data[i];
            }
        }
        dense
    }
}

/// Writes `path.yaml` and data files with these suffixes.
pub fn write_files(path: &Path, yaml: &str, files: &[(&str, &[u8])]) {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        PathBuf::from(name)
    };
    for (suffix, bytes) in files {
        fs::write(with(suffix), bytes).unwrap();
    }
    fs::write(with("yaml"), yaml).unwrap();
}

/// Reports that something was not tested. Writes to stderr directly, because the harness captures
/// `eprintln!`.
pub fn say_skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// The real stores in the directory ARRAYFS_TEST_STORES. Reports it if there is none.
pub fn real_stores() -> Vec<PathBuf> {
    let Some(dir) = std::env::var_os("ARRAYFS_TEST_STORES") else {
        say_skipped("ARRAYFS_TEST_STORES names no directory of real stores");
        return Vec::new();
    };
    let dir = fs::canonicalize(dir).unwrap();
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// The paths of all files that are shown of an array, including those in directories of formats.
#[cfg(feature = "verify")]
pub fn all_files(mount: &Mount, store: &Path, name: &str) -> Vec<PathBuf> {
    use arrayfs::{array::stored_array::StoredArray, store::Store, verify::cases};
    let store = Arc::new(Store::open(store).unwrap());
    let array = Arc::new(StoredArray::load(&store, Path::new(name)).unwrap());
    let mut found = Vec::new();
    for case in cases(&array) {
        walk(&mount.join(name).join(case.to_string()), &mut found);
    }
    found
}

#[cfg(feature = "verify")]
fn walk(path: &Path, found: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Ok(entries) => entries.for_each(|entry| walk(&entry.unwrap().path(), found)),
        Err(_) => found.push(path.to_owned()),
    }
}
