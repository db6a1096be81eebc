//! Root writes arrays to a directory where another user may write too. Whatever that user does meanwhile,
//! root must write and remove only the files of the array.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{arrayfs, names, run, say_skipped};
use arrayfs::daf::memory_mapping::{UNFINISHED, create_memory_mapped_array};
use arrayfs::dtype::Dtype;
use tempfile::{TempDir, tempdir};

const NOBODY: u32 = 65534;

/// What the attacker's process is told by: the directory that it attacks, and what it puts in the place of others.
const ORDERS: &str = "ARRAYFS_TEST_ATTACKER";

/// What a writer calls the file that tells its directory from others; earlier ones called it `versions`.
const VERSIONS: [&str; 2] = [".arrayfs-versions", "versions"];

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        say_skipped("another user than the one who writes needs root");
    }
    is_root
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn give_away(path: &Path) {
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// A directory of this owner and mode in one that anybody may enter.
fn shared(owner: u32, mode: u32) -> (TempDir, PathBuf) {
    let around = tempdir().unwrap();
    set_mode(around.path(), 0o755);
    let shared = around.path().join("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, mode);
    chown(&shared, Some(owner), Some(owner)).unwrap();
    (around, shared)
}

/// A program where nobody can run it.
fn within_reach(program: &Path, around: &Path) -> PathBuf {
    let copy = around.join(program.file_name().unwrap());
    // By another process: what this one has open for writing its children would have too, and could not run.
    assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    set_mode(&copy, 0o755);
    copy
}

/// A directory of root's with files of all the names that a writer may use.
fn victims(at: &Path) {
    fs::create_dir_all(at).unwrap();
    for name in VERSIONS.into_iter().chain(["x.yaml", "x.array", "x.rows.txt", "precious"]) {
        fs::write(at.join(name), format!("{name} of root")).unwrap();
    }
}

/// What is below a directory, and what is in it; links are not followed.
fn contents(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in names(at) {
        let path = at.join(name);
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(contents(&path));
            continue;
        }
        let bytes = match (kind.is_file(), kind.is_symlink()) {
            (true, _) => fs::read(&path).unwrap(),
            (_, true) => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            // A FIFO, which is not read.
            _ => Vec::new(),
        };
        found.insert(path, bytes);
    }
    found
}

fn create(path: &Path, more: &[&str]) -> Output {
    arrayfs().arg("create").arg(path).args(["--shape", "3,4", "--dtype", "int8"]).args(more).output().unwrap()
}

// ---------------------------------------------------------------------------- staging that is swapped

/// Not a test: the process of the attacker, if it is told to be one. It runs until its standard input ends, and then
/// says how often it has swapped what a writer made.
#[test]
fn attacker_process() {
    let Some(orders) = std::env::var_os(ORDERS) else { return };
    let directory = PathBuf::from(orders);
    let stop = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    let mut swaps = 0;
    while !stop.is_finished() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        for name in names.filter(|name| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())) {
            swaps += u32::from(swap(&directory, &name, swaps));
        }
    }
    writeln!(std::io::stderr(), "swapped {swaps}").unwrap();
}

/// Takes away what a writer has made and puts something else there.
fn swap(directory: &Path, name: &OsStr, number: u32) -> bool {
    let made = directory.join(name);
    if fs::symlink_metadata(&made).is_ok_and(|meta| meta.is_symlink() || meta.uid() == NOBODY)
        || fs::rename(&made, directory.join(format!("taken-{number}"))).is_err()
    {
        return false;
    }
    let victims = directory.with_file_name("victims");
    let _ = match number % 4 {
        0 => symlink(victims, &made),
        1 => own_directory(&made, &victims),
        2 => {
            let of_root = directory.join("of-root");
            let renamed = fs::rename(&of_root, &made);
            std::thread::sleep(Duration::from_millis(2));
            renamed.and_then(|()| fs::rename(&made, of_root))
        }
        _ => fs::write(&made, "a file"),
    };
    true
}

/// A directory of the attacker's own, with links to what it may not write.
fn own_directory(made: &Path, victims: &Path) -> std::io::Result<()> {
    fs::create_dir(made)?;
    fs::set_permissions(made, Permissions::from_mode(0o777))?;
    VERSIONS
        .iter()
        .chain(&["x.array", "x.yaml"])
        .try_for_each(|name| symlink(victims.join(name), made.join(name)))
}

struct Attacker(Child);

