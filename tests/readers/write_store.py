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
]

chance = np.random.default_rng(1)


def write_yaml(path, **keys):
    with open(path + ".yaml", "w") as file:
        yaml.dump({"version": [1, 0], **keys}, file)


def write_dense(path, array):
    write_yaml(path, dtype=str(array.dtype), shape=list(array.shape))
    array.tofile(path + ".array")


def write_sparse(path, shape, data, indices, indptr):
    parts = {"data": data, "indices": indices, "indptr": indptr}
    dtypes = {f"{name}_dtype": str(part.dtype) for name, part in parts.items()}
    write_yaml(path, **dtypes, shape=list(shape), nnz=len(data))
    for name, part in parts.items():
        part.tofile(f"{path}.{name}")


def random_bits(dtype, count):
    """Elements of any bits: NaN of all payloads, infinities, -0.0 and denormals among them."""
    dtype = np.dtype(dtype)
    array = np.frombuffer(chance.bytes(count * dtype.itemsize), f"u{dtype.itemsize}").copy()
    if dtype == bool:
        array &= 1
    array = array.view(dtype)
    if dtype.kind == "f":
        tiny = np.finfo(dtype).smallest_subnormal
        special = np.array([-0.0, np.inf, -np.inf, np.nan, tiny, -tiny, np.finfo(dtype).max, 0.1, 1.0, 0.0], dtype)
        places = chance.permutation(count)[: len(special)]
        array[places] = special[: len(places)]
    return array


def write_all_dtypes(folder):
    """Vectors, matrices, one row, one column, one element."""
    for dtype in DTYPES:
        for shape in [(1,), (37,), (23, 17), (1, 19), (19, 1), (1, 1)]:
            name = f"{dtype} {'x'.join(map(str, shape))}"
            write_dense(f"{folder}/{name}", random_bits(dtype, int(np.prod(shape))).reshape(shape))


def write_random_sparse(path, shape, share, dtypes):
    """Unsorted indices with no repeats; every fourth row and the last two columns are empty."""
    columns = shape[1] - 2
    rows = []
    for row in range(shape[0]):
        count = 0 if row % 4 == 1 else min(columns, round(columns * share * chance.random() * 2))
        rows.append(chance.permutation(columns)[:count])
    indices, indptr = np.concatenate(rows), np.cumsum([0] + [len(row) for row in rows])
    data = random_bits(dtypes[0], len(indices))
    write_sparse(path, shape, data, indices.astype(dtypes[1]), indptr.astype(dtypes[2]))


def write_all_sparse_dtypes(folder):
    for dtype in DTYPES:
        write_random_sparse(f"{folder}/data {dtype}", (13, 11), 0.4, [dtype, "int32", "int64"])
    for index in INTEGERS:
        for pointer in INTEGERS:
            write_random_sparse(f"{folder}/{index} {pointer}", (9, 7), 0.5, [chance.choice(DTYPES), index, pointer])


def write_repeated_indices(folder):
    """An element may be stored more than once, in any order: their sum counts."""
    for dtype in DTYPES:
        indptr = np.cumsum([0, *chance.integers(0, 30, 10)])
        indices = chance.integers(0, 6, indptr[-1])
        data = random_bits(dtype, indptr[-1])
        if dtype in FLOATS:
            # A NaN of which the sum has the payload is the processor's affair.
            data = np.where(np.isfinite(data) & (data != 0), data, 0.3)
        parts = [data.astype(dtype), indices.astype("uint16"), indptr.astype("int32")]
        write_sparse(f"{folder}/repeated {dtype}", (10, 6), *parts)


def write_odd_sparse(folder):
    """No elements; one row, one column; full; what SciPy itself makes; an index type's last column."""
    none, one = np.array([], "float32"), np.array([7.5], "float32")
    for shape in [(1, 1), (5, 8), (1, 8), (8, 1)]:
        zeros = np.zeros(shape[0], "int64")
        write_sparse(f"{folder}/empty {shape}", shape, none, none.astype("int32"), np.append(zeros, 0))
        write_sparse(f"{folder}/last {shape}", shape, one, np.array([shape[1] - 1]), np.append(zeros, 1))
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
    write_random_sparse(f"{folder}/sparse tall", (20_011, 40), 0.2, ["float64", "int32", "int64"])
    write_random_sparse(f"{folder}/sparse wide", (60, 50_000), 0.03, ["float32", "uint16", "int32"])


def write_chunks(folder):
    """More than one chunk of a few MiB, and rows that are longer than that."""
    write_dense(f"{folder}/vector", random_bits("int32", 2_500_001))
    write_dense(f"{folder}/matrix", random_bits("float32", 4099 * 1031).reshape(4099, 1031))
    write_dense(f"{folder}/long rows", random_bits("uint8", 2 * 8_500_001).reshape(2, 8_500_001))
    write_random_sparse(f"{folder}/sparse", (20_011, 130), 0.9, ["float64", "uint8", "int64"])


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
    files = {"__daf__.yaml": "version: [1, 0]\n", "created.yaml": "- a list\n", "lone.array": "0123", "empty": ""}
    for name, text in files.items():
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
        os.utime(f"{folder}/{name}", ns=(10**18 + 1, 123_456_789_987_654_321))


SUBJECTS = [
    write_all_dtypes,
    write_all_sparse_dtypes,
    write_repeated_indices,
    write_odd_sparse,
    write_large,
    write_chunks,
    write_names,
    write_clashes,
    write_other_files,
]


def main(store):
    for subject in SUBJECTS:
        folder = f"{store}/{subject.__name__.removeprefix('write_')}/nested folder"
        os.makedirs(folder)
        subject(folder)
    write_other_files(store)
    write_dense(f"{store}/at the root", random_bits("float32", 6).reshape(2, 3))
    os.makedirs(f"{store}/nothing here")


if __name__ == "__main__":
    main(sys.argv[1])
