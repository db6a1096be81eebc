"""`.npy` through NumPy, and its header as NumPy writes it; rows, columns and the other parts are compared in
folders.py."""

import io

import numpy as np
from mounted import read, same_array, same_bytes


def check_dense(folder, array, names):
    path = f"{folder}/array.npy"
    same_array(path, np.load(path, mmap_mode="r"), array.array)
    same_file(path, array.array)
    if array.array.ndim == 2:
        same_file(f"{folder}/rows/0.npy", array.array[0])
    if array.array.ndim == 2 and min(array.shape) > 1:
        same_file(f"{folder}/transposed.npy", np.asfortranarray(array.array.T))


def check_sparse(folder, array, names):
    same_array(folder, np.load(f"{folder}/dense.npy"), array.dense())
    for part in ["data", "indices", "indptr"]:
        same_file(f"{folder}/{part}.npy", getattr(array, part))


def same_file(path, wanted):
    """All bytes are those that NumPy writes itself."""
    own = io.BytesIO()
    np.save(own, wanted)
    same_bytes(path, read(path), own.getvalue())
