"""Writes files of every kind that `arrayfs import` takes, and the arrays that they must become.

FOLDER/files/NAME.npy (…)      what NumPy, SciPy, pandas and R write
FOLDER/expected/NAME.yaml      shape and types; beside it the bytes of the data files, and of the names
"""

import gzip
import json
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.io
import scipy.sparse
import yaml

folder = pathlib.Path(sys.argv[1])
files, expected = folder / "files", folder / "expected"
files.mkdir()
expected.mkdir()
random = np.random.default_rng(7)
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
# What to choose by options: file, options.
options = {}


def expect_dense(name, array, **names):
    facts = {"dtype": array.dtype.newbyteorder("=").name, "shape": list(array.shape)}
    (expected / f"{name}.yaml").write_text(yaml.dump(facts))
    array.astype(array.dtype.newbyteorder("<"), order="C").tofile(expected / f"{name}.array")
    for axis, labels in names.items():
        (expected / f"{name}.{axis}.txt").write_text("".join(f"{label}\n" for label in labels))


def expect_sparse(name, matrix, index=np.int32):
    matrix = scipy.sparse.csr_matrix(matrix, copy=True)
    matrix.sum_duplicates()
    parts = {"data": matrix.data, "indices": matrix.indices.astype(index), "indptr": matrix.indptr.astype(index)}
    facts = {f"{part}_dtype": array.dtype.name for part, array in parts.items()}
    (expected / f"{name}.yaml").write_text(yaml.dump({**facts, "shape": list(matrix.shape), "nnz": matrix.nnz}))
    for part, array in parts.items():
        array.tofile(expected / f"{name}.{part}")


