"""Opens arrays and AnnData's groups by zarr-python 2: see foreign.py."""

import json
import os
import sys

import anndata
import numpy as np
import zarr


def arrays(path):
    # As a store: `::`, of a slice, has a meaning in paths.
    store = zarr.DirectoryStore(path)
    found = zarr.open(store, mode="r")
    if isinstance(found, zarr.Array):
        return {"array": found[...]}
    cells = anndata.read_zarr(store)
    names = {"obs": cells.obs_names, "var": cells.var_names}
    names = {axis: np.frombuffer("\n".join(found).encode(), "u1") for axis, found in names.items()}
    csr = {part: getattr(cells.X, part) for part in ["data", "indices", "indptr"]}
    return {**csr, **names, "dense": cells.X.toarray()}


def main():
    for path in sys.stdin:
        folder = sys.stdin.readline().rstrip("\n")
        try:
            said = {}
            for name, array in arrays(path.rstrip("\n")).items():
                np.ascontiguousarray(array).tofile(os.path.join(folder, name))
                said[name] = [array.dtype.str, array.shape]
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


main()
