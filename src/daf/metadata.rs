//! Parses and writes the YAML metadata of an array. Works on bytes only and accesses no files.
//!
//! A dense array has the keys `version`, `dtype` and `shape`. A sparse matrix has `version`, `data_dtype`,
//! `indices_dtype`, `indptr_dtype`, `shape` and `nnz`. The order of the keys and the YAML style do not
//! matter, and other keys are ignored.

use std::fmt;

use crate::dtype::Dtype;

pub use super::indptr::{Broken, IndptrRule};
pub use super::keys::Keys;

/// The suffix of the file with the names of the rows.
pub const ROW_NAMES: &str = ".rows.txt";
/// The suffix of the file with the names of the columns.
pub const COLUMN_NAMES: &str = ".cols.txt";

/// The largest metadata file that is read, in bytes. The format never needs more, and the limit bounds the
/// time and memory that hostile YAML can cost.
pub const MAX_YAML_BYTES: u64 = 64 * 1024;

/// The version that is written. All minor versions of the same major version can be read.
pub const VERSION: [u64; 2] = [1, 0];

/// Describes invalid metadata, for [`crate::Error::Invalid`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataError {
    /// The invalid key or property.
    pub what: &'static str,
    /// What the format requires.
    pub expected: String,
    /// What the text contains.
    pub found: String,
}

impl MetadataError {
    pub(super) fn new(what: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what, expected: expected.into(), found: found.into() }
    }

    /// Converts to an error for the file that contains the text.
    pub fn at(self, path: impl Into<std::path::PathBuf>) -> crate::Error {
        crate::Error::invalid(path, self.what, self.expected, self.found)
    }
}

/// The length of each axis. No axis is empty, and the number of elements fits `i64`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shape {
    /// One axis.
    Vector(u64),
    /// Rows and columns. Row-major: the elements of a row are adjacent.
    Matrix(u64, u64),
}

impl Shape {
    /// A shape with these axes: one or two, each above zero, and the number of elements must fit `i64`.
    pub fn new(axes: &[u64]) -> Result<Self, MetadataError> {
        let refuse = |expected: &str| MetadataError::new("shape", expected, format!("{axes:?}"));
        let shape = match *axes {
            [n] => Self::Vector(n),
            [rows, columns] => Self::Matrix(rows, columns),
            _ => return Err(refuse("one or two integers")),
        };
        if axes.contains(&0) {
            return Err(refuse("integers above zero"));
        }
        match axes.iter().try_fold(1, |size: u64, axis| size.checked_mul(*axis)) {
            Some(size) if i64::try_from(size).is_ok() => Ok(shape),
            _ => Err(refuse("fewer than 2^63 elements")),
        }
    }

    /// The axes: one or two numbers.
    pub fn axes(&self) -> Vec<u64> {
        match *self {
            Self::Vector(n) => vec![n],
            Self::Matrix(rows, columns) => vec![rows, columns],
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        match *self {
            Self::Vector(n) => n,
            Self::Matrix(rows, columns) => rows * columns,
        }
    }

    /// Length of the first axis: the rows of a matrix, or the elements of a vector.
    pub fn rows(&self) -> u64 {
        match *self {
            Self::Vector(n) | Self::Matrix(n, _) => n,
        }
    }

    /// Elements per row: the columns of a matrix, 1 for a vector.
    pub fn columns(&self) -> u64 {
        match *self {
            Self::Vector(_) => 1,
            Self::Matrix(_, columns) => columns,
        }
    }

    /// The same shape with another number of rows.
    pub fn with_rows(&self, rows: u64) -> Self {
        match *self {
            Self::Vector(_) => Self::Vector(rows),
            Self::Matrix(_, columns) => Self::Matrix(rows, columns),
        }
    }

    /// Size in bytes of a dense array of `dtype` with this shape. `None` above `i64::MAX`.
    pub fn bytes(&self, dtype: Dtype) -> Option<u64> {
        let bytes = self.elements().checked_mul(dtype.itemsize())?;
        i64::try_from(bytes).is_ok().then_some(bytes)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector(n) => write!(f, "[{n}]"),
            Self::Matrix(rows, columns) => write!(f, "[{rows}, {columns}]"),
        }
    }
}

