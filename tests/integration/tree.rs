//! The layout of a mount: its directories and files, their names, and their attributes in `stat`.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::common::{Mount, Sparse, names, run, write_dense, write_files, write_hole};
use nix::errno::Errno;
use tempfile::{TempDir, tempdir};

const NOT_FOUND: i32 = libc::ENOENT;

/// A store with one dense array of int16 `m`.
fn matrix(shape: &[u64]) -> (TempDir, Vec<u8>) {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("m"), "int16", shape);
    (store, bytes)
}

fn le32(items: &[i32]) -> Vec<u8> {
    items.iter().flat_map(|item| item.to_le_bytes()).collect()
}

fn le64(items: impl IntoIterator<Item = i64>) -> Vec<u8> {
    items.into_iter().flat_map(i64::to_le_bytes).collect()
}

fn numbers(count: usize, width: usize) -> Vec<String> {
    (0..count).map(|i| format!("{i:0width$}")).collect()
}

fn errno<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap(),
    }
}

/// `NAME.SUFFIX` for a name of any bytes.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Every file and folder of a tree, as it is listed.
fn walk(path: &Path, visit: &mut dyn FnMut(&fs::DirEntry, &Metadata)) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        visit(&entry, &meta);
        if meta.is_dir() {
            walk(&entry.path(), visit);
        }
    }
}

/// The words of a line.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

// Promise: `.arrayfs` is found by name in the mount's root and never listed, so that programs that copy or search a mount meet data only.
#[test]
fn a_dense_matrix_has_its_layout() {
    let (store, bytes) = matrix(&[120, 11]);
    let mount = Mount::new(store.path());
    assert_eq!(mount.list(""), ["m"]);
    assert_eq!(mount.list(".arrayfs"), ["errors.yaml", "mount.yaml", "warnings.yaml"]);
    let slice = words(
        "10x README.md array array.csv array.h5ad array.npy array.parquet array.zarr cols meta.yaml rows",
    );
    assert_eq!(mount.list("m"), [&slice[..], &["slices"]].concat());
    assert_eq!(mount.list("m/rows"), numbers(120, 3));
    assert_eq!(mount.list("m/cols"), numbers(11, 2));
    assert_eq!(mount.list("m/slices"), ["000:120"]);
    assert_eq!(mount.list("m/slices/000:120"), slice);
    assert_eq!(mount.list("m/slices/10:20"), slice);
    assert_eq!(mount.list("m/slices/10:20/rows"), numbers(10, 1));

    assert_eq!(mount.read("m/array"), bytes);
    let rows: Vec<u8> =
        mount.list("m/rows").iter().flat_map(|name| mount.read(format!("m/rows/{name}"))).collect();
    assert!(rows == bytes, "the rows put together are the array");
    for column in 0..11 {
        let items: Vec<u8> =
            (0..120).flat_map(|row| bytes[(row * 11 + column) * 2..][..2].to_vec()).collect();
        assert_eq!(mount.read(format!("m/cols/{column:02}")), items);
    }
    let cat =
        Command::new("sh").args(["-c", "cat m/rows/* | cmp - m/array"]).current_dir(mount.path()).output();
    assert!(cat.as_ref().unwrap().status.success(), "{cat:?}");
}

#[test]
fn a_vector_has_its_layout() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("v"), "float64", &[9]);
    let mount = Mount::new(store.path());
    let slice = words("README.md array array.csv array.npy array.parquet array.zarr meta.yaml");
    assert_eq!(mount.list("v"), [&slice[..], &["slices"]].concat());
    assert_eq!(mount.list("v/slices"), ["0:9"]);
    assert_eq!(mount.list("v/slices/2:4"), slice);
    assert_eq!(mount.read("v/array"), bytes);
    assert_eq!(mount.read("v/slices/2:4/array"), bytes[16..32]);
    for path in [
        "v/rows",
        "v/cols",
        "v/rows/0",
        "v/data",
        "v/dense",
        "v/array.csv.npy",
        "v/meta",
        "v/array.",
        "v/array.h5ad",
    ] {
        assert_eq!(mount.read_error(path), NOT_FOUND, "{path}");
    }
}

