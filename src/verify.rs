//! Verifying what is shown: every file of every format is decoded, and its numbers are those of the store.
//!
//! Nothing that makes the files is used to check them. The decoders are others' wherever there are any;
//! what to compare with is read from the store's files by `truth`, element by element. A format is
//! verified by one function in one file, and one line in `VERIFIERS`; what has none is named as such.

mod arrow;
mod csv;
mod element;
mod envi;
mod mat;
mod mtx;
mod npy;
mod npz;
mod nrrd;
mod parquet;
mod raw;
mod rds;
mod reader;
mod readme;
mod safetensors;
mod tif;
mod truth;
mod yaml;
mod zarr;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::catalog::StoredArray;
use crate::error::Result;
use crate::part::{Part, Scope, Selection, Thing};
use crate::vfile::VirtualFile;
use crate::view::{Members, VIEWS, View};
use reader::FileReader;

/// Why the numbers of a file are not those of the store, in words.
#[derive(Debug)]
struct Fault(String);

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a verifying function returns.
type Verified = std::result::Result<(), Fault>;

/// Decodes a file, or the files of a folder, and compares.
type Verify = fn(&Shown<'_>) -> Verified;

/// The verified formats, and how.
static VERIFIERS: &[(&str, Verify)] = &[
    ("", raw::verify),
    ("yaml", yaml::verify),
    ("npy", npy::verify),
    ("npz", npz::verify),
    ("safetensors", safetensors::verify),
    ("csv", csv::verify_csv),
    ("tsv", csv::verify_tsv),
    ("mtx", mtx::verify),
    ("zarr", zarr::verify),
    ("parquet", parquet::verify),
    ("arrow", arrow::verify),
    ("rds", rds::verify),
    ("tif", tif::verify),
    ("mat", mat::verify),
    ("nrrd", nrrd::verify),
    ("nhdr", nrrd::verify_header),
    ("hdr", envi::verify),
    ("md", readme::verify),
];

/// A part of an array in one of its formats.
struct Shown<'a> {
    selection: &'a Selection,
    part: Part,
    content: Content,
    progress: &'a dyn Fn(u64),
}

/// What the part is in the format.
enum Content {
    File(VirtualFile),
    Folder(Members),
}

impl Shown<'_> {
    /// The file, for a format that is one.
    fn file(&self) -> std::result::Result<FileReader<'_>, Fault> {
        match &self.content {
            Content::File(file) => Ok(FileReader::new(file, self.progress)),
            Content::Folder(_) => Err(Fault("a folder where there should be a file".into())),
        }
    }
}

/// A file, or a folder of files, that is to be verified.
pub struct Case {
    selection: Arc<Selection>,
    folder: String,
    part: Part,
    view: &'static dyn View,
}

/// What became of a case.
#[derive(Debug, Eq, PartialEq)]
pub enum Outcome {
    /// All numbers are those of the store.
    Same,
    /// Nobody here can read the format.
    NotVerified,
    /// Why they are not, or could not be read.
    Fault(String),
}

/// Everything that is shown of an array: all parts in all formats of the whole and of two slices, and of
/// its first and last row and column.
pub fn cases(array: &Arc<StoredArray>) -> Vec<Case> {
    let whole = Arc::new(Selection::whole(Arc::clone(array)));
    let mut cases = scopes(whole.shape().rows(), whole.shape().columns())
        .into_iter()
        .flat_map(|of| cases_of(&whole, String::new(), of))
        .collect::<Vec<_>>();
    for slice in slices(whole.shape().rows()) {
        if let Some(selection) = whole.slice(slice.as_bytes()) {
            cases.extend(cases_of(&Arc::new(selection), format!("slices/{slice}/"), Scope::All));
        }
    }
    cases
}

fn scopes(rows: u64, columns: u64) -> Vec<Scope> {
    let mut scopes =
        vec![Scope::All, Scope::Row(0), Scope::Row(rows - 1), Scope::Column(0), Scope::Column(columns - 1)];
    scopes.dedup();
    scopes
}

/// Rows that are neighbours and rows that are apart, never very many.
fn slices(rows: u64) -> Vec<String> {
    const MOST: u64 = 1000;
    if rows < 3 {
        return Vec::new();
    }
    let start = rows / 3;
    vec![
        format!("{start}:{}", (start + MOST).min(rows - 1).max(start + 1)),
        format!("1::{}", rows.div_ceil(MOST).max(2)),
    ]
}

