//! Files that say more than they have, that never end, or that nobody waits for any longer.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::tempdir;

use crate::common::{arrayfs, names, stdout, wait_until, within};

/// Imports with so little memory that nothing can be kept that the file does not have.
fn with_little_memory(file: &Path, path: &Path) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 1500000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_arrayfs"), "import"]);
    shell.arg(file).arg(path);
    within(120, "an import", move || shell.output().unwrap())
}

fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': True, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00v\x00", format!("{header:<117}\n").as_bytes(), body].concat()
}

fn packed(text: &[u8], times: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..times).for_each(|_| packed.write_all(text).unwrap());
    packed.finish().unwrap()
}

#[test]
fn what_a_file_says_of_its_size_costs_nothing() {
    let mtx = |rest: &str| format!("%%MatrixMarket matrix {rest}").into_bytes();
    let million = b"1,".repeat(1 << 19);
    let commas = b",".repeat(1 << 20);
    let long = b"1".repeat(1 << 20);
    let quotes = b"\"\"".repeat(1 << 19);
    let wrong = b"\xFF".repeat(1 << 20);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "rows.mtx",
            mtx("coordinate real general\n1099511627776 2 1\n1 1 1\n"),
            "1099511627776 rows in a file of 7",
        ),
        (
            "count.mtx",
            mtx("coordinate real general\n2 2 1099511627776\n1 1 1\n"),
            "it ends after 1 of 1099511627776 elements",
        ),
        ("general.mtx", mtx("array real general\n1048576 1048576\n1\n"), "No space left"),
        ("small.mtx", mtx("array real general\n20000 20000\n1\n"), "it ends after 1 values"),
        ("half.mtx", mtx("array real symmetric\n20000 20000\n1\n"), "it ends after 1 values"),
        ("skew.mtx", mtx("array real skew-symmetric\n20000 20000\n1\n"), "it ends after 1 values"),
        ("claims.npy", npy("<f8", "(1099511627776, 2)", &[0; 64]), "ends after 192 of 17592186044544 bytes"),
        ("product.npy", npy("<f8", "(4611686018427387904, 4611686018427387904)", &[0; 64]), "shape"),
        ("header.npy", b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF".to_vec(), "a header of 4294967295 bytes"),
        ("header.csv.gz", packed(&commas, 238), "line 1: more than 16777216 cells"),
        ("header.tsv.gz", packed(&b"\t".repeat(1 << 20), 238), "line 1: more than 16777216 cells"),
        ("lines.csv.gz", packed(&[&long.repeat(120)[..], b"\n"].concat(), 3), "expected a number, found"),
        ("names.csv.gz", packed(&[&wrong.repeat(120)[..], b",1\n"].concat(), 2), "a name of"),
        ("doubled.csv.gz", packed(&[b"1,\"", &quotes.repeat(120)[..], b"\"\n"].concat(), 1), "found"),
        ("comment.csv.gz", packed(&[b"#", &long.repeat(120)[..], b"\n1,2\nx,3\n"].concat(), 1), "--na"),
        (
            "sizes.mtx.gz",
            packed(&[&mtx("array real general\n")[..], &b"1 ".repeat(60 << 20)].concat(), 1),
            "sizes",
        ),
        ("banner.mtx.gz", packed(&wrong, 120), "expected %%MatrixMarket"),
        ("line.csv.gz", packed(&million, 300), "line 1 is longer than 256 MiB"),
        ("quotes.csv.gz", packed(&b"\"\"\"\n".repeat(1 << 18), 400), "--"),
        ("quote.csv.gz", packed(b"\"a\n", 1), "a quote that does not end"),
    ];
    for (name, bytes, why) in cases {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join(name), bytes).unwrap();
        let store = dir.path().join("store");
        fs::create_dir(&store).unwrap();
        let output = with_little_memory(&dir.path().join(name), &store.join("x"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{name}: {said}");
        assert!(names(&store).is_empty(), "{name}: {:?}", names(&store));
    }
}

#[test]
fn what_was_cut_is_said_to_be() {
    let packed = packed(b"1,2\n3,4\n", 1000);
    let cases: [(&str, &[u8], &str); 4] = [
        ("t.npy", &npy("<f8", "(4,)", &[0; 27]), "t.npy: it ends after 155 of 160 bytes: was it cut?"),
        ("t.npy", b"\x93NUMPY\x01\x00v", "t.npy: it ends too early: was it cut?"),
        ("t.csv.gz", &packed[..packed.len() - 9], "t.csv.gz: it ends too early: was it cut?"),
        ("t.npz", b"PK\x03\x04\x14\0\0\0\0\0", "t.npz: it is no whole archive, as a .npz is: was it cut?"),
    ];
    for (name, bytes, why) in cases {
        let dir = tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, bytes).unwrap();
        let output = arrayfs().arg("import").arg(&file).arg(dir.path().join("x")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(why), "{name}: {said}");
        assert_eq!(names(dir.path()), [name]);
    }
}

