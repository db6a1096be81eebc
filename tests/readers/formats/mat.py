"""`.mat` through SciPy and Octave."""

import foreign
import mounted
import numpy as np
import scipy.io
from mounted import read, same_array

from .rds import in_r, same_numbers

octave = foreign.Program("octave", "--norc", "--no-gui", "--quiet", f"{foreign.PROGRAMS}/octave.m")
# Octave looks up each element of a sparse matrix.
MOST_LOOKED_UP = 10_000


def check_dense(folder, array, names):
    check_array(f"{folder}/array.mat", "array", array.array)


def check_array(path, name, wanted):
    read(path)
    found = scipy.io.loadmat(path)[name]
    down = wanted.reshape(-1, 1) if wanted.ndim == 1 else wanted.T
    mounted.expect(found.shape == down.shape, path, f"shape {found.shape}, not {down.shape}")
    in_octave = octave.ask(path)["whole"]
    if wanted.dtype == np.float16:
        for numbers in [found.ravel("F").astype("float32"), in_octave.ravel()]:
            same_numbers(path, numbers, wanted)
        return
    if wanted.dtype == bool:
        found = found.astype(bool)
    same_array(path, found.astype(found.dtype.newbyteorder("=")), down)
    same_array(f"{path} (Octave)", in_octave, np.ascontiguousarray(down.T))


def check_sparse(folder, array, names):
    if array.shape[0] * array.shape[1] < 1e6:
        check_array(f"{folder}/dense.mat", "dense", array.dense())
    check_array(f"{folder}/indices.mat", "indices", array.indices)
    rising = array.rising()
    if rising.data.dtype in ["int64", "uint64"] and not in_r(rising.data)[2]:
        return
    path = f"{folder}/matrix.mat"
    read(path)
    found = scipy.io.loadmat(path)["matrix"]
    mounted.expect(found.format == "csc" and found.shape == array.shape[::-1], path, repr(found))
    for part, wanted in [(found.indices, rising.indices), (found.indptr, rising.indptr)]:
        same_array(path, part.astype("int64"), wanted.astype("int64"))
    same_numbers(path, found.data.astype("float64"), rising.data)
    if array.shape[0] * array.shape[1] < MOST_LOOKED_UP:
        for way, numbers in octave.ask(path).items():
            mounted.expect(numbers.shape == array.shape, path, f"has the shape {numbers.shape} in Octave")
            # A zero that is stored keeps its sign or not.
            same_numbers(f"{path} (Octave, {way})", numbers.ravel() + 0.0, rising.dense().astype("float64") + 0.0)