impl Attacker {
    fn start(directory: &Path) -> Self {
        let program = within_reach(&std::env::current_exe().unwrap(), directory.parent().unwrap());
        let mut command = Command::new(program);
        let command = command
            .args(["--exact", "shared_directories::attacker_process", "--nocapture"])
            .env(ORDERS, directory);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.uid(NOBODY).gid(NOBODY).current_dir("/").spawn().unwrap())
    }

    /// How often it has swapped what a writer made.
    fn stop(mut self) -> u32 {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let swaps = said.lines().find_map(|line| line.strip_prefix("swapped ")?.parse().ok());
        swaps.unwrap_or_else(|| panic!("{said}"))
    }
}

/// Writes an array many times over while the attacker swaps; how often it did, and how many writes failed.
fn write_under_attack(shared: &Path) -> (u32, u32) {
    let path = shared.join("x");
    let attacker = Attacker::start(shared);
    let (start, mut failed) = (Instant::now(), 0);
    for round in 0..3000 {
        if round > 500 && start.elapsed() > Duration::from_secs(4) {
            break;
        }
        failed += u32::from(create_memory_mapped_array(&path, &[3, 4], Dtype::Int8).is_err());
    }
    (attacker.stop(), failed)
}

// Promise: In a directory where other users may write too, a writer writes and removes only the array's own files, whatever those users do meanwhile.
#[test]
fn whoever_swaps_what_a_writer_makes_has_nothing_of_others_written() {
    if !is_root() {
        return;
    }
    for (owner, mode) in [(0, 0o777), (NOBODY, 0o755), (NOBODY, 0o1777), (0, 0o1777)] {
        let (around, shared) = shared(owner, mode);
        let elsewhere = around.path().join("victims");
        victims(&elsewhere);
        victims(&shared.join("of-root"));
        let before = (contents(&elsewhere), contents(&shared.join("of-root")));
        let (swaps, failed) = write_under_attack(&shared);
        assert_eq!((contents(&elsewhere), contents(&shared.join("of-root"))), before, "{owner} {mode:o}");
        match (owner, mode) {
            // Nobody can rename there what is root's.
            (0, 0o1777) => assert_eq!((swaps, failed), (0, 0)),
            _ if swaps == 0 => say_skipped("the attacker was never in time"),
            _ => {}
        }
        let after = create(&shared.join("x"), &["--force"]);
        assert!(after.status.success(), "{after:?}");
        assert_eq!(fs::read(shared.join("x.array")).unwrap(), [0; 12]);
    }
}

// ---------------------------------------------------------------------------- what is planted

/// Lines that name these files as versions of an array's, in every way that a writer ever had.
fn versions_of(left: &Path, files: &[PathBuf]) -> String {
    let heading = format!("written by the owner of directory {}\n", fs::metadata(left).unwrap().ino());
    let lines = files.iter().map(|file| {
        let meta = fs::metadata(file).unwrap();
        let (seconds, nanoseconds) = (meta.mtime(), meta.mtime_nsec());
        format!("inode {}, {} bytes of {seconds}.{nanoseconds:09}\n", meta.ino(), meta.len())
    });
    std::iter::once(heading).chain(lines).collect()
}

/// What a writer of the array `name` leaves that is killed after it has put the data in place.
fn leftover(directory: &Path, mark: &str, name: &str) -> PathBuf {
    let left = directory.join(format!("{UNFINISHED}{mark}"));
    fs::create_dir(&left).unwrap();
    set_mode(&left, 0o700);
    let files: Vec<_> = ["array", "data", "indices", "indptr", "rows.txt", "cols.txt"]
        .iter()
        .map(|suffix| directory.join(format!("{name}.{suffix}")))
        .collect();
    files.iter().for_each(|file| fs::write(file, file.as_os_str().as_encoded_bytes()).unwrap());
    fs::write(left.join(format!("{name}.yaml")), "no matter what").unwrap();
    for versions in VERSIONS {
        fs::write(left.join(versions), versions_of(&left, &files)).unwrap();
    }
    left
}

fn give_all_away(left: &Path) {
    names(left).iter().for_each(|name| give_away(&left.join(name)));
    give_away(left);
}

