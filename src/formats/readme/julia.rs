//! Examples for Julia: its standard library, and the NPZ package. Its arrays are column-major, so a matrix
//! has its axes swapped.

use super::{Facts, SMALL, Types};
use crate::daf::metadata::Shape;
use crate::dtype::Dtype;

pub(super) fn lines(facts: &Facts) -> String {
    let npy = match facts.has("array.npy") && facts.bytes <= SMALL {
        true => "using NPZ  # a package\ny = npzread(\"array.npy\")  # axes as they are\n",
        false => "",
    };
    numbers(facts) + npy
}

fn numbers(facts: &Facts) -> String {
    match (&facts.types, facts.shape) {
        (Types::Dense(dtype), Shape::Vector(n)) => {
            format!("using Mmap\nx = Mmap.mmap(\"array\", Vector{{{}}}, {n})\n", name(*dtype))
        }
        (Types::Dense(dtype), Shape::Matrix(rows, columns)) => {
            let dtype = name(*dtype);
            format!(
                "using Mmap
x = Mmap.mmap(\"array\", Matrix{{{dtype}}}, ({columns}, {rows}))  # x[column, row], both from 1
row = read!(\"{}\", Vector{{{dtype}}}(undef, {columns}))
column = read!(\"{}\", Vector{{{dtype}}}(undef, {rows}))
",
                facts.row, facts.column
            )
        }
        (Types::Sparse { data, indices, indptr }, shape) => {
            let (rows, columns) = (shape.rows(), shape.columns());
            let part = |file: &str, dtype: Dtype| {
                let (size, dtype) = (dtype.itemsize(), name(dtype));
                format!(
                    "{file} = read!(\"{file}\", Vector{{{dtype}}}(undef, filesize(\"{file}\") ÷ {size}))\n"
                )
            };
            let parts = part("data", *data) + &part("indices", *indices) + &part("indptr", *indptr);
            format!(
                "using SparseArrays
{parts}row_of = [row for row in 1:{rows} for _ in indptr[row]+1:indptr[row+1]]
x = sparse(row_of, Int.(indices) .+ 1, data, {rows}, {columns})
row = read!(\"{}/dense\", Vector{{{}}}(undef, {columns}))  # zeros too
",
                facts.row,
                name(*data)
            )
        }
    }
}

const fn name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "Bool",
        Dtype::Int8 => "Int8",
        Dtype::Int16 => "Int16",
        Dtype::Int32 => "Int32",
        Dtype::Int64 => "Int64",
        Dtype::Uint8 => "UInt8",
        Dtype::Uint16 => "UInt16",
        Dtype::Uint32 => "UInt32",
        Dtype::Uint64 => "UInt64",
        Dtype::Float16 => "Float16",
        Dtype::Float32 => "Float32",
        Dtype::Float64 => "Float64",
    }
}