fn cases_of(selection: &Arc<Selection>, folder: String, of: Scope) -> impl Iterator<Item = Case> {
    let selection = Arc::clone(selection);
    Thing::ALL.into_iter().flat_map(move |thing| {
        let part = Part { thing, of };
        let is_there = |view: &&&'static dyn View| selection.has(part) && view.offers(&selection, part);
        let views: Vec<_> = VIEWS.iter().filter(is_there).copied().collect();
        let (selection, folder) = (Arc::clone(&selection), folder.clone());
        let case = move |view| Case { selection: Arc::clone(&selection), folder: folder.clone(), part, view };
        views.into_iter().map(case)
    })
}

impl Case {
    /// What the format is called; nothing for the bytes as they are.
    pub fn format(&self) -> &'static str {
        self.view.name()
    }

    /// Bytes to be read.
    ///
    /// # Errors
    ///
    /// Whatever making the file gives.
    pub fn size(&self) -> Result<u64> {
        Ok(match self.content()? {
            Content::File(file) => file.len(),
            Content::Folder(members) => {
                let lengths = (0..Members::MOST).filter_map(|i| Some(members.get(i)?.1?.len()));
                lengths.fold(0, u64::saturating_add)
            }
        })
    }

    fn content(&self) -> Result<Content> {
        match self.view.is_folder() {
            true => self.view.members(&self.selection, self.part).map(Content::Folder),
            false => self.view.file(&self.selection, self.part).map(Content::File),
        }
    }

    /// Decodes and compares, and calls `progress` with the bytes read since the call before.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Outcome {
        let Some((_, verify)) = VERIFIERS.iter().find(|(format, _)| *format == self.format()) else {
            return Outcome::NotVerified;
        };
        let content = match self.content() {
            Ok(content) => content,
            Err(error) => return Outcome::Fault(error.to_string()),
        };
        match decode(*verify, &Shown { selection: &self.selection, part: self.part, content, progress }) {
            Ok(()) => Outcome::Same,
            Err(Fault(why)) => Outcome::Fault(why),
        }
    }
}

/// Decodes and compares. Others' decoders panic over some files that are wrong: that is a fault of the file,
/// and no reason not to look at the next.
fn decode(verify: Verify, shown: &Shown<'_>) -> Verified {
    let decoded = catch_unwind(AssertUnwindSafe(|| verify(shown)));
    decoded.unwrap_or_else(|_| Err(Fault("the decoder could make nothing of it".into())))
}

