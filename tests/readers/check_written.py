"""Arrays that the crate wrote, as a Python program loads them: check_written.py DIR.

tests/readers.rs writes them: what is there, and what number stands where, is agreed between the two.
"""

import os
import sys

import numpy as np
import scipy.sparse
import yaml

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = ["bool", *INTEGERS, *FLOATS]
SPREAD = 0x9E37_79B9_7F4A_7C15


def bits(dtype, count):
    """Element i has the lowest bits of i * SPREAD, of a bool the lowest one."""
    dtype = np.dtype(dtype)
    wide = np.arange(count, dtype=np.uint64) * np.uint64(SPREAD)
    if dtype == bool:
        return wide & 1 == 1
    return wide.astype(f"u{dtype.itemsize}").view(dtype)


def load(path, part, dtype):
    with open(f"{path}.yaml") as file:
        meta = yaml.safe_load(file)
    return meta, np.fromfile(f"{path}.{part}", dtype)


def check_array(path, dtype, shape, wanted):
    meta, array = load(path, "array", dtype)
    assert meta == {"version": [1, 0], "dtype": dtype, "shape": shape}, (path, meta)
    assert array.tobytes() == wanted.tobytes(), path


def check_dense(store):
    for dtype in DTYPES:
        check_array(f"{store}/vector {dtype}", dtype, [29], bits(dtype, 29))
        check_array(f"{store}/matrix {dtype}", dtype, [6, 7], bits(dtype, 42))


def check_hole(store):
    """A new array is zeros, which take no room on the disk."""
    path = f"{store}/hole"
    assert os.stat(path + ".array").st_blocks == 0
    check_array(path, "float64", [1000, 1001], np.zeros(1_001_000))
    names = sorted(name for name in os.listdir(store) if name.startswith("hole"))
    assert names == ["hole.array", "hole.yaml"], names


def check_sparse(store):
    """Rows 0 and 3 of a 5 x 8 matrix have elements, unsorted, and the last columns are empty."""
    for i, dtype in enumerate(DTYPES):
        index, pointer = INTEGERS[i % 8], INTEGERS[(i * 3 + 1) % 8]
        path = f"{store}/sparse {dtype}"
        meta, data = load(path, "data", dtype)
        dtypes = {"data_dtype": dtype, "indices_dtype": index, "indptr_dtype": pointer}
        assert meta == {"version": [1, 0], **dtypes, "shape": [5, 8], "nnz": 4}, (path, meta)
        indices, indptr = np.fromfile(path + ".indices", index), np.fromfile(path + ".indptr", pointer)
        assert data.tobytes() == bits(dtype, 4).tobytes(), path
        assert indices.tolist() == [4, 0, 1, 5] and indptr.tolist() == [0, 2, 2, 2, 4, 4], path
        if dtype != "float16":  # of which SciPy has none
            matrix = scipy.sparse.csr_matrix((data, indices.astype(int), indptr.astype(int)), shape=meta["shape"])
            wanted = np.zeros((5, 8), dtype)
            wanted[[0, 0, 3, 3], [4, 0, 1, 5]] = data
            assert np.array_equal(matrix.toarray(), wanted, equal_nan=dtype in FLOATS), path
        assert not os.path.exists(path + ".array"), path


def check_empty(store):
    path = f"{store}/empty"
    meta, data = load(path, "data", "float32")
    assert (meta["nnz"], meta["shape"], len(data)) == (0, [3, 4], 0), meta
    indices, indptr = np.fromfile(path + ".indices", "int32"), np.fromfile(path + ".indptr", "int64")
    matrix = scipy.sparse.csr_matrix((data, indices, indptr), (3, 4))
    assert matrix.toarray().tolist() == [[0] * 4] * 3


if __name__ == "__main__":
    for check in [check_dense, check_hole, check_sparse, check_empty]:
        check(sys.argv[1])
    print("all loaded")
