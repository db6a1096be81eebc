"""`.zarr/` through zarr, dask, xarray and AnnData."""

import anndata
import dask.array
import mounted
import numpy as np
import scipy.sparse
import xarray
import zarr
from mounted import read, same_array
from zarr.storage import LocalStore

# Paths are given as stores: fsspec takes the `::` of a slice for a chain of protocols.


def check_dense(folder, array, names):
    check_array(f"{folder}/array", array.array, names)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense", array.dense(), names)
    for part in ["data", "indices", "indptr"]:
        path = f"{folder}/{part}.zarr"
        same_array(path, zarr.open_array(LocalStore(path), mode="r")[...], getattr(array, part))
    check_anndata(f"{folder}/matrix.zarr", array, names)


def check_array(path, wanted, names):
    read(f"{path}.zarr/zarr.json")
    read(f"{path}.zarr/c/0/0" if wanted.ndim == 2 else f"{path}.zarr/c/0")
    found = zarr.open(LocalStore(f"{path}.zarr"), mode="r")
    same_array(f"{path}.zarr", found[...], wanted)
    same_array(f"{path}.zarr (last)", found[-1:], wanted[-1:])
    if "/slices/" in path and not any(names):
        return
    same_array(f"{path}.zarr (dask)", dask.array.from_zarr(found).compute(), wanted)
    check_dataset(f"{path}.dataset.zarr", path.rsplit("/")[-1], wanted, names)


def check_dataset(path, name, wanted, names):
    with xarray.open_zarr(LocalStore(path)) as dataset:
        same_array(path, dataset[name].values, wanted)
        for axis, known in zip(dataset[name].dims, names):
            found = list(dataset[axis].values) if axis in dataset.coords else None
            mounted.expect(found == known, path, f"coordinates of {axis} are {str(found)[:50]}, not {str(known)[:50]}")


def check_anndata(path, array, names):
    group = zarr.open_group(LocalStore(path), mode="r")
    for part in ["data", "indices", "indptr"]:
        same_array(f"{path}/X/{part}", group[f"X/{part}"][...], getattr(array, part))
    for axis, known, index in zip(["obs", "var"], names, [group["obs/_index"], group["var/_index"]]):
        found = list(index[...])
        mounted.expect(known is None or found == known, path, f"{axis} names are {found[:3]}")
        mounted.expect(len(set(found)) == len(found), path, f"{axis} names repeat")
    if array.data.dtype == np.float16:
        return  # SciPy has no such matrices.
    whole = anndata.read_zarr(group)
    mounted.expect(whole.shape == array.shape, path, f"shape {whole.shape}")
    mounted.expect(scipy.sparse.isspmatrix_csr(whole.X), path, f"is a {type(whole.X)}")
    same_array(f"{path} X", whole.X.data, array.data)
    same_array(f"{path} X", whole.X.indices.astype("int64"), array.indices.astype("int64"))
    lazy = anndata.io.sparse_dataset(group["X"])
    same_array(f"{path} lazy", lazy[:1].data, array.data[: int(array.indptr[1])])
