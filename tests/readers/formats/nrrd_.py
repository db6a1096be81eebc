"""`.nrrd` and `.nhdr` through pynrrd."""

import nrrd
import numpy as np
from mounted import check_missing, read, same_array


def check_dense(folder, array, names):
    check_array(f"{folder}/array", array.array)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense", array.dense())
    check_array(f"{folder}/indices", array.indices)


def check_array(path, wanted):
    if wanted.dtype == np.float16:
        return [check_missing(f"{path}.{format}") for format in ["nrrd", "nhdr"]]
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    for format in ["nrrd", "nhdr"]:
        read(f"{path}.{format}")
        found, _ = nrrd.read(f"{path}.{format}", index_order="C")
        same_array(f"{path}.{format}", found.astype(wanted.dtype.newbyteorder("=")), wanted)
