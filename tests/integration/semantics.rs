//! Checks that every promise in docs/SEMANTICS.md has a test, sentence by sentence.
//!
//! A test of a promise quotes it in a comment above: `// Promise: ` and the sentence.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MARK: &str = "// Promise: ";

/// The sentences of the document, each a line that starts with a dash.
fn promises(document: &str) -> BTreeSet<String> {
    document.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}

/// The sentences that a file's tests name, each right above the attributes of a test.
fn named(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut found = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(sentence) = line.strip_prefix(MARK) else { continue };
        let follows = lines[at..].iter().find(|line| !line.starts_with("//"));
        assert_eq!(follows, Some(&"#[test]"), "{}:{}: a promise without a test", file.display(), at + 1);
        found.insert(sentence.to_owned());
    }
    found
}

#[test]
fn every_promise_has_its_test_and_every_test_its_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promised = promises(&fs::read_to_string(root.join("docs/SEMANTICS.md")).unwrap());
    assert!(promised.len() > 20, "the document is there");
    let tests = fs::read_dir(root.join("tests/integration")).unwrap().map(|entry| entry.unwrap().path());
    let tests = tests.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let held: BTreeSet<_> = tests.flat_map(|file| named(&file)).collect();
    let of = |some: &BTreeSet<String>, other: &BTreeSet<String>| {
        some.difference(other).cloned().collect::<Vec<_>>().join("\n")
    };
    assert_eq!(of(&promised, &held), "", "promises without a test");
    assert_eq!(of(&held, &promised), "", "tests of what is not promised");
}
