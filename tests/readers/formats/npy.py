"""`.npy` through NumPy; rows, columns and the other parts are compared in folders.py."""

import numpy as np
from mounted import same_array


def check_dense(folder, array, names):
    same_array(folder, np.load(f"{folder}/array.npy", mmap_mode="r"), array.array)


def check_sparse(folder, array, names):
    same_array(folder, np.load(f"{folder}/dense.npy"), array.dense())
