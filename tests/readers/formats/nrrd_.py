"""`.nrrd` and `.nhdr` through pynrrd: of matrices alone."""

import nrrd
import numpy as np
from mounted import check_missing, read, same_array


def check_dense(folder, array, names):
    check_array(f"{folder}/array", array.array)
    if array.array.ndim == 2:
        check_missing(f"{folder}/rows/0.nrrd")


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense", array.dense())
    check_missing(f"{folder}/indices.nrrd")


def check_array(path, wanted):
    if wanted.dtype == np.float16 or wanted.ndim == 1:
        return [check_missing(f"{path}.{format}") for format in ["nrrd", "nhdr"]]
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    for format in ["nrrd", "nhdr"]:
        read(f"{path}.{format}")
        found, _ = nrrd.read(f"{path}.{format}", index_order="C")
        same_array(f"{path}.{format}", found.astype(wanted.dtype.newbyteorder("=")), wanted)
