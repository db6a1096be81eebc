//! Names of rows and columns: their sources, the files that they add to the tree, and names that do not fit
//! the array.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::common::{Mount, Sparse, python, real_stores, run, stdout, wait_until, write_dense, write_hole};
use tempfile::{TempDir, tempdir};

/// A dense and a sparse matrix of 4 rows and 3 columns and a vector, with the axes of a daf store.
fn daf() -> TempDir {
    let store = tempdir().unwrap();
    let at = |name: &str| store.path().join(name);
    fs::write(at("__daf__.yaml"), "version: [1, 0]\n").unwrap();
    fs::write(at("cell#.csv"), "cell\nA\nA.1\nB/C\n100%\n").unwrap();
    fs::write(at("gene#.csv"), "gene\r\nFOXA1\r\n.\r\n\"x,y\"").unwrap();
    write_dense(&at("cell,gene#dense"), "int16", &[4, 3]);
    Sparse::example(4, 3).write(&at("cell,gene#sparse"));
    write_dense(&at("cell#vector"), "int16", &[4]);
    store
}

/// Where the link leads, in words, and that it leads to a file of these bytes.
fn target(mount: &Mount, link: impl AsRef<Path>) -> String {
    let link = mount.join(link);
    let meta = fs::symlink_metadata(&link).unwrap_or_else(|e| panic!("{}: {e}", link.display()));
    let target = fs::read_link(&link).unwrap();
    assert!(meta.is_symlink() && meta.len() == target.as_os_str().len() as u64);
    assert!(link.exists(), "{} leads nowhere", link.display());
    target.into_os_string().into_string().unwrap()
}

