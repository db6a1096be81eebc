"""A column of a tall matrix, against NumPy's gather from its own memory map."""

import time
from pathlib import Path
from statistics import median

from lines import measure
from result import Goal, Line
from work import column, in_turn

# One is read first, through a new mount or a new map; of those that follow the median counts.
FURTHER = 5


def timed(read):
    start = time.perf_counter()
    content = read()
    return (time.perf_counter() - start) * 1e3, content


@measure("columns")
def columns(bench):
    big = bench.data.big
    step = big.columns // (FURTHER + 1)
    chosen = [step * number for number in range(FURTHER + 1)]
    width = len(str(big.columns - 1))
    expected = {}

    def native():
        took = []
        matrix = big.memmap()
        for j in chosen:
            ms, expected[j] = timed(lambda j=j: matrix[:, j].tobytes())
            took.append(ms)
        return {"first": took[0], "further": median(took[1:])}

    def arrayfs():
        took = []
        with bench.mounts.arrayfs(big.store) as mounted:
            for j in chosen:
                ms, content = timed(Path(f"{mounted.path}/{big.name}/cols/{j:0{width}}").read_bytes)
                bench.check(content == expected[j], f"column {j} has other bytes than NumPy's")
                took.append(ms)
        return {"first": took[0], "further": median(took[1:])}

    native()
    given = in_turn(bench.runs, {"native": native, "arrayfs": arrayfs})
    shape = f"{big.rows:,} x {big.columns:,} float32"
    yield Line(f"a column of {shape}, first", "ms", column(given, "first"), Goal(1.2))
    yield Line(f"a column of {shape}, further ones", "ms", column(given, "further"), Goal(1.2))
