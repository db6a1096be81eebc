//! Arrays during a write: whatever happens to the writer, no reader ever sees half an array.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Mount, arrayfs, names, run, say_skipped, write_dense};
use arrayfs::Error;
use arrayfs::daf::arrays::{CsrMatrix, DenseArray};
use arrayfs::daf::memory_mapping::{
    SparseInRows, UNFINISHED, create_memory_mapped_array, write_memory_mapped_sparse,
};
use arrayfs::dtype::Dtype;
use arrayfs::store::mmap::Mode;
use tempfile::tempdir;

/// What a writer of the tests' own is told by: the path, the number of the array to begin with, how many to write,
/// and by how much the number grows.
const ORDERS: &str = "ARRAYFS_TEST_WRITER";

/// Numbers up to which arrays differ.
const KINDS: u32 = 40;

/// Writes the array of this number: even ones are dense, odd ones sparse; each has a shape of its own.
fn write(path: &Path, number: u32) -> arrayfs::Result<()> {
    if number.is_multiple_of(2) {
        return create_memory_mapped_array(path, &[u64::from(number) + 3, 5], Dtype::Int16);
    }
    let nnz = 1000 + number as usize;
    let (data, indices) = (vec![number; nnz], (0..nnz as u32).collect::<Vec<_>>());
    let sparse =
        SparseInRows { shape: [1, 2000], data: &data, indices: &indices, indptr: &[0u32, nnz as u32] };
    write_memory_mapped_sparse(path, &sparse)
}

/// The number of the array at `path`, which must be whole; none where there is none at the moment.
fn read(path: &Path) -> Option<u32> {
    match DenseArray::open(path, Mode::Read) {
        Ok(array) => {
            let rows = array.shape().rows() as u32;
            assert!(array.to_array::<i16>().unwrap().iter().all(|element| *element == 0));
            return Some(rows - 3);
        }
        // Metadata of the other kind, or none.
        Err(Error::Invalid { what, .. }) if what != "size" => {}
        Err(error) => assert!(error.is_not_found(), "{error}"),
    }
    match CsrMatrix::open(path, Mode::Read) {
        Ok(sparse) => {
            let data = sparse.data::<u32>().unwrap();
            assert!(data.iter().all(|element| *element == data[0]), "of two writers");
            assert_eq!(data.len() as u32, 1000 + data[0]);
            Some(data[0])
        }
        Err(Error::Invalid { what, .. }) if what != "size" => None,
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{error}"),
    }
}

/// Not a test: the process of a writer, if it is told to be one.
#[test]
fn writer_process() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let [path, first, count, step] = orders.split('\n').collect::<Vec<_>>().try_into().unwrap();
    let [mut number, count, step] = [first, count, step].map(|text| text.parse::<u32>().unwrap());
    for _ in 0..count {
        write(Path::new(path), number % KINDS).unwrap();
        number += step;
    }
}

