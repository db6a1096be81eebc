"""`.csv` and `.tsv` through NumPy, pandas, polars, DuckDB, Arrow and R; `.mtx` through SciPy and R.

R starts slowly: it reads all files in one run at the end, `finish`, and says what it found there as raw
float64. Its own reading of decimals is not exact to the last bit, so there is a tolerance of that size.
"""

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
    labels = names if all(names) and array.array.ndim == 2 else None
    for separator, suffix in kinds(folder):
        check_table(f"{folder}/array.{suffix}", separator, table, labels)
    if array.array.ndim == 2:
        column = chance.randrange(table.shape[1])
        check_table(f"{folder}/cols/{column}.csv", ",", table[:, [column]], None)
        check_table(f"{folder}/rows/0.tsv", "\t", table[:1], None)
    rows, columns = [index.ravel() for index in np.indices(table.shape)]
    check_mtx(f"{folder}/array.mtx", table.shape, rows, columns, table.ravel())


def check_sparse(folder, array, names):
    labels = names if all(names) else None
    dense = array.dense()
    for separator, suffix in kinds(folder):
        check_table(f"{folder}/dense.{suffix}", separator, dense, labels)
        check_triplets(f"{folder}/matrix.{suffix}", separator, array)
    part = chance.choice(["data", "indices", "indptr"])
    if len(getattr(array, part)):
        check_table(f"{folder}/{part}.csv", ",", getattr(array, part)[:, None], None)
    check_mtx(f"{folder}/matrix.mtx", array.shape, rows_of(array), array.indices.astype(np.int64), array.data)


def kinds(folder):
    """Both kinds of tables; of slices one will do."""
    both = [(",", "csv"), ("\t", "tsv")]
    return [chance.choice(both)] if "/slices/" in folder else both


def rows_of(array):
    return np.repeat(np.arange(array.shape[0]), np.diff(array.indptr.astype(np.int64)))


# ------------------------------------------------------------------------------------------------ tables


def check_table(path, separator, wanted, labels):
    """Every reader finds the very same numbers, and the names of rows and columns."""
    text = read(path).decode()
    if wanted.size <= MOST_CELLS:
        check_csv_module(path, text, separator, wanted, labels)
    skip = dict(skipinitialspace=True, float_precision="round_trip")
    frame = pd.read_csv(path, sep=separator, index_col=0 if labels else None, header=0 if labels else None, keep_default_na=False, na_values=["NaN"], **skip)
    if labels:
        same_labels = [str(name) for name in frame.index] == labels[0] and list(frame.columns) == labels[1]
        expect(same_labels, path, "pandas finds other names")
    same_numbers(f"{path} (pandas)", frame.to_numpy(), wanted)
    if wanted.size > MOST_CELLS:
        return
    if not labels and separator == ",":
        check_plain(path, separator, wanted)
    if np.isfinite(wanted.astype(np.float64)).any():
        for_r.append((path, "table", separator, bool(labels), wanted.dtype, wanted.astype(np.float64)))


def check_csv_module(path, text, separator, wanted, labels):
    found = list(csv.reader(io.StringIO(text), delimiter=separator))
    if labels:
        expect(found[0] == ["", *labels[1]], path, f"the header is {found[0][:5]}")
        expect([line[0] for line in found[1:]] == labels[0], path, "the first column is not the names")
        found = [line[1:] for line in found[1:]]
    same_numbers(f"{path} (csv)", numbers(found, wanted.dtype), wanted)


def check_plain(path, separator, wanted):
    """A table without names, in readers that want numbers only."""
    kind = wanted.dtype if wanted.dtype.kind in "iu" else np.float64
    loaded = np.loadtxt(path, dtype=kind, delimiter=separator, ndmin=2)
    same_numbers(f"{path} (loadtxt)", loaded, wanted)
    made = np.genfromtxt(path, dtype=kind, delimiter=separator, ndmin=2)
    same_numbers(f"{path} (genfromtxt)", made.reshape(wanted.shape), wanted)
    columns = [f"c{i}" for i in range(wanted.shape[1])]
    number = {"f": pl.Float64, "b": pl.Int64}.get(wanted.dtype.kind) or getattr(pl, str(wanted.dtype).capitalize().replace("Ui", "UI"))
    frame = pl.read_csv(path, separator=separator, has_header=False, schema=dict.fromkeys(columns, number))
    same_numbers(f"{path} (polars)", frame.to_numpy(), wanted)
    duck = {"f": "DOUBLE", "b": "TINYINT"}.get(wanted.dtype.kind) or {"i": "", "u": "U"}[wanted.dtype.kind] + {1: "TINYINT", 2: "SMALLINT", 4: "INTEGER", 8: "BIGINT"}[wanted.dtype.itemsize]
    types = "{" + ", ".join(f"'{name}': '{duck}'" for name in columns) + "}"
    rows = duckdb.sql(f"SELECT * FROM read_csv('{sql(path)}', header=false, delim='{separator}', columns={types})").fetchnumpy()
    same_numbers(f"{path} (DuckDB)", np.column_stack([np.ma.filled(rows[name], np.nan) if wanted.dtype.kind == "f" else rows[name] for name in columns]), wanted)
    if wanted.dtype.kind == "f" and not np.isinf(wanted).any():
        # Without a word about types too; but an infinity it takes for a date, however it is written.
        sniffed = duckdb.sql(f"SELECT * FROM read_csv('{sql(path)}', header=false)").types
        expect(all(str(kind) == "DOUBLE" for kind in sniffed), path, f"DuckDB takes it for {sniffed[:3]}")
    options = pa.csv.ReadOptions(autogenerate_column_names=True)
    arrow = pa.csv.read_csv(path, read_options=options, parse_options=pa.csv.ParseOptions(delimiter=separator))
    if wanted.dtype != np.uint64:
        same_numbers(f"{path} (Arrow)", np.column_stack([column.to_numpy() for column in arrow.columns]), wanted)


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
    kept = dict(skipinitialspace=True, float_precision="round_trip", keep_default_na=False, na_values=["NaN"])
    frame = pd.read_csv(path, sep=separator, **kept)
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
    } else if (tasks[i, 4] == "1") {
      as.matrix(read.table(tasks[i, 1], sep = tasks[i, 3], header = TRUE, row.names = 1, quote = "\"", comment.char = "", check.names = FALSE))
    } else {
      as.matrix(read.table(tasks[i, 1], sep = tasks[i, 3], header = FALSE, quote = "\"", comment.char = ""))
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