/// The metadata of a dense vector or row-major matrix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DenseMeta {
    /// Major and minor version of the format.
    pub version: [u64; 2],
    /// Type of the elements.
    pub dtype: Dtype,
    /// One or two axes.
    pub shape: Shape,
}

/// The metadata of a sparse matrix in CSR.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SparseMeta {
    /// Major and minor version of the format.
    pub version: [u64; 2],
    /// Dtype of the stored elements.
    pub data_dtype: Dtype,
    /// Integer dtype of their columns.
    pub indices_dtype: Dtype,
    /// Integer dtype of the row bounds.
    pub indptr_dtype: Dtype,
    /// Rows and columns.
    pub shape: [u64; 2],
    /// Number of stored elements.
    pub nnz: u64,
}

impl SparseMeta {
    /// The rule for the numbers of `indptr`.
    pub const fn indptr_rule(&self) -> IndptrRule {
        IndptrRule { rows: self.shape[0], nnz: self.nnz }
    }
}

/// The metadata of an array of either kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Metadata {
    /// A dense vector or matrix.
    Dense(DenseMeta),
    /// A sparse matrix.
    Sparse(SparseMeta),
}

/// The two kinds of arrays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `x.yaml` and `x.array`.
    Dense,
    /// `x.yaml`, `x.data`, `x.indices` and `x.indptr`.
    Sparse,
}

impl Kind {
    /// The name of the kind in `meta.yaml` and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Sparse => "sparse",
        }
    }

    /// The suffixes of the data files, besides `.yaml`.
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Dense => &[ARRAY],
            Self::Sparse => &[DATA, INDICES, INDPTR],
        }
    }
}

/// Suffix of the metadata.
pub const YAML: &str = ".yaml";
/// Suffix of the elements of a dense array.
pub const ARRAY: &str = ".array";
/// Suffix of the stored elements of a sparse matrix.
pub const DATA: &str = ".data";
/// Suffix of their columns.
pub const INDICES: &str = ".indices";
/// Suffix of the row bounds.
pub const INDPTR: &str = ".indptr";

impl DenseMeta {
    /// Metadata in the current [`VERSION`].
    pub fn new(dtype: Dtype, shape: &[u64]) -> Result<Self, MetadataError> {
        let meta = Self { version: VERSION, dtype, shape: Shape::new(shape)? };
        meta.bytes()?;
        Ok(meta)
    }

    /// Bytes of the elements.
    fn bytes(&self) -> Result<u64, MetadataError> {
        self.shape.bytes(self.dtype).ok_or_else(|| {
            MetadataError::new("shape", "fewer than 2^63 bytes", format!("{} of {}", self.shape, self.dtype))
        })
    }
}

impl SparseMeta {
    /// Metadata in the current [`VERSION`].
    pub fn new(
        [data, indices, indptr]: [Dtype; 3],
        shape: [u64; 2],
        nnz: u64,
    ) -> Result<Self, MetadataError> {
        Self::of_version(VERSION, [data, indices, indptr], shape, nnz)
    }

    fn of_version(
        version: [u64; 2],
        [data_dtype, indices_dtype, indptr_dtype]: [Dtype; 3],
        shape: [u64; 2],
        nnz: u64,
    ) -> Result<Self, MetadataError> {
        Shape::new(&shape)?;
        for (what, dtype) in [("indices_dtype", indices_dtype), ("indptr_dtype", indptr_dtype)] {
            if !dtype.is_integer() {
                return Err(MetadataError::new(what, "an integer type", dtype.name()));
            }
        }
        let meta = Self { version, data_dtype, indices_dtype, indptr_dtype, shape, nnz };
        match meta.sizes() {
            Some(_) => Ok(meta),
            None => Err(MetadataError::new("nnz", "fewer than 2^63 bytes in each file", nnz.to_string())),
        }
    }

