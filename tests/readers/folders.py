"""The folder of an array, dense or sparse, and the folders of its slices."""

import os

import numpy as np
import scipy.sparse
from mounted import chance, check_csv, check_meta, check_missing, check_names, check_npy, check_numbers, expect
from mounted import read, same_array, same_bytes, some

# Spellings of slices that are tried on each array, of those that slice_spellings knows.
SLICES = 5
# A dense form larger than this is looked at row by row only.
MOST_DENSE = 64 << 20


def check_folder(folder, array):
    check_parts(folder, array, {}, whole=True)
    spellings = slice_spellings(array.shape[0])
    for text, rows in chance.sample(spellings, SLICES):
        check_slice(folder, array, text, rows)
    for text in ["7", "a:b", "0:1:0", "1:0", "::-1", f"{array.shape[0]}:", "0:1:1:1", "+0:1", " 0:1", "0:1 "]:
        check_missing(f"{folder}/slices/{text}")
    check_listed_slices(folder, array)


def check_parts(folder, array, meta, whole):
    """Everything in a folder but its slices."""
    check_meta(f"{folder}/meta.yaml", array, meta)
    (check_dense if array.kind == "dense" else check_sparse)(folder, array, whole)


# ------------------------------------------------------------------------------------------------ slices


def slice_spellings(count):
    """Ways to select rows, as names in slices/ and as Python's slices one after the other."""
    a, b = sorted(chance.choices(range(count + 1), k=2))
    s = chance.randint(1, count + 2)
    plain = [f":{b}", f"{a}:", f"-{b}:", f":-{a}", f"{a}:{b}", f"{a:09}:{b:012}", f"::{s}", f"{a}:{b}:{s}", f"-{b}::{s}"]
    plain += ["0:1", "-1:", ":", "::", f"-{count + 5}:{count + 5}", "::2", "::3", "1::2", "-0:3", "::0002", f"{10**40}:"]
    nested = [f"{a}:", f"{a}:/::2", "::2/::3/-2:", f"::2/{a // 2}:", f":{b}/1:/::2", "1:/:/:-1", f"::{s}/::2"]
    return [(text, [parse_slice(part) for part in text.split("/")]) for text in plain + nested]


def parse_slice(text):
    return slice(*(int(part) if part else None for part in text.split(":")))


def check_slice(folder, array, text, slices):
    path, rows = folder, range(array.shape[0])
    for name, selection in zip(text.split("/"), slices):
        path, rows = f"{path}/slices/{name}", rows[selection]
    if not rows:
        return check_missing(path)
    step = rows.step if len(rows) > 1 else 1
    facts = {"of": array.shape[0], "start": rows.start, "step": step, "count": len(rows)}
    selection = slice(rows.start, rows[-1] + 1, step)
    check_parts(path, array.rows(selection), {"rows": facts} if len(rows) < array.shape[0] else {}, whole=False)


def check_listed_slices(folder, array):
    """slices/ lists a division of the rows; its last piece is looked into."""
    names = sorted(os.listdir(f"{folder}/slices"))
    bounds = [tuple(map(int, name.split(":"))) for name in names]
    starts, stops = zip(*bounds)
    is_division = starts[0] == 0 and stops[-1] == array.shape[0] and starts[1:] == stops[:-1]
    expect(is_division, f"{folder}/slices", f"{names} do not divide {array.shape[0]} rows")
    check_parts(f"{folder}/slices/{names[-1]}", array.rows(slice(*bounds[-1])), {}, whole=False)


# ------------------------------------------------------------------------------------------------ dense


def check_dense(folder, dense, whole):
    array = dense.array
    check_numbers(f"{folder}/array", array)
    if array.ndim == 1:
        for name in ["rows", "cols"]:
            check_missing(f"{folder}/{name}")
        return
    check_lines(f"{folder}/rows", array, whole, with_text=True)
    check_lines(f"{folder}/cols", np.ascontiguousarray(array.T), whole, with_text=False)


def check_lines(path, lines, whole, with_text):
    """A folder of files, each a row (or column) of the array."""
    count = len(lines)
    names = canonical(count)
    if whole:
        check_names(path, names)
    numbers = some(count, whole)
    found = [check_numbers(f"{path}/{names[i]}", lines[i]) for i in numbers]
    if len(numbers) == count:
        same_bytes(f"{path}/*", b"".join(found), lines.tobytes())
    if with_text:
        for i in numbers:
            check_csv(f"{path}/{names[i]}.csv", lines[i])
    check_spellings(count, path, lambda file, i: same_bytes(file, read(file), lines[i].tobytes()))


def canonical(count):
    """Names of so many rows: zero-padded to the width of the last."""
    return [str(i).zfill(len(str(count - 1))) for i in range(count)]


def check_spellings(count, path, check):
    """Rows have other names, as in Python; and what is out of range is not there."""
    i = chance.randrange(count)
    for name in {str(i), str(i - count), f"{i:015}", f"-{count - i:05}"}:
        check(f"{path}/{name}", i)
    for name in [str(count), str(-count - 1), f"{i}x", f"+{i}", "9" * 30, f"{i}.nosuch"]:
        check_missing(f"{path}/{name}")


# ------------------------------------------------------------------------------------------------ sparse


def check_sparse(folder, matrix, whole):
    parts = [matrix.data, matrix.indices, matrix.indptr]
    found = [check_numbers(f"{folder}/{name}", part) for name, part in zip(["data", "indices", "indptr"], parts)]
    if matrix.shape[0] * matrix.shape[1] * matrix.data.itemsize <= MOST_DENSE:
        dense = matrix.dense()
        check_numbers(f"{folder}/dense", dense)
        check_scipy(folder, matrix, found, dense)
    names = canonical(matrix.shape[0])
    if whole:
        check_names(f"{folder}/rows", names)
    for i in some(matrix.shape[0], whole):
        check_sparse_row(f"{folder}/rows/{names[i]}", matrix, i)
    check_spellings(matrix.shape[0], f"{folder}/rows", lambda row, i: check_stored(row, matrix, i))
    check_missing(f"{folder}/cols")


def check_sparse_row(path, matrix, i):
    """The folder of a row, and its dense form, which has the row's own name and a format."""
    check_stored(path, matrix, i)
    row = matrix.rows(slice(i, i + 1)).dense()[0]
    check_numbers(f"{path}/dense", row)
    check_csv(f"{path}/dense.csv", row)
    check_npy(f"{path}.npy", row)
    check_csv(f"{path}.csv", row)


def check_stored(path, matrix, i):
    check_numbers(f"{path}/data", matrix.data[matrix.row(i)])
    check_numbers(f"{path}/indices", matrix.indices[matrix.row(i)])


def check_scipy(folder, matrix, found, dense):
    """SciPy makes of the mount's three parts the matrix that the store has."""
    if matrix.data.dtype == np.float16:
        return  # SciPy has none
    # As int64, for SciPy counts with nothing unsigned.
    dtypes = [matrix.data.dtype, matrix.indices.dtype, matrix.indptr.dtype]
    data, indices, indptr = (np.frombuffer(part, dtype) for part, dtype in zip(found, dtypes))
    built = scipy.sparse.csr_matrix((data, indices.astype(np.int64), indptr.astype(np.int64)), shape=matrix.shape)
    same_values = np.array_equal(built.toarray(), dense, equal_nan=dense.dtype.kind == "f")
    expect(same_values, folder, "SciPy's dense form differs")
    same_array(folder, built.data, matrix.data)
