//! Examples for R: base R, and the Matrix package for sparse matrices.
//!
//! R has only int32 and float64. Wider integers become float64, which is exact up to 2^53. An int32 array
//! with the smallest int32 also does, because that is R's NA.

use super::{Facts, SMALL, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    numbers(facts) + &whole(facts)
}

/// Examples that read everything with a single call, if it is not too large.
fn whole(facts: &Facts) -> String {
    let mut text = String::new();
    let (Types::Dense(dtype) | Types::Sparse { data: dtype, .. }) = facts.types;
    let file = format!("{}.rds", facts.whole());
    // For these types the file cannot be read if it has a number beyond 2^53.
    let is_exact = !matches!(dtype, Dtype::Int64 | Dtype::Uint64);
    if facts.has(&file) && is_exact && facts.bytes <= SMALL {
        let note = if matches!(facts.shape, Shape::Matrix(..)) { "  # rows as its columns" } else { "" };
        text.push_str(&format!("y <- readRDS(\"{file}\"){note}\n"));
        let is_integer = dtype == Dtype::Int32 && matches!(facts.types, Types::Dense(_));
        text.push_str(if is_integer { "if (anyNA(y)) y[is.na(y)] <- -2^31\n" } else { "" });
    }
    if let Some(table) = facts.table() {
        let names = if facts.has_row_names { ", row.names = 1" } else { "" };
        text.push_str(&format!("table <- read.csv(\"{table}\"{names}, check.names = FALSE)\n"));
    }
    text
}

fn numbers(facts: &Facts) -> String {
    match &facts.types {
        Types::Dense(dtype) => dense(facts, *dtype),
        Types::Sparse { data, indices, indptr } => {
            let whole = format!(
                "x <- sparseMatrix(j = indices, p = indptr, x = data, index1 = FALSE, repr = \"R\", dims = c({}, {}))\n",
                facts.shape.rows(),
                facts.shape.columns()
            );
            let parts = [("data", data), ("indices", indices), ("indptr", indptr)];
            let parts = parts.map(|(name, dtype)| reader(*dtype) + &format!("{name} <- read(\"{name}\")\n"));
            format!("library(Matrix)\n{}{whole}", parts.concat())
        }
    }
}

fn dense(facts: &Facts, dtype: Dtype) -> String {
    let (file, part) = facts.readable(dtype);
    let comment = if file == "array" { "" } else { "  # some rows: R reads all that it opens" };
    let read = reader(dtype);
    match part {
        Shape::Vector(_) => format!("{read}x <- read(\"{file}\"){comment}\n"),
        Shape::Matrix(rows, columns) => format!(
            "{read}row <- read(\"{}\")
column <- read(\"{}\")
x <- matrix(read(\"{file}\"), {rows}, {columns}, byrow = TRUE){comment}
",
            facts.row, facts.column
        ),
    }
}

/// Defines a function `read` that reads a file of elements.
fn reader(dtype: Dtype) -> String {
    let bin = |what: &str, size: u64, extra: &str| {
        format!(
            "readBin(file, \"{what}\", file.size(file) / {size}, size = {size}{extra}, endian = \"little\")"
        )
    };
    let size = dtype.itemsize();
    let function = |body: &str| format!("read <- function(file) {body}\n");
    match dtype {
        Dtype::Float32 | Dtype::Float64 => function(&bin("numeric", size, "")),
        Dtype::Int8 | Dtype::Int16 => function(&bin("integer", size, "")),
        // R reads the smallest int32 as NA, and nothing else.
        Dtype::Int32 => function(&format!(
            "{{
  x <- {}
  if (anyNA(x)) x[is.na(x)] <- -2^31
  x
}}",
            bin("integer", size, "")
        )),
        Dtype::Uint8 | Dtype::Uint16 => function(&bin("integer", size, ", signed = FALSE")),
        Dtype::Bool => function(&format!("{} != 0", bin("integer", 1, ", signed = FALSE"))),
        Dtype::Uint32 => function(&format!(
            "{{
  halves <- matrix({}, 2)
  halves[1, ] + halves[2, ] * 2^16
}}",
            bin("integer", 2, ", signed = FALSE")
        )),
        // Four 16-bit pieces, because R has no unsigned 32-bit integers for two halves.
        Dtype::Int64 | Dtype::Uint64 => {
            let sign = if dtype == Dtype::Int64 { " - (quarters[4, ] >= 2^15) * 2^16" } else { "" };
            function(&format!(
                "{{
  quarters <- matrix({}, 4)
  high <- quarters[3, ] + (quarters[4, ]{sign}) * 2^16
  quarters[1, ] + quarters[2, ] * 2^16 + high * 2^32  # exact up to 2^53
}}",
                bin("integer", 2, ", signed = FALSE")
            ))
        }
        Dtype::Float16 => function(&format!(
            "{{
  bits <- {}
  sign <- ifelse(bits >= 2^15, -1, 1)
  power <- (bits %/% 2^10) %% 2^5
  part <- bits %% 2^10
  special <- ifelse(part == 0, Inf, NaN)
  sign * ifelse(power == 31, special, ifelse(power == 0, part * 2^-24, (2^10 + part) * 2^(power - 25)))
}}",
            bin("integer", 2, ", signed = FALSE")
        )),
    }
}
