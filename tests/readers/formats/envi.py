"""`.envi/` through Spectral Python and GDAL, which look for the header in the listing."""

import os

import numpy as np
import rasterio
import spectral
from mounted import check_missing, check_names, read, same_array


def check_dense(folder, array, names):
    check_array(folder, "array", array.array)


def check_sparse(folder, array, names):
    check_array(folder, "dense", array.dense())


def check_array(folder, name, wanted):
    path = f"{folder}/{name}.envi"
    check_missing(f"{folder}/{name}.hdr")
    if wanted.dtype in ["float16", "int8"]:
        return check_missing(path)
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    check_names(path, [name, f"{name}.hdr"])
    read(f"{path}/{name}.hdr")
    read(f"{path}/{name}")
    image = spectral.envi.open(f"{path}/{name}.hdr")
    found = np.asarray(image.open_memmap(writable=False))
    same_array(path, found.reshape(wanted.shape), wanted)
    if wanted.nbytes < 2:
        return  # GDAL wants two bytes at least.
    with rasterio.open(os.path.abspath(f"{path}/{name}")) as image:
        same_array(f"{path} ({image.driver})", image.read(1).reshape(wanted.shape), wanted)
