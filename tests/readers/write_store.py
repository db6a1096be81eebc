"""Writes a store the way the original package does, with every kind of array: write_store.py DIR."""

import os
import sys

import numpy as np
import scipy.sparse
import yaml

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES = ["bool", *INTEGERS, *FLOATS]

# A name may have 255 bytes, of which the longest suffix takes 8.
NAMES = [
    "two words", " outer ", "cell,gene#UMIs", "50%25", "line\nbreak", "tab\tand\x01bell", "-dash", "--help", ".dot", "..dots",
    "a.b.c", "x.array", "y.yaml", "z.npy", "1:2", "::2", "-1", "000", "rows", "meta.yaml", "größe", "数组", "e\u0301", "🦀",
    "'single' \"double\"", "back\\slash", "$HOME `id` *?[a]", "~", "@array", "n" * 247, "é" * 100, "\udcff\udcfe", "half\udcc3",
]  # fmt: skip

chance = np.random.default_rng(1)


def write_yaml(path, **keys):
    with open(path + ".yaml", "w") as file:
        yaml.dump({"version": [1, 0], **keys}, file)


def write_dense(path, array):
    write_yaml(path, dtype=str(array.dtype), shape=list(array.shape))
    array.tofile(path + ".array")


def write_sparse(path, shape, data, indices, indptr):
    dtypes = {"data_dtype": str(data.dtype), "indices_dtype": str(indices.dtype), "indptr_dtype": str(indptr.dtype)}
    write_yaml(path, **dtypes, shape=list(shape), nnz=len(data))
    data.tofile(path + ".data")
    indices.tofile(path + ".indices")
    indptr.tofile(path + ".indptr")


def random_bits(dtype, count):
    """Elements of any bits: NaN of all payloads, infinities, -0.0 and denormals among them."""
    dtype = np.dtype(dtype)
    array = np.frombuffer(chance.bytes(count * dtype.itemsize), f"u{dtype.itemsize}").copy()
    if dtype == bool:
        array &= 1
    array = array.view(dtype)
    if dtype.kind == "f":
        tiny = np.finfo(dtype).smallest_subnormal
        special = np.array([-0.0, np.inf, -np.inf, np.nan, -np.nan, tiny, -tiny, np.finfo(dtype).max, 0.1, 1.0, 0.0], dtype)
        places = chance.permutation(count)[: len(special)]
        array[places] = special[: len(places)]
    return array


def write_all_dtypes(folder):
    """Vectors, matrices, one row, one column, one element."""
    for dtype in DTYPES:
        for shape in [(1,), (37,), (23, 17), (1, 19), (19, 1), (1, 1)]:
            name = f"{dtype} {'x'.join(map(str, shape))}"
            write_dense(f"{folder}/{name}", random_bits(dtype, int(np.prod(shape))).reshape(shape))


def random_rows(shape, share, last_columns_empty=True):
    """indptr and unsorted indices with no repeats; every fourth row and the last columns are empty."""
    columns = max(1, shape[1] - 2 * last_columns_empty)
    rows = []
    for row in range(shape[0]):
        count = 0 if row % 4 == 1 else min(columns, round(columns * share * chance.random() * 2))
        rows.append(chance.permutation(columns)[:count])
    return np.cumsum([0] + [len(row) for row in rows]), np.concatenate(rows).astype(np.int64)


def write_all_sparse_dtypes(folder):
    for dtype in DTYPES:
        indptr, indices = random_rows((13, 11), 0.4)
        write_sparse(f"{folder}/data {dtype}", (13, 11), random_bits(dtype, len(indices)), indices.astype("int32"), indptr.astype("int64"))
    for index in INTEGERS:
        for pointer in INTEGERS:
            indptr, indices = random_rows((9, 7), 0.5)
            data = random_bits(chance.choice(DTYPES), len(indices))
            write_sparse(f"{folder}/{index} {pointer}", (9, 7), data, indices.astype(index), indptr.astype(pointer))


def write_repeated_indices(folder):
    """An element may be stored more than once, in any order: their sum counts."""
    for dtype in DTYPES:
        indptr = np.cumsum([0, *chance.integers(0, 30, 10)])
        indices = chance.integers(0, 6, indptr[-1])
        data = chance.integers(0, 2, indptr[-1]) if dtype == "bool" else random_bits(dtype, indptr[-1])
        if dtype in FLOATS:
            # A NaN of which the sum has the payload is the processor's affair.
            data = np.where(np.isfinite(data) & (data != 0), data, 0.3)
        write_sparse(f"{folder}/repeated {dtype}", (10, 6), data.astype(dtype), indices.astype("uint16"), indptr.astype("int32"))