fn is_missing(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn meta(mount: &Mount, array: &str) -> serde_yaml::Value {
    serde_yaml::from_slice(&mount.read(format!("{array}/meta.yaml"))).unwrap()
}

#[test]
fn names_lead_to_rows_and_columns() {
    let store = daf();
    let mount = Mount::new(store.path());
    let dense = "cell,gene#dense/by-name";
    assert_eq!(mount.list(dense), ["cols", "rows"]);
    assert_eq!(mount.list(format!("{dense}/rows")), ["100%25", "A", "A.1", "B%2FC"]);
    assert_eq!(mount.list(format!("{dense}/cols")), ["%2E", "FOXA1", "x,y"]);
    let cases = [
        ("rows/A", "../../rows/0"),
        ("rows/A.1", "../../rows/1"),
        ("rows/A.npy", "../../rows/0.npy"),
        ("rows/A.1.npy", "../../rows/1.npy"),
        ("rows/A.1.csv", "../../rows/1.csv"),
        ("rows/B%2FC", "../../rows/2"),
        ("rows/B%2fC.csv", "../../rows/2.csv"),
        ("rows/100%25", "../../rows/3"),
        ("rows/100%", "../../rows/3"),
        ("cols/FOXA1", "../../cols/0"),
        ("cols/FOXA1.npy", "../../cols/0.npy"),
        ("cols/%2E", "../../cols/1"),
        ("cols/%2e.npy", "../../cols/1.npy"),
        ("cols/x,y", "../../cols/2"),
    ];
    for (link, wanted) in cases {
        assert_eq!(target(&mount, format!("{dense}/{link}")), wanted, "{link}");
        let path = Path::new(dense).join(link);
        assert_eq!(mount.read(&path), mount.read(Path::new("cell,gene#dense").join(&wanted[6..])));
        let cat = stdout([Path::new("cat"), store.path(), &path]);
        assert_eq!(cat, mount.read(&path), "{link}");
    }
    for link in
        ["rows/a", "rows/A.", "rows/A.2", "rows/A.doc", "rows/0", "rows/A.npy.npy", "cols/A", "nothing"]
    {
        assert!(is_missing(&mount.join(dense).join(link)), "{link}");
    }
}

#[test]
fn sparse_matrices_slices_and_vectors() {
    let store = daf();
    let mount = Mount::new(store.path());
    let sparse = "cell,gene#sparse/by-name";
    assert_eq!(mount.list(sparse), ["rows"]);
    assert_eq!(target(&mount, format!("{sparse}/rows/B%2FC")), "../../rows/2");
    assert_eq!(target(&mount, format!("{sparse}/rows/B%2FC.npy")), "../../rows/2.npy");
    assert_eq!(mount.list(format!("{sparse}/rows/A")), mount.list("cell,gene#sparse/rows/0"));
    assert!(is_missing(&mount.join("cell#vector/by-name")));

    let slice = "cell,gene#dense/slices/1::2";
    assert_eq!(mount.list(format!("{slice}/by-name/rows")), ["100%25", "A.1"]);
    assert_eq!(target(&mount, format!("{slice}/by-name/rows/100%25")), "../../rows/1");
    assert_eq!(mount.read(format!("{slice}/by-name/rows/100%25")), mount.read("cell,gene#dense/rows/3"));
    assert!(is_missing(&mount.join(slice).join("by-name/rows/A")));
    assert_eq!(mount.list(format!("{slice}/by-name/cols")), ["%2E", "FOXA1", "x,y"]);

    for array in ["cell,gene#dense", "cell,gene#sparse", "cell,gene#dense/slices/1:2"] {
        let meta = meta(&mount, array);
        assert_eq!((&meta["row_names"], &meta["column_names"]), (&"cell#.csv".into(), &"gene#.csv".into()));
    }
    assert_eq!(meta(&mount, "cell#vector")["row_names"], "cell#.csv");
    assert!(meta(&mount, "cell#vector").get("column_names").is_none());
    assert_eq!(String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap(), "{}\n");
}

#[test]
fn names_beside_an_array_win_over_those_of_its_axes() {
    let store = daf();
    let at = |name: &str| store.path().join(name);
    fs::write(at("cell,gene#dense.rows.txt"), "r0\nr1\nr2\nr3").unwrap();
    fs::create_dir(at("plain")).unwrap();
    write_dense(&at("plain/x,y#z"), "int16", &[2, 1]);
    fs::write(at("plain/x,y#z.cols.txt"), "only\r\n").unwrap();
    // Without __daf__.yaml this is a file like any other.
    fs::write(at("plain/x#.csv"), "x\na\nb\n").unwrap();
    let mount = Mount::new(store.path());
    assert_eq!(mount.list("cell,gene#dense/by-name/rows"), ["r0", "r1", "r2", "r3"]);
    assert_eq!(mount.list("cell,gene#dense/by-name/cols"), ["%2E", "FOXA1", "x,y"]);
    assert_eq!(mount.list("plain/x,y#z/by-name"), ["cols"]);
    assert_eq!(mount.list("plain/x,y#z/by-name/cols"), ["only"]);
    assert_eq!(meta(&mount, "plain/x,y#z")["column_names"], "plain/x,y#z.cols.txt");
    assert_eq!(mount.read("plain/x,y#z.cols.txt"), b"only\r\n", "it is a file like any other too");
}

#[test]
fn names_that_do_not_fit_are_told_of_and_not_used() {
    let store = tempdir().unwrap();
    let cases: [(&str, &[u8], &str); 4] = [
        ("few", b"a\nb\n", "expected 3, found 2"),
        ("many", b"a\nb\nc\nd\n", "expected 3, found 4"),
        ("empty", b"", "expected 3, found 0"),
        ("huge", b"", "bytes"),
    ];
    for (name, text, _) in cases {
        write_dense(&store.path().join(name), "int16", &[3, 2]);
        fs::write(store.path().join(format!("{name}.rows.txt")), text).unwrap();
        fs::write(store.path().join(format!("{name}.cols.txt")), "x\ny\n").unwrap();
    }
    // A hole of 2 GiB: refused unread.
    fs::File::options()
        .write(true)
        .open(store.path().join("huge.rows.txt"))
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    write_dense(&store.path().join("folder"), "int16", &[3, 2]);
    fs::create_dir(store.path().join("folder.rows.txt")).unwrap();
    write_dense(&store.path().join("n".repeat(247)), "int16", &[3, 2]);
    let mount = Mount::new(store.path());
    for (name, ..) in cases {
        let named = if name == "huge" { &["cols", "rows"][..] } else { &["cols"] };
        assert_eq!(mount.list(format!("{name}/by-name")), named, "{name}");
        assert_eq!(mount.list(format!("{name}/by-name/cols")), ["x", "y"], "{name}");
    }
    assert!(mount.list("huge/by-name/rows").is_empty());
    assert!(is_missing(&mount.join("folder/by-name")));
    assert!(is_missing(&mount.join("n".repeat(247)).join("by-name")));
    let warnings = String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap();
    for (name, _, wanted) in cases {
        let line = warnings.lines().find(|line| line.starts_with(&format!("\"{name}\"")));
        assert!(
            line.is_some_and(|line| line.contains(wanted) && line.contains("rows.txt")),
            "{name}: {warnings}"
        );
    }
    assert!(warnings.contains("\"folder\""), "{warnings}");
    assert_eq!(warnings.lines().count(), cases.len() + 1);
    assert_eq!(mount.errors(), "{}\n", "the arrays are sound");

    let check = run([Path::new("check"), store.path()]);
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success() && check.stdout.is_empty(), "{said}");
    assert_eq!(said.matches("names are not used").count(), cases.len() + 1, "{said}");
}

