"""A store as NumPy and PyYAML read it from the disk: what the mount must agree with.

Names are str with surrogate escapes, so that any bytes can be a name.
"""

import os
from dataclasses import dataclass

import numpy as np
import yaml

PARTS = {"dense": ["array"], "sparse": ["data", "indices", "indptr"]}


@dataclass
class Dense:
    array: np.ndarray
    kind = "dense"

    @property
    def shape(self):
        return self.array.shape

    def dtypes(self):
        """Dtypes under the keys that metadata has for them."""
        return {"dtype": str(self.array.dtype)}

    def rows(self, selection):
        return Dense(self.array[selection])


@dataclass
class Sparse:
    shape: tuple
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    kind = "sparse"

    def dtypes(self):
        return {f"{part}_dtype": str(getattr(self, part).dtype) for part in PARTS["sparse"]}

    def row(self, i):
        """Where the elements of row i are."""
        return slice(int(self.indptr[i]), int(self.indptr[i + 1]))

    def rows(self, selection):
        """These rows, indptr counted from 0 in the dtype that it has."""
        chosen = range(self.shape[0])[selection]
        runs = [self.row(i) for i in chosen]
        indptr = np.cumsum([0] + [run.stop - run.start for run in runs]).astype(self.indptr.dtype)
        data = np.concatenate([self.data[run] for run in runs])
        indices = np.concatenate([self.indices[run] for run in runs])
        return Sparse((len(chosen), self.shape[1]), data, indices, indptr)

    def places(self):
        """Where each stored element is among all of the matrix."""
        counts = np.diff(self.indptr.astype(np.int64))
        return np.repeat(np.arange(self.shape[0]), counts) * self.shape[1] + self.indices.astype(np.int64)

    def summed(self):
        """The places where an element is stored, in order, and what is there. SciPy knows no float16 and makes 0.0
        of -0.0, so it is done here: the first element of a place keeps its bits, those that repeat it are added
        in their order."""
        places = self.places()
        known, first = np.unique(places, return_index=True)
        again = np.setdiff1d(np.arange(len(places)), first)
        data = self.data[first]
        add = np.logical_or if self.data.dtype == bool else np.add
        add.at(data, np.searchsorted(known, places[again]), self.data[again])
        return known, data

    def dense(self):
        """The matrix with its zeros."""
        places, data = self.summed()
        flat = np.zeros(self.shape[0] * self.shape[1], self.data.dtype)
        flat[places] = data
        return flat.reshape(self.shape)

    def rising(self):
        """The same matrix, of each row the columns in order and each once."""
        places, data = self.summed()
        rows, columns = np.divmod(places, self.shape[1])
        indptr = np.searchsorted(rows, np.arange(self.shape[0] + 1))
        return Sparse(self.shape, data, columns.astype(self.indices.dtype), indptr)


def load(path):
    """The array at this path without a suffix; None if that YAML is no array's."""
    with open(path + ".yaml", "rb") as file:
        meta = yaml.safe_load(file)
    if not isinstance(meta, dict):
        return None
    if "dtype" in meta:
        return Dense(np.fromfile(path + ".array", meta["dtype"]).reshape(meta["shape"]))
    if "data_dtype" in meta:
        parts = [np.fromfile(f"{path}.{part}", meta[f"{part}_dtype"]) for part in PARTS["sparse"]]
        assert len(parts[0]) == len(parts[1]) == meta["nnz"]
        return Sparse(tuple(meta["shape"]), *parts)
    return None


@dataclass
class Folder:
    """A directory of the store: its path there, its arrays by their paths, and the names of the rest."""

    path: str
    arrays: dict
    files: list
    folders: list

    def mounted_name(self, array):
        """The name of an array's folder: it gives way to what has the name in the store."""
        name = os.path.basename(array)
        taken = {*self.files, *self.folders, *(os.path.basename(other) for other in self.arrays if other != array)}
        while name in taken:
            name += "@array"
        return name


def folders(store):
    """All directories of a store."""
    for path, below, files in os.walk(store):
        stems = [os.path.join(path, name[: -len(".yaml")]) for name in files if name.endswith(".yaml")]
        arrays = {stem: array for stem in stems if (array := load(stem)) is not None}
        parts = {f"{os.path.basename(stem)}.{part}" for stem in arrays for part in ["yaml", *PARTS[arrays[stem].kind]]}
        yield Folder(path, arrays, [name for name in files if name not in parts], below)
