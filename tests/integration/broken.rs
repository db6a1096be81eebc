//! Stores with invalid files: the mount leaves them out and reports them, and everything else stays readable.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::common::{Mount, Sparse, run, wait_until, within, write_dense, write_files};
use nix::sys::stat::Mode;
use tempfile::tempdir;

const DENSE: &str = "{version: [1, 0], dtype: int8, shape: [2, 3]}";
const SPARSE: &str =
    "{version: [1, 0], data_dtype: int8, indices_dtype: int8, indptr_dtype: int8, shape: [2, 3], nnz: 2}";
/// Data files that fit `DENSE` and `SPARSE`.
const SIX: (&str, &[u8]) = ("array", b"123456");
const DATA: (&str, &[u8]) = ("data", b"12");
const INDICES: (&str, &[u8]) = ("indices", &[0, 2]);
const INDPTR: (&str, &[u8]) = ("indptr", &[0, 1, 2]);

/// What must hold of a store whose broken arrays are these, beside a sound one called `sound`.
fn all_are_left_out_and_named(store: &Path, broken: &[&str]) {
    let bytes = write_dense(&store.join("sound"), "int16", &[4, 3]);
    let (store, broken) = (store.to_owned(), broken.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    let mount = Mount::new(&store);
    let shared = mount.clone();
    within(60, "a store with broken arrays", move || {
        let mount = shared;
        let listed = mount.list("");
        assert!(listed.contains(&"sound".to_owned()), "{listed:?}");
        let faults = mount.faults();
        let mut expected: Vec<_> = broken.iter().collect();
        expected.sort();
        assert_eq!(faults.keys().collect::<Vec<_>>(), expected, "{faults:#?}");
        for name in &broken {
            assert!(!listed.contains(name), "{name} is listed");
            assert_eq!(mount.read_error(name), libc::ENOENT, "{name}");
            assert_eq!(mount.read_error(format!("{name}/array")), libc::ENOENT, "{name}");
            let cat = run(["cat".as_ref(), store.as_os_str(), format!("{name}/meta.yaml").as_ref()]);
            assert_eq!((cat.status.code(), cat.stdout.len()), (Some(1), 0), "{cat:?}");
            let info = run(["info".as_ref(), store.join(name).as_os_str()]);
            assert_eq!((info.status.code(), info.stdout.len()), (Some(1), 0), "{info:?}");
            let lines = String::from_utf8(info.stderr).unwrap();
            assert_eq!(lines.lines().count(), 1, "{lines}");
            assert!(lines.contains(name), "{lines}");
        }
        assert_eq!(mount.read("sound/array"), bytes);
        assert_eq!(mount.read("sound/rows/2"), bytes[12..18]);
        check_names(&store, &broken);
    });
}

/// `arrayfs check` fails, names each of these and not the sound one.
fn check_names(store: &Path, broken: &[String]) {
    let check = run(["check".as_ref(), store.as_os_str()]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    let text = String::from_utf8(check.stdout).unwrap();
    for name in broken {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name}: "))), "{name} is not in\n{text}");
    }
    let is_known = |line: &str| broken.iter().any(|name| line.starts_with(&format!("{name}: ")));
    assert!(text.lines().all(is_known), "{text}");
}

// Promise: An array that breaks the format is broken, and affects no other array.
#[test]
fn metadata_that_is_no_arrays_is_left_out_and_named() {
    let store = tempdir().unwrap();
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &('b'..='z')
            .map(|c| format!("{c}: &{c} [{}]\n", vec![format!("*{}", (c as u8 - 1) as char); 9].join(", ")))
            .collect::<String>();
    let with = |more: &str| format!("{{version: [1, 0], dtype: int8, {more}}}").into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("blank", b"\n\n".to_vec()),
        ("binary", (0..=255).collect()),
        ("zeros", vec![0; 100]),
        ("not-utf8", b"dtype: \xFF\xFE".to_vec()),
        ("list", b"[1, 2, 3]".to_vec()),
        ("number", b"17".to_vec()),
        ("cut", b"{version: [1, 0], dtype".to_vec()),
        ("two-documents", [DENSE.as_bytes(), b"\n---\n", DENSE.as_bytes()].concat()),
        ("bomb", (bomb + "shape: *z\ndtype: int8\nversion: [1, 0]\n").into_bytes()),
        ("deep", [&b"shape: "[..], &b"[".repeat(30_000), &b"]".repeat(30_000)].concat()),
        (
            "deep-elsewhere",
            [&b"dtype: int8\nshape: [2, 3]\nversion: [1, 0]\nx: "[..], &b"[".repeat(30_000)].concat(),
        ),
        ("long", [DENSE.as_bytes(), b"\n#", &b"x".repeat(70_000)].concat()),
        ("no-version", b"{dtype: int8, shape: [2, 3]}".to_vec()),
        ("no-dtype", b"{version: [1, 0], shape: [2, 3]}".to_vec()),
        ("no-shape", b"{version: [1, 0], dtype: int8}".to_vec()),
        ("twice", b"dtype: int8\ndtype: int16\nshape: [2, 3]\nversion: [1, 0]\n".to_vec()),
        ("shape-twice", b"dtype: int8\nshape: [2, 3]\nshape: [3, 2]\nversion: [1, 0]\n".to_vec()),
        ("nan", with("shape: [.nan, 3]")),
        ("infinite", with("shape: [.inf]")),
        ("float", with("shape: [2.0, 3]")),
        ("text", with("shape: ['2', '3']")),
        ("one-text", with("shape: '6'")),
        ("bool", with("shape: [true, 6]")),
        ("null", with("shape: [~, 6]")),
        ("mapping", with("shape: {2: 3}")),
        ("none", with("shape: []")),
        ("scalar", with("shape: 6")),
        ("zero", with("shape: [0]")),
        ("zero-columns", with("shape: [6, 0]")),
        ("negative", with("shape: [-2, -3]")),
        ("three", with("shape: [1, 2, 3]")),
        ("product", with("shape: [4611686018427387904, 4]")),
        ("wraps", with("shape: [9223372036854775808, 2]")),
        ("beyond-64", with("shape: [99999999999999999999999]")),
        ("most", with("shape: [9223372036854775807]")),
        ("bytes", b"{version: [1, 0], dtype: float64, shape: [4611686018427387904]}".to_vec()),
        ("dtype-unknown", b"{version: [1, 0], dtype: complex64, shape: [2, 3]}".to_vec()),
        ("dtype-big", b"{version: [1, 0], dtype: Int8, shape: [2, 3]}".to_vec()),
        ("dtype-endian", b"{version: [1, 0], dtype: '>i2', shape: [3]}".to_vec()),
        ("dtype-number", b"{version: [1, 0], dtype: 8, shape: [2, 3]}".to_vec()),
        ("version-2", b"{version: [2, 0], dtype: int8, shape: [2, 3]}".to_vec()),
        ("version-0", b"{version: [0, 9], dtype: int8, shape: [2, 3]}".to_vec()),
        ("version-short", b"{version: [1], dtype: int8, shape: [2, 3]}".to_vec()),
        ("version-float", b"{version: 1.0, dtype: int8, shape: [2, 3]}".to_vec()),
        ("version-text", b"{version: '1.0', dtype: int8, shape: [2, 3]}".to_vec()),
        ("version-negative", b"{version: [1, -1], dtype: int8, shape: [2, 3]}".to_vec()),
    ];
    for (name, yaml) in &cases {
        fs::write(store.path().join(format!("{name}.array")), b"123456").unwrap();
        fs::write(store.path().join(format!("{name}.yaml")), yaml).unwrap();
    }
    let huge = File::create(store.path().join("huge.yaml")).unwrap();
    huge.set_len(100 << 20).unwrap();
    huge.write_all_at(DENSE.as_bytes(), 0).unwrap();
    fs::write(store.path().join("huge.array"), b"123456").unwrap();
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).chain(["huge"]).collect();
    all_are_left_out_and_named(store.path(), &names);
}