/// Where it is in the array's folder.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folder)?;
        match (self.part.of, self.part.thing) {
            (Scope::All, _) => {}
            (Scope::Row(i), Thing::Array) => write!(f, "rows/{i}")?,
            (Scope::Row(i), _) => write!(f, "rows/{i}/")?,
            (Scope::Column(j), _) => write!(f, "cols/{j}")?,
        }
        if self.part.of == Scope::All || self.part.thing != Thing::Array {
            f.write_str(self.part.thing.name())?;
        }
        if self.format().is_empty() { Ok(()) } else { write!(f, ".{}", self.format()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::fs;
    use std::path::Path;

    /// The arrays of a store that these files make.
    fn whole(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Selection) {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let array = Arc::new(StoredArray::load(&store, Path::new("x")).unwrap());
        (dir, Selection::whole(array))
    }

    fn dense() -> (tempfile::TempDir, Selection) {
        dense_of(&[1, 0, 0xFF, 0xFF, 3, 0, 4, 0, 0, 0x80, 6, 0])
    }

    fn dense_of(elements: &[u8]) -> (tempfile::TempDir, Selection) {
        let yaml = b"dtype: int16\nshape: [2, 3]\nversion: [1, 0]\n";
        whole(&[("x.yaml", yaml), ("x.array", elements)])
    }

    /// [[0, 0, 1.5], [0, 0, 0], [-2, 0, 0]]
    fn sparse() -> (tempfile::TempDir, Selection) {
        sparse_of([1.5, -2.0], [2, 0], &[0, 0, 1, 0, 1, 0, 2, 0])
    }

    fn sparse_of(data: [f32; 2], indices: [u8; 2], indptr: &[u8]) -> (tempfile::TempDir, Selection) {
        let yaml = b"data_dtype: float32\nindices_dtype: uint8\nindptr_dtype: int16\nnnz: 2\n\
            shape: [3, 3]\nversion: [1, 0]\n";
        let data = data.map(f32::to_le_bytes).concat();
        whole(&[("x.yaml", yaml), ("x.data", &data), ("x.indices", &indices), ("x.indptr", indptr)])
    }

    /// The bytes of a format that is a file.
    fn bytes_of(selection: &Selection, part: Part, view: &dyn View) -> Vec<u8> {
        let file = view.file(selection, part).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    /// What is said of a file of these bytes.
    fn said(selection: &Selection, thing: Thing, format: &str, bytes: &[u8]) -> Option<String> {
        let content = Content::File(VirtualFile::literal(bytes));
        let shown = Shown { selection, part: Part { thing, of: Scope::All }, content, progress: &|_| {} };
        let (_, verify) = VERIFIERS.iter().find(|(other, _)| *other == format).unwrap();
        decode(*verify, &shown).err().map(|Fault(why)| why)
    }

    #[test]
    fn a_format_has_one_verifier() {
        let formats: Vec<_> = VERIFIERS.iter().map(|(format, _)| format).collect();
        assert!(formats.iter().enumerate().all(|(i, format)| !formats[..i].contains(format)));
    }

    #[test]
    fn files_with_a_wrong_byte_are_found_out() {
        for (_dir, selection) in [dense(), sparse()] {
            for case in cases(selection.array()) {
                match case.verify(&|_| {}) {
                    Outcome::NotVerified => continue,
                    outcome => assert_eq!(outcome, Outcome::Same, "{case}"),
                }
                let (Content::File(file), Scope::All) = (case.content().unwrap(), case.part.of) else {
                    continue;
                };
                if !case.folder.is_empty() || case.part.thing == Thing::Meta {
                    continue;
                }
                let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
                file.read_at(0, &mut bytes).unwrap();
                assert_eq!(said(&selection, case.part.thing, case.format(), &bytes), None);
                // The last element of all but an archive, and there whatever byte it is.
                let last = bytes.len() - 1;
                bytes[if case.format() == "npz" { 192 } else { last }] ^= 1;
                assert!(said(&selection, case.part.thing, case.format(), &bytes).is_some(), "{case}");
                assert!(said(&selection, case.part.thing, case.format(), &bytes[..last]).is_some(), "{case}");
            }
        }
    }

    /// How many bytes of a format's file may be anything, zeros apart: none, where all of it is held against
    /// what should be there. Others' readers pass over what is told twice (the names of columns, of
    /// `.parquet`), what the rest does not depend on (how tables are laid out, of `.arrow`), and what
    /// makes no difference (rows of the only strip, spaces in words, of `.tif`).
    fn idle(format: &str) -> usize {
        match format {
            "parquet" => 14,
            "arrow" => 30,
            "tif" => 4,
            _ => 0,
        }
    }

    #[test]
    fn whatever_byte_is_wrong_is_found_out() {
        // Of each array one of the same shape with other numbers: what differs in a file is made of these.
        let other_dense = dense_of(&[0xFE, 0xFF, 0, 0, 0xFC, 0xFF, 0xFB, 0xFF, 0xFF, 0x7F, 0xF9, 0xFF]);
        let other_sparse = sparse_of([-2.5e9, 3.7e-5], [1, 1], &[0, 0, 0, 0, 1, 0, 2, 0]);
        for ((_dir, selection), (_other_dir, other)) in [(dense(), other_dense), (sparse(), other_sparse)] {
            for case in cases(selection.array()) {
                let is_one = case.part.of == Scope::All && case.folder.is_empty() && !case.view.is_folder();
                let is_whole = ["arrow", "parquet", "rds", "tif", "mat", "nrrd", "nhdr", "hdr"];
                if is_one && is_whole.contains(&case.format()) {
                    expect_all_bytes_to_matter(&case, &other);
                }
            }
        }
    }

    fn expect_all_bytes_to_matter(case: &Case, other: &Selection) {
        let mut bytes = bytes_of(&case.selection, case.part, case.view);
        let other = bytes_of(other, case.part, case.view);
        let said = |bytes: &[u8]| said(&case.selection, case.part.thing, case.format(), bytes);
        assert_eq!(said(&bytes), None, "{case}");
        let mut idle_bytes = Vec::new();
        for i in 0..bytes.len() {
            let is_seen = [0x01, 0x80, 0xFF].map(|flip| {
                bytes[i] ^= flip;
                let is_seen = said(&bytes).is_some();
                bytes[i] ^= flip;
                is_seen
            });
            let is_of_numbers = bytes[i] != other[i];
            assert!(
                !is_of_numbers || is_seen == [true; 3],
                "{case}: byte {i} is of the numbers: {is_seen:?}"
            );
            if is_seen == [false; 3] && bytes[i] != 0 {
                idle_bytes.push(i);
            }
        }
        assert!(idle_bytes.len() <= idle(case.format()), "{case}: any bytes at {idle_bytes:?}");
        for end in 0..bytes.len() {
            assert!(said(&bytes[..end]).is_some(), "{case} of {end} bytes");
        }
    }

    #[test]
    fn what_a_readme_tells_is_held_against_the_array() {
        let wrong_dense = [
            ("2 rows", "3 rows"),
            ("int16", "int32"),
            ("`array.csv`", "`array.cvs`"),
            ("rows/1", "rows/2"),
            ("slices/0:2/array.csv", "slices/0:2/dense.csv"),
        ];
        let wrong_sparse = [
            ("`data` float32", "`data` float64"),
            ("rows/2/dense", "rows/3/dense"),
            ("matrix.parquet", "matrix.paquet"),
        ];
        for ((_dir, selection), wrong) in [(dense(), &wrong_dense[..]), (sparse(), &wrong_sparse)] {
            let part = Part { thing: Thing::Readme, of: Scope::All };
            let case = cases(selection.array()).into_iter().find(|case| case.part == part).unwrap();
            let text = String::from_utf8(bytes_of(&selection, part, case.view)).unwrap();
            assert_eq!(said(&selection, Thing::Readme, "md", text.as_bytes()), None);
            for (right, wrong) in wrong {
                assert!(text.contains(right), "{right}: {text}");
                let changed = text.replace(right, wrong);
                assert!(said(&selection, Thing::Readme, "md", changed.as_bytes()).is_some(), "{wrong}");
            }
        }
    }

    #[test]
    fn numbers_that_a_format_has_not_are_refused() {
        let yaml = b"dtype: int64\nshape: [2]\nversion: [1, 0]\n";
        let (_dir, selection) = whole(&[("x.yaml", yaml), ("x.array", &[0x7F; 16])]);
        let part = Part { thing: Thing::Array, of: Scope::All };
        let case = cases(selection.array()).into_iter().find(|case| case.format() == "rds").unwrap();
        assert_eq!((case.part, case.verify(&|_| {})), (part, Outcome::Same));
        // The nearest that R has, where the file should not be read at all.
        let rounded = f64::from_bits(0x43DF_DFDF_DFDF_DFE0).to_le_bytes().repeat(2);
        let bytes = [b"B\n\x02\0\0\0\0\x02\x04\0\0\x03\x02\0\x0E\0\0\0\x02\0\0\0", &rounded[..]].concat();
        assert!(said(&selection, part.thing, "rds", &bytes).unwrap().contains("element 0: expected"));
    }

    #[test]
    fn text_is_held_against_the_store() {
        let (_dir, selection) = dense();
        let csv = |text: &str| said(&selection, Thing::Array, "csv", text.as_bytes());
        assert_eq!(csv("     1,    -1,     3\n     4,-32768,     6\n"), None);
        assert_eq!(csv("1,-1,3\n4,-32768,7\n").unwrap(), "cell 1, 2: expected 6, found 7");
        assert!(csv("1,-1,3\n4,-32768\n").is_some() && csv("1,-1,3\n4,-32768,6\n1,2,3\n").is_some());
        assert_eq!(said(&selection, Thing::Array, "tsv", b"1\t-1\t3\n4\t-32768\t6\n"), None);
        let mtx = "%%MatrixMarket matrix coordinate integer general\n2 3 6\n1 1  1\n1 2 -1\n1 3 3\n2 1 4\n2 2 -32768\n";
        assert_eq!(said(&selection, Thing::Array, "mtx", format!("{mtx}2 3 6\n").as_bytes()), None);
        assert!(said(&selection, Thing::Array, "mtx", format!("{mtx}2 3 5\n").as_bytes()).is_some());
        assert_eq!(
            said(&selection, Thing::Array, "mtx", mtx.as_bytes()).unwrap(),
            "fewer lines than elements"
        );
    }

    #[test]
    fn stored_elements_are_held_against_the_store() {
        let (_dir, selection) = sparse();
        let csv = |text: &str| said(&selection, Thing::Matrix, "csv", text.as_bytes());
        assert_eq!(csv("row,column,value\n0,2, 1.5\n2,0,-2.0e+00\n"), None);
        assert_eq!(csv("row,column,value\n0,2, 1.5\n2,0,2\n").unwrap().lines().count(), 1);
        let mtx = b"%%MatrixMarket matrix coordinate real general\n% words\n3 3 2\n1 3 1.5\n3 1 -2.0\n";
        assert_eq!(said(&selection, Thing::Matrix, "mtx", mtx), None);
        let integer = b"%%MatrixMarket matrix coordinate integer general\n3 3 2\n1 3 1.5\n3 1 -2.0\n";
        assert!(said(&selection, Thing::Matrix, "mtx", integer).is_some());
    }
}