#[test]
fn a_mount_offers_the_formats_that_were_chosen() {
    let (store, bytes) = matrix(&[12, 5]);
    let mount = Mount::with(store.path(), &["--formats", "npy,parquet"]);
    let folder = words("README.md array array.npy array.parquet cols meta.yaml rows slices");
    assert_eq!(mount.list("m"), folder);
    assert_eq!(mount.list("m/slices/2:"), folder[..7]);
    assert_eq!(mount.read("m/rows/00"), bytes[..bytes.len() / 12]);
    for path in ["m/array.csv", "m/rows/00.csv", "m/slices/2:/array.h5ad", "m/10x"] {
        assert_eq!(mount.read_error(path), NOT_FOUND, "{path}");
    }
    let readme = String::from_utf8(mount.read("m/README.md")).unwrap();
    assert!(readme.contains("array.npy") && !readme.contains("array.h5ad"), "{readme}");
    let unknown = run(["mount", "--views", "npy,word", "store", "mountpoint"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("word") && said.contains("parquet"), "{said}");
}

#[test]
fn a_sparse_matrix_has_its_layout() {
    let store = tempdir().unwrap();
    let sparse = Sparse::example(14, 9);
    sparse.write(&store.path().join("s"));
    let mount = Mount::new(store.path());
    let mut slice =
        words("10x README.md data data.npy dense dense.csv dense.npy indices indices.npy indptr indptr.npy");
    slice.extend(words("matrix.h5ad matrix.mtx matrix.npz matrix.parquet matrix.zarr meta.yaml rows"));
    assert_eq!(mount.list("s"), [&slice[..], &["slices"]].concat());
    assert_eq!(mount.list("s/rows"), numbers(14, 2));
    assert_eq!(mount.list("s/rows/03"), ["data", "dense", "indices"]);
    assert_eq!(mount.list("s/slices"), ["00:14"]);
    assert_eq!(mount.list("s/slices/3:9"), slice);
    assert_eq!(mount.list("s/slices/::2/rows"), numbers(7, 1));

    assert_eq!(mount.read("s/data"), le32(&sparse.data));
    assert_eq!(mount.read("s/indices"), le32(&sparse.indices));
    assert_eq!(mount.read("s/indptr"), le64(sparse.indptr.iter().copied()));
    assert_eq!(mount.read("s/dense"), le32(&sparse.dense()));
    for row in 0..14 {
        let run = sparse.indptr[row] as usize..sparse.indptr[row + 1] as usize;
        let folder = format!("s/rows/{row:02}");
        assert_eq!(mount.read(format!("{folder}/data")), le32(&sparse.data[run.clone()]));
        assert_eq!(mount.read(format!("{folder}/indices")), le32(&sparse.indices[run]));
        assert_eq!(mount.read(format!("{folder}/dense")), le32(&sparse.dense()[row * 9..][..9]));
    }
    for (name, rows) in
        [("3:9", (3..9).collect::<Vec<usize>>()), ("::3", vec![0, 3, 6, 9, 12]), ("-2:", vec![12, 13])]
    {
        let run = |row: usize| sparse.indptr[row] as usize..sparse.indptr[row + 1] as usize;
        let data: Vec<i32> = rows.iter().flat_map(|row| sparse.data[run(*row)].to_vec()).collect();
        let indices: Vec<i32> = rows.iter().flat_map(|row| sparse.indices[run(*row)].to_vec()).collect();
        let dense: Vec<i32> = rows.iter().flat_map(|row| sparse.dense()[row * 9..][..9].to_vec()).collect();
        let ends = rows.iter().scan(0, |end, row| {
            *end += run(*row).len() as i64;
            Some(*end)
        });
        assert_eq!(mount.read(format!("s/slices/{name}/data")), le32(&data), "{name}");
        assert_eq!(mount.read(format!("s/slices/{name}/indices")), le32(&indices), "{name}");
        assert_eq!(mount.read(format!("s/slices/{name}/dense")), le32(&dense), "{name}");
        assert_eq!(
            mount.read(format!("s/slices/{name}/indptr")),
            le64([0].into_iter().chain(ends)),
            "{name}"
        );
    }
    for path in
        ["s/array", "s/cols", "s/rows/3/indptr", "s/rows/3/rows", "s/rows/3/slices", "s/rows/14", "s/matrix"]
    {
        assert_eq!(mount.read_error(path), NOT_FOUND, "{path}");
    }
}

// Promise: The size that `stat` reports is the number of bytes that a reader gets.
#[test]
fn every_listed_file_has_the_size_that_stat_tells() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("m"), "float16", &[7, 3]);
    write_dense(&store.path().join("v"), "bool", &[5]);
    Sparse::example(6, 5).write(&store.path().join("s"));
    Sparse { shape: [3, 4], data: vec![], indices: vec![], indptr: vec![0; 4] }
        .write(&store.path().join("none"));
    fs::write(store.path().join("notes.txt"), "plain").unwrap();
    let mount = Mount::new(store.path());
    walk(mount.path(), &mut |entry, meta| {
        if meta.is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            assert_eq!(bytes.len() as u64, meta.len(), "{}", entry.path().display());
        }
    });
}

#[test]
fn rows_are_found_under_any_spelling_and_in_any_format() {
    let (store, bytes) = matrix(&[120, 11]);
    let mount = Mount::new(store.path());
    let row = |i: usize| bytes[i * 22..][..22].to_vec();
    let long = format!("{}17", "0".repeat(200));
    for (name, i) in [
        ("17", 17),
        ("017", 17),
        ("0017", 17),
        (&*long, 17),
        ("-1", 119),
        ("-120", 0),
        ("-0", 0),
        ("-001", 119),
    ] {
        assert_eq!(mount.read(format!("m/rows/{name}")), row(i), "{name}");
        assert!(mount.read(format!("m/rows/{name}.npy")).ends_with(&row(i)), "{name}.npy");
        let items: Vec<_> =
            row(i).as_chunks().0.iter().map(|item| i16::from_le_bytes(*item).to_string()).collect();
        let header: Vec<_> = (0..items.len()).map(|j| format!("c{j}")).collect();
        let table = format!("{}\n{}\n", header.join(","), items.join(","));
        assert_eq!(mount.read(format!("m/rows/{name}.csv")), table.into_bytes());
        assert_eq!(mount.read(format!("m/rows/{name}.txt")), format!("{}\n", items.join(" ")).into_bytes());
    }
    assert_eq!(mount.read("m/cols/-1"), mount.read("m/cols/10"));
    assert_eq!(mount.read("m/cols/00003"), mount.read("m/cols/03"));
    assert!(mount.read("m/cols/3.npy").ends_with(&mount.read("m/cols/03")));
}

