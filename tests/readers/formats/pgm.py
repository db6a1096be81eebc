"""`.pgm` through Pillow."""

import os

import numpy as np
from mounted import same_array
from PIL import Image


def check_dense(folder, array, names):
    path = f"{folder}/array.pgm"
    if array.array.dtype != "uint8" or array.array.ndim != 2:
        return
    with Image.open(os.path.abspath(path)) as image:
        same_array(path, np.asarray(image), array.array)