#[test]
fn what_can_be_read_only_once_is_an_array_too() {
    let text = b",a,b\nx,1,2\ny,3,4\n";
    let dir = tempdir().unwrap();
    let feed = |command: &mut Command| {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    feed(arrayfs().args(["import", "--format", "csv", "-"]).arg(dir.path().join("piped")));
    feed(arrayfs().args(["import", "--format", "csv", "/dev/stdin"]).arg(dir.path().join("named")));
    fs::write(dir.path().join("t.csv"), text).unwrap();
    let redirected = File::open(dir.path().join("t.csv")).unwrap();
    let mut import = arrayfs();
    import.args(["import", "--format", "csv", "-"]).arg(dir.path().join("redirected")).stdin(redirected);
    assert!(import.status().unwrap().success());
    let fifo = dir.path().join("f.csv");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let importer = arrayfs().arg("import").arg(&fifo).arg(dir.path().join("fifo")).spawn().unwrap();
    fs::write(&fifo, text).unwrap();
    assert!(importer.wait_with_output().unwrap().status.success());
    for name in ["piped", "named", "redirected", "fifo"] {
        assert_eq!(
            super::tables::shown(&dir.path().join(name)),
            "int64 [2, 2] 1 2 3 4 rows: x|y cols: a|b",
            "{name}"
        );
    }
    let without_format = arrayfs().args(["import", "-"]).arg(dir.path().join("x")).output().unwrap();
    let said = String::from_utf8(without_format.stderr).unwrap();
    assert!(without_format.status.code() == Some(1) && said.contains("--format"), "{said}");
    let listed = stdout(["ls".as_ref(), dir.path().as_os_str()]);
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 5);
}

/// Where an import is when it is ended.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It waits for somebody to write.
    Opening,
    /// It waits for more.
    Reading,
    /// It unpacks what has no end of a line.
    Unpacking,
    /// It writes the array.
    Writing,
}

/// An import in this phase.
fn begun(phase: Phase, dir: &Path) -> (Child, Option<File>) {
    let file = dir.join(match phase {
        Phase::Opening | Phase::Reading => "f.csv",
        Phase::Unpacking => "f.csv.gz",
        Phase::Writing => "f.npy",
    });
    match phase {
        Phase::Opening | Phase::Reading => mkfifo(&file, Mode::S_IRWXU).unwrap(),
        Phase::Unpacking => fs::write(&file, packed(&b"1\n".repeat(1 << 19), 1).repeat(2000)).unwrap(),
        Phase::Writing => {
            fs::write(&file, npy("|i1", "(8000000000,)", &[])).unwrap();
            File::options().write(true).open(&file).unwrap().set_len(8_000_000_128).unwrap();
        }
    }
    let store = dir.join("store");
    fs::create_dir(&store).unwrap();
    let importer =
        arrayfs().arg("import").arg(&file).arg(store.join("x")).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", importer.id());
    let is_ready =
        || fs::read_to_string(&status).is_ok_and(|status| status.contains("SigBlk:\t0000000001005"));
    wait_until("it hears signals", is_ready);
    let writer = matches!(phase, Phase::Reading).then(|| {
        let mut writer = File::options().write(true).open(&file).unwrap();
        writer.write_all(b"1,2\n").unwrap();
        writer
    });
    if matches!(phase, Phase::Writing) {
        wait_until("it writes", || !names(&store).is_empty());
    }
    (importer, writer)
}

#[test]
fn it_can_be_ended_wherever_it_is_and_leaves_nothing() {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE];
    for phase in [Phase::Opening, Phase::Reading, Phase::Unpacking, Phase::Writing] {
        for signal in signals {
            let dir = tempdir().unwrap();
            let (mut importer, writer) = begun(phase, dir.path());
            kill(Pid::from_raw(importer.id().cast_signed()), signal).unwrap();
            let (status, said) = within(20, "it ends", move || {
                let said = std::io::read_to_string(importer.stderr.take().unwrap()).unwrap();
                (importer.wait().unwrap(), said)
            });
            assert_eq!(
                status.code(),
                Some(128 + signal as i32),
                "{phase:?} {signal}: {:?} {said}",
                status.signal()
            );
            assert!(said.contains("interrupted; nothing was changed"), "{phase:?} {signal}: {said}");
            assert!(names(&dir.path().join("store")).is_empty(), "{phase:?} {signal}");
            drop(writer);
        }
    }
}

#[test]
fn one_that_nobody_listens_to_ends_too() {
    let dir = tempdir().unwrap();
    let fifo = dir.path().join("f.csv");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let (nobody, full) = nix::unistd::pipe().unwrap();
    let mut filled = File::from(full.try_clone().unwrap());
    nix::fcntl::fcntl(&filled, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    while filled.write(&[0; 4096]).is_ok() {}
    nix::fcntl::fcntl(&filled, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let mut importer =
        arrayfs().arg("import").arg(&fifo).arg(dir.path().join("x")).stderr(full).spawn().unwrap();
    let status = format!("/proc/{}/status", importer.id());
    wait_until("it hears signals", || {
        fs::read_to_string(&status).is_ok_and(|status| status.contains("SigBlk:\t0000000001005"))
    });
    kill(Pid::from_raw(importer.id().cast_signed()), Signal::SIGTERM).unwrap();
    let status = within(20, "it ends", move || importer.wait().unwrap());
    assert_eq!(status.code(), Some(143));
    drop((nobody, filled));
    assert_eq!(names(dir.path()), ["f.csv"]);
}

#[test]
fn hanging_up_ends_nothing_that_is_told_to_go_on() {
    let dir = tempdir().unwrap();
    let fifo = dir.path().join("f.csv");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_arrayfs"), "import"]);
    let importer = nohup.arg(&fifo).arg(dir.path().join("x")).spawn().unwrap();
    let status = format!("/proc/{}/status", importer.id());
    wait_until("it hears signals", || {
        fs::read_to_string(&status).is_ok_and(|status| status.contains("SigBlk:\t0000000001005"))
    });
    kill(Pid::from_raw(importer.id().cast_signed()), Signal::SIGHUP).unwrap();
    fs::write(&fifo, "1,2\n").unwrap();
    assert!(importer.wait_with_output().unwrap().status.success());
}
