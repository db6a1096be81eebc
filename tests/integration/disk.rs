//! A disk that fails or is slow. The test provides it as a FUSE file system, which contains the store.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::common::{Mount, wait_until};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request,
};
use tempfile::{TempDir, tempdir};

const ROWS: u64 = 256;
const ROW: u64 = 4096;
/// From this row on the disk is bad, or slow.
const BAD: u64 = 128;

/// What happens to reads of what is on the bad part.
enum Fault {
    Fails,
    /// Until it is told to go on.
    Waits(Arc<AtomicBool>),
}

/// A disk with one array on it, all of sevens.
struct Disk(Arc<Fault>);

impl Disk {
    const FILES: [&'static str; 2] = ["x.yaml", "x.array"];

    fn yaml() -> String {
        format!("{{version: [1, 0], dtype: uint8, shape: [{ROWS}, {ROW}]}}\n")
    }

    fn attr(number: u64) -> FileAttr {
        let size = [0, Self::yaml().len() as u64, ROWS * ROW][number as usize - 1];
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (kind, perm) =
            if number == 1 { (FileType::Directory, 0o755) } else { (FileType::RegularFile, 0o644) };
        let ino = INodeNo(number);
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        FileAttr {
            ino,
            size,
            kind,
            perm,
            uid,
            gid,
            blocks: size / 512,
            nlink: 1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
        }
    }
}

const LONG: Duration = Duration::from_secs(3600);

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match Self::FILES.iter().position(|file| *file == name) {
            Some(i) => reply.entry(&LONG, &Self::attr(i as u64 + 2), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&LONG, &Self::attr(number.0));
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        for (i, name) in (0..).zip(Self::FILES).skip(offset as usize) {
            let _ = reply.add(INodeNo(i + 2), i + 1, FileType::RegularFile, name);
        }
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if number.0 == 2 {
            return reply.data(&Self::yaml().as_bytes()[offset as usize..]);
        }
        let length = u64::from(size).min(ROWS * ROW - offset);
        if offset + length <= BAD * ROW {
            return reply.data(&vec![7; length as usize]);
        }
        let fault = Arc::clone(&self.0);
        std::thread::spawn(move || match &*fault {
            Fault::Fails => reply.error(Errno::EIO),
            Fault::Waits(goes_on) => {
                while !goes_on.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                reply.data(&vec![7; length as usize]);
            }
        });
    }
}

/// A store on such a disk, and a mount of it.
struct Setup {
    mount: Option<Mount>,
    disk: Option<BackgroundSession>,
    dir: TempDir,
}

impl Setup {
    fn new(fault: Fault, options: &[&str]) -> Self {
        let dir = tempdir().unwrap();
        let disk = fuser::spawn_mount(Disk(Arc::new(fault)), dir.path(), &Config::default()).unwrap();
        wait_until("the disk is there", || dir.path().join("x.yaml").exists());
        // So small are the reads of such a disk that the good part is not read with the bad one.
        let mount = Mount::with(dir.path(), options);
        Self { mount: Some(mount), disk: Some(disk), dir }
    }

    fn mount(&self) -> &Mount {
        self.mount.as_ref().unwrap()
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.mount = None;
        // Lazily, for the server of the mount may have the disk in use for a moment more.
        let _ = nix::mount::umount2(self.dir.path(), nix::mount::MntFlags::MNT_DETACH);
        self.disk = None;
    }
}

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

// Promise: If the disk fails under a source, reads of the failing part return `EIO`, and all other reads go on.
#[test]
fn a_disk_that_fails_is_an_error_where_it_fails() {
    for options in MODES {
        let setup = Setup::new(Fault::Fails, options);
        let mount = setup.mount();
        for round in 0..3 {
            assert_eq!(mount.read("x/rows/017"), [7; ROW as usize], "round {round}");
            for bad in [
                "x/rows/200",
                "x/cols/0003",
                "x/array",
                "x/array.npy",
                "x/slices/100:/array",
                "x/slices/::2/array",
                "x/array.csv",
            ] {
                assert_eq!(mount.read_error(bad), libc::EIO, "{bad}");
            }
        }
        assert_eq!(mount.read("x/slices/:64/array").len() as u64, 64 * ROW);
        assert!(mount.faults()["x"].contains("x.array"), "{:?}", mount.faults());
    }
}

