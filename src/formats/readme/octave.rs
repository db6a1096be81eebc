//! Examples for Octave without packages. They are like those for MATLAB, but read files, because Octave
//! cannot map them.

use super::matlab::{fread, half, loaded, name, sparse};
use super::{Facts, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    let numbers = match &facts.types {
        Types::Dense(dtype) => dense(facts, *dtype),
        Types::Sparse { data, indices, indptr } => sparse(facts, [*data, *indices, *indptr]),
    };
    numbers + &loaded(facts)
}

fn dense(facts: &Facts, dtype: Dtype) -> String {
    let (file, part) = facts.readable(dtype);
    let class = if dtype == Dtype::Float16 { "double" } else { name(dtype) };
    let note = match (file.as_str(), dtype) {
        ("array", Dtype::Bool) => "% the elements are 0 and 1\n",
        ("array", _) => "",
        _ => "% some rows: Octave reads all that it opens\n",
    };
    let numbers = match part {
        Shape::Vector(_) => fread("x", &file, dtype, class),
        Shape::Matrix(rows, columns) => {
            let row = fread("row", &facts.row, dtype, class) + &half(dtype, "row");
            let kind = name(dtype);
            format!(
                "{row}f = fopen('{file}', 'r', 'l'); x = fread(f, [{columns} {rows}], '{kind}=>{class}')'; \
                 fclose(f);  % x(row, column), from 1\n"
            )
        }
    };
    format!("{note}{numbers}{}", half(dtype, "x"))
}
