"""`.parquet` through pyarrow, polars, DuckDB and pandas, predicates included."""

import duckdb
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
from mounted import expect, read, same_array


def check_dense(folder, array, names):
    check_table(f"{folder}/array.parquet", table_of(array.array))
    if array.array.ndim == 2:
        check_table(f"{folder}/rows/-1.parquet", table_of(array.array[-1]))
        check_table(f"{folder}/cols/0.parquet", table_of(np.ascontiguousarray(array.array[:, 0])))


def check_sparse(folder, array, names):
    rows = np.repeat(np.arange(array.shape[0], dtype=np.int32), np.diff(array.indptr.astype(np.int64)))
    check_table(f"{folder}/matrix.parquet", {"row": rows, "column": array.indices, "value": array.data})
    check_table(f"{folder}/dense.parquet", table_of(array.dense()))
    for part in ["data", "indices", "indptr"]:
        check_table(f"{folder}/{part}.parquet", table_of(getattr(array, part)))


def table_of(array):
    """The columns: of a matrix row, column and value of each element."""
    if array.ndim == 1:
        return {"value": array}
    rows, columns = np.indices(array.shape, dtype=np.int32).reshape(2, -1)
    return {"row": rows, "column": columns, "value": array.reshape(-1)}


def check_table(path, wanted):
    read(path)
    file = pyarrow.parquet.ParquetFile(path)
    table = file.read()
    table.validate(full=True)
    expect(file.metadata.num_rows == len(wanted["value"]), path, f"{file.metadata}")
    check_columns(f"{path} (pyarrow)", {name: table[name].to_numpy() for name in table.column_names}, wanted)
    frame = polars.read_parquet(path)
    check_columns(f"{path} (polars)", {name: frame[name].to_numpy() for name in frame.columns}, wanted)
    frame = pandas.read_parquet(path)
    check_columns(f"{path} (pandas)", {name: frame[name].to_numpy() for name in frame.columns}, wanted)
    quoted = "'" + path.replace("'", "''") + "'"
    if not any(c in path for c in "*?["):
        source = f"read_parquet({quoted})"
        check_columns(f"{path} (DuckDB)", duckdb.sql(f"select * from {source}").fetchnumpy(), wanted)
        if "row" in wanted:
            check_predicates(path, source, wanted)


def check_columns(path, found, wanted):
    expect(list(found) == list(wanted), path, f"columns {list(found)}")
    for name, array in wanted.items():
        column = np.ma.getdata(found[name])
        if column.dtype != array.dtype and len(column):
            # DuckDB has no float16, and gives what it is as float32.
            expect(array.dtype == np.float16, path, f"{name} is {column.dtype}, not {array.dtype}")
        same_array(f"{path} {name}", plain(column.astype(array.dtype)), plain(array))


def plain(array):
    """Of what went through another type only that it is NaN counts."""
    if array.dtype == np.float16:
        array = array.copy()
        array[np.isnan(array)] = np.nan
    return array


def check_predicates(path, source, wanted):
    """What one row has, and one column."""
    if not len(wanted["row"]):
        return
    for name in ["row", "column"]:
        number = int(wanted[name][len(wanted[name]) * 2 // 3])
        mask = wanted[name] == number
        chosen = duckdb.sql(f'select value from {source} where "{name}" = {number}').fetchnumpy()["value"]
        same_array(f"{path} (DuckDB, {name} {number})", plain(np.ma.getdata(chosen).astype(wanted["value"].dtype)), plain(wanted["value"][mask]))
        lazy = polars.scan_parquet(path, glob=False).filter(polars.col(name) == number).select("value").collect()
        same_array(f"{path} (polars, {name} {number})", lazy["value"].to_numpy(), wanted["value"][mask])
        table = pyarrow.parquet.read_table(path, filters=[(name, "==", number)])
        same_array(f"{path} (pyarrow, {name} {number})", table["value"].to_numpy(), wanted["value"][mask])
