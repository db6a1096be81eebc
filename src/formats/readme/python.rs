//! Examples for Python: NumPy and SciPy, and the other libraries whose formats are available.

use super::{Facts, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    numbers(facts) + &others(facts)
}

/// A line for each library whose file exists.
fn others(facts: &Facts) -> String {
    let (whole, mut libraries, mut text) = (facts.whole(), Vec::new(), String::new());
    let mut add = |library, line: String| {
        libraries.push(library);
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(table) = facts.table() {
        let names = if facts.has_row_names { ", index_col=0" } else { "" };
        let (Types::Dense(dtype) | Types::Sparse { data: dtype, .. }) = facts.types;
        // Without this, pandas is sometimes off by one unit in the last place.
        let exact = if dtype.name().starts_with("float") { ", float_precision=\"round_trip\"" } else { "" };
        add("pandas", format!("table = pandas.read_csv(\"{table}\"{names}{exact})"));
    }
    let file = |format: &str| Some(format!("{whole}.{format}")).filter(|file| facts.has(file));
    if let Some(file) = file("h5ad") {
        add("anndata", format!("cells = anndata.read_h5ad(\"{file}\", backed=\"r\")"));
    }
    if let Some(file) = file("parquet") {
        add("pyarrow.parquet", format!("batches = pyarrow.parquet.ParquetFile(\"{file}\").iter_batches()"));
    }
    if let Some(file) = file("zarr") {
        add("zarr", format!("chunks = zarr.open(\"{file}\", mode=\"r\")"));
    }
    if let Some(file) = file("safetensors") {
        add("safetensors", format!("tensors = safetensors.safe_open(\"{file}\", \"numpy\")"));
    }
    match libraries.is_empty() {
        true => text,
        false => format!(
            "\n# By other libraries, as far as they are there\nimport {}\n\n{text}",
            libraries.join(", ")
        ),
    }
}

fn numbers(facts: &Facts) -> String {
    match (&facts.types, facts.shape) {
        (Types::Dense(dtype), Shape::Vector(n)) => {
            format!("import numpy as np\n\nx = {}\n", map(facts, "array", *dtype, &format!("({n},)")))
        }
        (Types::Dense(dtype), Shape::Matrix(rows, columns)) => {
            let map = map(facts, "array", *dtype, &format!("({rows}, {columns})"));
            let block = if facts.has("array.npy") {
                format!("block = np.load(\"slices/0:{}/array.npy\")  # some rows\n", rows.min(10))
            } else {
                String::new()
            };
            format!(
                "import numpy as np\n\nx = {map}  # read as it is used\nrow = {}\ncolumn = {}\n{block}",
                whole(&facts.row, *dtype),
                whole(&facts.column, *dtype),
            )
        }
        (Types::Sparse { data, indices, indptr }, shape) => sparse(facts, [*data, *indices, *indptr], shape),
    }
}

fn sparse(facts: &Facts, [data, indices, indptr]: [Dtype; 3], shape: Shape) -> String {
    let part = |name: &str, dtype| match facts.has("data.npy") {
        true => format!("np.load(\"{name}.npy\", mmap_mode=\"r\")"),
        false => whole(name, dtype),
    };
    // SciPy does not support float16.
    let wider = if data == Dtype::Float16 { ".astype(np.float32)" } else { "" };
    format!(
        "import numpy as np
import scipy.sparse

data = {}{wider}
indices = {}
indptr = {}
x = scipy.sparse.csr_matrix((data, indices, indptr), shape=({}, {}))
row = {}  # zeros too
",
        part("data", data),
        part("indices", indices),
        part("indptr", indptr),
        shape.rows(),
        shape.columns(),
        whole(&format!("{}/dense", facts.row), data),
    )
}

/// An expression that maps the file.
fn map(facts: &Facts, file: &str, dtype: Dtype, shape: &str) -> String {
    if facts.has("array.npy") {
        format!("np.load(\"{file}.npy\", mmap_mode=\"r\")")
    } else {
        format!("np.memmap(\"{file}\", \"{}\", \"r\", shape={shape})", dtype.descr())
    }
}

/// An expression that reads the file.
fn whole(file: &str, dtype: Dtype) -> String {
    format!("np.fromfile(\"{file}\", \"{}\")", dtype.descr())
}