#[test]
fn slices_are_found_under_any_spelling_and_in_one_another() {
    let (store, bytes) = matrix(&[120, 11]);
    let mount = Mount::new(store.path());
    let of = |rows: &mut dyn Iterator<Item = usize>| {
        rows.flat_map(|i| bytes[i * 22..][..22].to_vec()).collect::<Vec<_>>()
    };
    let cases: [(&str, &mut dyn Iterator<Item = usize>); 14] = [
        ("10:20", &mut (10..20)),
        ("010:0020", &mut (10..20)),
        ("100:", &mut (100..120)),
        (":100", &mut (0..100)),
        (":", &mut (0..120)),
        ("::", &mut (0..120)),
        ("::2", &mut (0..120).step_by(2)),
        ("5:50:7", &mut (5..50).step_by(7)),
        ("-20:", &mut (100..120)),
        (":-100", &mut (0..20)),
        ("-999:999", &mut (0..120)),
        ("0:99999999999999999999", &mut (0..120)),
        ("10:100/slices/::10/slices/1:3", &mut [20, 30].into_iter()),
        ("::2/slices/-1:", &mut [118].into_iter()),
    ];
    for (name, rows) in cases {
        let expected = of(rows);
        let folder = format!("m/slices/{name}");
        assert_eq!(mount.read(format!("{folder}/array")), expected, "{name}");
        let rows: Vec<u8> = mount
            .list(format!("{folder}/rows"))
            .iter()
            .flat_map(|row| mount.read(format!("{folder}/rows/{row}")))
            .collect();
        assert_eq!(rows, expected, "{name}");
        assert!(mount.read(format!("{folder}/array.npy")).ends_with(&expected), "{name}");
    }
    assert_eq!(mount.read("m/slices/10:20/rows/-1"), mount.read("m/rows/19"));
    assert_eq!(mount.read("m/slices/::2/cols/3")[2..4], mount.read("m/cols/3")[4..6]);
}

#[test]
fn what_selects_nothing_is_not_there() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("m"), "int16", &[120, 11]);
    Sparse::example(120, 5).write(&store.path().join("s"));
    let mount = Mount::new(store.path());
    let rows = [
        "120",
        "-121",
        "99999999999999999999",
        "-99999999999999999999",
        "0x10",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "١",
        "１",
        "1e1",
        "1.0",
        "1_0",
        "--1",
        "-",
        "",
        ".npy",
        "1.",
        "1..npy",
        "1.npy.npy",
        "1.NPY",
        "1.frob",
        "1:2",
        "array",
        "rows",
    ];
    for name in rows.into_iter().filter(|name| !name.is_empty()) {
        for folder in ["m/rows", "s/rows", "m/cols"] {
            assert_eq!(
                errno(fs::metadata(mount.join(format!("{folder}/{name}")))),
                NOT_FOUND,
                "{folder}/{name:?}"
            );
        }
    }
    let slices = [
        "1:0", "5:5", "120:", "::0", "::-1", "1:2:3:4", "0x1:2", "+1:2", " 1:2", "1:2 ", "1: 2", "١:٢",
        "a:b", "1", "-:", "1:2.npy",
    ];
    for name in slices {
        for folder in ["m/slices", "s/slices"] {
            assert_eq!(
                errno(fs::metadata(mount.join(format!("{folder}/{name}")))),
                NOT_FOUND,
                "{folder}/{name:?}"
            );
        }
    }
    assert_eq!(mount.read("m/slices/1:2:/array"), mount.read("m/rows/1"), "an empty step is a step of one");
    for length in [256, 300, 1000, 4096] {
        let found = errno(fs::metadata(mount.join(format!("m/rows/{}", "9".repeat(length)))));
        assert!([NOT_FOUND, libc::ENAMETOOLONG].contains(&found), "a name of {length} bytes: {found}");
    }
    assert_eq!(mount.faults().len(), 0, "that something is not there is no fault");
}

#[test]
fn blocks_of_slices_cover_the_array() {
    let store = tempdir().unwrap();
    write_hole(&store.path().join("big"), "uint8", &[300_000, 1000]);
    write_hole(&store.path().join("wide"), "uint8", &[3, 100 << 20]);
    let mount = Mount::new(store.path());
    assert_eq!(mount.list("wide/slices"), ["0:1", "1:2", "2:3"]);
    let blocks = mount.list("big/slices");
    let bounds: Vec<(u64, u64)> = blocks
        .iter()
        .map(|name| name.split_once(':').unwrap())
        .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
        .collect();
    assert_eq!((bounds[0].0, bounds.last().unwrap().1, bounds.len()), (0, 300_000, 5));
    assert!(bounds.windows(2).all(|pair| pair[0].1 == pair[1].0), "{blocks:?}");
    assert!(blocks.iter().all(|name| name.len() == 13), "{blocks:?}");
    let sizes =
        blocks.iter().map(|name| fs::metadata(mount.join(format!("big/slices/{name}/array"))).unwrap().len());
    assert_eq!(sizes.sum::<u64>(), 300_000_000);
}

