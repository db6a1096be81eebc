"""Names that repeat and one that is empty, as the readers of all formats have them: repeated_names.py MOUNT.

MOUNT/m is dense, MOUNT/s sparse; both have the same names.
"""

import csv
import pathlib
import subprocess
import sys
import warnings

import anndata
import h5py
import pandas as pd
import scanpy
import xarray

warnings.simplefilter("ignore")
mount = pathlib.Path(sys.argv[1])
ROWS, COLUMNS = ["c1", "c2", "c1", ""], ["MATR3", "g", "MATR3"]


def same(what, rows, columns):
    found = [str(name) for name in rows], [str(name) for name in columns]
    assert found == (ROWS, COLUMNS), (what, found)


for array, thing in ("m", "array"), ("s", "dense"):
    with open(mount / array / f"{thing}.csv", newline="") as file:
        lines = list(csv.reader(file))
    same(f"{array} csv", [line[0] for line in lines[1:]], lines[0][1:])
    table = pd.read_csv(mount / array / f"{thing}.tsv", sep="\t", index_col=0, keep_default_na=False)
    assert list(table.columns) == ["MATR3", "g", "MATR3.1"] and list(table.index) == ROWS, table

for path in mount / "m/array.h5ad", mount / "s/matrix.h5ad":
    adata = anndata.read_h5ad(path)
    same(path, adata.obs_names, adata.var_names)
adata = anndata.read_zarr(mount / "s/matrix.zarr")
same("zarr", adata.obs_names, adata.var_names)
with h5py.File(mount / "m/array.h5") as file:
    same("h5", *([name.decode() for name in file[axis][()]] for axis in ("row_names", "column_names")))
zarr = next(path for path in (mount / "m/array.xarray.zarr", mount / "m/array.dataset.zarr") if path.is_dir())
dataset = xarray.open_zarr(zarr)
same("xarray", *(dataset[axis].values for axis in ("rows", "columns")))

for array in "m", "s":
    # An empty name would be read as a missing one.
    adata = scanpy.read_10x_mtx(mount / array / "10x", cache=False, make_unique=False)
    assert (list(adata.obs_names), list(adata.var_names)) == (["c1", "c2", "c1", "row_3"], COLUMNS), adata
adata = scanpy.read_10x_h5(mount / "s/10x.h5")
same("10x.h5", adata.obs_names, adata.var_names)

script = "x <- readRDS(commandArgs(TRUE)); writeLines(unlist(dimnames(x)))"
for path in "m/array.rds", "s/matrix.rds":
    command = ["Rscript", "-e", f"library(Matrix); {script}", mount / path]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
    # R counts down the columns: its rows are our columns.
    same(path, lines[3:], lines[:3])
