"""`.mat` through SciPy."""

import mounted
import numpy as np
import scipy.io
from mounted import read, same_array
from .rds import in_r, same_numbers


def check_dense(folder, array, names):
    check_array(f"{folder}/array.mat", "array", array.array)


def check_array(path, name, wanted):
    read(path)
    found = scipy.io.loadmat(path)[name]
    down = wanted.reshape(-1, 1) if wanted.ndim == 1 else wanted.T
    mounted.expect(found.shape == down.shape, path, f"shape {found.shape}, not {down.shape}")
    if wanted.dtype == np.float16:
        return same_numbers(path, found.ravel("F").astype("float32"), wanted)
    if wanted.dtype == bool:
        found = found.astype(bool)
    same_array(path, found.astype(found.dtype.newbyteorder("=")), down)


def check_sparse(folder, array, names):
    if array.shape[0] * array.shape[1] < 1e6:
        check_array(f"{folder}/dense.mat", "dense", array.dense())
    check_array(f"{folder}/indices.mat", "indices", array.indices)
    if array.data.dtype in ["int64", "uint64"] and not in_r(array.data)[2]:
        return
    path = f"{folder}/matrix.mat"
    read(path)
    found = scipy.io.loadmat(path)["matrix"]
    mounted.expect(found.format == "csc" and found.shape == array.shape[::-1], path, repr(found))
    for part, wanted in [(found.indices, array.indices), (found.indptr, array.indptr)]:
        same_array(path, part.astype("int64"), wanted.astype("int64"))
    same_numbers(path, found.data.astype("float64"), array.data)