#[test]
fn names_that_repeat_or_are_empty_or_no_utf_8_are_used_and_told_of() {
    let store = tempdir().unwrap();
    let at = |name: &str| store.path().join(name);
    write_dense(&at("m"), "int16", &[6, 2]);
    fs::write(at("m.rows.txt"), b"a\nb\na\n\nGr\xF6\xDFe\na\n").unwrap();
    fs::write(at("m.cols.txt"), "MATR3\nMATR3\n").unwrap();
    Sparse::example(4, 3).write(&at("s"));
    fs::write(at("s.rows.txt"), "\nx\nx\n\n").unwrap();
    let mount = Mount::new(store.path());
    let rows = "m/by-name/rows";
    assert_eq!(mount.list(rows), ["Gr\u{FFFD}\u{FFFD}e", "a", "b"]);
    assert_eq!(mount.list("m/by-name/cols"), ["MATR3"]);
    assert_eq!(mount.list("s/by-name/rows"), ["x"]);
    for (link, wanted) in [
        ("m/by-name/rows/a", "../../rows/0"),
        ("m/by-name/rows/a.npy", "../../rows/0.npy"),
        ("m/by-name/cols/MATR3", "../../cols/0"),
        ("m/by-name/rows/Gr\u{FFFD}\u{FFFD}e", "../../rows/4"),
        ("s/by-name/rows/x", "../../rows/1"),
    ] {
        assert_eq!(target(&mount, link), wanted, "{link}");
    }
    assert!(is_missing(&mount.join(rows).join(".npy")));
    // In a slice the first of those that are there.
    for (slice, name, wanted) in
        [("1:", "a", "../../rows/1"), ("3:", "a", "../../rows/2"), ("1::2", "a", "../../rows/2")]
    {
        let by_name = format!("m/slices/{slice}/by-name/rows");
        assert_eq!(mount.list(&by_name).iter().filter(|other| *other == name).count(), 1, "{slice}");
        assert_eq!(target(&mount, format!("{by_name}/{name}")), wanted, "{slice}");
    }
    assert_eq!(mount.list("m/slices/1:2/by-name/rows"), ["b"]);
    let table = String::from_utf8(mount.read("m/array.csv")).unwrap();
    let names: Vec<_> = table.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(names[1..], ["a", "b", "a", "\"\"", "Gr\u{FFFD}\u{FFFD}e", "a"], "{table}");
    assert!(table.lines().next().unwrap().ends_with(",MATR3,MATR3"), "{table}");

    let rows = "names of rows: 2 repeat (first: a), 1 is empty, 1 is not UTF-8";
    let columns = "names of columns: 1 repeats (first: MATR3)";
    let warnings = String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap();
    assert!(
        warnings.contains(rows) && warnings.contains(columns) && warnings.contains("2 are empty"),
        "{warnings}"
    );
    assert!(!warnings.contains("not used"), "{warnings}");
    let check = run([Path::new("check"), store.path()]);
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success() && said.contains(rows) && said.contains(columns), "{said}");
}

#[test]
fn names_that_repeat_reach_the_readers_of_all_formats() {
    let store = tempdir().unwrap();
    let at = |name: &str| store.path().join(name);
    write_dense(&at("m"), "float32", &[4, 3]);
    Sparse::example(4, 3).write(&at("s"));
    for array in ["m", "s"] {
        fs::write(at(&format!("{array}.rows.txt")), "c1\nc2\nc1\n\n").unwrap();
        fs::write(at(&format!("{array}.cols.txt")), "MATR3\ng\nMATR3\n").unwrap();
    }
    let mount = Mount::new(store.path());
    python("repeated_names.py", &[mount.path()]);
}

