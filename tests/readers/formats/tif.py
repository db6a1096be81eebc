"""`.tif` through tifffile, GDAL and Pillow: classic below 4 GiB, so that programs without BigTIFF read it."""

import os

import numpy as np
import rasterio
import tifffile
from mounted import expect, read, same_array
from PIL import Image

# The types of pixels that Pillow has, by NumPy's names.
PILLOW = ["uint8", "uint16", "int32", "float32"]


def check_dense(folder, array, names):
    check_array(f"{folder}/array.tif", array.array)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense.tif", array.dense())


def check_array(path, wanted):
    whole = read(path)
    expect(whole[:4] == b"II*\0" and len(whole) < 1 << 32, path, f"starts with {whole[:4]}")
    wanted = wanted.view("uint8") if wanted.dtype == bool else wanted
    same_array(path, tifffile.imread(path), wanted)
    same_array(path, np.asarray(tifffile.memmap(path, mode="r")), wanted)
    if wanted.dtype != "float16":
        with rasterio.open(os.path.abspath(path)) as image:
            same_array(f"{path} (GDAL)", image.read(1).reshape(wanted.shape), wanted)
    if wanted.dtype in PILLOW:
        with Image.open(path) as image:
            same_array(f"{path} (Pillow)", np.asarray(image).astype(wanted.dtype).reshape(wanted.shape), wanted)
