"""Several readers at once: whether more readers get more, and whether slow ones hold up a fast one."""

import time
from functools import partial
from statistics import median

from lines import measure
from result import Line
from work import column, in_turn, rate

COLUMN_READERS = 4


@measure("threads")
def threads(bench):
    matrix, plain = bench.data.short, bench.data.short_rows
    for count in (1, 2, 4, 8):

        def passes(folder, count=count):
            rates = [rate(one) for one in bench.load.files(folder, matrix.rows, "--threads", count, "--passes", 4)]
            return {"first": rates[0], "cached": median(rates[1:])}

        def arrayfs(passes=passes):
            with bench.mounts.arrayfs(matrix.store) as mounted:
                return passes(f"{mounted.path}/{matrix.name}/rows")

        given = in_turn(bench.runs, {"native": lambda passes=passes: passes(plain), "arrayfs": arrayfs})
        readers = "1 reader" if count == 1 else f"{count} readers"
        for key, words in (("cached", "cached"), ("first", "first touch")):
            yield Line(f"row files of 8 KiB, {readers}, {words}", "files/s", column(given, key))


@measure("a fast reader beside slow ones")
def fairness(bench):
    matrix, plain, big = bench.data.short, bench.data.short_rows, bench.data.big

    def latencies(folder, beside=None):
        """Microseconds to open and read a row, alone or beside `beside`, which reads columns."""
        slow = bench.load.start(*beside) if beside else None
        try:
            if slow:
                time.sleep(0.3)
            found = bench.load.files(folder, matrix.rows, "--seconds", 5)[0]
            bench.check(slow is None or slow.poll() is None, "the readers of columns ended too early")
        finally:
            if slow:
                slow.terminate()
                slow.wait()
        return {"p50": found["p50"] / 1e3, "p99": found["p99"] / 1e3}

    def native(is_alone):
        gather = ("gather", big.file, "--stride", big.row_bytes, "--threads", COLUMN_READERS, "--seconds", 60)
        return latencies(plain, None if is_alone else gather)

    def arrayfs(is_alone):
        with bench.mounts.arrayfs(big.store) as mounted:
            columns = ("files", f"{mounted.path}/{big.name}/cols", "--width", len(str(big.columns - 1)), "--count",
                       big.columns, "--threads", COLUMN_READERS, "--passes", 1000, "--seconds", 60)
            return latencies(f"{mounted.path}/{matrix.name}/rows", None if is_alone else columns)

    for is_alone, words in ((True, "alone"), (False, f"beside {COLUMN_READERS} readers of columns")):
        given = in_turn(bench.runs, {"native": partial(native, is_alone), "arrayfs": partial(arrayfs, is_alone)})
        for key in ("p50", "p99"):
            yield Line(f"a row's first touch {words}, {key}", "µs", column(given, key))