def some(dtype, *shape):
    bits = random.integers(0, 256, (*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
    return bits[..., 0] > 127 if dtype == "bool" else bits.view(dtype)[..., 0]


# .npy of every type, in either byte order, in rows and in columns.
for dtype in DTYPES:
    for kind, array in {"vector": some(dtype, 13), "matrix": some(dtype, 7, 11)}.items():
        for order in "CF":
            for endian in "<>":
                name = f"{kind} {dtype} {order}{'little' if endian == '<' else 'big'}"
                np.save(files / f"{name}.npy", np.asarray(array.astype(array.dtype.newbyteorder(endian)), order=order))
                expect_dense(name, array)
tall = some("float32", 300_001, 300)
np.save(files / "tall.npy", np.asfortranarray(tall))
expect_dense("tall", tall)

# .npz: one array, several, packed or not; and SciPy's matrices.
array = some("int16", 5, 6)
np.savez(files / "single.npz", array)
expect_dense("single", array)
np.savez_compressed(files / "several.npz", ages=array, other=array[:2])
expect_dense("several", array)
options["several.npz"] = ["--member", "ages"]
matrix = scipy.sparse.random(40, 31, 0.2, "csr", "float32", random_state=random)
for kind in "csr", "csc", "coo":
    for packed in True, False:
        name = f"{kind} {packed}"
        scipy.sparse.save_npz(files / f"{name}.npz", matrix.asformat(kind), compressed=packed)
        expect_sparse(name, matrix)
twice = scipy.sparse.coo_matrix((np.array([1, 2, 4], "uint8"), ([1, 1, 0], [2, 2, 0])), (2, 3))
scipy.sparse.save_npz(files / "twice.npz", twice)
expect_sparse("twice", twice)
wide = scipy.sparse.csr_array(matrix)
wide.indices, wide.indptr = wide.indices.astype("int64"), wide.indptr.astype("int64")
scipy.sparse.save_npz(files / "wide.npz", wide)
expect_sparse("wide", matrix, np.int64)
scipy.sparse.save_npz(files / "empty.npz", scipy.sparse.csr_matrix((4, 3), dtype="int8"))
expect_sparse("empty", scipy.sparse.csr_matrix((4, 3), dtype="int8"))

# .mtx: every field and symmetry, packed or not.
for dtype in "float64", "int64", "uint64":
    values = matrix.copy()
    values.data = (values.data * 100).astype(dtype) if dtype != "float64" else values.data.astype(dtype)
    values.eliminate_zeros()
    scipy.io.mmwrite(files / f"coordinates {dtype}.mtx", values, comment="made\nby SciPy")
    expect_sparse(f"coordinates {dtype}", values)
pattern = matrix.astype(bool)
scipy.io.mmwrite(files / "pattern.mtx", pattern, field="pattern")
expect_sparse("pattern", pattern)
square = scipy.sparse.random(20, 20, 0.2, "csr", random_state=random)
for symmetry, both in {"symmetric": square + square.T, "skew-symmetric": square - square.T}.items():
    both = scipy.sparse.csr_matrix(both)
    both.eliminate_zeros()
    scipy.io.mmwrite(files / f"{symmetry}.mtx", both, symmetry=symmetry, precision=17)
    expect_sparse(symmetry, both)
scipy.io.mmwrite(files / "array.mtx", np.arange(12.0).reshape(3, 4) / 7, precision=17)
expect_dense("array", np.arange(12.0).reshape(3, 4) / 7)
plain = (files / "coordinates int64.mtx").read_bytes()
(files / "packed.mtx.gz").write_bytes(gzip.compress(plain))
narrow = scipy.io.mmread(files / "coordinates int64.mtx").tocsr().astype("int16")
expect_sparse("packed", narrow)
options["packed.mtx.gz"] = ["--dtype", "int16"]

# .csv and .tsv, as pandas and R write them and by hand.
rows, columns = [f"cell {i}" for i in range(9)], ["FOXA1", "a,b", 'say "hi"', "α"]
for dtype in "float64", "int64", "bool", "float32":
    values = some(dtype, 9, 4)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)
        values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -0.0
    table = pd.DataFrame(values, rows, columns)
    as_text = table.map(repr) if values.dtype.kind == "f" else table
    as_text = table.map(lambda x: str(x)) if values.dtype.kind == "f" else table
    chosen = ["--dtype", dtype] if dtype == "float32" else []
    named, bare = f"named {dtype}", f"bare {dtype}"
    as_text.to_csv(files / f"{named}.csv", na_rep="NA", quoting=1)
    expect_dense(named, values, rows=rows, cols=columns)
    as_text.to_csv(files / f"{bare}.tsv", sep="\t", header=False, index=False)
    expect_dense(bare, values)
    options[f"{named}.csv"] = options[f"{bare}.tsv"] = chosen
numbers = np.arange(12).reshape(4, 3)
pd.DataFrame(numbers, columns=["a", "b", "c"]).to_csv(files / "header only.csv", index=False)
expect_dense("header only", numbers, cols=["a", "b", "c"])
pd.DataFrame(numbers, index=list("wxyz")).to_csv(files / "rows only.csv", header=False)
expect_dense("rows only", numbers, rows="wxyz")
options["rows only.csv"] = ["--header", "no"]
# R's write.table has no cell above the names of rows.
(files / "of R.tsv").write_text("a\tb\tc\n" + "".join(f"{n}\t{a}\t{b}\t{c}\n" for n, (a, b, c) in zip("wxyz", numbers)))
expect_dense("of R", numbers, rows="wxyz", cols="abc")
# Names that are numbers, which an empty cell tells.
pd.DataFrame(numbers, index=[10, 20, 30, 40]).to_csv(files / "numbered.csv")
expect_dense("numbered", numbers, rows=[10, 20, 30, 40], cols=[0, 1, 2])
(files / "vector.csv.gz").write_bytes(gzip.compress(b"1.5\n-2\n\n1e300\n"))
expect_dense("vector", np.array([1.5, -2, np.nan, 1e300]))
(files / "large.csv").write_text("18446744073709551615,1\r\n2,3\r\n")
expect_dense("large", np.array([[2**64 - 1, 1], [2, 3]], "uint64"))
(files / "line.csv").write_text("1,2,3")
expect_dense("line", np.array([[1, 2, 3]]))

# Text of NumPy: numbers alone, blanks between, with comments that are names and that are none.
table = np.array([[1.5, -2, 1e300], [np.nan, np.inf, 1e-300], [0.1, 3, 12345678.9]])
for end in "txt", "txt.gz", "txt.bz2":
    np.savetxt(files / f"savetxt {end}.{end}", table)
    expect_dense(f"savetxt {end}", table)
np.savetxt(files / "commas.csv", table[:, :2], delimiter=",", header="made by savetxt")
expect_dense("commas", table[:, :2])
np.savetxt(files / "comment.csv", table, delimiter=",", header="x,y,z")
expect_dense("comment", table, cols="xyz")
np.savetxt(files / "uncommented.csv", table, delimiter=",", header="x,y,z", comments="")
expect_dense("uncommented", table, cols="xyz")
np.savetxt(files / "counts.txt", numbers)
expect_dense("counts", numbers.astype("int32"))
options["counts.txt"] = ["--dtype", "int32"]
with gzip.open(files / "packed matrix.npy.gz", "wb") as file:
    np.save(file, np.asfortranarray(numbers))
expect_dense("packed matrix", numbers)

# pandas: other delimiters, decimal commas, columns of truth and of text, packed.
frame = pd.DataFrame({"a": [1.5, 2, np.nan], "b": [True, False, True], "c": [3, 4, 5]}, ["x", "y", "z"])
as_numbers = frame.to_numpy("float64")
frame.to_csv(files / "continental.csv", sep=";", decimal=",")
expect_dense("continental", as_numbers, rows="xyz", cols="abc")
frame.to_csv(files / "squeezed.csv.bz2")
expect_dense("squeezed", as_numbers, rows="xyz", cols="abc")
frame.to_csv(files / "crushed.tsv.xz", sep="\t")
expect_dense("crushed", as_numbers, rows="xyz", cols="abc")
with pa.CompressedOutputStream(files / "ground.csv.zst", "zstd") as file:
    frame.to_csv(file)
expect_dense("ground", as_numbers, rows="xyz", cols="abc")
frame.assign(kind=["u", "v", "w"]).to_csv(files / "with text.csv")
expect_dense("with text", as_numbers, rows="xyz", cols="abc")
options["with text.csv"] = ["--skip-text"]
pd.DataFrame(table).to_csv(files / "numbers above.csv", index=False)
expect_dense("numbers above", table, cols=[0, 1, 2])
options["numbers above.csv"] = ["--header", "yes"]
frame["a"].to_csv(files / "series.csv")
expect_dense("series", frame["a"].to_numpy(), rows="xyz")
years = pd.DataFrame(numbers, index=pd.Index(list("wxyz"), name="gene"), columns=[2010, 2011, 2012])
years.to_csv(files / "years.csv")
expect_dense("years", numbers, rows="wxyz", cols=[2010, 2011, 2012])

# R: every usual way to write a data frame.
(folder / "write.R").write_text("""
x <- data.frame(a = c(1.5, NA, 3), b = c(TRUE, FALSE, NA), c = c(1L, 20L, 300L), row.names = c("r 1", "r2", "r,3"))
setwd(commandArgs(TRUE)[1])
write.csv(x, "R csv.csv")
write.csv(x, "R nameless.csv", row.names = FALSE)
write.csv(x, "R empty.csv", na = "")
write.csv2(x, "R csv2.csv")
write.table(x, "R table.txt")
write.table(x, "R tabs.tsv", sep = "\\t", quote = FALSE, col.names = NA)
write.table(x, "R shorter.tsv", sep = "\\t", quote = FALSE)
write.table(data.frame(x = c(1, NA, 3)), "R column.csv", row.names = FALSE, na = "", quote = FALSE)
write.csv(matrix(1:6, 2, dimnames = list(NULL, c("2010", "2011", "2012"))), "R years.csv", row.names = FALSE)
invisible(Matrix::writeMM(Matrix::sparseMatrix(i = c(1, 2), j = c(1, 3), x = c(2, 1e5)), "R counts.mtx"))
""")
subprocess.run(["Rscript", folder / "write.R", files], check=True)
of_r = np.array([[1.5, 1, 1], [np.nan, 0, 20], [3, np.nan, 300]])
for name in "R csv", "R empty", "R csv2", "R table", "R tabs", "R shorter":
    expect_dense(name, of_r, rows=["r 1", "r2", "r,3"], cols="abc")
expect_dense("R nameless", of_r, cols="abc")
expect_dense("R column", np.array([1, np.nan, 3]))
expect_dense("R years", np.array([[1, 3, 5], [2, 4, 6]]), cols=[2010, 2011, 2012])
expect_sparse("R counts", scipy.sparse.csr_matrix(([2, 100000], ([0, 1], [0, 2])), (2, 3), dtype="int32"))
options["R counts.mtx"] = ["--dtype", "int32"]

# SciPy: what it does not sort, and dense matrices of which it writes a half.
left = scipy.sparse.random(30, 20, 0.3, "csr", random_state=random)
product = left @ scipy.sparse.random(20, 30, 0.3, "csr", random_state=random)
assert not product.has_sorted_indices
scipy.sparse.save_npz(files / "product.npz", product)
expect_sparse("product", product)
half = random.random((6, 6))
for name, dense in {"covariance": half + half.T, "rotation": half - half.T, "one": np.array([[7.5]])}.items():
    scipy.io.mmwrite(files / f"{name}.mtx", dense, precision=17)
    expect_dense(name, dense)
np.savez(files / "three.npz", data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=matrix.shape)
expect_sparse("three", matrix)

(folder / "options.json").write_text(json.dumps(options))