def write_odd_sparse(folder):
    """No elements; one row, one column; full; what SciPy itself makes; an index type's last column."""
    none, one = np.array([], "float32"), np.array([7.5], "float32")
    for shape in [(1, 1), (5, 8), (1, 8), (8, 1)]:
        write_sparse(f"{folder}/empty {shape}", shape, none, none.astype("int32"), np.zeros(shape[0] + 1, "int32"))
        write_sparse(f"{folder}/last {shape}", shape, one, np.array([shape[1] - 1], "int32"), np.array([0] * shape[0] + [1], "int64"))
    full = scipy.sparse.csr_matrix(random_bits("float64", 42).reshape(6, 7))
    random = scipy.sparse.random(40, 30, 0.2, "csr", dtype="float32", random_state=np.random.RandomState(3))
    for name, matrix in {"full": full, "random": random}.items():
        write_sparse(f"{folder}/{name}", matrix.shape, matrix.data, matrix.indices, matrix.indptr)
    for index, last in [("int8", 127), ("uint8", 255), ("int16", 32767), ("uint16", 65535)]:
        indices = np.array([last, 0, last, last - 1], index)
        write_sparse(f"{folder}/widest {index}", (3, last + 1), random_bits("int64", 4), indices, np.array([0, 2, 2, 4], "uint8"))


def write_large(folder):
    """More than one request, one page, one batch of rows."""
    write_dense(f"{folder}/wide", random_bits("float32", 70 * 40_000).reshape(70, 40_000))
    write_dense(f"{folder}/tall", random_bits("int16", 300_001 * 3).reshape(300_001, 3))
    write_dense(f"{folder}/odd rows", random_bits("uint8", 2001 * 4097).reshape(2001, 4097))
    write_dense(f"{folder}/vector", random_bits("float64", 1_000_003))
    for name, shape, share in [("sparse tall", (20_011, 40), 0.2), ("sparse wide", (60, 50_000), 0.03)]:
        indptr, indices = random_rows(shape, share)
        write_sparse(f"{folder}/{name}", shape, random_bits("float64", len(indices)), indices.astype("int32"), indptr.astype("int64"))


def write_names(folder):
    """Awkward names, of arrays of both kinds and of other files, some levels deep."""
    for i, name in enumerate(NAMES):
        array = random_bits("int32", 12).reshape(4, 3)
        if i % 2:
            write_dense(f"{folder}/{name}", array)
        else:
            write_sparse(f"{folder}/{name}", (3, 4), array[:, 0], np.array([3, 0, 0, 1]), np.array([0, 2, 2, 4]))
        with open(f"{folder}/{name[:100]}.txt", "wb") as file:
            file.write(chance.bytes(i * 500))


def write_clashes(folder):
    """Directories and files that have the name of an array, and the name that it gets then."""
    clashes = {"directory": ["directory"], "twice": ["twice", "twice@array"], "file": [], "deep@array": ["deep"]}
    for array, directories in clashes.items():
        write_dense(f"{folder}/{array}", random_bits("uint8", 5))
        for directory in directories:
            os.mkdir(f"{folder}/{directory}")
            write_dense(f"{folder}/{directory}/inner", random_bits("uint8", 5))
    write_dense(f"{folder}/deep", random_bits("uint8", 6))
    with open(f"{folder}/file", "w") as file:
        file.write("just a file\n")


def write_other_files(folder):
    """YAML and data that are no array's, and an empty file."""
    for name, text in {"__daf__.yaml": "version: [1, 0]\n", "created.yaml": "- a list\n", "lone.array": "0123", "empty": ""}.items():
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
        os.utime(f"{folder}/{name}", ns=(10**18 + 1, 123_456_789_987_654_321))


def main(store):
    subjects = [write_all_dtypes, write_all_sparse_dtypes, write_repeated_indices, write_odd_sparse, write_large, write_names, write_clashes, write_other_files]
    for subject in subjects:
        folder = f"{store}/{subject.__name__.removeprefix('write_')}/nested folder"
        os.makedirs(folder)
        subject(folder)
    write_other_files(store)
    write_dense(f"{store}/at the root", random_bits("float32", 6).reshape(2, 3))
    os.makedirs(f"{store}/nothing here")


if __name__ == "__main__":
    main(sys.argv[1])
