//! Imports run one way: a module uses only those to its left.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the library, in the order that data flows; the command line comes after them all.
const ORDER: &[&str] = &[
    "error",
    "task",
    "dtype",
    "format",
    "select",
    "open_files",
    "generation",
    "store",
    "mmap",
    "source",
    "names",
    "array",
    "staging",
    "memory_mapping",
    "import",
    "memo",
    "offsets",
    "catalog",
    "check",
    "vfile",
    "checksum",
    "gzip",
    "cast",
    "grid",
    "strings",
    "part",
    "hdf5",
    "text",
    "view",
    "verify",
    "tree",
    "handles",
    "mountpoint",
    "fuse",
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
    let adapter = |file: &PathBuf| *file == src.join("fuse.rs") || file.starts_with(src.join("fuse"));
    assert!(named.clone().count() > 0);
    assert_eq!(named.filter(|file| !adapter(file)).count(), 0);
}
