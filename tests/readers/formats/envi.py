"""`.hdr` through Spectral Python."""

import numpy as np
import spectral
from mounted import check_missing, read, same_array


def check_dense(folder, array, names):
    check_array(f"{folder}/array", array.array)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense", array.dense())


def check_array(path, wanted):
    if wanted.dtype in ["float16", "int8"]:
        return check_missing(f"{path}.hdr")
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    read(f"{path}.hdr")
    image = spectral.envi.open(f"{path}.hdr", path)
    found = np.asarray(image.open_memmap(writable=False))
    same_array(path, found.reshape(wanted.shape), wanted)