// Promise: A slow read delays no other reader, and its reader can be killed.
#[test]
fn a_slow_disk_holds_up_only_who_reads_it() {
    for options in MODES {
        let goes_on = Arc::new(AtomicBool::new(false));
        let setup = Setup::new(Fault::Waits(Arc::clone(&goes_on)), options);
        let mount = setup.mount();
        // More readers than there are threads to serve them.
        let slow = |path: &str| {
            let mut cat = Command::new("cat");
            cat.arg(mount.join(path)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut waiting: Vec<_> = (0..24).map(|column| slow(&format!("x/cols/{column:04}"))).collect();
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        for row in 0..100 {
            assert_eq!(mount.read(format!("x/rows/{row:03}")), [7; ROW as usize]);
        }
        assert!(mount.read("x/meta.yaml").len() > 10 && mount.list("x/rows").len() as u64 == ROWS);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(waiting.iter_mut().all(|cat| cat.try_wait().unwrap().is_none()), "they wait");
        for cat in waiting.iter_mut().take(12) {
            cat.kill().unwrap();
        }
        goes_on.store(true, Ordering::Relaxed);
        let ended: Vec<_> = waiting.iter_mut().map(|cat| cat.wait().unwrap().success()).collect();
        assert_eq!(ended.iter().filter(|is_well| **is_well).count(), 12, "{ended:?}");
        let column = File::open(mount.join("x/cols/4000")).unwrap();
        let mut bytes = [0; ROWS as usize];
        column.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [7; ROWS as usize]);
        assert_eq!(fs::metadata(mount.join("x/array")).unwrap().len(), ROWS * ROW);
    }
}

// Promise: A slow read delays no other reader, and its reader can be killed.
#[test]
fn rows_on_a_slow_disk_never_have_all_threads() {
    for options in MODES {
        let goes_on = Arc::new(AtomicBool::new(false));
        let setup = Setup::new(Fault::Waits(Arc::clone(&goes_on)), options);
        let mount = setup.mount();
        assert_eq!(mount.read("x/rows/000"), [7; ROW as usize], "by now the file is open");
        // Each is answered straight from the map, and whoever answers waits for the disk.
        let row = |row: u64| {
            let mut cat = Command::new("cat");
            cat.arg(mount.join(format!("x/rows/{row}"))).stdout(Stdio::null()).stderr(Stdio::null());
            cat.spawn().unwrap()
        };
        let mut waiting: Vec<_> = (BAD + 10..BAD + 110).map(row).collect();
        std::thread::sleep(Duration::from_millis(500));
        let start = Instant::now();
        for row in 0..50 {
            assert_eq!(mount.read(format!("x/rows/{row:03}")), [7; ROW as usize]);
            assert_eq!(fs::metadata(mount.join(format!("x/rows/{row:03}.npy"))).unwrap().len(), 128 + ROW);
        }
        assert!(mount.read("x/meta.yaml").len() > 10 && mount.list("x/rows").len() as u64 == ROWS);
        assert!(mount.list("").contains(&"x".to_owned()));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(waiting.iter_mut().all(|cat| cat.try_wait().unwrap().is_none()), "they wait");
        for cat in waiting.iter_mut().take(50) {
            cat.kill().unwrap();
        }
        wait_until("the killed are let go", || {
            waiting.iter_mut().take(50).all(|cat| cat.try_wait().unwrap().is_some())
        });
        goes_on.store(true, Ordering::Relaxed);
        let ended: Vec<_> = waiting.iter_mut().map(|cat| cat.wait().unwrap().success()).collect();
        assert_eq!(ended.iter().filter(|is_well| **is_well).count(), 50, "{ended:?}");
    }
}
