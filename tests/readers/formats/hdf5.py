"""`.h5` through h5py, `.h5ad` through AnnData, in memory and backed by the file, 10x's through scanpy."""

from dataclasses import replace

import anndata
import h5py
import numpy as np
import scanpy
from mounted import chance, expect, read, same_array, same_bytes


def check_dense(folder, array, names):
    read(f"{folder}/array.h5")
    with h5py.File(f"{folder}/array.h5") as file:
        expect(file["array"].dtype == array.array.dtype, folder, f"array.h5 has {file['array'].dtype}")
        same_array(f"{folder}/array.h5", file["array"][()], array.array)
        check_last_row(f"{folder}/array.h5", file["array"], array.array)
        check_names(f"{folder}/array.h5", file, names)
    if len(array.shape) == 2:
        check_h5ad(f"{folder}/array.h5ad", array.array, names)


def check_sparse(folder, array, names):
    read(f"{folder}/matrix.h5")
    with h5py.File(f"{folder}/matrix.h5") as file:
        check_names(f"{folder}/matrix.h5", file, names)
        check_csr(f"{folder}/matrix.h5", anndata.io.read_elem(file["matrix"]), array)
        for part in ["data", "indices", "indptr"]:
            same_numbers(f"{folder}/matrix.h5 {part}", file["matrix"][part][()], getattr(array, part))
    path = f"{folder}/matrix.h5ad"
    read(path)
    adata = anndata.read_h5ad(path)
    check_axes(path, adata, array.shape, names)
    check_csr(path, adata.X, array)
    if chance.random() < 0.3:
        check_backed_sparse(path, array, names)
    if chance.random() < 0.3 or any(known and not "".join(known).isascii() for known in names):
        check_10x(f"{folder}/10x.h5", array, names)
    with h5py.File(f"{folder}/dense.h5") as file:
        same_array(f"{folder}/dense.h5", file["array"][()], array.dense())


def check_10x(path, array, names):
    """Scanpy makes float32 of int32."""
    read(path)
    adata = scanpy.read_10x_h5(path)
    check_axes(path, adata, array.shape, names)
    data = array.data.astype("float32") if array.data.dtype == "int32" else array.data
    check_csr(path, adata.X, replace(array, data=data))
    expect(adata.var["gene_ids"].tolist() == adata.var_names.tolist(), path, "ids are others")


def check_h5ad(path, wanted, names):
    read(path)
    adata = anndata.read_h5ad(path)
    check_axes(path, adata, wanted.shape, names)
    same_array(path, adata.X, wanted)
    if chance.random() < 0.3:
        backed = anndata.read_h5ad(path, backed="r")
        check_axes(path, backed, wanted.shape, names)
        start, stop = some_rows(len(wanted))
        same_array(f"{path} backed", np.asarray(backed[start:stop].X), wanted[start:stop])
        same_array(f"{path} backed", backed[[stop - 1]].to_memory().X, wanted[[stop - 1]])
        backed.file.close()


def check_backed_sparse(path, array, names):
    """Some rows are those of the file, and go into sums."""
    backed = anndata.read_h5ad(path, backed="r")
    check_axes(path, backed, array.shape, names)
    start, stop = some_rows(array.shape[0])
    check_csr(f"{path} backed", backed[start:stop].to_memory().X, array.rows(slice(start, stop)))
    check_csr(f"{path} backed", backed.X[stop - 1 : stop], array.rows(slice(stop - 1, stop)))
    backed.file.close()


def some_rows(count):
    start = chance.randrange(count)
    return start, chance.randint(start + 1, count)


def check_last_row(path, dataset, wanted):
    same_bytes(path, dataset[-1].tobytes(), wanted[-1].tobytes())


def check_csr(path, found, array):
    """What SciPy has is the matrix of the store, and SciPy can work with it."""
    expect(found.format == "csr" and found.shape == array.shape, path, f"is {found!r}")
    for part in ["data", "indices", "indptr"]:
        same_numbers(f"{path} {part}", getattr(found, part), getattr(array, part))
    expect(found.indices.dtype in ("int32", "int64"), path, f"indices are {found.indices.dtype}")
    expect(found.indices.dtype == found.indptr.dtype, path, "indices and indptr differ in type")
    product = found.astype(bool) @ np.ones(array.shape[1], int)
    expect(product.shape == (array.shape[0],), path, "no product")


def same_numbers(path, found, wanted):
    """In types that SciPy has: float16 as float32, what counts as int32 or int64."""
    if wanted.dtype == "float16":
        wanted = wanted.astype("float32")
    if not path.endswith("data"):
        wanted = wanted.astype(found.dtype)
    same_array(path, found, wanted)


def check_names(path, file, names):
    for key, wanted in zip(["row_names", "column_names"], names):
        expect((key in file) == bool(wanted), path, f"{key} is there: {key in file}")
        if wanted and key in file:
            expect(file[key].asstr()[()].tolist() == wanted, path, f"{key} are others")


def check_axes(path, adata, shape, names):
    """Names are text; rows and columns of none are numbers (those of a slice as in the whole array)."""
    expect(adata.shape == shape, path, f"shape {adata.shape}, not {shape}")
    for axis, found, wanted in zip("obs var".split(), [adata.obs_names, adata.var_names], names):
        expect(all(type(name) is str for name in found), path, f"{axis} names are no text")
        if wanted:
            expect(found.tolist() == wanted, path, f"{axis} names are others")
        else:
            expect(all(name.isascii() and name.isdigit() for name in found), path, f"{axis} names are no numbers")
            expect(found.is_unique, path, f"{axis} names repeat")