#[test]
fn a_name_that_clashes_hides_nothing() {
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    let bytes = write_dense(&path("x"), "int8", &[4]);
    fs::create_dir(path("x")).unwrap();
    fs::write(path("x/inside"), "inside").unwrap();
    let twice = write_dense(&path("y"), "int8", &[5]);
    fs::write(path("y"), "plain").unwrap();
    fs::create_dir(path("y@array")).unwrap();
    fs::create_dir(path(".arrayfs")).unwrap();
    fs::write(path(".arrayfs/own"), "own").unwrap();
    let hidden = write_dense(&path(".arrayfs"), "int8", &[6]);
    fs::create_dir(path("sub")).unwrap();
    fs::create_dir(path("sub/.arrayfs")).unwrap();

    let mount = Mount::new(store.path());
    let expected =
        [".arrayfs@array", ".arrayfs@store", "sub", "x", "x@array", "y", "y@array", "y@array@array"];
    assert_eq!(mount.list(""), expected);
    assert_eq!(mount.read("x/inside"), b"inside");
    assert_eq!(mount.read("x@array/array"), bytes);
    assert_eq!(mount.read("y"), b"plain");
    assert_eq!(mount.list("y@array"), [""; 0]);
    assert_eq!(mount.read("y@array@array/array"), twice);
    assert_eq!(mount.read(".arrayfs@store/own"), b"own");
    assert_eq!(mount.read(".arrayfs@array/array"), hidden);
    assert_eq!(mount.list("sub"), [".arrayfs"]);
    assert_eq!(mount.list("sub/.arrayfs"), [""; 0]);
    let text = String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap();
    let warnings: std::collections::BTreeMap<String, String> = serde_yaml::from_str(&text).unwrap();
    assert_eq!(warnings.keys().collect::<Vec<_>>(), [".arrayfs", "x", "y"]);
    assert!(warnings["x"].contains("x@array"), "{text}");
    assert_eq!(mount.faults().len(), 0);
}