#[test]
fn axes_without_the_file_that_says_so_are_told_of() {
    let store = daf();
    fs::remove_file(store.path().join("__daf__.yaml")).unwrap();
    fs::create_dir(store.path().join("plain")).unwrap();
    write_dense(&store.path().join("plain/x#y"), "int8", &[2]);
    let mount = Mount::new(store.path());
    assert!(is_missing(&mount.join("cell,gene#dense/by-name")));
    let warnings = String::from_utf8(mount.read(".arrayfs/warnings.yaml")).unwrap();
    assert_eq!(
        warnings.matches("cell#.csv names nothing, for there is no __daf__.yaml beside it").count(),
        3,
        "{warnings}"
    );
    assert!(warnings.contains("gene#.csv names nothing"), "{warnings}");
    assert!(!warnings.contains("plain"), "{warnings}");
    let listed = run([Path::new("ls"), store.path()]);
    let said = String::from_utf8(listed.stderr).unwrap();
    for axis in ["cell", "gene"] {
        assert_eq!(said.matches(&format!("{axis}#.csv names nothing")).count(), 1, "{said}");
    }
    let place = tempdir().unwrap();
    let mounted = run([Path::new("mount"), store.path(), place.path()]);
    run([Path::new("unmount"), place.path()]);
    let said = String::from_utf8(mounted.stderr).unwrap();
    assert!(mounted.status.success() && said.contains("cell#.csv names nothing"), "{said}");
    assert!(said.contains("gene#.csv names nothing"), "{said}");
}

#[test]
fn names_that_are_replaced_change_under_the_mount() {
    let store = tempdir().unwrap();
    write_dense(&store.path().join("m"), "int16", &[2, 2]);
    let (mount, file) = (Mount::new(store.path()), store.path().join("m.rows.txt"));
    assert!(is_missing(&mount.join("m/by-name")));
    let before = fs::metadata(mount.join("m")).unwrap().ino();
    let rename = |text: &str| {
        fs::write(store.path().join("new"), text).unwrap();
        fs::rename(store.path().join("new"), &file).unwrap();
    };
    let lists = |wanted: &[&str]| {
        let names = || {
            fs::read_dir(mount.join("m/by-name/rows")).ok().map(|names| {
                let mut names: Vec<_> =
                    names.flatten().map(|name| name.file_name().into_string().unwrap()).collect();
                names.sort();
                names
            })
        };
        wait_until("the names are those of the store", || names().unwrap_or_default() == wanted);
    };
    rename("a\nb\n");
    lists(&["a", "b"]);
    assert_ne!(fs::metadata(mount.join("m")).unwrap().ino(), before, "another version has another number");
    rename("b\na\n");
    wait_until("the order is that of the store", || {
        fs::read_link(mount.join("m/by-name/rows/a")).is_ok_and(|target| target == Path::new("../../rows/1"))
    });
    fs::write(&file, "c\nd\n").unwrap();
    lists(&["c", "d"]);
    fs::remove_file(&file).unwrap();
    lists(&[]);
    assert_eq!(mount.errors(), "{}\n");
}

// Promise: A file that shows names has at most the permissions of the files that the names come from.
#[test]
fn names_closed_to_others_close_what_shows_them() {
    let store = daf();
    let at = |name: &str| store.path().join(name);
    fs::set_permissions(at("cell#.csv"), fs::Permissions::from_mode(0o600)).unwrap();
    let mount = Mount::new(store.path());
    let mode = |path: &str| fs::metadata(mount.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("cell,gene#dense/by-name"), 0o500);
    assert_eq!(mode("cell,gene#dense/by-name/rows"), 0o500);
    let open = mode("cell,gene#dense/array");
    assert_eq!(open & 0o444, open);
    for file in ["array.npy", "meta.yaml", "README.md", "rows/0"] {
        assert_eq!(mode(&format!("cell,gene#dense/{file}")), open, "{file}");
    }
}

#[test]
fn names_that_may_not_be_read_are_not_used() {
    let store = daf();
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(store.path().join("cell#.csv"), fs::Permissions::from_mode(0o000)).unwrap();
    let program = env!("CARGO_BIN_EXE_arrayfs");
    let own = fs::metadata(store.path()).unwrap().uid();
    if own != 0 || std::process::Command::new("setpriv").arg("--version").output().is_err() {
        crate::common::say_skipped("a reader with fewer rights needs root and setpriv");
        return;
    }
    let copy = store.path().join("arrayfs");
    fs::copy(program, &copy).unwrap();
    let nobody = |args: &[&Path]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&copy);
        command.args(args).output().unwrap()
    };
    let by_name = nobody(&[Path::new("cat"), store.path(), Path::new("cell,gene#dense/by-name/rows/A")]);
    assert_eq!(by_name.status.code(), Some(1), "{by_name:?}");
    let column = nobody(&[Path::new("cat"), store.path(), Path::new("cell,gene#dense/by-name/cols/FOXA1")]);
    assert!(column.status.success(), "{column:?}");
    let check = nobody(&[Path::new("check"), store.path()]);
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(
        check.status.success() && said.contains("names are not used") && said.contains("denied"),
        "{said}"
    );
}