// Promise: An array whose data file is longer or shorter than its metadata says is broken until they agree.
#[test]
fn data_of_the_wrong_size_is_left_out_and_named() {
    let store = tempdir().unwrap();
    let nnz = |nnz: &str| SPARSE.replace("nnz: 2", &format!("nnz: {nnz}"));
    let float_indices = SPARSE.replace("indices_dtype: int8", "indices_dtype: float16");
    let cases: [(&str, &str, &[(&str, &[u8])]); 19] = [
        ("short", DENSE, &[("array", b"12345")]),
        ("long", DENSE, &[("array", b"1234567")]),
        ("empty", DENSE, &[("array", b"")]),
        ("missing", DENSE, &[]),
        ("missing-sparse", SPARSE, &[]),
        ("dense-as-sparse", SPARSE, &[SIX]),
        ("sparse-as-dense", DENSE, &[DATA, INDICES, INDPTR]),
        ("data-short", SPARSE, &[("data", b"1"), INDICES, INDPTR]),
        ("data-long", SPARSE, &[("data", b"123"), INDICES, INDPTR]),
        ("data-missing", SPARSE, &[INDICES, INDPTR]),
        ("indices-short", SPARSE, &[DATA, ("indices", &[0]), INDPTR]),
        ("indices-missing", SPARSE, &[DATA, INDPTR]),
        ("indptr-short", SPARSE, &[DATA, INDICES, ("indptr", &[0, 1])]),
        ("indptr-long", SPARSE, &[DATA, INDICES, ("indptr", &[0, 1, 2, 2])]),
        ("indptr-missing", SPARSE, &[DATA, INDICES]),
        ("nnz-negative", &nnz("-1"), &[DATA, INDICES, INDPTR]),
        ("nnz-text", &nnz("'2'"), &[DATA, INDICES, INDPTR]),
        ("nnz-huge", &nnz("9223372036854775808"), &[DATA, INDICES, INDPTR]),
        ("indices-float", &float_indices, &[DATA, ("indices", &[0, 0, 2, 0]), INDPTR]),
    ];
    for (name, yaml, files) in cases {
        write_files(&store.path().join(name), yaml, files);
    }
    all_are_left_out_and_named(store.path(), &cases.map(|(name, ..)| name));
}