#[test]
fn plain_files_and_directories_stand_where_they_stood() {
    let store = tempdir().unwrap();
    let long: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let files: [(&str, &[u8]); 9] = [
        ("empty", b""),
        ("long.bin", &long),
        ("notes.txt", b"a\0b\xFF\n"),
        ("lonely.array", b"no metadata"),
        ("lonely.data", b"none either"),
        ("config.yaml", b"colour: red\n"),
        ("broken.yaml", b"[ no yaml"),
        ("a/b/c/deep", b"deep"),
        ("a/.hidden", b"hidden"),
    ];
    for (name, bytes) in files {
        let path = store.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let array = write_dense(&store.path().join("a/b/m"), "int8", &[2, 2]);
    let mount = Mount::new(store.path());
    for (name, bytes) in files {
        assert_eq!(mount.read(name), bytes, "{name}");
        assert_eq!(fs::metadata(mount.join(name)).unwrap().len(), bytes.len() as u64, "{name}");
    }
    assert_eq!(mount.read("a/b/m/array"), array);
    assert_eq!(mount.list("a"), [".hidden", "b"]);
    assert_eq!(mount.list("a/b"), ["c", "m"]);
    let roots =
        ["a", "broken.yaml", "config.yaml", "empty", "lonely.array", "lonely.data", "long.bin", "notes.txt"];
    assert_eq!(mount.list(""), roots);
    for name in ["a/b/m.yaml", "a/b/m.array", "a/b/missing", "a/b/m/missing", "notes.txt/x", "missing"] {
        let found = mount.read_error(name);
        assert!(found == NOT_FOUND || found == libc::ENOTDIR, "{name}: {found}");
    }
}

#[test]
fn a_left_over_of_the_other_kind_is_a_plain_file() {
    let store = tempdir().unwrap();
    let dense = write_dense(&store.path().join("x"), "int8", &[3]);
    fs::write(store.path().join("x.data"), "left over").unwrap();
    Sparse::example(3, 5).write(&store.path().join("s"));
    fs::write(store.path().join("s.array"), "left over too").unwrap();
    let mount = Mount::new(store.path());
    assert_eq!(mount.list(""), ["s", "s.array", "x", "x.data"]);
    assert_eq!(mount.read("x/array"), dense);
    assert_eq!(mount.read("x.data"), b"left over");
    assert_eq!(mount.read("s.array"), b"left over too");
    assert_eq!(mount.read("s/dense"), le32(&Sparse::example(3, 5).dense()));
    assert_eq!(mount.faults().len(), 0);
}

// Promise: Any name that a file system allows is listed byte for byte, and resolves.
#[test]
fn awkward_names_are_listed_byte_for_byte_and_resolve() {
    let store = tempdir().unwrap();
    let long = "n".repeat(249);
    let stems: [&[u8]; 22] = [
        b"a b",
        b"line\nbreak",
        b"cell#n,gene%",
        b"100:200",
        b"17",
        b"-1",
        b"-dash",
        b".dot",
        b"\xFF\xFEraw",
        "é∞".as_bytes(),
        b"rows",
        b"array",
        b"slices",
        b"x.npy",
        b"x.yaml",
        b"~",
        b"*",
        b"'\"`$(x)",
        b"a\\040b",
        b"tab\t",
        b"...",
        long.as_bytes(),
    ];
    for (i, stem) in stems.iter().enumerate() {
        let path = store.path().join(OsStr::from_bytes(stem));
        fs::write(beside(&path, ".yaml"), "{version: [1, 0], dtype: uint8, shape: [3, 2]}").unwrap();
        fs::write(beside(&path, ".array"), [i as u8; 6]).unwrap();
    }
    fs::write(store.path().join(OsStr::from_bytes(&[b'p'; 255])), "plain").unwrap();
    let mount = Mount::new(store.path());
    let mut listed: Vec<OsString> =
        fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    listed.sort();
    let mut expected: Vec<OsString> = stems.iter().map(|stem| OsString::from_vec(stem.to_vec())).collect();
    expected.push(OsString::from_vec(vec![b'p'; 255]));
    expected.sort();
    assert_eq!(listed, expected);
    for (i, stem) in stems.iter().enumerate() {
        let folder = mount.join(OsStr::from_bytes(stem));
        for (view, count) in [("array", 6), ("rows/1", 2), ("cols/0", 3), ("slices/1:/array", 4)] {
            assert_eq!(fs::read(folder.join(view)).unwrap(), vec![i as u8; count], "{stem:?} {view}");
        }
        let meta = fs::read(folder.join("meta.yaml")).unwrap();
        assert!(serde_yaml::from_slice::<serde_yaml::Value>(&meta).is_ok(), "{stem:?}");
        assert!(fs::read(folder.join("array.npy")).unwrap().ends_with(&[i as u8; 6]), "{stem:?}");
    }
    assert_eq!(fs::read(mount.join("p".repeat(255))).unwrap(), b"plain");
    assert_eq!(mount.faults().len(), 0);
}

// Promise: Owners, modes and times are those of the store, without write permission; a file made of several sources has the permissions that all of them give.
#[test]
fn modes_owners_and_times_are_those_of_the_store() {
    let (store, _) = matrix(&[4, 3]);
    let path = |name: &str| store.path().join(name);
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    for (name, mode) in [("m.yaml", 0o644), ("m.array", 0o640)] {
        File::options().write(true).open(path(name)).unwrap().set_modified(old).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let older = SystemTime::UNIX_EPOCH - Duration::new(1000, 250_000_000);
    fs::write(path("tool"), "x").unwrap();
    File::options().write(true).open(path("tool")).unwrap().set_modified(older).unwrap();
    fs::set_permissions(path("tool"), fs::Permissions::from_mode(0o4777)).unwrap();
    fs::create_dir(path("closed")).unwrap();
    fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o711)).unwrap();
    let root = nix::unistd::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(path("m.array"), Some(1234), Some(2345)).unwrap();
        std::os::unix::fs::chown(path("m.yaml"), Some(1234), Some(2345)).unwrap();
    } else {
        crate::common::say_skipped("only root can give files away");
    }
    let mount = Mount::new(store.path());
    let meta = |name: &str| fs::metadata(mount.join(name)).unwrap();
    let modes = [
        ("m/array", 0o100_440),
        ("m/rows/1", 0o100_440),
        ("m/rows/1.csv", 0o100_440),
        ("m/array.npy", 0o100_440),
        ("m/slices/1:/array", 0o100_440),
        ("m/rows", 0o040_550),
        ("m", 0o040_550),
        ("tool", 0o100_555),
        ("closed", 0o040_511),
    ];
    for (name, mode) in modes {
        assert_eq!(meta(name).mode(), mode, "{name}: {:o}", meta(name).mode());
    }
    for name in ["m", "m/array", "m/array.npy", "m/rows/1", "m/meta.yaml", "m/slices/1:/rows/0"] {
        assert_eq!(meta(name).modified().unwrap(), old, "{name}");
        assert_eq!(meta(name).uid(), fs::metadata(path("m.array")).unwrap().uid(), "{name}");
        assert_eq!(meta(name).gid(), fs::metadata(path("m.array")).unwrap().gid(), "{name}");
    }
    assert_eq!(meta("tool").modified().unwrap(), older, "before 1970");
    let flags = nix::sys::statvfs::statvfs(mount.path()).unwrap().flags();
    for flag in [nix::sys::statvfs::FsFlags::ST_RDONLY, nix::sys::statvfs::FsFlags::ST_NOSUID] {
        assert!(flags.contains(flag), "{flags:?}");
    }
}

// Promise: Inode numbers are the same at every mount, and a replaced array gets new ones.
#[test]
fn inode_numbers_are_the_same_at_every_mount_and_in_every_listing() {
    let (store, _) = matrix(&[12, 3]);
    write_dense(&store.path().join("v"), "int8", &[4]);
    fs::create_dir(store.path().join("sub")).unwrap();
    Sparse::example(4, 5).write(&store.path().join("sub/s"));
    fs::write(store.path().join("plain"), "x").unwrap();
    let mounts = [Mount::new(store.path()), Mount::new(store.path())];
    let numbers = mounts.each_ref().map(|mount| {
        let mut numbers = vec![(PathBuf::new(), fs::metadata(mount.path()).unwrap().ino())];
        walk(mount.path(), &mut |entry, meta| {
            assert_eq!(entry.ino(), meta.ino(), "{}", entry.path().display());
            numbers.push((entry.path().strip_prefix(mount.path()).unwrap().to_owned(), meta.ino()));
        });
        numbers
    });
    assert_eq!(numbers[0], numbers[1]);
    let mut unique: Vec<u64> = numbers[0].iter().map(|(_, ino)| *ino).collect();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), numbers[0].len(), "each node has a number of its own");
    let ino = |mount: &Mount, name: &str| fs::metadata(mount.join(name)).unwrap().ino();
    for name in ["m/slices/2:5/rows/1", "m/slices/::2/slices/1:/array", "m/rows/-1.npy", "sub/s/rows/-1/data"]
    {
        assert_eq!(ino(&mounts[0], name), ino(&mounts[1], name), "{name}");
    }
}

