//! Examples for the shell: coreutils, awk, and DuckDB for tables.

use super::{Facts, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    let text = match facts.shape {
        Shape::Matrix(..) if facts.has_csv_rows => format!("cut -d , -f 1-10 {}.csv\n", facts.row),
        _ => String::new(),
    };
    let text = text + &tables(facts);
    match (&facts.types, facts.shape) {
        (Types::Dense(dtype), Shape::Vector(_)) => dump("array", *dtype) + &text,
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

/// The sum of the last column of some rows, and an SQL query.
fn tables(facts: &Facts) -> String {
    let mut text = String::new();
    if let Some(table) = facts.table() {
        text.push_str(&match table.strip_suffix(".csv").filter(|_| facts.has(&facts.numbers())) {
            Some(stem) => format!("awk '{{ sum += $NF }} END {{ print sum }}' {stem}.txt\n"),
            None => format!("awk -F , 'NR > 1 {{ sum += $NF }} END {{ print sum }}' {table}\n"),
        });
    }
    let parquet = format!("{}.parquet", facts.whole());
    if facts.has(&parquet) {
        let only = if matches!(facts.shape, Shape::Matrix(..)) { " WHERE row = 0" } else { "" };
        text.push_str(&format!("duckdb -c \"SELECT * FROM '{parquet}'{only} LIMIT 10\"\n"));
    }
    text
}

/// Prints the first elements of a file as numbers.
fn dump(file: &str, dtype: Dtype) -> String {
    let kind = match dtype {
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => 'd',
        Dtype::Float32 | Dtype::Float64 => 'f',
        // Prints the bits of float16, because not every `od` supports the type.
        Dtype::Float16 => 'x',
        _ => 'u',
    };
    let size = dtype.itemsize();
    format!("od -A d -t {kind}{size} -w{} -N {} {file}\n", size * 4, size * 20)
}
