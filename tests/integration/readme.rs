//! The transcripts in the README are real: this runs every command in order, and compares its output.

use std::path::Path;
use std::process::{Command, Stdio};

/// The commands of the README's transcripts, and what each shows.
fn transcript() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks = readme.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let entry = |part: &str| {
        let (command, shown) = part.split_once('\n').unwrap();
        (command.to_owned(), shown.to_owned())
    };
    blocks.flat_map(|block| block.split("$ ").skip(1).map(entry).collect::<Vec<_>>()).collect()
}

#[test]
fn the_transcripts_are_real() {
    let python = std::env::var_os("ARRAYFS_TEST_PYTHON").expect("ARRAYFS_TEST_PYTHON is set by scripts/test");
    let program = Path::new(env!("CARGO_BIN_EXE_arrayfs")).parent().unwrap();
    let own = [program, Path::new(&python).parent().unwrap()].map(Path::to_owned);
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&inherited))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let _guard = Unmount(dir.path().join("tree"));
    for (command, shown) in transcript() {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(dir.path()).env("PATH", &path).stdin(Stdio::null());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), shown, "{command}");
    }
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = crate::common::arrayfs().arg("unmount").arg(&self.0).output();
    }
}

#[test]
fn the_picture_shows_the_tree_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let drawn =
        Command::new(root.join("scripts/picture")).arg(env!("CARGO_BIN_EXE_arrayfs")).output().unwrap();
    assert!(drawn.status.success(), "{drawn:?}");
    let kept = std::fs::read(root.join("docs/tree.svg")).unwrap();
    assert!(drawn.stdout == kept, "scripts/picture draws another one: write it to docs/tree.svg");
}
