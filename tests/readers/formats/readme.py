"""README.md: its lines for the shell, Python, R and Octave are run as they stand, and give the numbers of the array."""

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import scipy.sparse
from mounted import counts, expect, read, same_array

# Of arrays that differ only in their numbers one is enough for R, and for the shell.
seen_by_r = set()
seen_by_octave = set()
seen_by_shell = set()


def blocks(folder):
    """The code of each language."""
    text = read(f"{folder}/README.md").decode()
    found = dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    expect(sorted(found) == ["julia", "matlab", "octave", "python", "r", "sh"], folder, f"README.md has lines for {sorted(found)}")
    return found


def run_python(folder, code):
    """What the lines leave behind; run in the folder."""
    here, names = os.getcwd(), {}
    os.chdir(folder)
    try:
        exec(compile(code, f"{folder}/README.md", "exec"), names)
        return names
    finally:
        os.chdir(here)


def run_shell(folder, code, kind):
    if "/slices/" in folder or kind in seen_by_shell:
        return
    seen_by_shell.add(kind)
    # DuckDB's shell is installed beside Python.
    paths = os.environ | {"PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    for line in code.splitlines():
        done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, env=paths)
        expect(done.returncode == 0 and (done.stdout or "-N" in line), folder, f"{line}: {done.stderr.decode()}")


@functools.cache
def r():
    """One R for all arrays: to start it and to load Matrix takes a second. None where there is no R, which is said."""
    if not shutil.which("R"):
        print("skipped: no R, the lines for it were not run", file=sys.stderr)
        return None
    pipe = subprocess.PIPE
    command = ["R", "--no-echo", "--vanilla"]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def run_r(folder, code, names):
    """The numeric variables of these names, as R wrote them in float64; none where the lines fail."""
    with tempfile.TemporaryDirectory() as out:
        dump = "".join(f'writeBin(as.numeric(as.vector(as.matrix({name}))), "{out}/{name}")\n' for name in names)
        if r().poll() is None:
            print(f"setwd({json.dumps(folder)})\n{code}{dump}cat('\\nDONE\\n')", file=r().stdin, flush=True)
        said = list(iter(r().stdout.readline, "DONE\n")) if r().poll() is None else ["it has ended"]
        found = [np.fromfile(f"{out}/{name}") if os.path.exists(f"{out}/{name}") else None for name in names]
    is_done = all(array is not None for array in found)
    expect(is_done, folder, f"R: {''.join(said)}")
    return found if is_done else None


def same_numbers(folder, found, wanted, who="R"):
    """Equal as float64; NaN where it should be."""
    same = np.array_equal(found, wanted.astype(np.float64), equal_nan=True)
    expect(same, folder, f"{who} reads other numbers")


@functools.cache
def octave():
    """Whether there is Octave; where there is none this is said."""
    if not shutil.which("octave-cli"):
        print("skipped: no Octave, the lines for it were not run", file=sys.stderr)
    return shutil.which("octave-cli")


def run_octave(folder, code, names):
    """The variables of these names, as Octave wrote them in float64, column after column; none where the lines fail."""
    with tempfile.TemporaryDirectory() as out:
        dump = "".join(f"f = fopen('{out}/{name}', 'w'); fwrite(f, full({name}), 'double'); fclose(f);\n" for name in names)
        command = ["octave-cli", "--quiet", "--norc", "--eval", code + dump]
        done = subprocess.run(command, cwd=folder, capture_output=True)
        found = [np.fromfile(f"{out}/{name}") if os.path.exists(f"{out}/{name}") else None for name in names]
    is_done = all(array is not None for array in found)
    expect(is_done, folder, f"Octave: {done.stderr.decode()}")
    return found if is_done else None


def check_octave(folder, code, kind, numbers):
    """Runs the lines for Octave, and holds the variables against these numbers, as they are column after column."""
    if not octave() or kind in seen_by_octave:
        return
    seen_by_octave.add(kind)
    numbers = {name: wanted for name, wanted in numbers.items() if re.search(rf"\b{name} = |load\('{name}\.", code)}
    found = run_octave(folder, code, list(numbers))
    for what, wanted in zip(found or [], numbers.values()):
        same_numbers(folder, what, wanted.flatten(order="F"), "Octave")


def same_values(folder, what, found, wanted):
    """Equal, whatever the type; text and other programs' types may be wider."""
    # The text of a narrow float is that of the nearest of its own type.
    found = np.asarray(found.astype(wanted.dtype)).reshape(wanted.shape)
    same = np.array_equal(found, wanted, equal_nan=wanted.dtype.kind == "f")
    expect(same, folder, f"{what} has other numbers")


