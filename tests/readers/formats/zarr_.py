"""`.zarr/` and `.v2.zarr/` through zarr, of both its versions, dask, xarray, AnnData, of three of its versions,
TensorStore, zarrita and GDAL."""

import os

import anndata
import dask.array
import foreign
import mounted
import numpy as np
import rasterio
import scipy.sparse
import tensorstore
import xarray
import zarr
from mounted import chance, expect, read, same_array, same_bytes
from zarr.storage import LocalStore

# Paths are given as stores: fsspec takes the `::` of a slice for a chain of protocols.

zarr2 = foreign.old_python("zarr2.py")
old_anndata = foreign.old_python("zarr2.py", PYTHONPATH=f"{foreign.OLD}/older")
zarrita = foreign.node("zarrita.mjs")

# GDAL before has no `bytes` codec, which every array of version 3 needs.
GDAL_READS_V3 = tuple(map(int, rasterio.__gdal_version__.split(".")[:2])) >= (3, 12)
FORMATS = {"zarr": 3, "v2.zarr": 2}


def check_dense(folder, array, names):
    check_array(f"{folder}/array", array.array, names)


def check_sparse(folder, array, names):
    check_array(f"{folder}/dense", array.dense(), names)
    for part in ["data", "indices", "indptr"]:
        for suffix in FORMATS:
            path = f"{folder}/{part}.{suffix}"
            same_array(path, zarr.open_array(LocalStore(path), mode="r")[...], getattr(array, part))
    for suffix in FORMATS:
        check_anndata(f"{folder}/matrix.{suffix}", array, names)


def check_array(path, wanted, names):
    for suffix, version in FORMATS.items():
        check_chunks(f"{path}.{suffix}", version, wanted)
        check_readers(f"{path}.{suffix}", version, wanted)
    if "/slices/" in path and not any(names):
        return
    found = zarr.open(LocalStore(f"{path}.zarr"), mode="r")
    same_array(f"{path}.zarr (dask)", dask.array.from_zarr(found).compute(), wanted)
    check_dataset(f"{path}.xarray.zarr", path.rsplit("/")[-1], wanted, names)


def check_chunks(path, version, wanted):
    """What a listing shows: metadata, and chunks of one length that have the elements one after the other."""
    metadata = {"zarr.json"} if version == 3 else {".zarray", ".zattrs"}
    folder = f"{path}/c" if version == 3 else path
    others = set(os.listdir(path)) - metadata
    expect(version == 2 or others == {"c"}, path, f"has {others}")
    end = "" if wanted.ndim == 1 else "/0" if version == 3 else ".0"
    count = len(set(os.listdir(folder)) - metadata)
    chunks = [read(f"{folder}/{i}{end}") for i in range(count)]
    expect(len({len(chunk) for chunk in chunks}) == 1, path, "chunks of many lengths")
    whole = b"".join(chunks)
    same_bytes(path, whole[: wanted.nbytes], wanted.tobytes())
    expect(whole[wanted.nbytes :].strip(b"\0") == b"" and len(whole) - wanted.nbytes < len(chunks[0]), path, "padding")


def check_readers(path, version, wanted):
    found = zarr.open(LocalStore(path), mode="r")
    same_array(path, found[...], wanted)
    same_array(f"{path} (last)", found[-1:], wanted[-1:])
    driver = "zarr3" if version == 3 else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": os.path.abspath(path) + "/"}}
    same_array(f"{path} (tensorstore)", tensorstore.open(spec, read=True).result().read().result(), wanted)
    if version == 2:
        same_array(f"{path} (zarr 2)", zarr2.ask(path)["array"], wanted)
    if wanted.dtype != np.float16:
        same_array(f"{path} (zarrita)", zarrita.ask(path)["array"], wanted)
    if version == 2 or GDAL_READS_V3:
        check_gdal(path, wanted)


def check_gdal(path, wanted):
    """GDAL has images, and no 64-bit integers that this rasterio knows; a vector is a row."""
    known = [*(f"{kind}{bits}" for kind in ["int", "uint"] for bits in [8, 16, 32, 64]), "float32", "float64"]
    if wanted.dtype not in known or '"' in path:
        return
    with rasterio.open(f'ZARR:"{os.path.abspath(path)}"') as image:
        found = image.read(1)
    same_array(f"{path} (GDAL)", found.reshape(wanted.shape), wanted)


def check_dataset(path, name, wanted, names):
    with xarray.open_zarr(LocalStore(path)) as dataset:
        same_array(path, dataset[name].values, wanted)
        for axis, known in zip(dataset[name].dims, names):
            found = list(dataset[axis].values) if axis in dataset.coords else None
            expect(found == known, path, f"coordinates of {axis} are {str(found)[:50]}, not {str(known)[:50]}")


def check_anndata(path, array, names):
    group = zarr.open_group(LocalStore(path), mode="r")
    data = array.data.astype("float32") if array.data.dtype == "float16" else array.data
    parts = {"data": data, "indices": array.indices.astype("int64"), "indptr": array.indptr.astype("int64")}
    kinds = {group[f"X/{part}"].dtype for part in ["indices", "indptr"]}
    expect(len(kinds) == 1 and kinds <= {np.dtype("int32"), np.dtype("int64")}, path, f"indices and indptr are {kinds}")
    known = [names[0], names[1]]
    for axis, wanted, index in zip(["obs", "var"], known, [group["obs/_index"], group["var/_index"]]):
        found = list(index[...])
        expect(wanted is None or found == wanted, path, f"{axis} names are {found[:3]}")
        expect(len(set(found)) == len(found), path, f"{axis} names repeat")
    whole = anndata.read_zarr(group)
    expect(whole.shape == array.shape, path, f"shape {whole.shape}")
    expect(scipy.sparse.isspmatrix_csr(whole.X), path, f"is a {type(whole.X)}")
    found = {part: getattr(whole.X, part) for part in parts}
    same_csr(path, found, parts)
    lazy = anndata.io.sparse_dataset(group["X"])
    same_array(f"{path} lazy", lazy[:1].data, data[: int(array.indptr[1])])
    if path.endswith(".v2.zarr"):
        programs = [("zarr 2", zarr2), ("AnnData 0.8", old_anndata)]
        for name, program in programs if chance.random() < 0.4 else []:
            found = program.ask(path)
            same_csr(f"{path} ({name})", found, parts)
            for axis, wanted in zip(["obs", "var"], known):
                if wanted:
                    expect(found[axis].tobytes().decode() == "\n".join(wanted), path, f"{axis} names are others")


def same_csr(path, found, wanted):
    same_array(path, found["data"], wanted["data"])
    for part in ["indices", "indptr"]:
        same_array(f"{path} {part}", found[part].astype("int64"), wanted[part])
