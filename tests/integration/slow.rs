//! Long work: it delays no other request, and ends when nobody waits for it any more.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Mount, wait_until, within, write_dense, write_files, write_hole};
use tempfile::{TempDir, tempdir};

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// How long what has nothing to do with it may take: much more than it does, for the machine has other work.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A program that reads or looks, and is killed when the test is through with it.
struct Reader(Child);

impl Reader {
    fn new(program: &str, args: &[&str], path: &Path) -> Self {
        let mut command = Command::new(program);
        Self(command.args(args).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn is_waiting(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Kills them, and sees to it that they go: the kernel lets one go no sooner than it is answered, and who waits
    /// for another's lookup no sooner than that.
    fn kill(mut readers: Vec<Self>) {
        readers.iter_mut().for_each(|reader| reader.0.kill().unwrap());
        wait_until("the killed readers are let go", || !readers.iter_mut().any(Self::is_waiting));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time that the server of a mount has computed so far.
fn computed(mount: &Mount) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", mount.server())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn is_computing(mount: &Mount) -> bool {
    let before = computed(mount);
    std::thread::sleep(Duration::from_millis(500));
    computed(mount) - before > Duration::from_millis(20)
}

fn wait_until_it_computes(mount: &Mount) {
    wait_until("the server computes", || is_computing(mount));
}

fn wait_until_it_rests(mount: &Mount) {
    wait_until("the server rests", || !is_computing(mount));
}

/// Looks and reads for a while, each time at something that the server is asked for, and tells the slowest.
fn look_around(mount: &Mount, what: &str) {
    let (start, mut slowest, mut count) = (Instant::now(), Duration::ZERO, 0);
    while start.elapsed() < Duration::from_secs(2) {
        let row = format!("beside/rows/{:04}", count % 1000);
        let looks: [&dyn Fn(); 5] = [
            &|| assert_eq!(fs::metadata(mount.join(format!("{row}.npy"))).unwrap().len(), 168),
            &|| assert_eq!(mount.read(&row).len(), 40),
            &|| assert!(fs::metadata(mount.join("note")).unwrap().is_file()),
            &|| assert!(fs::read_dir(mount.join("beside")).unwrap().count() > 5),
            &|| assert_eq!(mount.read(format!("beside/cols/{}.npy", count % 10)).len(), 128 + 4000),
        ];
        for look in looks {
            let begun = Instant::now();
            look();
            slowest = slowest.max(begun.elapsed());
        }
        count += 1;
    }
    println!("beside {what}: {count} rounds, the slowest look {slowest:?}");
    assert!(slowest < AT_ONCE, "beside {what}: {slowest:?}");
}

/// A store with an array that has nothing to do with anything.
fn store() -> TempDir {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("beside"), "float32", &[1000, 10]);
    fs::write(store.path().join("note"), "a file").unwrap();
    store
}

/// A sparse matrix of so many rows, all of them empty, which takes no room on the disk.
fn write_empty(path: &Path, rows: u64) {
    let types = "data_dtype: int8, indices_dtype: int8, indptr_dtype: int64";
    let yaml = format!("{{version: [1, 0], {types}, shape: [{rows}, 3], nnz: 0}}\n");
    write_files(path, &yaml, &[("data", b""), ("indices", b""), ("indptr", b"")]);
    File::options().write(true).open(path.with_extension("indptr")).unwrap().set_len(8 * (rows + 1)).unwrap();
}

// Promise: A slow read delays no other reader, and its reader can be killed.
// Promise: Work that no reader waits for any more is abandoned.
#[test]
fn ten_sizes_that_take_a_pass_each_hold_up_nobody() {
    for options in MODES {
        let store = store();
        write_empty(&store.path().join("s"), 100_000_000);
        let mount = Mount::with(store.path(), options);
        let sizes = (2..12).map(|step| mount.join(format!("s/slices/::{step}/data")));
        let mut readers: Vec<_> = sizes.map(|path| Reader::new("stat", &[], &path)).collect();
        wait_until_it_computes(&mount);
        look_around(&mount, "ten sizes");
        // All of the same thing, which is computed once.
        let same = mount.join("s/slices/::12/indices");
        readers.extend((0..20).map(|_| Reader::new("stat", &[], &same)));
        look_around(&mount, "ten sizes, and twenty who want one more");
        Reader::kill(readers);
        wait_until_it_rests(&mount);
        assert_eq!(mount.faults().len(), 0, "that it was left is no fault");
        write_empty(&store.path().join("t"), 1_000_000);
        wait_until("it is there", || mount.join("t").exists());
        assert_eq!(mount.read("t/slices/::2/indptr"), vec![0; 8 * 500_001], "what is wanted is done");
    }
}

// Promise: Work that no reader waits for any more is abandoned.
#[test]
fn a_checksum_ends_with_the_last_who_waits_for_it() {
    for options in MODES {
        let store = store();
        // 4 TiB, of which both ends of the archive tell the checksum.
        write_hole(&store.path().join("huge"), "float32", &[1 << 20, 1 << 20]);
        let mount = Mount::with(store.path(), options);
        let path = mount.join("huge/array.npz");
        let mut first = Reader::new("head", &["-c", "100"], &path);
        let mut last = Reader::new("tail", &["-c", "100"], &path);
        wait_until_it_computes(&mount);
        look_around(&mount, "a checksum");
        assert!(first.is_waiting() && last.is_waiting());
        Reader::kill(vec![first]);
        std::thread::sleep(Duration::from_secs(1));
        assert!(last.is_waiting());
        wait_until_it_computes(&mount);
        Reader::kill(vec![last]);
        wait_until_it_rests(&mount);
        // It can be asked for again.
        let again = Reader::new("tail", &["-c", "100"], &path);
        wait_until_it_computes(&mount);
        Reader::kill(vec![again]);
        wait_until_it_rests(&mount);
        assert_eq!(mount.faults().len(), 0);
    }
}

#[test]
fn names_of_a_hundred_megabytes_hold_up_nobody() {
    const NAMES: u64 = 5_000_000;
    let store = store();
    write_hole(&store.path().join("x"), "uint8", &[NAMES, 2]);
    let mut names = BufWriter::new(File::create(store.path().join("x.rows.txt")).unwrap());
    (0..NAMES).for_each(|i| writeln!(names, "a name of a row {i:07}").unwrap());
    drop(names);
    for options in MODES {
        let mount = Mount::with(store.path(), options);
        let name = |i: u64| mount.join(format!("x/by-name/rows/a name of a row {i:07}"));
        let readers: Vec<_> = (0..10).map(|i| Reader::new("stat", &[], &name(i))).collect();
        wait_until_it_computes(&mount);
        look_around(&mount, "many names");
        Reader::kill(readers);
        wait_until_it_rests(&mount);
        let last = name(NAMES - 1);
        let target = within(120, "a name among many", move || fs::read_link(last));
        assert_eq!(target.unwrap(), Path::new("../../rows/4999999"));
        // They are known now, and the next is found at once.
        let begun = Instant::now();
        assert_eq!(fs::read_link(name(7)).unwrap(), Path::new("../../rows/0000007"));
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        assert!(!name(NAMES).exists());
        assert_eq!(mount.faults().len(), 0);
    }
}

#[test]
fn how_it_is_mounted_is_told_without_a_walk_over_the_store() {
    let store = store();
    let yaml = "{version: [1, 0], dtype: uint8, shape: [1]}\n";
    for folder in 0..20 {
        fs::create_dir(store.path().join(format!("many{folder}"))).unwrap();
        for number in 0..1000 {
            write_files(&store.path().join(format!("many{folder}/a{number}")), yaml, &[("array", b"7")]);
        }
    }
    write_files(&store.path().join("many19/broken"), yaml, &[("array", b"too long")]);
    let mount = Mount::new(store.path());
    let survey = Reader::new("cat", &[], &mount.join(".arrayfs/errors.yaml"));
    let others: Vec<_> =
        (0..30).map(|_| Reader::new("cat", &[], &mount.join(".arrayfs/warnings.yaml"))).collect();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(2) {
        let (looked, path) = (Instant::now(), mount.join(".arrayfs/mount.yaml"));
        assert!(fs::metadata(&path).unwrap().len() > 10);
        assert!(fs::read_to_string(&path).unwrap().contains("passthrough"));
        assert!(looked.elapsed() < AT_ONCE, "{:?}", looked.elapsed());
        count += 1;
    }
    println!("beside a survey: mount.yaml {count} times");
    look_around(&mount, "a survey of 20,000 arrays");
    drop((survey, others));
    wait_until_it_rests(&mount);
    let path = mount.join(".arrayfs/errors.yaml");
    let errors = within(300, "a survey of 20,000 arrays", move || fs::read_to_string(path).unwrap());
    assert!(errors.starts_with("\"many19/broken\": ") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn a_report_stays_as_it_was_when_it_was_opened() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_files(&store.path().join("a"), "nothing of an array: [", &[("array", b"")]);
        let mount = Mount::with(store.path(), options);
        let path = mount.join(".arrayfs/errors.yaml");
        let before = fs::read_to_string(&path).unwrap();
        let open = File::open(&path).unwrap();
        let (start, rest) = (3, before.len() - 3);
        let mut bytes = vec![0; before.len()];
        open.read_exact_at(&mut bytes[..start], 0).unwrap();
        write_files(&store.path().join("Z"), "nothing of an array: [", &[("array", b"")]);
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.lines().count() == 2 && after.ends_with(&before), "{after}");
        assert_eq!(fs::metadata(&path).unwrap().len(), after.len() as u64);
        open.read_exact_at(&mut bytes[start..], start as u64).unwrap();
        assert_eq!((String::from_utf8(bytes).unwrap(), rest), (before.clone(), before.len() - start));
        assert_eq!(open.metadata().unwrap().len(), before.len() as u64);
    }
}