def check_libraries(folder, found, dense, stored):
    """What libraries made of their own files: `dense` are all numbers, `stored` those that are stored."""
    same_values(folder, "table", found["table"], dense[:10])
    batches = [batch.column("value").to_numpy(zero_copy_only=False) for batch in found["batches"]]
    values = np.concatenate(batches) if batches else np.zeros(0)
    same_values(folder, "batches", values, stored)
    tensors = found["tensors"]
    name = "array" if "array" in tensors.keys() else "data"
    same_values(folder, "tensors", tensors.get_tensor(name).ravel(), stored)
    # Zarr opens its files when they are read.
    with contextlib.chdir(folder):
        chunks = found["chunks"][:] if name == "array" else found["chunks"]["X/data"][:]
    same_values(folder, "chunks", chunks.ravel(), stored)
    if dense.ndim == 2:
        expect(found["cells"].shape == dense.shape, folder, "AnnData has another shape")


def check_dense(folder, array, names):
    code, wanted = blocks(folder), array.array
    run_shell(folder, code["sh"], ("dense", wanted.ndim, wanted.dtype))
    found = run_python(folder, code["python"])
    same_array(folder, np.asarray(found["x"]), wanted)
    is_matrix = wanted.ndim == 2
    check_libraries(folder, found, wanted, wanted.ravel())
    if is_matrix:
        same_array(folder, found["row"], wanted[-1])
        same_array(folder, found["column"], wanted[:, -1])
        same_array(folder, found["block"], wanted[:10])
    kind = ("dense", wanted.ndim, wanted.dtype, "/slices/" in folder)
    is_large = wanted.size >= 37 or "/slices/" in folder
    if is_large and wanted.size < 1 << 20:
        # MATLAB's files have the axes exchanged.
        numbers = {"x": wanted, "array": wanted.T}
        check_octave(folder, code["octave"], kind, numbers | ({"row": wanted[-1]} if is_matrix else {}))
    if not r() or kind in seen_by_r or wanted.size < 37 and "/slices/" not in folder:
        return
    seen_by_r.add(kind)
    variables = ["x", "row", "column"] if is_matrix else ["x"]
    variables += [name for name in ["y", "table"] if f"\n{name} <- " in code["r"]]
    found = run_r(folder, code["r"], variables)
    if not found:
        return
    same_numbers(folder, found[0], wanted.flatten(order="F"))
    if is_matrix:
        same_numbers(folder, found[1], wanted[-1])
        same_numbers(folder, found[2], wanted[:, -1])
    for name, numbers in zip(variables, found):
        if name == "y":
            same_numbers(folder, numbers, wanted.flatten())
        if name == "table":
            # The text of a narrow float is that of the nearest of its own type.
            rounded = numbers.astype(wanted.dtype) if wanted.dtype.kind == "f" else numbers
            same_numbers(folder, rounded, wanted[:10].flatten(order="F"))


def check_sparse(folder, array, names):
    code = blocks(folder)
    run_shell(folder, code["sh"], ("sparse", array.data.dtype))
    found = run_python(folder, code["python"])
    same_array(folder, found["row"], array.dense()[-1])
    check_libraries(folder, found, array.dense(), array.data)
    matrix = found["x"]
    expect(matrix.shape == array.shape and matrix.nnz == len(array.data), folder, "SciPy makes another matrix")
    data = array.data.astype(np.float32) if array.data.dtype == np.float16 else array.data
    same_array(folder, np.asarray(matrix.data), data)
    wanted = scipy.sparse.csr_matrix((data, array.indices.astype(np.int64), array.indptr.astype(np.int64)), array.shape)
    expect(np.array_equal(matrix.indices, wanted.indices) and np.array_equal(matrix.indptr, wanted.indptr), folder, "indices")
    counts["files"] += 1
    kind = ("sparse", *(str(dtype) for dtype in array.dtypes().values()), "/slices/" in folder)
    if np.prod(array.shape) > 1 << 20:
        return
    dense = array.dense()
    if len(array.data) == np.count_nonzero(dense):
        check_octave(folder, code["octave"], kind, {"x": dense, "matrix": dense.T})
    if not r() or kind in seen_by_r:
        return
    seen_by_r.add(kind)
    found = run_r(folder, code["r"], ["x"])
    if found:
        dense = array.dense()
        # Of bool R gives 1, whatever the bits; where a place is repeated float64 adds up otherwise.
        if len(array.data) == np.count_nonzero(dense) or dense.dtype.kind == "b":
            same_numbers(folder, found[0], dense.flatten(order="F"))
        expect(len(found[0]) == dense.size, folder, "R makes another shape")
