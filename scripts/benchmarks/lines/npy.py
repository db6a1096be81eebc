"""`array.npy` through `numpy.load`, whole and mapped, against a real .npy file."""

import time

import numpy

from lines import measure
from result import Goal, Line
from work import column, in_turn


def load_whole(path):
    return numpy.load(path)


def load_mapped(path):
    return numpy.load(path, mmap_mode="r").sum()


@measure("npy")
def npy(bench):
    page, plain = bench.data.page, bench.data.npy
    bench.check(load_whole(plain).shape == (page.rows, page.columns), "the plain .npy is another array")

    for work, load, bound in (("numpy.load whole", load_whole, 0.6), ("numpy.load mapped, sum", load_mapped, 0.8)):

        def twice(path, load=load):
            took = {}
            for key in ("first", "again"):
                start = time.perf_counter()
                load(path)
                took[key] = page.bytes / (time.perf_counter() - start) / 1e9
            return took

        def arrayfs(twice=twice):
            with bench.mounts.arrayfs(page.store) as mounted:
                return twice(f"{mounted.path}/{page.name}/array.npy")

        given = in_turn(bench.runs, {"native": lambda twice=twice: twice(plain), "arrayfs": arrayfs})
        for key in ("first", "again"):
            yield Line(f"array.npy, {work}, {key}", "GB/s", column(given, key), Goal(bound))
