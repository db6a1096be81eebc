"""`.npz` through NumPy, SciPy and Python's zipfile, which holds every checksum against the bytes."""

import zipfile

import numpy as np
import scipy.sparse
from mounted import expect, read, same_array


def check_archive(path):
    """Members are intact, stored as they are, and aligned."""
    size = len(read(path))
    with zipfile.ZipFile(path) as archive:
        expect(archive.testzip() is None, path, f"{archive.testzip()} is broken")
        for info in archive.infolist():
            expect(info.compress_type == zipfile.ZIP_STORED, path, f"{info.filename} is compressed")
            with open(path, "rb") as file:
                file.seek(info.header_offset + 26)
                lengths = np.fromfile(file, "<u2", 2)
            start = info.header_offset + 30 + int(lengths.sum())
            expect(start % 64 == 0, path, f"{info.filename} starts at {start} of {size}")


def widened(data):
    """float16 as float32; what is no number keeps its bits, which NumPy's astype does on some machines."""
    wide = data.astype(np.float32)
    bits = data.view(np.uint16).astype(np.uint32)
    nan = np.isnan(data)
    wide.view(np.uint32)[nan] = ((bits & 0x8000) << 16 | 0x7F800000 | (bits & 0x3FF) << 13)[nan]
    return wide


def check_dense(folder, array, names):
    path = f"{folder}/array.npz"
    check_archive(path)
    with np.load(path) as archive:
        expect(archive.files == ["array"], path, archive.files)
        same_array(path, archive["array"], array.array)


def check_sparse(folder, matrix, names):
    path = f"{folder}/matrix.npz"
    check_archive(path)
    data = widened(matrix.data) if matrix.data.dtype == np.float16 else matrix.data
    with np.load(path) as archive:
        expect(set(archive.files) == {"indices", "indptr", "format", "shape", "data"}, path, archive.files)
        same_array(path, archive["indices"], matrix.indices)
        same_array(path, archive["indptr"], matrix.indptr)
        same_array(path, archive["data"], data)
    loaded = scipy.sparse.load_npz(path)
    expect(loaded.format == "csr" and loaded.shape == matrix.shape, path, f"{loaded!r}")
    # SciPy chooses the types of what counts itself.
    same_array(path, loaded.data, data)
    same_array(path, loaded.indices, matrix.indices.astype(loaded.indices.dtype))
    same_array(path, loaded.indptr, matrix.indptr.astype(loaded.indptr.dtype))
    dense = f"{folder}/dense.npz"
    check_archive(dense)
    with np.load(dense) as archive:
        same_array(dense, archive["dense"], matrix.dense())