/// Starts a process that writes `count` arrays at `path`, one over the other.
fn start_writer(path: &Path, first: u32, count: u32, step: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writers::writer_process"])
        .env(ORDERS, format!("{}\n{first}\n{count}\n{step}", path.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn unfinished(store: &Path) -> Vec<String> {
    names(store).into_iter().filter(|name| name.starts_with(UNFINISHED)).collect()
}

/// What must hold whenever no writer is alive, and none has come since the last died.
fn all_is_whole(store: &Path, mount: &Mount) {
    let check = run(["check".as_ref(), store.as_os_str()]);
    assert!(check.status.success(), "{check:?}");
    assert_eq!(mount.errors(), "{}\n");
    assert!(!mount.list("").iter().any(|name| name.starts_with(UNFINISHED)));
    let listed = run(["ls".as_ref(), store.as_os_str()]);
    assert!(listed.status.success() && !String::from_utf8(listed.stdout).unwrap().contains(UNFINISHED));
}

/// A moment up to `most`, another each time.
fn moment(round: u32, most: Duration) -> Duration {
    most.mul_f64(f64::from(round.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24))
}

// Promise: A half-made array is never visible, neither while it is written nor after its writer was killed.
// Promise: When several writers write one path at the same time, each array appears whole and the last one stays; leftovers of a killed writer are removed by the same user's next write in that directory.
#[test]
fn a_writer_that_is_killed_leaves_no_half_made_array() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    let mount = Mount::new(store.path());
    let mut left = [0; 2];
    for round in 0..150 {
        let mut writer = start_writer(&path, round, u32::MAX, 1);
        std::thread::sleep(Duration::from_millis(3) + moment(round, Duration::from_millis(15)));
        writer.kill().unwrap();
        writer.wait().unwrap();
        left[0] += usize::from(!unfinished(store.path()).is_empty());
        read(&path);
        if round % 10 == 0 {
            all_is_whole(store.path(), &mount);
        }
        // Data files without their metadata are what a writer leaves who dies between the two.
        let names = names(store.path());
        let is_yaml = names.contains(&"x.yaml".to_owned());
        left[1] += usize::from(!is_yaml && names.iter().any(|name| name.starts_with("x.")));
        // The next writer in the directory, of whatever array, clears it all away.
        let next = run([
            "create",
            "--force",
            "--shape",
            "3",
            "--dtype",
            "int8",
            store.path().join("next").to_str().unwrap(),
        ]);
        assert!(next.status.success(), "{next:?}");
        assert_eq!(unfinished(store.path()), [""; 0], "round {round}");
        if !is_yaml {
            let left: Vec<_> = crate::common::names(store.path())
                .into_iter()
                .filter(|name| name.starts_with("x."))
                .collect();
            assert_eq!(left, [""; 0], "round {round}: files of no array");
        }
    }
    assert!(left[0] > 0, "no writer was killed in the middle");
    say_if(left[1] == 0, "no writer happened to be killed between its data and its metadata");
    all_is_whole(store.path(), &mount);
}

fn say_if(is_so: bool, why: &str) {
    if is_so {
        say_skipped(why);
    }
}

// Promise: A half-made array is never visible, neither while it is written nor after its writer was killed.
#[test]
fn a_create_that_is_killed_leaves_no_half_made_array() {
    let store = tempdir().unwrap();
    let mount = Mount::new(store.path());
    let path = |round: u32| store.path().join(format!("x{round}"));
    for round in 0..150 {
        let mut create = arrayfs();
        let mut create = create
            .arg("create")
            .arg(path(round))
            .args(["--shape", "7,9", "--dtype", "int8"])
            .spawn()
            .unwrap();
        std::thread::sleep(moment(round, Duration::from_millis(4)));
        create.kill().unwrap();
        create.wait().unwrap();
    }
    all_is_whole(store.path(), &mount);
    create_memory_mapped_array(store.path().join("next"), &[3], Dtype::Int8).unwrap();
    let left = names(store.path());
    for name in left.iter().filter(|name| !name.ends_with(".yaml")) {
        let yaml = name.replace(".array", ".yaml");
        assert!(left.contains(&yaml), "{name} is left");
    }
    all_is_whole(store.path(), &mount);
}

// Promise: When several writers write one path at the same time, each array appears whole and the last one stays; leftovers of a killed writer are removed by the same user's next write in that directory.
#[test]
fn of_writers_on_one_path_each_comes_whole() {
    let store = tempdir().unwrap();
    let path = store.path().join("x");
    let mount = Mount::new(store.path());
    let mut writers: Vec<Child> = (0..3).map(|first| start_writer(&path, first, 300, 3 + first)).collect();
    let (mut seen, mut reads) = (std::collections::BTreeSet::new(), 0);
    let start = Instant::now();
    while writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()) {
        assert!(start.elapsed() < Duration::from_secs(60), "the writers hang");
        seen.extend(read(&path));
        reads += 1;
        if reads % 50 == 0 {
            let check = run(["check".as_ref(), store.path().as_os_str()]);
            let said = String::from_utf8(check.stdout).unwrap();
            // What is replaced while it is verified is said to be, and no other fault is ever seen.
            assert!(said.lines().all(|line| line.ends_with("replaced under the reader")), "{said}");
            assert_eq!(mount.errors(), "{}\n");
            assert!(run(["ls".as_ref(), store.path().as_os_str()]).status.success());
        }
    }
    assert!(writers.iter_mut().all(|writer| writer.wait().unwrap().success()), "a writer failed");
    assert!(seen.len() > 5, "{seen:?} of {reads} reads");
    assert!(read(&path).is_some(), "the last one stays");
    all_is_whole(store.path(), &mount);
    let files = names(store.path());
    let kinds: [&[&str]; 2] = [&["x.array", "x.yaml"], &["x.data", "x.indices", "x.indptr", "x.yaml"]];
    assert!(kinds.iter().any(|kind| files == *kind), "{files:?}");
}

#[test]
fn a_writer_that_is_alive_keeps_its_files() {
    let store = tempdir().unwrap();
    let create = || {
        let next = store.path().join("next");
        let mut create = arrayfs();
        let create = create.arg("create").arg(next).args(["--shape", "3", "--dtype", "int8", "--force"]);
        let output = create.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    // What a writer has while it writes, and who is alive holds the lock.
    let staged = store.path().join(".arrayfs-unfinished-alive");
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("x.array"), "half").unwrap();
    let directory = fs::File::open(&staged).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    create();
    assert_eq!(
        fs::read(staged.join("x.array")).unwrap(),
        b"half",
        "the files of a writer that is alive are gone"
    );
    drop(directory);
    create();
    assert_eq!(unfinished(store.path()), Vec::<String>::new(), "what a writer left that is gone is cleared");
}

/// A small disk, which goes with this.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let dir = tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(dir.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(dir)),
            other => {
                say_skipped(&format!("no small disk can be mounted here: {other:?}"));
                None
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_old_array_stays() {
    let Some(disk) = Disk::new() else { return };
    let (store, path) = (disk.0.path(), disk.0.path().join("x"));
    let bytes = write_dense(&path, "int8", &[30, 40]);
    let whole = |files: &[&str]| {
        assert_eq!(names(store), files);
        assert_eq!(fs::read(store.join("x.array")).unwrap(), bytes);
        assert!(run(["check".as_ref(), store.as_os_str()]).status.success());
    };
    let nnz = 1_000_000;
    let (data, indices) = (vec![1u8; nnz], (0..nnz as u32).collect::<Vec<_>>());
    let sparse =
        SparseInRows { shape: [1, nnz as u64], data: &data, indices: &indices, indptr: &[0, nnz as u32] };
    match write_memory_mapped_sparse(&path, &sparse) {
        Err(Error::Io { path: file, action: "create", source }) => {
            assert_eq!((file, source.raw_os_error()), (path.clone(), Some(libc::ENOSPC)));
        }
        other => panic!("a disk of 512 KiB holds 5 MB: {other:?}"),
    }
    whole(&["x.array", "x.yaml"]);
    #[cfg(feature = "import")]
    {
        let elsewhere = tempdir().unwrap();
        let table = elsewhere.path().join("large.csv");
        fs::write(&table, "1.5\n".repeat(200_000)).unwrap();
        let import = run(["import".as_ref(), table.as_os_str(), path.as_os_str(), "--force".as_ref()]);
        let said = String::from_utf8(import.stderr).unwrap();
        assert_eq!(import.status.code(), Some(1), "{said}");
        assert!(said.contains("No space left") && said.lines().count() == 1, "{said}");
        whole(&["x.array", "x.yaml"]);
    }
    // What is written into a hole that the disk has no room for is an error, not the signal that a map would give.
    let hole = store.join("hole");
    arrayfs::daf::memory_mapping::create_memory_mapped_array(&hole, &[1 << 20], Dtype::Uint8).unwrap();
    let array = DenseArray::open(&hole, Mode::ReadWrite).unwrap();
    match array.assign(ndarray::ArrayView1::from(&vec![1_u8; 1 << 20])) {
        Err(Error::Io { action: "write", source, .. }) => {
            assert_eq!(source.raw_os_error(), Some(libc::ENOSPC))
        }
        other => panic!("a disk of 512 KiB holds 1 MiB: {other:?}"),
    }
    arrayfs::daf::memory_mapping::remove_memory_mapped_array(&hole).unwrap();
    // Filled to the last byte: there is no room for metadata.
    let filler = fs::write(store.join("filler"), vec![1; 1 << 20]).unwrap_err();
    assert_eq!(filler.raw_os_error(), Some(libc::ENOSPC));
    for name in ["x", "new"] {
        let path = store.join(name);
        let create = run(["create", "--force", "--shape", "9", "--dtype", "int8", path.to_str().unwrap()]);
        let said = String::from_utf8(create.stderr).unwrap();
        assert_eq!(create.status.code(), Some(1), "{said}");
        assert!(said.contains("No space left") && said.lines().count() == 1, "{said}");
        whole(&["filler", "x.array", "x.yaml"]);
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_the_old_array_stays() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("x"), "int8", &[30, 40]);
    for name in ["x", "new"] {
        let path = store.path().join(name);
        let create = Command::new("sh")
            .args(["-c", "ulimit -f 8; exec \"$0\" create \"$1\" --shape 1000,1000 --dtype int8 --force"])
            .arg(env!("CARGO_BIN_EXE_arrayfs"))
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8(create.stderr).unwrap();
        assert_eq!(create.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large") && said.lines().count() == 1, "{said}");
        assert_eq!(names(store.path()), ["x.array", "x.yaml"]);
        assert_eq!(fs::read(store.path().join("x.array")).unwrap(), bytes);
    }
}
