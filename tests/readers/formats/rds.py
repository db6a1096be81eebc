"""`.rds` through R itself: one process that opens one file after the other."""

import os
import subprocess
import tempfile

import mounted
import numpy as np
from mounted import read, same_array

SCRIPT = os.path.join(os.path.dirname(__file__), "rds.R")
process = None


def r_reads(path):
    """What R has of a file: a folder of what `rds.R` writes; or what it complains of."""
    global process
    if process is None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(["Rscript", "--vanilla", SCRIPT], **pipes)
    folder = tempfile.TemporaryDirectory()
    process.stdin.write(os.fsencode(f"{path}\n{folder.name}\n"))
    process.stdin.flush()
    return folder, process.stdout.readline().decode().strip()


def in_r(array):
    """The type that R has for these numbers, and whether it holds them all."""
    if array.dtype.kind in "iub" and array.dtype not in ["int32", "int64", "uint32", "uint64"]:
        return "logical" if array.dtype == bool else "integer", np.dtype("int32"), True
    with np.errstate(invalid="ignore"):
        back = [int(number) for number in array.astype("float64").ravel()] if array.dtype.kind in "iu" else []
    fits = all(one == int(other) for one, other in zip(back, array.ravel()))
    return "double", np.dtype("float64"), fits


def check_file(path, wanted, check):
    kind, dtype, fits = in_r(wanted)
    if not fits:
        try:
            with open(path, "rb") as file:
                file.read()
            mounted.expect(False, path, "holds numbers that R has no type for")
        except OSError:
            pass
        return
    read(path)
    folder, said = r_reads(path)
    mounted.expect(said == "ok", path, said)
    if said == "ok":
        with folder:
            check(folder.name, kind, np.fromfile(f"{folder.name}/x", dtype), wanted)


def same_numbers(path, found, wanted):
    """Bit by bit, and of NaN that it is one."""
    wanted = wanted.ravel().astype(found.dtype)
    if found.dtype.kind == "f":
        nan = np.isnan(wanted)
        mounted.expect(np.array_equal(np.isnan(found), nan), path, "NaN is elsewhere")
        found, wanted = np.where(nan, 0, found), np.where(nan, 0, wanted)
    same_array(path, found, wanted)


def check_head(path, folder, wanted):
    head = lines(f"{folder}/head")
    mounted.expect(head == wanted, path, f"is {head}, not {wanted}")


def check_names(path, folder, names):
    for file, wanted in zip(["rows", "columns"], names):
        found = lines(f"{folder}/{file}") if os.path.exists(f"{folder}/{file}") else None
        mounted.expect(found == wanted, path, f"{file} are {str(found)[:60]}, not {str(wanted)[:60]}")


def lines(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().split("\n")[:-1]


def check_dense(folder, array, names, thing="array"):
    path, wanted = f"{folder}/{thing}.rds", array if thing == "dense" else array.array

    def check(out, kind, found, wanted):
        if wanted.ndim == 1:
            check_head(path, out, ["numeric" if kind == "double" else kind, kind])
            check_names(path, out, [names[0], None])
        else:
            check_head(path, out, ["matrix", kind, *map(str, reversed(wanted.shape))])
            check_names(path, out, reversed(names))
        same_numbers(path, found, wanted)

    check_file(path, wanted, check)


def check_sparse(folder, array, names):
    path, rising = f"{folder}/matrix.rds", array.rising()

    def check(out, kind, found, wanted):
        name, kind = ("lgCMatrix", kind) if wanted.dtype == bool else ("dgCMatrix", "double")
        check_head(path, out, [name, kind, *map(str, reversed(array.shape))])
        check_names(path, out, reversed(names))
        for slot, part in [("i", rising.indices), ("p", rising.indptr)]:
            same_array(path, np.fromfile(f"{out}/{slot}", "int32"), part.astype("int32"))
        found = np.fromfile(f"{out}/x", "int32" if wanted.dtype == bool else "float64")
        same_numbers(path, found, wanted)
        looked_up = np.fromfile(f"{out}/looked_up", "float64")
        if len(looked_up):
            same_numbers(f"{path} [i, j]", looked_up, rising.dense().astype("float64"))

    check_file(path, rising.data, check)
    if array.shape[0] * array.shape[1] < 1e6:
        check_dense(folder, array.dense(), names, "dense")
