"""`.csv` and `.tsv` through NumPy, pandas, polars, DuckDB, Arrow and R, told nothing about them; `.txt` through NumPy
and R; `.mtx` through SciPy and R.

R starts slowly: it reads all files in one run at the end, `finish`, and says what it found there as raw
float64. Its own reading of decimals is not exact to the last bit, so there is a tolerance of that size.
"""

import copy
import csv
import io
import os
import subprocess
import tempfile

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import scipy.io
from mounted import chance, expect, read

# Tables of more cells than this are read by the quick readers only.
MOST_CELLS = 20_000

# What R reads in the end: (path, what it calls for it, what should come out).
for_r = []


def check_dense(folder, array, names):
    table = np.atleast_2d(array.array.T).T
    is_matrix = array.array.ndim == 2
    labels = Labels(os.path.basename(folder), folder, names, table.shape[1], is_matrix)
    for separator, suffix in kinds(folder):
        check_table(f"{folder}/array.{suffix}", separator, table, labels)
    check_numbers(f"{folder}/array.txt", table)
    if is_matrix:
        column = chance.randrange(table.shape[1])
        check_table(f"{folder}/cols/{column}.csv", ",", table[:, [column]], labels.of_column(column))
        check_numbers(f"{folder}/cols/{column}.txt", table[:, [column]])
        check_table(f"{folder}/rows/0.tsv", "\t", table[:1], labels.of_row(0))
        check_numbers(f"{folder}/rows/0.txt", table[:1])
    rows, columns = [index.ravel() for index in np.indices(table.shape)]
    check_mtx(f"{folder}/array.mtx", table.shape, rows, columns, table.ravel())


def check_sparse(folder, array, names):
    dense = array.dense()
    labels = Labels(os.path.basename(folder), folder, names, dense.shape[1], True)
    for separator, suffix in kinds(folder):
        check_table(f"{folder}/dense.{suffix}", separator, dense, labels)
        check_triplets(f"{folder}/matrix.{suffix}", separator, array)
    check_numbers(f"{folder}/dense.txt", dense)
    check_table(f"{folder}/rows/0.csv", ",", dense[:1], labels.of_row(0))
    part = chance.choice(["data", "indices", "indptr"])
    if len(getattr(array, part)):
        values = getattr(array, part)[:, None]
        check_table(f"{folder}/{part}.csv", ",", values, Labels("", "", [None, None], 1, False))
        check_numbers(f"{folder}/{part}.txt", values)
    check_mtx(f"{folder}/matrix.mtx", array.shape, rows_of(array), array.indices.astype(np.int64), array.data)


class Labels:
    """What a table says around its numbers: the names of rows, if there are any, and the header."""

    def __init__(self, name, folder, names, width, is_matrix):
        self.rows = names[0]
        # Of `cell,gene#UMIs` in a store with axes, the slices of which are folders too.
        path = folder.split("/slices/")[0]
        name = os.path.basename(path)
        axes, mark, item = name.partition("#")
        is_daf = bool(mark) and os.path.exists(os.path.join(os.path.dirname(path), "__daf__.yaml"))
        self.axis = axes.split(",")[0] if is_daf else "row"
        vector = [item if is_daf and self.rows else "value"]
        self.columns = (names[1] or [f"c{i}" for i in range(width)]) if is_matrix else vector

    def of_row(self, i):
        return self.with_others(self.rows and [self.rows[i]], self.columns)

    def of_column(self, j):
        return self.with_others(self.rows, [self.columns[j]])

    def with_others(self, rows, columns):
        labels = copy.copy(self)
        labels.rows, labels.columns = rows, columns
        return labels

    def header(self):
        return ([self.axis] if self.rows else []) + list(self.columns)


def kinds(folder):
    """Both kinds of tables; of slices one will do."""
    both = [(",", "csv"), ("\t", "tsv")]
    return [chance.choice(both)] if "/slices/" in folder else both


def rows_of(array):
    return np.repeat(np.arange(array.shape[0]), np.diff(array.indptr.astype(np.int64)))


# ------------------------------------------------------------------------------------------------ tables


def check_table(path, separator, wanted, labels):
    """Every reader finds the very same numbers, and the names of rows and columns, without being told more than what separates them."""
    text = read(path).decode()
    if wanted.size <= MOST_CELLS:
        check_csv_module(path, text, separator, wanted, labels)
    index = 0 if labels.rows else None
    # What is a name and not a missing one, and the last bit of floats, pandas has to be told.
    frame = pd.read_csv(path, sep=separator, index_col=index, float_precision="round_trip")
    if labels.rows and frame.index.dtype == object:
        known = [(found, name) for found, name in zip(frame.index, labels.rows) if isinstance(found, str)]
        expect(all(found == name for found, name in known), path, "pandas finds other names of rows")
    if len(set(labels.columns)) == len(labels.columns):
        expect(list(frame.columns) == labels.columns, path, f"pandas finds the columns {list(frame.columns)[:5]}")
    same_numbers(f"{path} (pandas)", frame.to_numpy(), wanted)
    if wanted.size > MOST_CELLS:
        return
    check_untold(path, separator, wanted, labels)
    if np.isfinite(wanted.astype(np.float64)).any():
        for_r.append((path, "table", separator, bool(labels.rows), wanted.dtype, wanted.astype(np.float64)))