// Promise: A FIFO, a socket, a device or a directory in place of an array's file makes the array broken, and is never opened in a way that blocks.
#[test]
fn what_is_no_regular_file_is_left_out_and_named_and_never_waited_for() {
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    let fifo = |name: &str| nix::unistd::mkfifo(&path(name), Mode::from_bits_truncate(0o666)).unwrap();
    let mut broken = Vec::new();
    for suffix in ["yaml", "array"] {
        let name = format!("fifo-{suffix}");
        write_files(&path(&name), DENSE, &[SIX]);
        fs::remove_file(path(&format!("{name}.{suffix}"))).unwrap();
        fifo(&format!("{name}.{suffix}"));
        broken.push(name);
    }
    for suffix in ["yaml", "data", "indices", "indptr"] {
        let name = format!("fifo-sparse-{suffix}");
        write_files(&path(&name), SPARSE, &[DATA, INDICES, INDPTR]);
        fs::remove_file(path(&format!("{name}.{suffix}"))).unwrap();
        fifo(&format!("{name}.{suffix}"));
        broken.push(name);
    }
    write_files(&path("socket"), DENSE, &[]);
    let _socket = UnixListener::bind(path("socket.array")).unwrap();
    write_files(&path("directory"), DENSE, &[]);
    fs::create_dir(path("directory.array")).unwrap();
    broken.extend(["socket".to_owned(), "directory".to_owned()]);
    let null = nix::libc::makedev(1, 3);
    match nix::sys::stat::mknod(
        &path("device.array"),
        nix::sys::stat::SFlag::S_IFCHR,
        Mode::from_bits_truncate(0o666),
        null,
    ) {
        Ok(()) => {
            write_files(&path("device"), DENSE, &[]);
            broken.push("device".to_owned());
        }
        Err(errno) => crate::common::say_skipped(&format!("no device can be made here ({errno})")),
    }
    // One that belongs to no array is left out and named under its own name.
    fifo("pipe");
    broken.push("pipe".to_owned());
    let broken: Vec<&str> = broken.iter().map(String::as_str).collect();
    all_are_left_out_and_named(store.path(), &broken);
}