// Promise: Leftovers of a killed writer are trusted only where no other user can have made or changed them.
#[test]
fn what_another_user_left_is_not_believed() {
    if !is_root() {
        return;
    }
    for (owner, mode) in [(0, 0o777), (NOBODY, 0o755), (NOBODY, 0o1777), (0, 0o1777)] {
        let (around, shared) = shared(owner, mode);
        let planted = |mark: &str| shared.join(format!("{UNFINISHED}{mark}"));
        victims(&around.path().join("victims"));
        // Another user's own.
        give_all_away(&leftover(&shared, "of-another", "one"));
        // Root's, but open to others.
        set_mode(&leftover(&shared, "open", "two"), 0o770);
        // A directory of root's that was given such a name.
        victims(&planted("renamed"));
        // Whose record is another user's, or leads to it.
        give_away(&leftover(&shared, "record", "three").join(VERSIONS[0]));
        let linked = leftover(&shared, "linked", "four").join(VERSIONS[0]);
        fs::rename(&linked, around.path().join("record")).unwrap();
        symlink(around.path().join("record"), &linked).unwrap();
        // What is no directory.
        symlink(around.path().join("victims"), planted("link")).unwrap();
        nix::unistd::mkfifo(&planted("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(planted("file"), "of another").unwrap();
        ["link", "fifo", "file"].iter().for_each(|mark| give_away(&planted(mark)));
        let left = leftover(&shared, "own", "five");

        let before = contents(around.path());
        let created = create(&shared.join("x"), &[]);
        assert!(created.status.success(), "{created:?}");
        let after = contents(around.path());
        let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        let own = |path: &Path| path.starts_with(&left) || path.to_string_lossy().contains("/five.");
        assert_eq!(gone.len(), 6 + 1 + VERSIONS.len(), "root's own leftover goes: {gone:?}");
        assert!(gone.iter().all(|path| own(path)), "{owner} {mode:o}: {gone:?}");
        assert!(before.iter().all(|(path, bytes)| own(path) || after.get(path) == Some(bytes)));
        // So it is when arrays are removed.
        assert!(run(["remove".as_ref(), shared.join("x").as_os_str()]).status.success());
        assert_eq!(contents(around.path()).len(), after.len() - 2);
    }
}

// Promise: In a directory where other users may write too, a writer writes and removes only the array's own files, whatever those users do meanwhile.
#[test]
fn a_link_in_the_place_of_a_file_is_replaced_or_removed_itself() {
    if !is_root() {
        return;
    }
    let suffixes = ["yaml", "array", "data", "indices", "indptr", "rows.txt", "cols.txt"];
    for (owner, mode) in [(0, 0o777), (NOBODY, 0o755), (NOBODY, 0o1777), (0, 0o1777)] {
        let (around, shared) = shared(owner, mode);
        let secret = around.path().join("secret");
        fs::write(&secret, "of root").unwrap();
        let link = || {
            for suffix in suffixes {
                let link = shared.join(format!("x.{suffix}"));
                let _ = fs::remove_file(&link);
                symlink(&secret, &link).unwrap();
                give_away(&link);
            }
        };
        link();
        assert_eq!(create(&shared.join("x"), &[]).status.code(), Some(1), "without --force");
        assert_eq!(names(&shared).len(), suffixes.len());
        let created = create(&shared.join("x"), &["--force"]);
        assert!(created.status.success(), "{created:?}");
        assert_eq!(names(&shared), ["x.array", "x.yaml"]);
        assert!(names(&shared).iter().all(|name| fs::symlink_metadata(shared.join(name)).unwrap().is_file()));
        link();
        assert!(run(["remove".as_ref(), shared.join("x").as_os_str()]).status.success());
        assert_eq!(names(&shared), [""; 0]);
        assert_eq!(fs::read(&secret).unwrap(), b"of root");
    }
}

// Promise: Leftovers of a killed writer are trusted only where no other user can have made or changed them.
#[test]
fn who_is_not_root_leaves_what_root_left() {
    if !is_root() {
        return;
    }
    let (around, shared) = shared(0, 0o777);
    let program = within_reach(Path::new(env!("CARGO_BIN_EXE_arrayfs")), around.path());
    let left = leftover(&shared, "of-root", "one");
    let before = names(&shared);
    let mut command = Command::new(program);
    let command = command.args(["create", "--shape", "3,4", "--dtype", "int8"]).arg(shared.join("x"));
    let created = command.uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
    assert!(created.status.success() && created.stderr.is_empty(), "{created:?}");
    let after: Vec<_> = names(&shared).into_iter().filter(|name| !name.starts_with("x.")).collect();
    assert_eq!(after, before);
    assert!(left.is_dir() && fs::metadata(shared.join("x.yaml")).unwrap().uid() == NOBODY);
}

#[test]
fn a_directory_that_may_be_written_and_not_listed_is_written() {
    if !is_root() {
        return;
    }
    let (around, shared) = shared(0, 0o733);
    let program = within_reach(Path::new(env!("CARGO_BIN_EXE_arrayfs")), around.path());
    let mut command = Command::new(program);
    let command = command.args(["create", "--shape", "3,4", "--dtype", "int8"]).arg(shared.join("x"));
    let created = command.uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
    assert!(created.status.success(), "{created:?}");
    assert_eq!(names(&shared), ["x.array", "x.yaml"]);
}
