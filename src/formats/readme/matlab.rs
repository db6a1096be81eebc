//! Examples for MATLAB without toolboxes. Its arrays are column-major, so a matrix has its axes swapped.

use super::{Facts, SMALL, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    numbers(facts) + &whole(facts)
}

/// Examples that read everything with a single call.
fn whole(facts: &Facts) -> String {
    let mut text = loaded(facts);
    if facts.has("array.h5") && matches!(facts.shape, Shape::Matrix(..)) {
        text.push_str(&format!(
            "first = h5read('array.h5', '/array', [1 1], [{} 1]);  % a row\n",
            facts.shape.columns()
        ));
    }
    text
}

/// The example for `load`, if it reads the numbers exactly.
pub(super) fn loaded(facts: &Facts) -> String {
    let (component, mut text) = (facts.whole(), String::new());
    let (Types::Dense(dtype) | Types::Sparse { data: dtype, .. }) = facts.types;
    let is_exact = matches!(facts.types, Types::Dense(_)) || !matches!(dtype, Dtype::Int64 | Dtype::Uint64);
    if facts.has(&format!("{component}.mat")) && facts.bytes <= SMALL && is_exact {
        let note = if matches!(facts.shape, Shape::Matrix(..)) { "column, row" } else { "i" };
        text.push_str(&format!("load('{component}.mat');  % {component}({note}), from 1\n"));
    }
    text
}

fn numbers(facts: &Facts) -> String {
    match &facts.types {
        Types::Dense(dtype) => dense(facts, *dtype),
        Types::Sparse { data, indices, indptr } => sparse(facts, [*data, *indices, *indptr]),
    }
}

/// Reads a whole sparse matrix from its three files, which have these types.
pub(super) fn sparse(facts: &Facts, types: [Dtype; 3]) -> String {
    let (rows, columns) = (facts.shape.rows(), facts.shape.columns());
    let files = ["data", "indices", "indptr"].into_iter().zip(types);
    let parts: String = files.map(|(file, dtype)| fread(file, file, dtype, "double")).collect();
    let bits = half(types[0], "data");
    format!(
        "{parts}{bits}x = sparse(repelem((1:{rows})', diff(indptr)), indices + 1, data, {rows}, {columns});\n"
    )
}

fn dense(facts: &Facts, dtype: Dtype) -> String {
    let (rows, columns) = match facts.shape {
        Shape::Vector(n) => (n, 1),
        Shape::Matrix(rows, columns) => (columns, rows),
    };
    let map = format!(
        "m = memmapfile('array', 'Format', {{'{}', [{rows} {columns}], 'x'}});  % {}\n",
        name(dtype),
        if facts.shape.columns() == 1 { "m.Data.x(i), from 1" } else { "m.Data.x(column, row), both from 1" }
    );
    let note = match dtype {
        Dtype::Float16 => "% the elements are the bits of float16; of a row they become numbers like this:\n",
        Dtype::Bool => "% the elements are 0 and 1\n",
        _ => "",
    };
    let (file, target) = match facts.shape {
        Shape::Vector(_) => ("array", "x"),
        Shape::Matrix(..) => (facts.row.as_str(), "row"),
    };
    let kind = if dtype == Dtype::Float16 { "double" } else { name(dtype) };
    format!("{map}{note}{}{}", fread(target, file, dtype, kind), half(dtype, target))
}

/// Reads a file of elements into a variable. `class` is the type of the variable.
pub(super) fn fread(variable: &str, file: &str, dtype: Dtype, class: &str) -> String {
    format!(
        "f = fopen('{file}', 'r', 'l'); {variable} = fread(f, Inf, '{}=>{class}'); fclose(f);\n",
        name(dtype)
    )
}

/// Converts the bits of float16 to numbers, because MATLAB has no such type.
pub(super) fn half(dtype: Dtype, variable: &str) -> String {
    if dtype != Dtype::Float16 {
        return String::new();
    }
    format!(
        "power = mod(floor({variable} / 1024), 32); part = mod({variable}, 1024); minus = {variable} >= 32768;
{variable} = (part + 1024 * (power > 0)) .* 2 .^ (max(power, 1) - 25);
{variable}(power == 31) = Inf; {variable}(power == 31 & part > 0) = NaN;
{variable}(minus) = -{variable}(minus);
"
    )
}

pub(super) const fn name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool | Dtype::Uint8 => "uint8",
        Dtype::Int8 => "int8",
        Dtype::Int16 => "int16",
        Dtype::Int32 => "int32",
        Dtype::Int64 => "int64",
        Dtype::Float16 | Dtype::Uint16 => "uint16",
        Dtype::Uint32 => "uint32",
        Dtype::Uint64 => "uint64",
        Dtype::Float32 => "single",
        Dtype::Float64 => "double",
    }
}