    /// Sizes in bytes of data, indices and indptr.
    fn sizes(&self) -> Option<[u64; 3]> {
        let bytes = |items: u64, dtype: Dtype| {
            let bytes = items.checked_mul(dtype.itemsize())?;
            i64::try_from(bytes).is_ok().then_some(bytes)
        };
        Some([
            bytes(self.nnz, self.data_dtype)?,
            bytes(self.nnz, self.indices_dtype)?,
            bytes(self.shape[0].checked_add(1)?, self.indptr_dtype)?,
        ])
    }
}

impl fmt::Display for Metadata {
    /// For example, `dense float32 [10, 20]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind().name(), self.dtype(), self.shape())
    }
}

impl Metadata {
    /// Reads a metadata text of at most [`MAX_YAML_BYTES`].
    pub fn parse(yaml: &[u8]) -> Result<Self, MetadataError> {
        let keys = Keys::parse(yaml)?;
        Self::from_keys(&keys, keys.kind().unwrap_or(Kind::Dense))
    }

    /// The metadata of an array of this kind from parsed keys.
    pub fn from_keys(keys: &Keys, kind: Kind) -> Result<Self, MetadataError> {
        let version = keys.version()?;
        match kind {
            Kind::Dense => {
                let dtype = keys.dtype("dtype")?;
                let meta = DenseMeta { version, dtype, shape: Shape::new(&keys.shape()?)? };
                meta.bytes()?;
                Ok(Self::Dense(meta))
            }
            Kind::Sparse => {
                let dtypes =
                    [keys.dtype("data_dtype")?, keys.dtype("indices_dtype")?, keys.dtype("indptr_dtype")?];
                let axes = keys.shape()?;
                let Ok(shape) = <[u64; 2]>::try_from(axes.as_slice()) else {
                    return Err(MetadataError::new("shape", "two integers", format!("{axes:?}")));
                };
                SparseMeta::of_version(version, dtypes, shape, keys.nnz()?).map(Self::Sparse)
            }
        }
    }

    /// The metadata as the original package writes it: block style, with keys in alphabetical order.
    pub fn to_yaml(&self) -> String {
        let list = |axes: &[u64]| axes.iter().map(|axis| format!("\n- {axis}")).collect::<String>();
        match self {
            Self::Dense(DenseMeta { version, dtype, shape }) => {
                format!("dtype: {dtype}\nshape:{}\nversion:{}\n", list(&shape.axes()), list(version))
            }
            Self::Sparse(meta) => format!(
                "data_dtype: {}\nindices_dtype: {}\nindptr_dtype: {}\nnnz: {}\nshape:{}\nversion:{}\n",
                meta.data_dtype,
                meta.indices_dtype,
                meta.indptr_dtype,
                meta.nnz,
                list(&meta.shape),
                list(&meta.version)
            ),
        }
    }