#[test]
fn a_directory_in_place_of_metadata_is_a_directory() {
    let store = tempdir().unwrap();
    fs::create_dir(store.path().join("x.yaml")).unwrap();
    fs::write(store.path().join("x.array"), "left over").unwrap();
    let mount = Mount::new(store.path());
    assert_eq!(mount.list(""), ["x.array", "x.yaml"]);
    assert_eq!(mount.read("x.array"), b"left over");
}

// Promise: A symbolic link is followed inside the store, and never leads out of it.
#[test]
fn links_are_followed_inside_the_store_and_not_out_of_it() {
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    write_dense(&outside.path().join("far"), "int8", &[3]);
    let store = tempdir().unwrap();
    let path = |name: &str| store.path().join(name);
    fs::create_dir_all(path("sub/below")).unwrap();
    let bytes = write_dense(&path("sub/m"), "int8", &[2, 3]);
    fs::write(path("sub/plain"), "plain").unwrap();
    let absolute = |name: &str| path(name).canonicalize().unwrap();

    symlink("sub/plain", path("to-file")).unwrap();
    symlink(absolute("sub/plain"), path("to-file-absolute")).unwrap();
    symlink("sub", path("to-directory")).unwrap();
    symlink(absolute("sub"), path("to-directory-absolute")).unwrap();
    symlink("to-file", path("to-a-link")).unwrap();
    for suffix in ["yaml", "array"] {
        symlink(format!("sub/m.{suffix}"), path(&format!("whole.{suffix}"))).unwrap();
    }
    fs::write(path("half.yaml"), DENSE).unwrap();
    symlink(absolute("sub/m.array"), path("half.array")).unwrap();
    symlink("../plain", path("sub/below/up")).unwrap();

    symlink(outside.path().join("secret"), path("out")).unwrap();
    symlink(outside.path(), path("out-directory")).unwrap();
    symlink("../../../../../../../../etc/passwd", path("out-relative")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    symlink("self", path("self")).unwrap();
    symlink("circle-b", path("circle-a")).unwrap();
    symlink("circle-a", path("circle-b")).unwrap();
    symlink(".", path("here")).unwrap();
    symlink("..", path("sub/below/around")).unwrap();
    for (name, target) in [("out-yaml", "yaml"), ("out-array", "array")] {
        write_files(&path(name), DENSE, &[SIX]);
        fs::remove_file(path(&format!("{name}.{target}"))).unwrap();
        symlink(outside.path().join(format!("far.{target}")), path(&format!("{name}.{target}"))).unwrap();
    }
    write_files(&path("dangling-array"), DENSE, &[]);
    symlink("nowhere", path("dangling-array.array")).unwrap();

    let store_path = store.path().to_owned();
    let mount = Mount::new(&store_path);
    let shared = mount.clone();
    within(60, "a store of links", move || {
        let mount = shared;
        for name in [
            "to-file",
            "to-file-absolute",
            "to-a-link",
            "to-directory/plain",
            "to-directory-absolute/plain",
            "sub/below/up",
        ] {
            assert_eq!(mount.read(name), b"plain", "{name}");
        }
        for name in [
            "sub/m/array",
            "whole/array",
            "half/array",
            "to-directory/m/array",
            "to-directory-absolute/m/array",
        ] {
            assert_eq!(mount.read(name), bytes, "{name}");
        }
        assert_eq!(mount.read("whole/rows/1"), bytes[3..]);
        let broken = [
            "circle-a",
            "circle-b",
            "dangling",
            "dangling-array",
            "here",
            "out",
            "out-array",
            "out-directory",
            "out-relative",
            "out-yaml",
            "self",
        ];
        let (listed, faults) = (mount.list(""), mount.faults());
        let shown = [
            "half",
            "sub",
            "to-a-link",
            "to-directory",
            "to-directory-absolute",
            "to-file",
            "to-file-absolute",
            "whole",
        ];
        assert_eq!(listed, shown);
        for name in broken {
            assert!(faults.contains_key(name), "{name} is not in {faults:#?}");
            assert_eq!(mount.read_error(name), libc::ENOENT, "{name}");
        }
        for name in ["out-directory/secret", "here/sub/plain", "out-array/array", "sub/below/around/plain"] {
            assert_eq!(mount.read_error(name), libc::ENOENT, "{name}");
        }
        assert!(faults.contains_key("sub/below/around"), "{faults:#?}");
        check_names(&store_path, &faults.into_keys().collect::<Vec<_>>());
    });
}

/// A sparse matrix of five rows of two, with these bounds of rows in place of its own.
fn five_rows(indptr: [i64; 6]) -> Sparse {
    let indices = vec![0, 3, 1, 2, 0, 1, 2, 3, 1, 3];
    Sparse { shape: [5, 4], data: (1..=10).collect(), indices, indptr: indptr.to_vec() }
}

/// A sparse fault: the matrix, what `check` says, and which rows can and which cannot be read.
struct SparseFault {
    name: &'static str,
    matrix: Sparse,
    check: &'static str,
    sound: &'static [u64],
    broken: &'static [u64],
}

fn sparse_faults() -> Vec<SparseFault> {
    let fault = |name, indptr, check, sound, broken| SparseFault {
        name,
        matrix: five_rows(indptr),
        check,
        sound,
        broken,
    };
    let column = |name, at: usize, value, check, sound, broken| {
        let mut matrix = five_rows([0, 2, 4, 6, 8, 10]);
        matrix.indices[at] = value;
        SparseFault { name, matrix, check, sound, broken }
    };
    vec![
        fault("not from 0", [1, 2, 4, 6, 8, 10], "s.indptr", &[1, 2, 3, 4], &[0]),
        // What the rows beside the fall have is in range, so that nobody can tell.
        fault("falling", [0, 2, 6, 4, 8, 10], "s.indptr", &[0, 4], &[2]),
        fault("beyond nnz", [0, 2, 4, 60, 8, 10], "s.indptr", &[0, 1, 4], &[2, 3]),
        fault("far beyond nnz", [0, 2, 4, i64::MAX, 8, 10], "s.indptr", &[0, 1, 4], &[2, 3]),
        fault("negative", [0, 2, -4, 6, 8, 10], "s.indptr", &[0, 3, 4], &[1, 2]),
        fault("ends before nnz", [0, 2, 4, 6, 8, 9], "s.indptr", &[0, 1, 2, 3], &[4]),
        fault("ends after nnz", [0, 2, 4, 6, 8, 11], "s.indptr", &[0, 1, 2, 3], &[4]),
        column("column too large", 5, 4, "s.indices", &[0, 1, 3, 4], &[2]),
        column("column far too large", 5, i32::MAX, "s.indices", &[0, 1, 3, 4], &[2]),
        column("column negative", 4, -1, "s.indices", &[0, 1, 3, 4], &[2]),
    ]
}

// Promise: Sparse data that break the rules of CSR cause `EIO` where they are needed, and only there.
#[test]
fn sparse_data_that_breaks_the_rules_is_an_error_where_it_is_needed() {
    for SparseFault { name, matrix, check, sound, broken } in sparse_faults() {
        let store = tempdir().unwrap();
        matrix.write(&store.path().join("s"));
        let bytes = write_dense(&store.path().join("sound"), "int16", &[4, 3]);
        let mount = Mount::new(store.path());
        assert!(mount.list("").contains(&"s".to_owned()), "{name}: no data is read to list it");
        assert_eq!(mount.faults().len(), 0, "{name}");
        for component in ["data", "indices", "indptr"] {
            let raw = fs::read(store.path().join(format!("s.{component}"))).unwrap();
            assert_eq!(mount.read(format!("s/{component}")), raw, "{name}: {component}");
            assert!(mount.read(format!("s/{component}.npy")).ends_with(&raw), "{name}: {component}");
        }
        assert_eq!(mount.faults().len(), 0, "{name}: the raw parts need no rules");
        let dense = five_rows([0, 2, 4, 6, 8, 10]).dense();
        for row in sound {
            let expected: Vec<u8> =
                dense[*row as usize * 4..][..4].iter().flat_map(|item| item.to_le_bytes()).collect();
            for path in [format!("s/rows/{row}/dense"), format!("s/slices/{row}:{}/dense", row + 1)] {
                assert_eq!(mount.read(&path), expected, "{name}: {path}");
            }
        }
        assert_eq!(mount.faults().len(), 0, "{name}: sound rows need no others");
        for row in broken {
            let slice = format!("s/slices/{row}:{}", row + 1);
            for path in [
                format!("s/rows/{row}/dense"),
                format!("{slice}/dense"),
                format!("{slice}/dense.npy"),
                format!("s/rows/{row}.csv"),
            ] {
                assert_eq!(mount.read_error(&path), libc::EIO, "{name}: {path}");
            }
        }
        for path in ["s/dense", "s/dense.npy", "s/slices/:/dense", "s/slices/::1/dense"] {
            assert_eq!(mount.read_error(path), libc::EIO, "{name}: {path}");
        }
        if check == "s.indptr" {
            for path in ["s/matrix.h5", "s/matrix.h5ad", "s/10x.h5", "s/slices/::1/matrix.h5ad"] {
                assert_eq!(mount.read_error(path), libc::EIO, "{name}: {path}");
            }
        }
        let faults = mount.faults();
        assert_eq!(faults.keys().collect::<Vec<_>>(), ["s"], "{name}: {faults:?}");
        assert!(faults["s"].contains(check), "{name}: {faults:?}");
        // Whatever the rest of the folder gives, it is bytes or EIO, and the server lives.
        for path in ["::2", "::-1", "1:4", "-2:", "::3"].map(|rows| format!("s/slices/{rows}")) {
            for component in ["data", "indices", "indptr", "dense", "rows/0/data", "rows/-1.npy"] {
                let error = fs::read(mount.join(format!("{path}/{component}")))
                    .map_or_else(|e| e.raw_os_error().unwrap(), |_| 0);
                assert!([0, libc::EIO, libc::ENOENT].contains(&error), "{name}: {path}/{component}: {error}");
            }
        }
        let _ = std::process::Command::new("ls").arg("-lR").arg(mount.join("s")).output().unwrap();
        assert_eq!(mount.read("sound/array"), bytes, "{name}");
        check_names(store.path(), &["s".to_owned()]);
        let text = String::from_utf8(run(["check".as_ref(), store.path().as_os_str()]).stdout).unwrap();
        assert!(text.contains(check), "{name}: {text}");
        // Once it is repaired, it is no longer named.
        let repaired = five_rows([0, 2, 4, 6, 8, 10]);
        for suffix in ["data", "indices", "indptr"] {
            fs::remove_file(store.path().join(format!("s.{suffix}"))).unwrap();
        }
        repaired.write(&store.path().join("s"));
        wait_until("the repaired matrix is read", || fs::read(mount.join("s/dense")).is_ok());
        assert_eq!(mount.faults().len(), 0, "{name}");
    }
}

// Promise: Unsorted or repeated columns in a row of a sparse matrix are no violation: `check` notes them, and every format is right for them.
#[test]
fn columns_out_of_order_are_noted_by_check_and_read_all_the_same() {
    let cases =
        [("unsorted", 3, 0, "rising columns in each row"), ("repeated", 2, 2, "each column once in a row")];
    for (name, first, second, note) in cases {
        let store = tempdir().unwrap();
        let mut matrix = five_rows([0, 2, 4, 6, 8, 10]);
        matrix.indices[2..4].copy_from_slice(&[first, second]);
        matrix.write(&store.path().join("s"));
        let mount = Mount::new(store.path());
        let expected: Vec<u8> = matrix.dense().iter().flat_map(|item| item.to_le_bytes()).collect();
        assert_eq!(mount.read("s/dense"), expected, "{name}");
        assert_eq!(mount.read("s/rows/1/dense"), expected[16..32], "{name}");
        assert_eq!(mount.faults().len(), 0, "{name}");
        let check = run(["check".as_ref(), store.path().as_os_str()]);
        let said = String::from_utf8(check.stderr).unwrap();
        assert!(check.status.success() && check.stdout.is_empty(), "{name}: {said}");
        assert!(said.contains(&format!("s: s.indices: order: expected {note}, found")), "{said}");
        if cfg!(feature = "verify") {
            let verify = run(["verify".as_ref(), store.path().as_os_str()]);
            assert!(verify.status.success(), "{name}: {verify:?}");
        }
    }
}

// Promise: A broken array that is repaired appears again within a second.
#[test]
fn errors_come_and_go_with_what_is_wrong() {
    let store = tempdir().unwrap();
    let bytes = write_dense(&store.path().join("m"), "int8", &[2, 3]);
    let mount = Mount::new(store.path());
    assert_eq!(mount.errors(), "{}\n");
    fs::rename(store.path().join("m.array"), store.path().join("away")).unwrap();
    assert_eq!(mount.faults().keys().collect::<Vec<_>>(), ["m"]);
    wait_until("it is left out", || !mount.list("").contains(&"m".to_owned()));
    fs::rename(store.path().join("away"), store.path().join("m.array")).unwrap();
    assert_eq!(mount.errors(), "{}\n");
    wait_until("it is back", || fs::read(mount.join("m/array")).is_ok_and(|found| found == bytes));
    // `stat` of the report may lag by a moment, reading it does not.
    fs::write(store.path().join("bad.yaml"), DENSE).unwrap();
    assert!(mount.errors().contains("bad"));
}

// Promise: Listing the folder of a format that cannot be rendered fails with `EIO` and never shows an empty folder; once it can be rendered, it is listed.
#[test]
fn a_folder_that_cannot_be_made_fails_to_list_until_it_can() {
    let copy = |from: &Path| {
        let to = tempdir().unwrap();
        let done = std::process::Command::new("cp").arg("-r").arg(from).arg(to.path()).output().unwrap();
        (done.status.success(), to)
    };
    let sound = five_rows([0, 2, 4, 6, 8, 10]);
    for options in [&[][..], &["--no-passthrough"]] {
        let store = tempdir().unwrap();
        five_rows([0, 2, 4, 60, 8, 10]).write(&store.path().join("s"));
        let mount = Mount::with(store.path(), options);
        let folders = ["s/slices/2:4/matrix.zarr", "s/slices/::3/matrix.zarr", "s/slices/2:4/10x"];
        for folder in folders {
            let path = mount.join(folder);
            let parent = mount.list(path.parent().unwrap().strip_prefix(mount.path()).unwrap());
            assert!(parent.contains(&path.file_name().unwrap().to_str().unwrap().to_owned()), "{folder}");
            for _ in 0..2 {
                let listed = fs::read_dir(&path).map(Iterator::count).map_err(|e| e.raw_os_error());
                assert_eq!(listed, Err(Some(libc::EIO)), "{folder}");
                let (is_done, to) = copy(&path);
                assert!(!is_done, "{folder}: copied {:?}", crate::common::names(to.path()));
            }
            for member in ["zarr.json", "X", "matrix.mtx.gz", "no-such-name"] {
                let found = fs::metadata(path.join(member)).map(|_| ()).map_err(|e| e.raw_os_error());
                assert_eq!(found, Err(Some(libc::EIO)), "{folder}/{member}");
            }
        }
        let faults = mount.faults();
        assert!(faults["s"].contains("s.indptr") && faults["s"].contains("60 at 3"), "{faults:?}");
        sound.write(&store.path().join("s"));
        wait_until("what was mended is listed", || {
            folders.iter().all(|folder| fs::read_dir(mount.join(folder)).is_ok_and(|names| names.count() > 2))
        });
        for folder in folders {
            let (is_done, to) = copy(&mount.join(folder));
            assert!(is_done, "{folder}");
            let name = Path::new(folder).file_name().unwrap();
            assert_eq!(crate::common::names(&to.path().join(name)), mount.list(folder), "{folder}");
        }
        assert_eq!(mount.faults().len(), 0);
    }
}
