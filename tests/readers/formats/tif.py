"""`.tif` through tifffile."""

import numpy as np
import tifffile
from mounted import read, same_array


def check_dense(folder, array, names):
    check_array(f"{folder}/array.tif", array.array)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense.tif", array.dense())


def check_array(path, wanted):
    read(path)
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    same_array(path, tifffile.imread(path), wanted)
    same_array(path, np.asarray(tifffile.memmap(path, mode="r")), wanted)
