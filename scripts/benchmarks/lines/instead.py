"""What a user would take instead, to read one row: a process with NumPy or h5py, or a mounted archive."""

import contextlib
import importlib.util
import shutil
import subprocess
import sys

from lines import measure
from mounts import CannotMount
from result import Line
from work import in_turn, rate, seconds

NUMPY = """
import sys, numpy
path, rows, columns, row = sys.argv[1], *map(int, sys.argv[2:])
sys.stdout.buffer.write(numpy.memmap(path, "<f4", "r", shape=(rows, columns))[row].tobytes())
"""
H5PY = """
import sys, h5py
sys.stdout.buffer.write(h5py.File(sys.argv[1])["x"][int(sys.argv[2])].tobytes())
"""


def make_hdf5(matrix, path):
    import h5py

    with h5py.File(path, "w") as file:
        file["x"] = matrix.memmap()


def archive_mounts(bench, tar):
    """Those that can be had, each with its command."""
    ratarmount = [sys.executable, "-m", "ratarmount", "-f", "--index-file", f"{tar}.index", tar]
    if importlib.util.find_spec("ratarmount"):
        yield "ratarmount", ratarmount
    else:
        bench.leave_out("ratarmount", "it is not installed")
    for name, options in (("archivemount", ["-f", "-o", "readonly"]), ("fuse-archive", ["-f"])):
        program = shutil.which(name)
        if program:
            yield name, [program, *options, tar]
        else:
            bench.leave_out(name, "it is not installed, and this Debian may not have it")


@measure("instead")
def instead(bench):
    matrix, plain = bench.data.short, bench.data.short_rows
    width, row = len(str(matrix.rows - 1)), matrix.rows // 2
    name = f"{row:0{width}}"
    tar = f"{bench.data.plain}/short.tar"
    subprocess.run(["tar", "-C", plain, "-cf", tar, "."], check=True)

    def ms(command):
        return lambda: seconds(command) * 1e3

    with contextlib.ExitStack() as stack:
        mounted = stack.enter_context(bench.mounts.arrayfs(matrix.store))
        folders = {"native": plain, "arrayfs": f"{mounted.path}/{matrix.name}/rows"}
        for tool, command in archive_mounts(bench, tar):
            try:
                folders[tool] = stack.enter_context(bench.mounts.foreground(command)).path
            except CannotMount as reason:
                bench.leave_out(tool, str(reason))
        one = {side: ms(["cat", f"{folder}/{name}"]) for side, folder in folders.items()}
        shape = [str(matrix.rows), str(matrix.columns)]
        one["numpy"] = ms([sys.executable, "-c", NUMPY, matrix.file, *shape, str(row)])
        if importlib.util.find_spec("h5py"):
            make_hdf5(matrix, f"{bench.data.plain}/short.h5")
            one["h5py"] = ms([sys.executable, "-c", H5PY, f"{bench.data.plain}/short.h5", str(row)])
        else:
            bench.leave_out("h5py", "it is not installed")
        yield Line("one row of 8 KiB, by a program of its own", "ms", in_turn(bench.runs, one))
        # Only once, for a second pass would be no first touch.
        every = {
            side: [rate(bench.load.files(folder, matrix.rows, "--seconds", 5)[0])] for side, folder in folders.items()
        }
        yield Line("rows of 8 KiB one after the other, first touch", "files/s", every)