def check_csv_module(path, text, separator, wanted, labels):
    found = list(csv.reader(io.StringIO(text), delimiter=separator))
    expect(found[0] == labels.header(), path, f"the header is {found[0][:5]}, not {labels.header()[:5]}")
    if labels.rows:
        expect([line[0] for line in found[1:]] == labels.rows, path, "the first column is not the names")
        found = [line[1:] for line in found]
    cells = [cell for line in found[1:] for cell in line]
    expect(not any(cell != cell.strip() for cell in cells), path, "there are spaces around numbers")
    same_numbers(f"{path} (csv)", numbers(found[1:], wanted.dtype), wanted)


def check_untold(path, separator, wanted, labels):
    """Readers that find out by themselves that there is a header, and what is a number."""
    skip = 1 if labels.rows else 0
    frame = pl.read_csv(path, separator=separator, infer_schema_length=None)
    kinds = frame.dtypes[skip:]
    expect(not any(kind == pl.String for kind in kinds), path, f"polars finds {kinds[:3]}")
    found = np.column_stack([np.array(column.to_list(), object if wanted.dtype == np.uint64 else None) for column in frame.get_columns()[skip:]])
    same_numbers(f"{path} (polars)", found, wanted)
    rows = duckdb.sql(f"SELECT * FROM read_csv('{sql(path)}', delim='{separator}', sample_size=-1)")
    # A column of infinities is text to DuckDB, however they are written; and of booleans it knows no 0 and 1.
    if not np.isinf(wanted.astype(np.float64)).any() and "\n" not in "".join(labels.header()):
        kinds = rows.types[skip:]
        expect("VARCHAR" not in map(str, kinds), path, f"DuckDB finds {kinds[:3]}")
        lines = [line[skip:] for line in rows.fetchall()]
        same_numbers(f"{path} (DuckDB)", np.array(lines, np.float64 if wanted.dtype.kind == "f" else object), wanted)
    arrow = pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(delimiter=separator))
    if wanted.dtype != np.uint64:
        same_numbers(f"{path} (Arrow)", np.column_stack([arrow_numbers(column) for column in arrow.columns[skip:]]), wanted)


def arrow_numbers(column):
    """NaN is what is missing, to Arrow; a column of nothing else is one of nulls."""
    return np.array([np.nan if item is None else item for item in column.to_pylist()])


def check_numbers(path, wanted):
    """Numbers alone, a row a line."""
    text = read(path).decode()
    if wanted.size > MOST_CELLS:
        return
    same_numbers(f"{path} (split)", numbers([line.split(" ") for line in text.splitlines()], wanted.dtype), wanted)
    kind = wanted.dtype if wanted.dtype.kind in "iu" else np.float64
    same_numbers(f"{path} (loadtxt)", np.loadtxt(path, dtype=kind, ndmin=2), wanted)
    same_numbers(f"{path} (genfromtxt)", np.genfromtxt(path, dtype=kind, ndmin=2).reshape(wanted.shape), wanted)
    if np.isfinite(wanted.astype(np.float64)).any():
        for_r.append((path, "scan", " ", False, wanted.dtype, wanted.astype(np.float64)))


def sql(path):
    return path.replace("'", "''")


def numbers(lines, dtype):
    number = int if dtype.kind in "iub" else float
    cells = [[number(cell) for cell in line] for line in lines]
    return np.array(cells, np.float64 if dtype.kind == "f" else object if dtype == np.uint64 else np.int64)


def same_numbers(path, found, wanted):
    """The same bits, by way of float64 as most readers have it; of NaN only that it is one."""
    if found.shape != wanted.shape:
        return expect(False, path, f"shape {found.shape}, not {wanted.shape}")
    if wanted.dtype.kind != "f":
        expect((found == wanted).all(), path, f"other numbers of dtype {found.dtype}")
        return
    with np.errstate(over="ignore"):
        found = found.astype(np.float64).astype(wanted.dtype)
    nan = np.isnan(wanted)
    is_same = np.array_equal(np.isnan(found), nan) and found[~nan].tobytes() == wanted[~nan].tobytes()
    expect(is_same, path, f"other numbers: {found[~nan][found[~nan] != wanted[~nan]][:3]}")


