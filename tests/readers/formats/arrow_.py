"""`.arrow` through pyarrow, polars, pandas and, by way of pyarrow, DuckDB."""

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.ipc
from mounted import expect, read, same_array

# What polars 2.1 and DuckDB 2.0 have no types for.
DUCKDB_LACKS = ["float16"]
# A list of fixed size has at most so many elements in DuckDB.
DUCKDB_COLUMNS = 100_000


def check_dense(folder, array, names):
    check_lists(f"{folder}/array.arrow", "array", array.array)
    if array.array.ndim == 2:
        check_lists(f"{folder}/rows/-1.arrow", "array", array.array[-1])
        check_lists(f"{folder}/cols/0.arrow", "array", np.ascontiguousarray(array.array[:, 0]))


def check_sparse(folder, array, names):
    check_matrix(f"{folder}/matrix.arrow", array)
    check_lists(f"{folder}/dense.arrow", "dense", array.dense())
    for part in ["data", "indices", "indptr"]:
        check_lists(f"{folder}/{part}.arrow", part, getattr(array, part))


def opened(path):
    """The table, by a map of the file and from its bytes, after a check of all that Arrow can check."""
    content = read(path)
    with pyarrow.memory_map(path) as file:
        mapped = pyarrow.ipc.open_file(file).read_all()
    loaded = pyarrow.ipc.open_file(pyarrow.BufferReader(content)).read_all()
    loaded.validate(full=True)
    expect(mapped.equals(loaded) or not is_same(mapped, loaded), path, "the mapped table differs")
    # What reads a stream reads on where the file's magic string ends.
    streamed = pyarrow.ipc.open_stream(pyarrow.BufferReader(content[8:])).read_all()
    expect(streamed.schema == loaded.schema and streamed.num_rows == loaded.num_rows, path, "the stream differs")
    return loaded


def is_same(a, b):
    """NaN are unequal in Arrow: then the numbers themselves are compared, below."""
    return a.schema != b.schema or a.num_rows != b.num_rows


def numbers(column, dtype):
    """The numbers of a column that is flat."""
    if isinstance(column, pyarrow.ChunkedArray):
        column = pyarrow.chunked_array([getattr(chunk, "storage", chunk) for chunk in column.chunks], getattr(column.type, "storage_type", column.type))
        chunks = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return np.concatenate([np.array([], column.type.to_pandas_dtype()), *chunks]).view(dtype)
    return numbers(pyarrow.chunked_array([column]), dtype)


def check_lists(path, name, wanted):
    table = opened(path)
    expect(table.column_names == [name], path, f"columns {table.column_names}")
    column = table[name]
    inner = column.type if wanted.ndim == 1 else column.type.value_type
    is_bool = str(inner) == "extension<arrow.bool8>"
    expect(is_bool == (wanted.dtype == bool), path, f"type {column.type}")
    flat = column if wanted.ndim == 1 else pyarrow.chunked_array([chunk.flatten() for chunk in column.chunks], inner)
    same_array(path, numbers(flat, wanted.dtype).reshape(wanted.shape), wanted)
    check_polars(path, name, wanted)
    check_pandas(path, name, wanted)
    if str(wanted.dtype) not in DUCKDB_LACKS and (wanted.ndim == 1 or wanted.shape[1] <= DUCKDB_COLUMNS):
        check_duckdb(path, name, table, wanted)


def check_polars(path, name, wanted):
    frame = polars.read_ipc(path, memory_map=False)
    lazy = polars.scan_ipc(path).tail(1).collect()
    for found, rows in [(frame, wanted), (lazy, wanted[-1:])]:
        series = found[name]
        if wanted.dtype == bool:
            series = series.cast(polars.Array(polars.Int8, wanted.shape[1]) if wanted.ndim == 2 else polars.Int8)
        expect(series.null_count() == 0, path, "polars finds missing values")
        same_array(f"{path} (polars)", series.to_numpy().reshape(rows.shape).astype(wanted.dtype), rows)


def check_pandas(path, name, wanted):
    if wanted.dtype != bool:
        rows = pandas.read_feather(path)[name].to_numpy()
        found = np.stack(rows).reshape(wanted.shape) if len(rows) else np.array(rows, wanted.dtype)
        same_array(f"{path} (pandas)", found.astype(wanted.dtype), wanted)


def check_duckdb(path, name, table, wanted):
    last = f"{name}[{wanted.shape[1]}]" if wanted.ndim == 2 else name
    found = duckdb.sql(f"select {last} as last from table").fetchnumpy()["last"]
    column = wanted[:, -1] if wanted.ndim == 2 else wanted
    same_array(f"{path} (DuckDB)", np.asarray(found).astype(wanted.dtype), np.ascontiguousarray(column))


def check_matrix(path, matrix):
    table = opened(path)
    expect(table.column_names == ["matrix"] and table.num_rows == matrix.shape[0], path, f"{table.schema}")
    chunks = table["matrix"].chunks
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in chunks]
    same_array(f"{path} lengths", np.concatenate(lengths), np.diff(matrix.indptr.astype(np.int64)))
    elements = pyarrow.chunked_array([chunk.flatten() for chunk in chunks])
    columns = pyarrow.chunked_array([chunk.field("column") for chunk in elements.chunks])
    values = pyarrow.chunked_array([chunk.field("value") for chunk in elements.chunks])
    same_array(f"{path} columns", numbers(columns, matrix.indices.dtype), matrix.indices)
    same_array(f"{path} values", numbers(values, matrix.data.dtype), matrix.data)
    frame = polars.read_ipc(path, memory_map=False)["matrix"]
    inner = frame.explode(empty_as_null=False) if hasattr(polars, "__never__") else frame.list.explode() if hasattr(frame.list, "explode") else frame.explode()
    inner = inner.drop_nulls().struct.unnest()
    same_array(f"{path} (polars)", inner["column"].to_numpy().astype(matrix.indices.dtype), matrix.indices)
    expect(frame.list.len().to_list() == np.diff(matrix.indptr.astype(np.int64)).tolist(), path, "polars finds other rows")
