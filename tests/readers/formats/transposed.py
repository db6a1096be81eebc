"""`transposed.npy` through NumPy: the matrix with its axes exchanged, mapped and not copied."""

import os

import numpy as np
from mounted import expect, read, same_array


def check_dense(folder, array, names):
    path = f"{folder}/transposed.npy"
    if array.array.ndim == 1:
        expect(not os.path.exists(path), path, "a vector has no other order")
        return
    read(path)
    for mode in ["r", None]:
        found = np.load(path, mmap_mode=mode)
        expect(found.flags.f_contiguous, path, "not by columns")
        same_array(path, found, array.array.T)
