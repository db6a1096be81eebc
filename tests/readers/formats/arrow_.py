"""`.arrow` through pyarrow, polars, pandas and, by way of pyarrow, DuckDB."""

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.ipc
from mounted import expect, read, same_array

# A list of fixed size has at most so many elements in DuckDB.
DUCKDB_COLUMNS = 100_000


def check_dense(folder, array, names):
    check_numbers(f"{folder}/array.arrow", array.array)
    if array.array.ndim == 2:
        check_numbers(f"{folder}/rows/-1.arrow", array.array[-1])
        check_numbers(f"{folder}/cols/0.arrow", np.ascontiguousarray(array.array[:, 0]))


def check_sparse(folder, array, names):
    check_matrix(f"{folder}/matrix.arrow", array)
    check_numbers(f"{folder}/dense.arrow", array.dense())
    for part in ["data", "indices", "indptr"]:
        check_numbers(f"{folder}/{part}.arrow", getattr(array, part))


def opened(path):
    """The table, by a map of the file, after a check of all that Arrow can check."""
    content = read(path)
    table = pyarrow.ipc.open_file(pyarrow.memory_map(path)).read_all()
    table.validate(full=True)
    # The batches are a stream too, for those who pass over the magic string.
    streamed = pyarrow.ipc.open_stream(pyarrow.BufferReader(content[8:])).read_all()
    expect(streamed.schema == table.schema, path, "as a stream the schema differs")
    expect(streamed.num_rows == table.num_rows, path, f"as a stream there are {streamed.num_rows} rows")
    return table


def flat(column):
    """The numbers of a column, or those in its lists; and whether they are truth values of a byte."""
    chunks = [np.array([], np.uint8)]
    inner = getattr(column.type, "value_type", column.type)
    for chunk in column.chunks:
        chunk = chunk.flatten() if pyarrow.types.is_fixed_size_list(chunk.type) else chunk
        chunks.append(getattr(chunk, "storage", chunk).to_numpy(zero_copy_only=True).view(np.uint8))
    return np.concatenate(chunks), isinstance(inner, pyarrow.BaseExtensionType)


def check_column(path, column, wanted):
    found, is_bool = flat(column)
    expect(is_bool == (wanted.dtype == bool), path, f"type {column.type}")
    inner = getattr(column.type, "value_type", column.type)
    expect(is_bool or inner == pyarrow.from_numpy_dtype(wanted.dtype), path, f"type {column.type}")
    same_array(path, found.view(wanted.dtype).reshape(wanted.shape), wanted)


def check_numbers(path, wanted):
    table = opened(path)
    name = "value" if wanted.ndim == 1 else "elements"
    expect(table.column_names == [name], path, f"columns {table.column_names}")
    check_column(path, table[name], wanted)
    check_polars(path, name, wanted)
    if wanted.dtype == bool:
        return  # an extension that pandas and DuckDB pass on as int8, or not at all
    check_pandas(path, name, wanted)
    if wanted.dtype != np.float16 and (wanted.ndim == 1 or wanted.shape[1] <= DUCKDB_COLUMNS):
        check_duckdb(path, name, table, wanted)


def check_polars(path, name, wanted):
    frame = polars.read_ipc(path)
    last = polars.scan_ipc(path).tail(1).collect()
    for found, rows in [(frame, wanted), (last, wanted[-1:])]:
        expect(found[name].null_count() == 0, path, "polars finds missing values")
        same_array(f"{path} (polars)", found[name].to_numpy().reshape(rows.shape).astype(wanted.dtype), rows)


def check_pandas(path, name, wanted):
    rows = pandas.read_feather(path)[name].to_numpy()
    found = np.stack(rows) if wanted.ndim == 2 else rows
    same_array(f"{path} (pandas)", found, wanted)


def check_duckdb(path, name, opened_table, wanted):
    last = f"{name}[{wanted.shape[1]}]" if wanted.ndim == 2 else name
    found = duckdb.sql(f"select {last} as last from opened_table").fetchnumpy()["last"]
    column = wanted[:, -1] if wanted.ndim == 2 else wanted
    same_array(f"{path} (DuckDB)", np.ma.getdata(found), np.ascontiguousarray(column))


def check_matrix(path, matrix):
    table = opened(path)
    expect(table.column_names == ["elements"] and table.num_rows == matrix.shape[0], path, f"{table.schema}")
    lists = table["elements"]
    counts = np.diff(matrix.indptr.astype(np.int64))
    same_array(f"{path} rows", np.concatenate([np.diff(chunk.offsets) for chunk in lists.chunks]), counts)
    elements = [chunk.flatten() for chunk in lists.chunks]
    for name, wanted in [("column", matrix.indices), ("value", matrix.data)]:
        column = pyarrow.chunked_array([chunk.field(name) for chunk in elements])
        check_column(f"{path} {name}", column, wanted)
    lists = polars.read_ipc(path)["elements"]
    same_array(f"{path} rows (polars)", lists.list.len().to_numpy().astype(np.int64), counts)
    found = lists.filter(counts > 0).explode().struct.unnest()
    for name, wanted in [("column", matrix.indices), ("value", matrix.data)]:
        same_array(f"{path} {name} (polars)", found[name].to_numpy().astype(wanted.dtype), wanted)