# ----------------------------------------------------------------------------------------------- elements


def check_triplets(path, separator, array):
    """Stored elements with their places, in the order of the matrix."""
    read(path)
    frame = pd.read_csv(path, sep=separator, float_precision="round_trip")
    expect(list(frame.columns) == ["row", "column", "value"], path, f"columns {list(frame.columns)}")
    expect(np.array_equal(frame["row"], rows_of(array)), path, "other rows")
    expect(np.array_equal(frame["column"].astype(np.int64), array.indices.astype(np.int64)), path, "other columns")
    same_numbers(f"{path} (pandas)", frame["value"].to_numpy(), array.data)
    found = duckdb.sql(f"SELECT count(*), max(\"row\"), max(\"column\") FROM read_csv('{sql(path)}', delim='{separator}')").fetchall()[0]
    wanted = (len(array.data), int(rows_of(array).max()), int(array.indices.max())) if len(array.data) else (0, None, None)
    expect(found == wanted, path, f"DuckDB finds {found}, not {wanted}")


def check_mtx(path, shape, rows, columns, values):
    """Coordinates through SciPy, which sums what is stored more than once only where it is asked to."""
    read(path)
    found = scipy.io.mmread(path, spmatrix=False)
    expect(found.shape == shape, path, f"shape {found.shape}, not {shape}")
    same_places = np.array_equal(found.row, rows) and np.array_equal(found.col, columns)
    expect(same_places, path, "other rows or columns")
    same = values.astype(np.float64) if values.dtype == np.uint64 else values
    if len(values):
        same_numbers(f"{path} (SciPy)", found.data[None], same[None])
    if len(values) <= MOST_CELLS:
        triplets = np.column_stack([rows, columns, values.astype(np.float64)])
        for_r.append((path, "mtx", " ", False, values.dtype, triplets))


# ------------------------------------------------------------------------------------------------------ R

R = r"""
suppressMessages(library(Matrix))
tasks <- read.delim(commandArgs(TRUE)[1], header = FALSE, sep = "\x01", quote = "", colClasses = "character")
out <- file(commandArgs(TRUE)[2], "wb")
for (i in seq_len(nrow(tasks))) {
  found <- tryCatch({
    if (tasks[i, 2] == "mtx") {
      m <- as(readMM(tasks[i, 1]), "dMatrix")
      cbind(m@i, m@j, m@x)
    } else if (tasks[i, 2] == "scan") {
      lines <- length(readLines(tasks[i, 1]))
      matrix(scan(tasks[i, 1], quiet = TRUE), lines, byrow = TRUE)
    } else if (tasks[i, 4] == "1") {
      as.matrix(read.csv(tasks[i, 1], sep = tasks[i, 3], check.names = FALSE)[-1])
    } else {
      as.matrix(read.csv(tasks[i, 1], sep = tasks[i, 3]))
    }
  }, error = function(e) { message(tasks[i, 1], ": ", conditionMessage(e)); matrix(0, 0, 0) })
  if (!is.numeric(found) && !is.logical(found)) { message(tasks[i, 1], ": no numbers"); found <- matrix(0, 0, 0) }
  writeBin(as.double(dim(found)), out)
  writeBin(as.double(t(found)), out)
}
close(out)
"""


def finish():
    """Reads in R what was noted down for it."""
    with tempfile.TemporaryDirectory() as place:
        script, tasks, out = (os.path.join(place, name) for name in ["read.R", "tasks", "out"])
        with open(script, "w") as file:
            file.write(R)
        chosen = for_r if len(for_r) < 200 else chance.sample(for_r, 200)
        chosen = [task for task in chosen if "\n" not in task[0]]
        with open(tasks, "w") as file:
            file.writelines("\x01".join([path, kind, sep, "1" if named else "0"]) + "\n" for path, kind, sep, named, *_ in chosen)
        run = subprocess.run(["Rscript", "--vanilla", script, tasks, out], capture_output=True, text=True)
        expect(run.returncode == 0, "R", run.stderr[-2000:])
        if not os.path.exists(out):
            return
        found = np.fromfile(out)
    at = 0
    for path, _, _, _, dtype, wanted in chosen:
        shape = tuple(found[at : at + 2].astype(int))
        values = found[at + 2 : at + 2 + shape[0] * shape[1]].reshape(shape)
        at += 2 + shape[0] * shape[1]
        kind = np.finfo(dtype if dtype.kind == "f" else np.float64)
        near = dict(rtol=float(kind.eps) * 4, atol=float(kind.smallest_subnormal), equal_nan=True)
        with np.errstate(all="ignore"):
            same = shape == wanted.shape and np.allclose(values, wanted, **near)
        expect(same, f"{path} (R)", f"{shape} other numbers; {run.stderr[:300]}")
