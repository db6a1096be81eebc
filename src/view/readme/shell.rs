//! Lines for the shell: coreutils only.

use super::{Facts, Types};
use crate::dtype::Dtype;
use crate::format::Shape;

pub(super) fn lines(facts: &Facts) -> String {
    let text = match facts.shape {
        Shape::Matrix(..) if facts.has_csv_rows => format!("cut -d , -f 1-10 {}.csv\n", facts.row),
        _ => String::new(),
    };
    match (&facts.types, facts.shape) {
        (Types::Dense(dtype), Shape::Vector(_)) => dump("array", *dtype),
        (Types::Dense(dtype), Shape::Matrix(..)) => {
            dump("array", *dtype) + &dump(&facts.row, *dtype) + &dump(&facts.column, *dtype) + &text
        }
        (Types::Sparse { data, indices, indptr }, _) => {
            let parts = [("data", data), ("indices", indices), ("indptr", indptr)];
            let parts = parts.map(|(name, dtype)| dump(name, *dtype)).concat();
            parts + &dump(&format!("{}/dense", facts.row), *data) + &text
        }
    }
}

/// The first elements of a file, as numbers.
fn dump(file: &str, dtype: Dtype) -> String {
    let kind = match dtype {
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => 'd',
        Dtype::Float32 | Dtype::Float64 => 'f',
        // Of float16 the bits: not every `od` knows it.
        Dtype::Float16 => 'x',
        _ => 'u',
    };
    let size = dtype.itemsize();
    format!("od -A d -t {kind}{size} -w{} -N {} {file}\n", size * 4, size * 20)
}