    /// Dense or sparse.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Dense(_) => Kind::Dense,
            Self::Sparse(_) => Kind::Sparse,
        }
    }

    /// Dtype of the (stored) elements.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::Dense(meta) => meta.dtype,
            Self::Sparse(meta) => meta.data_dtype,
        }
    }

    /// One or two axes.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Dense(meta) => meta.shape,
            Self::Sparse(SparseMeta { shape: [rows, columns], .. }) => Shape::Matrix(*rows, *columns),
        }
    }

    /// Number of stored elements of a sparse matrix. `None` for a dense array.
    pub fn nnz(&self) -> Option<u64> {
        match self {
            Self::Dense(_) => None,
            Self::Sparse(meta) => Some(meta.nnz),
        }
    }

    /// Major and minor version of the format.
    pub fn version(&self) -> [u64; 2] {
        match self {
            Self::Dense(meta) => meta.version,
            Self::Sparse(meta) => meta.version,
        }
    }

    /// The data files besides `.yaml`: suffixes and exact sizes in bytes.
    pub fn files(&self) -> Vec<(&'static str, u64)> {
        let sizes = match self {
            Self::Dense(meta) => meta.bytes().map(|size| vec![size]).ok(),
            Self::Sparse(meta) => meta.sizes().map(Vec::from),
        };
        let sizes = sizes.expect("sizes are checked where metadata is made");
        self.kind().suffixes().iter().copied().zip(sizes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENSE: &str = "dtype: float32\nshape:\n- 700\n- 765\nversion:\n- 1\n- 0\n";
    const SPARSE: &str = "data_dtype: float32\nindices_dtype: int32\nindptr_dtype: int64\nnnz: 455\n\
                          shape:\n- 524\n- 10\nversion:\n- 1\n- 0\n";

    #[test]
    fn what_the_original_wrote_is_read_and_written_again() {
        for text in [DENSE, SPARSE] {
            assert_eq!(Metadata::parse(text.as_bytes()).unwrap().to_yaml(), text);
        }
        let files = Metadata::parse(SPARSE.as_bytes()).unwrap().files();
        assert_eq!(files, [(DATA, 1820), (INDICES, 1820), (INDPTR, 4200)]);
    }

    #[test]
    fn any_yaml_style_and_unknown_keys_are_read() {
        let shape = Shape::Matrix(3, 4);
        for text in [
            "{version: [1, 0], dtype: int8, shape: [3, 4]}",
            "{\"shape\": [3, 4], \"version\": [1, 0], \"dtype\": \"int8\"}",
            "---\nversion: [1, 7] # later\r\ndtype: 'int8'\nshape: [0x3, 4]\nextra: {a: [1, {b: 2}]}\n...\n",
            "n: &n 4\ndtype: !!str int8\nshape: !!python/tuple [3, *n]\nversion: &v [1, 0]\n7: *v\n? [a]\n: b\n",
            "\u{FEFF}version: [1, 0]\ndtype: int8\nshape: [3, 4]\n",
            "dtype: >-\n  int8\nshape:\n    - 3\n    - 4\nversion: [1,0]\nnnz: 9\n",
        ] {
            match Metadata::parse(text.as_bytes()) {
                Ok(Metadata::Dense(meta)) => assert_eq!((meta.shape, meta.dtype), (shape, Dtype::Int8)),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn malformed_dense_metadata_names_the_key_and_what_was_found() {
        let cases: &[(&str, &str, &str)] = &[
            ("", "YAML", "nothing"),
            ("3", "YAML", "3"),
            ("[1, 2]", "YAML", "a list"),
            ("a: [", "YAML", ""),
            ("dtype: int8\nshape: [3]", "version", "no such key"),
            ("version: [2, 0]\ndtype: int8\nshape: [3]", "version", "[2, 0]"),
            ("version: [1]\ndtype: int8\nshape: [3]", "version", "[1]"),
            ("version: [1, 0, 0]\ndtype: int8\nshape: [3]", "version", "[1, 0, 0]"),
            ("version: 1.0\ndtype: int8\nshape: [3]", "version", "1.0"),
            ("version: [1, -1]\ndtype: int8\nshape: [3]", "version", "[1, -1]"),
            ("version: [1.0, 0]\ndtype: int8\nshape: [3]", "version", "[1.0, 0]"),
            ("version: [1, 0]\nshape: [3]", "dtype", "no such key"),
            ("version: [1, 0]\ndtype: float\nshape: [3]", "dtype", "float"),
            ("version: [1, 0]\ndtype: 7\nshape: [3]", "dtype", "7"),
            ("version: [1, 0]\ndtype: [int8]\nshape: [3]", "dtype", "[int8]"),
            ("version: [1, 0]\ndtype: int8", "shape", "no such key"),
            ("version: [1, 0]\ndtype: int8\nshape: 3", "shape", "3"),
            ("version: [1, 0]\ndtype: int8\nshape: []", "shape", "[]"),
            ("version: [1, 0]\ndtype: int8\nshape: [0]", "shape", "[0]"),
            ("version: [1, 0]\ndtype: int8\nshape: [3, 0]", "shape", "[3, 0]"),
            ("version: [1, 0]\ndtype: int8\nshape: [-3]", "shape", "[-3]"),
            ("version: [1, 0]\ndtype: int8\nshape: [3.0]", "shape", "[3.0]"),
            ("version: [1, 0]\ndtype: int8\nshape: ['3']", "shape", "[\"3\"]"),
            ("version: [1, 0]\ndtype: int8\nshape: [.nan]", "shape", "[NaN]"),
            ("version: [1, 0]\ndtype: int8\nshape: [~]", "shape", "[null]"),
            ("version: [1, 0]\ndtype: int8\nshape: [true]", "shape", "[true]"),
            ("version: [1, 0]\ndtype: int8\nshape: [[3]]", "shape", "[a list]"),
            ("version: [1, 0]\ndtype: int8\nshape: {a: 3}", "shape", "a mapping"),
            ("version: [1, 0]\ndtype: int8\nshape: [1, 2, 3]", "shape", "[1, 2, 3]"),
            ("version: [1, 0]\ndtype: int8\nshape: [9223372036854775808]", "shape", "[9223372036854775808]"),
            (
                "version: [1, 0]\ndtype: int8\nshape: [4611686018427387904, 4]",
                "shape",
                "[4611686018427387904, 4]",
            ),
            ("version: [1, 0]\ndtype: int64\nshape: [4611686018427387904, 1]", "shape", "int64"),
            ("version: [1, 0]\ndtype: int8\ndtype: int8\nshape: [3]", "YAML", "dtype"),
            ("version: [1, 0]\ndtype: int8\nshape: [3]\na: 1\na: 2", "YAML", "a"),
            ("version: [1, 0]\ndtype: int8\nshape: [3]\n---\na: 2", "YAML", "more than one document"),
        ];
        for (text, what, found) in cases {
            let flaw = Metadata::parse(text.as_bytes()).expect_err(text);
            assert_eq!(flaw.what, *what, "{text}: {flaw:?}");
            assert!(flaw.found.contains(found), "{text}: {flaw:?}");
        }
    }

    #[test]
    fn malformed_sparse_metadata_names_the_key_and_what_was_found() {
        let cases: &[(&str, &str, &str, &str)] = &[
            ("nnz: 455", "nnz: -1", "nnz", "-1"),
            ("nnz: 455", "nnz: 4.5", "nnz", "4.5"),
            ("nnz: 455", "nnz: many", "nnz", "many"),
            ("nnz: 455", "nnz: 9223372036854775807", "nnz", "9223372036854775807"),
            ("nnz: 455\n", "", "nnz", "no such key"),
            ("data_dtype: float32\n", "", "data_dtype", "no such key"),
            ("indices_dtype: int32", "indices_dtype: float32", "indices_dtype", "float32"),
            ("indptr_dtype: int64", "indptr_dtype: bool", "indptr_dtype", "bool"),
            ("- 524\n- 10", "- 524", "shape", "[524]"),
            ("- 524\n- 10", "- 524\n- 0", "shape", "[524, 0]"),
        ];
        for (old, new, what, found) in cases {
            let text = SPARSE.replace(old, new);
            let flaw = Metadata::parse(text.as_bytes()).expect_err(&text);
            assert_eq!((flaw.what, flaw.found.contains(found)), (*what, true), "{text}: {flaw:?}");
        }
        assert!(Metadata::parse(SPARSE.replace("455", "0").as_bytes()).is_ok());
    }

    #[test]
    fn hostile_yaml_is_refused_within_bounds() {
        let bomb = format!("a: &a [{}]\nshape: [*a, *a]\n", "0,".repeat(20_000));
        let aliases = format!("a: &a [{}]\nb: [{}]\n", "0,".repeat(9_000), "*a,".repeat(9_000));
        let deep = format!("a: {}", "[".repeat(30_000));
        let binary: Vec<u8> = (0..=255).collect();
        for text in [bomb.as_bytes(), aliases.as_bytes(), deep.as_bytes(), &binary] {
            assert!(Metadata::parse(text).is_err());
        }
        let long = vec![b' '; usize::try_from(MAX_YAML_BYTES).unwrap() + 1];
        assert_eq!(Metadata::parse(&long).unwrap_err().what, "size");
    }
}