/// Resident memory of the server, in KiB.
fn resident(mount: &Mount) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", mount.server())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_million_names_are_read_once_and_when_asked_for() {
    let store = tempdir().unwrap();
    let at = |name: &str| store.path().join(name);
    let names: String = (0..1_000_000).map(|i| format!("AAACCTGAG{i:07}-1\n")).collect();
    fs::write(at("__daf__.yaml"), "version: [1, 0]\n").unwrap();
    fs::write(at("cell#.csv"), format!("cell\n{names}")).unwrap();
    for name in ["a", "b", "c"] {
        write_hole(&at(&format!("cell,gene#{name}")), "float32", &[1_000_000, 1000]);
    }
    let mount = Mount::new(store.path());
    let before = resident(&mount);
    let start = Instant::now();
    assert!(mount.list("cell,gene#a").contains(&"by-name".into()));
    assert_eq!(mount.list("cell,gene#a/by-name"), ["rows"]);
    assert_eq!(meta(&mount, "cell,gene#a")["row_names"], "cell#.csv");
    mount.read("cell,gene#a/README.md");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert!(resident(&mount) < before + 4096, "no name was asked for");

    let start = Instant::now();
    for array in ["a", "b", "c"] {
        let link = format!("cell,gene#{array}/by-name/rows/AAACCTGAG0123456-1.npy");
        assert_eq!(target(&mount, link), "../../rows/123456.npy");
    }
    let (took, used) = (start.elapsed(), resident(&mount) - before);
    println!("a million names: first and three looked up in {took:?}, {used} KiB");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(used < 100 * 1024, "{used} KiB");

    let listed = fs::read_dir(mount.join("cell,gene#b/by-name/rows")).unwrap();
    assert_eq!(
        listed.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_symlink()).count(),
        1_000_000
    );
    println!("listed after {:?}", start.elapsed());
}

#[test]
fn real_names_lead_to_real_rows() {
    for store in real_stores() {
        let mount = Mount::new(&store);
        let is_example = store.ends_with("daf-example");
        let arrays: &[&str] =
            if is_example { &["metacell,gene#UMIs"] } else { &["cell,gene#scaled", "cell,gene#log1p"] };
        for array in arrays {
            for (axis, folder) in [(0, "rows"), (1, "cols")] {
                let links = mount.join(array).join("by-name").join(folder);
                if !links.exists() {
                    continue;
                }
                let name = array.split(['#', ',']).nth(axis).unwrap();
                let text = fs::read_to_string(store.join(format!("{name}#.csv"))).unwrap();
                let names: Vec<_> = text.lines().skip(1).collect();
                let width = (names.len() - 1).to_string().len();
                for (i, name) in names.iter().enumerate() {
                    let link =
                        fs::read_link(links.join(name.replace('%', "%25").replace('/', "%2F"))).unwrap();
                    assert_eq!(link, PathBuf::from(format!("../../{folder}/{i:0width$}")));
                }
            }
        }
    }
}

#[test]
fn a_folder_s_readme_says_how_to_read_it() {
    let store = daf();
    let mount = Mount::new(store.path());
    let text = String::from_utf8(mount.read("cell,gene#dense/README.md")).unwrap();
    assert!(
        text.starts_with("# cell,gene#dense\n\nMatrix of 4 rows and 3 columns, int16, row after row"),
        "{text}"
    );
    assert!(
        text.contains("Rows have names, which `cell#.csv` of the store holds: see `by-name/rows/`."),
        "{text}"
    );
    for listed in mount.list("cell,gene#dense") {
        let is_folder = mount.join("cell,gene#dense").join(&listed).is_dir();
        assert!(is_folder || text.contains(&format!("`{listed}`")), "{listed} is not told of: {text}");
    }
    let slice = String::from_utf8(mount.read("cell,gene#sparse/slices/1::2/README.md")).unwrap();
    assert!(slice.contains("Sparse matrix (CSR) of 2 rows and 3 columns"), "{slice}");
    assert!(slice.contains("A slice of 4 rows: from 1 in steps of 2."), "{slice}");
    assert!(slice.contains("Columns have names, which `gene#.csv` of the store holds.\n"), "{slice}");
}
