//! The order of the top-level modules: each uses only those to its left. ARCHITECTURE.md describes them.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the library, in the order that data flows; the command line comes after them all.
const ORDER: &[&str] = &[
    "error", "dtype", "word", "task", "rows", "store", "bytes", "daf", "array", "import", "check", "encode",
    "oracle", "formats", "verify", "tree", "fuse",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => sources(&path, found),
            path => found.push(path),
        }
    }
}

/// The module of the library that a file belongs to, or none for its root and the command line.
fn module(src: &Path, file: &Path) -> Option<usize> {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    let name = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap();
    match ORDER.iter().position(|module| *module == name) {
        None => {
            assert!(["lib", "main", "cli"].contains(&name), "{name} has no place in the order");
            None
        }
        place => place,
    }
}

#[test]
fn imports_run_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files {
        let Some(own) = module(&src, &file) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        for used in text.split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(other) = ORDER.iter().position(|module| *module == name) {
                assert!(other <= own, "{}: {} must not use {name}", file.display(), ORDER[own]);
            }
        }
    }
}

#[test]
fn only_the_adapter_names_fuser() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let named = files.iter().filter(|file| fs::read_to_string(file).unwrap().contains("fuser::"));
    let adapter = |file: &PathBuf| file.starts_with(src.join("fuse"));
    assert!(named.clone().count() > 0);
    assert_eq!(named.filter(|file| !adapter(file)).count(), 0);
}

/// What verifies a format must not be what makes it, or both would be wrong in the same way.
#[test]
fn verifiers_use_nothing_that_renders() {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/formats");
    let mut files = Vec::new();
    sources(&formats, &mut files);
    let verifiers: Vec<_> = files.iter().filter(|file| is_verifier(file)).collect();
    assert!(verifiers.len() > 15, "{verifiers:?}");
    for file in verifiers {
        let text = fs::read_to_string(file).unwrap();
        let renders =
            ["crate::encode::hdf5", "crate::encode::text", "crate::encode::strings", "crate::bytes::cast"];
        for used in renders {
            assert!(!text.contains(used), "{}: a verifier must not use {used}", file.display());
        }
        for used in text.split("crate::formats::").skip(1) {
            let path = used.split([';', '{', '(']).next().unwrap();
            let is_verifier = path.contains("::verify") || !path.contains("::");
            assert!(is_verifier, "{}: a verifier must not use formats::{path}", file.display());
        }
    }
}

fn is_verifier(file: &Path) -> bool {
    file.components().any(|part| ["verify", "verify.rs"].iter().any(|name| part.as_os_str() == *name))
}

/// Inside these rooms too a file uses only files that do not use it.
#[test]
fn no_two_files_of_a_room_use_each_other() {
    for room in ["check", "tree", "oracle", "bytes"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
        let mut files = Vec::new();
        sources(&dir, &mut files);
        let used: Vec<(String, Vec<String>)> = files
            .iter()
            .filter(|file| file.parent() == Some(&dir) && file.file_stem().is_some_and(|stem| stem != "mod"))
            .map(|file| {
                let text = fs::read_to_string(file).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
                let names = lines.flat_map(|line| line.split("super::").skip(1)).map(|rest| {
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
                });
                (file.file_stem().unwrap().to_str().unwrap().to_owned(), names.collect())
            })
            .collect();
        assert!(used.len() > 2, "{room}");
        for (name, uses) in &used {
            for other in uses {
                let back = used.iter().find(|(its, _)| its == other && its != name);
                let is_circle = back.is_some_and(|(_, uses)| uses.contains(name));
                assert!(!is_circle, "{room}: {name} and {other} use each other");
            }
        }
    }
}