#[test]
fn the_file_system_says_what_it_is() {
    let (store, _) = matrix(&[2, 2]);
    let mount = Mount::new(store.path());
    let stat = nix::sys::statvfs::statvfs(mount.path()).unwrap();
    let below = nix::sys::statvfs::statvfs(store.path()).unwrap();
    assert_eq!((stat.name_max(), stat.blocks_free(), stat.blocks_available()), (255, 0, 0));
    assert_eq!(stat.blocks() * stat.fragment_size(), below.blocks() * below.fragment_size());
}

// Promise: The mount is read-only: every kind of change is refused, with `EROFS` where the kernel asks.
#[test]
fn every_kind_of_change_is_refused() {
    use nix::sys::stat::{Mode, SFlag, mkdirat, mknod};
    use std::os::unix::fs::{chown, symlink};
    let (store, bytes) = matrix(&[4, 3]);
    fs::write(store.path().join("plain"), "plain").unwrap();
    fs::create_dir(store.path().join("sub")).unwrap();
    let mount = Mount::new(store.path());
    let open = |path: &Path, options: &mut fs::OpenOptions| errno(options.open(path));
    for file in ["m/array", "m/rows/1", "m/array.npy", "plain", "m/meta.yaml", ".arrayfs/errors.yaml"] {
        let path = mount.join(file);
        let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let changes: [(&str, i32); 17] = [
            ("write", open(&path, File::options().write(true))),
            ("read and write", open(&path, File::options().read(true).write(true))),
            ("append", open(&path, File::options().append(true))),
            ("truncate at opening", open(&path, File::options().write(true).truncate(true))),
            ("unlink", errno(fs::remove_file(&path))),
            ("rename", errno(fs::rename(&path, path.with_file_name("new")))),
            ("rename over", errno(fs::rename(mount.join("plain"), mount.join("m/array")))),
            ("link", errno(fs::hard_link(&path, path.with_file_name("new")))),
            ("chmod", errno(fs::set_permissions(&path, fs::Permissions::from_mode(0o777)))),
            ("chown", errno(chown(&path, Some(1), Some(1)))),
            ("truncate", truncate(&c_path)),
            ("utimes", errno(File::open(&path).unwrap().set_modified(SystemTime::now()))),
            ("setxattr", set_attribute(&c_path)),
            ("create", open(&mount.join("sub/new"), File::options().write(true).create(true))),
            (
                "mkdir",
                mkdirat(File::open(mount.join("sub")).unwrap(), "new", Mode::empty())
                    .map_or_else(|e| e as i32, |()| 0),
            ),
            ("symlink", errno(symlink("x", mount.join("sub/new")))),
            (
                "mkfifo",
                mknod(&mount.join("sub/new"), SFlag::S_IFIFO, Mode::empty(), 0)
                    .map_or_else(|e| e as i32, |()| 0),
            ),
        ];
        for (change, found) in changes {
            assert_eq!(Errno::from_raw(found), Errno::EROFS, "{change} {file}");
        }
        assert_eq!(open(&path, File::options().write(true).create_new(true)), libc::EEXIST);
    }
    assert_eq!(errno(fs::remove_dir(mount.join("sub"))), libc::EROFS);
    assert_eq!(errno(fs::remove_dir(mount.join("m/rows"))), libc::EROFS);
    assert_eq!(mount.read("m/array"), bytes);
    assert_eq!(fs::read(store.path().join("m.array")).unwrap(), bytes);
}

fn truncate(path: &std::ffi::CStr) -> i32 {
    // SAFETY: the path ends in a zero.
    if unsafe { libc::truncate(path.as_ptr(), 1) } == 0 { 0 } else { Errno::last_raw() }
}

fn set_attribute(path: &std::ffi::CStr) -> i32 {
    // SAFETY: both strings end in a zero, and the value has one byte.
    let done = unsafe { libc::setxattr(path.as_ptr(), c"user.x".as_ptr(), b"y".as_ptr().cast(), 1, 0) };
    if done == 0 { 0 } else { Errno::last_raw() }
}

