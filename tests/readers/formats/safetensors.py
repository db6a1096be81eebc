"""`.safetensors` through the library that defines it: the whole file, and a tensor at a time."""

import json

import numpy as np
from mounted import expect, read, same_array

from safetensors import safe_open
from safetensors.numpy import load, load_file


def check_tensors(path, wanted, about):
    same_tensors(path, load(read(path)), wanted)
    same_tensors(path, load_file(path), wanted)
    with safe_open(path, framework="numpy") as file:
        expect(file.metadata() == about, path, file.metadata())
        same_tensors(path, {name: file.get_tensor(name) for name in file.keys()}, wanted)


def same_tensors(path, found, wanted):
    expect(found.keys() == wanted.keys(), path, found.keys())
    for name, array in wanted.items():
        same_array(path, found[name], array)


def check_dense(folder, array, names):
    path = f"{folder}/array.safetensors"
    check_tensors(path, {"array": array.array}, None)
    with safe_open(path, framework="numpy") as file:
        same_array(path, np.asarray(file.get_slice("array")[:1]), array.array[:1])


def check_sparse(folder, matrix, names):
    tensors = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    about = {"layout": "csr", "shape": json.dumps(list(matrix.shape), separators=(",", ":"))}
    check_tensors(f"{folder}/matrix.safetensors", tensors, about)
    check_tensors(f"{folder}/dense.safetensors", {"dense": matrix.dense()}, None)
