//! A server that runs out of a resource of the system: reads still succeed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::common::{Mount, names, run, wait_until, write_dense, write_hole};
use tempfile::tempdir;

const MODES: [&[&str]; 2] = [&[], &["--no-passthrough"]];

/// More arrays than a server with so few descriptors can have open.
const ARRAYS: u8 = 250;
const FEW: &str = "-n 64";

fn write_arrays(store: &Path) {
    for number in 0..ARRAYS {
        let path = store.join(format!("a{number}"));
        write_dense(&path, "uint8", &[50, 20]);
        fs::write(path.with_extension("array"), [number; 1000]).unwrap();
    }
}

fn whole(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

// Promise: However many arrays are read, the number of open files stays within the system's limit, and no reader notices.
#[test]
fn more_arrays_are_read_than_files_can_be_open() {
    for options in MODES {
        let store = tempdir().unwrap();
        write_arrays(store.path());
        let mount = Mount::limited(store.path(), options, FEW);
        let mut held = Vec::new();
        for number in 0..ARRAYS {
            for (view, length) in
                [("rows/07", 20), ("cols/03", 50), ("array", 1000), ("slices/2:/array", 960)]
            {
                let file = File::open(mount.join(format!("a{number}/{view}"))).unwrap();
                assert_eq!(whole(&file), vec![number; length], "a{number}/{view}");
                held.push((file, number));
            }
        }
        assert_eq!(names(mount.path()).len(), usize::from(ARRAYS));
        // Nothing of this is in the kernel's cache: all is asked for, of files that were closed meanwhile.
        for (file, number) in &held {
            let mut byte = [0];
            file.read_exact_at(&mut byte, 19).unwrap();
            assert_eq!(byte[0], *number);
        }
        for number in 0..ARRAYS {
            assert_eq!(mount.read(format!("a{number}/rows/08")), [number; 20]);
            assert!(mount.read(format!("a{number}/array.npy")).ends_with(&[number; 1000]));
            assert!(mount.read(format!("a{number}/array.npz")).len() > 1000);
        }
        let open = names(Path::new(&format!("/proc/{}/fd", mount.server()))).len();
        assert!(open <= 64, "{open} descriptors");
        assert_eq!(mount.faults().len(), 0);
    }
}

#[test]
fn what_was_replaced_stays_open_for_its_readers_when_others_are_closed() {
    let store = tempdir().unwrap();
    write_arrays(store.path());
    let mount = Mount::limited(store.path(), &["--no-passthrough"], FEW);
    let old: Vec<_> =
        (0..5).map(|number| File::open(mount.join(format!("a{number}/array"))).unwrap()).collect();
    for number in 0..5 {
        let array = store.path().join(format!("a{number}.array"));
        fs::write(store.path().join("new"), [255; 1000]).unwrap();
        fs::rename(store.path().join("new"), &array).unwrap();
    }
    for number in 5..ARRAYS {
        assert_eq!(mount.read(format!("a{number}/rows/08")), [number; 20]);
    }
    for (number, file) in (0..).zip(&old) {
        assert_eq!(whole(file), vec![number; 1000], "the version that was opened");
        wait_until("the new version is read", || mount.read(format!("a{number}/array")) == [255; 1000]);
    }
    assert_eq!(mount.faults().len(), 0);
}

// Promise: If a source file was closed for that limit and is then replaced, reads of files that were open on it fail with `EIO`, and never return other bytes.
#[test]
fn what_was_closed_meanwhile_is_opened_again_if_it_is_the_same() {
    let store = tempdir().unwrap();
    write_arrays(store.path());
    let mount = Mount::limited(store.path(), &["--no-passthrough"], FEW);
    let held: Vec<_> =
        (0..4).map(|number| File::open(mount.join(format!("a{number}/array"))).unwrap()).collect();
    // By now the first are closed.
    for number in 4..ARRAYS {
        assert_eq!(mount.read(format!("a{number}/rows/08")), [number; 20]);
    }
    let array = |number: u8| store.path().join(format!("a{number}.array"));
    fs::set_permissions(array(0), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(store.path().join("new"), [255; 1000]).unwrap();
    fs::rename(store.path().join("new"), array(1)).unwrap();
    fs::remove_file(array(2)).unwrap();
    let read = |number: usize| {
        let mut bytes = [0; 100];
        held[number].read_exact_at(&mut bytes, 0).map(|()| bytes).map_err(|error| error.raw_os_error())
    };
    assert_eq!(read(0), Ok([0; 100]), "another mode, the same bytes");
    assert_eq!(read(1), Err(Some(libc::EIO)), "replaced");
    assert_eq!(read(2), Err(Some(libc::EIO)), "removed");
    assert_eq!(read(3), Ok([3; 100]), "as it was");
}

#[test]
fn what_cannot_be_mapped_is_read() {
    for options in MODES {
        let store = tempdir().unwrap();
        // Twice the addresses that the server may use.
        write_hole(&store.path().join("huge"), "float32", &[2_000_000, 1000]);
        let small = write_dense(&store.path().join("small"), "int16", &[10, 10]);
        let data = File::options().write(true).open(store.path().join("huge.array")).unwrap();
        data.write_all_at(&[7; 4000], 1_999_999 * 4000).unwrap();
        let mount = Mount::limited(store.path(), options, "-v 4000000");
        for path in ["huge/rows/1999999", "huge/slices/1999999:/array", "huge/rows/-1"] {
            assert_eq!(mount.read(path), [7; 4000], "{path}");
        }
        let npy = File::open(mount.join("huge/array.npy")).unwrap();
        let mut end = [0; 4000];
        npy.read_exact_at(&mut end, npy.metadata().unwrap().len() - 4000).unwrap();
        assert_eq!(end, [7; 4000]);
        assert_eq!(mount.read("small/array"), small);
        assert_eq!(mount.read("small/cols/3").len(), 20);
        assert_eq!(mount.faults().len(), 0);
    }
}

// Promise: A mount that cannot be is refused in one line, with exit status 1, and nothing is mounted.
#[test]
fn a_server_that_has_no_room_to_start_says_so_in_a_line() {
    let (store, tree) = (tempdir().unwrap(), tempdir().unwrap());
    write_dense(&store.path().join("x"), "uint8", &[50, 20]);
    let mut mounted = 0;
    // From what the program itself does not fit into, to where it can serve.
    for kibibytes in [100_000, 200_000, 300_000, 400_000, 500_000, 700_000, 1_000_000, 1_500_000, 3_000_000] {
        for options in ["", "--no-passthrough", "--threads=1", "--threads=256"] {
            let line = format!("ulimit -v {kibibytes} && exec \"$0\" mount {options} \"$1\" \"$2\"");
            let output = Command::new("timeout")
                .args(["-k", "5", "60", "sh", "-c", &line, env!("CARGO_BIN_EXE_arrayfs")])
                .args([store.path(), tree.path()])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                assert_eq!(fs::read(tree.path().join("x/array.npy")).unwrap().len(), 1128, "{kibibytes}");
                assert!(fs::read(tree.path().join("x/cols/03.csv")).unwrap().len() > 50, "{kibibytes}");
                assert!(run(["unmount".as_ref(), tree.path().as_os_str()]).status.success());
                mounted += 1;
                continue;
            }
            assert_eq!(output.status.code(), Some(1), "{kibibytes} {options}: {said}");
            assert_eq!(said.lines().count(), 1, "{kibibytes} {options}: {said}");
            assert!(
                said.contains("ulimit -v") && said.contains("--threads"),
                "{kibibytes} {options}: {said}"
            );
            assert_eq!(names(tree.path()), [] as [&str; 0], "{output:?}");
            // Not merely empty: there is nothing to take away.
            assert!(!run(["unmount".as_ref(), tree.path().as_os_str()]).status.success());
        }
    }
    assert!(mounted >= 6, "{mounted}");
}
