"""A file a row: open, read, close; and `cat rows/*`."""

import os
from statistics import median

from lines import measure
from result import Goal, Line
from work import column, in_turn, rate, shell_seconds

# `rows/*` of so many names does not fit on one command line.
CAT = "printf '%s\\0' {}/* | xargs -0 cat"


def passes(bench, folder, rows):
    """The first pass over the files, and the middle one of those that follow, in files a second."""
    rates = [rate(found) for found in bench.load.files(folder, rows, "--passes", 4)]
    return {"first": rates[0], "cached": median(rates[1:])}


def compared(bench, matrix, plain):
    def arrayfs():
        with bench.mounts.arrayfs(matrix.store) as mounted:
            return passes(bench, f"{mounted.path}/{matrix.name}/rows", matrix.rows)

    found = {"native": lambda: passes(bench, plain, matrix.rows), "arrayfs": arrayfs}
    if bench.has_reference:

        def reference():
            with bench.mounts.reference(plain) as mounted:
                return passes(bench, mounted.path, matrix.rows)

        found["reference"] = reference
    return found


@measure("row files")
def row_files(bench):
    data = bench.data
    for matrix, plain in ((data.short, data.short_rows), (data.long, data.long_rows)):
        given = in_turn(bench.runs, compared(bench, matrix, plain))
        size = bench.size_text(matrix.row_bytes)
        yield Line(f"row files of {size}, cached", "files/s", column(given, "cached"), Goal(0.75))
        goal = Goal(2, "reference") if bench.has_reference else None
        yield Line(f"row files of {size}, first touch", "files/s", column(given, "first"), goal)


@measure("cat rows")
def cat(bench):
    page = bench.data.page
    parent, name = os.path.split(bench.data.page_rows)

    def twice(folder, name):
        return {"first": shell_seconds(CAT.format(name), folder), "again": shell_seconds(CAT.format(name), folder)}

    def arrayfs():
        with bench.mounts.arrayfs(page.store) as mounted:
            return twice(f"{mounted.path}/{page.name}", "rows")

    given = in_turn(bench.runs, {"native": lambda: twice(parent, name), "arrayfs": arrayfs})
    for key in ("first", "again"):
        speed = {side: [page.bytes / took / 1e9 for took in values] for side, values in column(given, key).items()}
        yield Line(f"cat rows/* of {page.rows:,} rows of 4 KiB, {key}", "GB/s", speed, Goal(0.3))
