"""`10x/` and `10x.v2/` through scanpy, and the files in them through gzip."""

import gzip
import os

import numpy as np
import scanpy
import scipy.sparse
from mounted import expect, read


def check_dense(folder, array, names):
    if array.array.ndim == 2:
        check(folder, array.array, names)


def check_sparse(folder, array, names):
    if len(array.data):
        check(folder, array.dense(), names)


def check(folder, wanted, names):
    for name in sorted(os.listdir(f"{folder}/10x")):
        packed = read(f"{folder}/10x/{name}")
        # Which verifies length and CRC-32.
        plain = gzip.decompress(packed)
        older = name.removesuffix(".gz").replace("features", "genes")
        if name != "features.tsv.gz":
            expect(plain == read(f"{folder}/10x.v2/{older}"), f"{folder}/10x/{name}", "differs from v2")
    for version in ["10x"] if "/slices/" in folder else ["10x", "10x.v2"]:
        check_scanpy(f"{folder}/{version}", wanted, names)


def check_scanpy(path, wanted, names):
    found = scanpy.read_10x_mtx(path, cache=False)
    matrix = found.X.toarray() if scipy.sparse.issparse(found.X) else found.X
    # scanpy has float32, and of a float16 the digits that tell it from all others.
    kind = np.float16 if wanted.dtype == np.float16 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.array_equal(matrix.astype(kind), wanted.astype(kind), equal_nan=wanted.dtype.kind == "f")
    expect(same, path, f"{matrix.shape} other numbers")
    rows, columns = names
    obs, var = list(found.obs_names), list(found.var_names)
    whole = rows or [f"row_{i}" for i in range(len(obs))]
    expect(len(obs) == len(set(obs)) == wanted.shape[0], path, "cells have no names of their own")
    expect(obs == whole if rows else all(name.startswith("row_") for name in obs), path, f"cells {obs[:3]}")
    expect(var == columns if columns else all(name.startswith("column_") for name in var), path, f"features {var[:3]}")