// Promise: Nothing of an array's data is read, mapped or kept before it is asked for.
#[test]
fn a_hundred_gigabytes_are_shown_without_being_read() {
    let store = tempdir().unwrap();
    let (rows, columns) = (1_000_000u64, 25_000u64);
    write_hole(&store.path().join("huge"), "float32", &[rows, columns]);
    let size = rows * columns * 4;
    let file = File::options().write(true).open(store.path().join("huge.array")).unwrap();
    let marks = [0u64, (1 << 32) - 2, (1 << 32) + 12, 77_777_777_772, size - 4];
    marks.iter().for_each(|at| file.write_all_at(b"mark", *at).unwrap());
    let mount = Mount::new(store.path());
    let header = (0..columns).map(|j| format!("c{j},").len() as u64).sum::<u64>();
    let views = [
        ("array", size),
        ("array.npy", 128 + size),
        ("array.h5", 8192 + size),
        ("rows/999999", columns * 4),
        ("rows/999999.npy", 128 + columns * 4),
        ("cols/24999", rows * 4),
        ("cols/0.npy", 128 + rows * 4),
        ("slices/1:/array", size - columns * 4),
        ("slices/::2/array", size / 2),
        ("slices/::2/array.npy", 128 + size / 2),
        ("slices/999999:/rows/0", columns * 4),
        // Beyond what is written short: no number is looked at.
        ("array.csv", header + rows * columns * 16),
        ("array.txt", rows * columns * 16),
        ("slices/::2/array.tsv", header + rows * columns * 8),
        ("rows/500.txt", columns * 4),
        // 1000000 25000 and 15 for the value, three that separate.
        ("array.mtx", 46 + 26 + rows * columns * 30),
    ];
    for (view, bytes) in views {
        assert_eq!(fs::metadata(mount.join("huge").join(view)).unwrap().len(), bytes, "{view}");
    }
    let array = File::open(mount.join("huge/array")).unwrap();
    let npy = File::open(mount.join("huge/array.npy")).unwrap();
    let h5 = File::open(mount.join("huge/array.h5")).unwrap();
    for at in marks {
        for (file, start) in [(&array, 0), (&npy, 128), (&h5, 8192)] {
            let mut bytes = [0; 4];
            file.read_exact_at(&mut bytes, start + at).unwrap();
            assert_eq!(&bytes, b"mark", "at {at}");
        }
        let (row, inside) = (at / (columns * 4), (at % (columns * 4)) as usize);
        assert_eq!(
            mount.read(format!("huge/rows/{row}"))[inside..][..(4).min(columns as usize * 4 - inside)][..2],
            *b"ma"
        );
        let mut slice = File::open(mount.join(format!("huge/slices/{row}:/array"))).unwrap();
        let mut bytes = [0; 4];
        slice.seek(SeekFrom::Start(inside as u64)).unwrap();
        slice.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"mark", "in the slice from {row}");
    }
    let csv = File::open(mount.join("huge/array.csv")).unwrap();
    let mut cell = [0; 33];
    csv.read_exact_at(&mut cell, header + (size - 4) * 4 - 17).unwrap();
    let mark = f32::from_le_bytes(*b"mark");
    assert_eq!(cell[..17], *b",0.000000000e+00,", "the cell before the last");
    assert_eq!(cell[32], b'\n');
    assert_eq!(std::str::from_utf8(&cell[17..32]).unwrap().parse(), Ok(mark));
    assert_eq!(array.read_at(&mut [0; 10], size).unwrap(), 0, "nothing past the end");
    assert_eq!(array.read_at(&mut [0; 10], size - 3).unwrap(), 3);
    assert!(resident(mount.server()) < 64 << 10, "{} KiB", resident(mount.server()));
}

// Promise: The daemon's memory, descriptors and threads do not grow with the number of rows, the number of reads, or time.
#[test]
fn a_million_rows_are_listed_whole_in_little_memory() {
    const ROWS: usize = 1_000_000;
    let store = tempdir().unwrap();
    write_hole(&store.path().join("long"), "int32", &[ROWS as u64, 2]);
    let mount = Mount::new(store.path());
    let rows = mount.join("long/rows");
    let count = |path: &Path| fs::read_dir(path).unwrap().map(Result::unwrap).count();
    let (expected, before) = ("000000".to_owned(), resident(mount.server()));
    assert_eq!(fs::read_dir(&rows).unwrap().next().unwrap().unwrap().file_name(), *expected);
    for (i, entry) in fs::read_dir(&rows).unwrap().enumerate() {
        let name = entry.unwrap().file_name();
        assert!(name == *format!("{i:06}"), "{name:?} at {i}");
    }
    let listers: Vec<_> = (0..8)
        .map(|_| Command::new("ls").arg("-f").arg(&rows).stdout(Stdio::piped()).spawn().unwrap())
        .map(|child| std::thread::spawn(move || child.wait_with_output().unwrap().stdout))
        .collect();
    let seekers: Vec<_> = (0..8)
        .map(|seed| (seed, rows.clone()))
        .map(|(seed, rows)| std::thread::spawn(move || seek_about(&rows, seed)))
        .collect();
    for lister in listers {
        let text = lister.join().unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'.');
        assert!(lines.eq(numbers(ROWS, 6).iter().map(String::as_bytes)), "a listing that is not whole");
    }
    seekers.into_iter().for_each(|seeker| seeker.join().unwrap());
    let grown = resident(mount.server()).saturating_sub(before);
    assert!(grown < 8 << 10, "the server has grown by {grown} KiB");
    assert_eq!(count(&mount.join("long/cols")), 2);
}

/// Reads a listing here and there: what follows a position that `telldir` gave is always the same.
fn seek_about(path: &Path, seed: u64) {
    let c_path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the stream is used by this thread alone, and every entry before the next is read.
    unsafe {
        let dir = libc::opendir(c_path.as_ptr());
        assert!(!dir.is_null());
        let next = || {
            let entry = libc::readdir(dir);
            (!entry.is_null())
                .then(|| std::ffi::CStr::from_ptr((*entry).d_name.as_ptr()).to_str().unwrap().to_owned())
        };
        let mut places = Vec::new();
        for i in 0..20_000 {
            let place = libc::telldir(dir);
            let name = next().unwrap();
            if i % (997 + seed) == 0 {
                places.push((place, name));
            }
        }
        for (place, name) in places.iter().rev() {
            libc::seekdir(dir, *place);
            assert_eq!(next().as_ref(), Some(name));
        }
        libc::rewinddir(dir);
        let mut first: Vec<_> = (0..4).map(|_| next().unwrap()).collect();
        first.retain(|name| !name.starts_with('.'));
        assert_eq!(first, ["000000", "000001"]);
        libc::closedir(dir);
    }
}

#[test]
fn ten_thousand_arrays_are_mounted_in_little_memory() {
    let store = tempdir().unwrap();
    for i in 0..10_000 {
        write_files(
            &store.path().join(format!("a{i:05}")),
            "{version: [1, 0], dtype: int8, shape: [2]}",
            &[("array", b"xy")],
        );
    }
    let mount = Mount::new(store.path());
    let listed = names(mount.path());
    assert_eq!((listed.len(), &*listed[0], &*listed[9_999]), (10_000, "a00000", "a09999"));
    assert_eq!(mount.read("a07777/array"), b"xy");
    assert_eq!(mount.faults().len(), 0);
    let memory = resident(mount.server());
    assert!(memory < 64 << 10, "{memory} KiB");
}

// Promise: Nothing of an array's data is read, mapped or kept before it is asked for.
#[test]
fn nothing_is_mapped_before_it_is_read() {
    let (store, bytes) = matrix(&[30, 4]);
    write_dense(&store.path().join("v"), "int8", &[4]);
    Sparse::example(4, 5).write(&store.path().join("s"));
    let mount = Mount::new(store.path());
    let maps = || fs::read_to_string(format!("/proc/{}/maps", mount.server())).unwrap();
    let in_store = store.path().to_str().unwrap();
    let listing =
        Command::new("ls").args(["-lR", "."]).current_dir(mount.path()).stdout(Stdio::null()).status();
    for path in [".", "m", "m/rows", "m/cols", "m/slices/:", "v", "v/slices", "s"] {
        let listing = Command::new("ls").arg("-l").arg(mount.join(path)).output().unwrap();
        assert!(listing.status.success(), "{listing:?}");
    }
    mount.read("m/meta.yaml");
    assert!(!maps().contains(&format!("{in_store}/m")) && !maps().contains(&format!("{in_store}/v")));
    assert!(!maps().contains(&format!("{in_store}/s.data")), "{}", maps());
    assert!(listing.unwrap().success() && bytes.starts_with(&mount.read("m/rows/0")));
    assert!(maps().contains(&format!("{in_store}/m.array")), "what is read is mapped");
}

// Promise: Names and attributes of entries in the store's directories are cached for at most a second.
#[test]
fn a_listing_shows_what_came_and_went() {
    let (store, _) = matrix(&[2, 2]);
    let mount = Mount::new(store.path());
    assert_eq!(mount.list(""), ["m"]);
    let bytes = write_dense(&store.path().join("new"), "int8", &[3]);
    crate::common::wait_until("the new array is listed", || mount.list("").contains(&"new".to_owned()));
    assert_eq!(mount.read("new/array"), bytes);
    assert!(run([OsStr::new("remove"), store.path().join("new").as_os_str()]).status.success());
    crate::common::wait_until("it is listed no more", || mount.list("") == ["m"]);
    crate::common::wait_until("it is found no more", || errno(fs::metadata(mount.join("new"))) == NOT_FOUND);
}

// Promise: The files of `.arrayfs` are never cached.
// Promise: Only the user who mounts may read `.arrayfs`.
#[test]
fn the_files_of_the_mount_s_own_folder_are_fresh_and_the_owners() {
    let (store, bytes) = matrix(&[2, 2]);
    let mount = Mount::new(store.path());
    for _ in 0..3 {
        // A fault that was mended is gone at the very next look, and a new one is there.
        assert_eq!(mount.faults().len(), 0);
        fs::write(store.path().join("m.array"), b"short").unwrap();
        assert_eq!(mount.faults().keys().collect::<Vec<_>>(), ["m"]);
        fs::write(store.path().join("m.array"), &bytes).unwrap();
    }
    // Others pass through to what root's links lead to; they see no name and read no file.
    for (path, mode) in [("", 0o511), ("errors.yaml", 0o400), ("warnings.yaml", 0o400), ("mount.yaml", 0o400)]
    {
        let found = fs::metadata(mount.join(".arrayfs").join(path)).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (mode, nix::unistd::geteuid().as_raw()), "{path}");
    }
}

#[test]
fn an_array_may_be_called_as_a_file_of_another() {
    let store = tempdir().unwrap();
    let inner = write_dense(&store.path().join("x"), "int8", &[3]);
    let outer = write_dense(&store.path().join("x.array"), "int16", &[5]);
    let meta = write_dense(&store.path().join("x.yaml"), "int32", &[7]);
    let mount = Mount::new(store.path());
    assert_eq!(mount.list(""), ["x", "x.array", "x.yaml"]);
    for (name, bytes) in [("x", inner), ("x.array", outer), ("x.yaml", meta)] {
        assert_eq!(mount.read(format!("{name}/array")), bytes);
    }
    assert_eq!(String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap(), "{}\n");
}
