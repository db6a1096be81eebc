"""Listings of a folder of a million rows, and what a program sees that asks the system itself."""

from lines import measure
from result import Goal, Line
from work import column, in_turn, seconds


@measure("ls")
def ls(bench):
    big, plain = bench.data.big, bench.data.empty_files
    seconds(["ls", "-l", plain])

    for option, bound in (("-f", 1.0), ("-l", 1.5)):

        def twice(folder, option=option):
            # With a slash, for the folder may be a link.
            return {key: seconds(["ls", option, f"{folder}/"]) for key in ("first", "again")}

        def arrayfs(twice=twice):
            with bench.mounts.arrayfs(big.store) as mounted:
                return twice(f"{mounted.path}/{big.name}/rows")

        given = in_turn(bench.runs, {"native": lambda twice=twice: twice(plain), "arrayfs": arrayfs})
        for key in ("first", "again"):
            work = f"ls {option} of {big.rows:,} rows, {key}"
            yield Line(work, "s", column(given, key), Goal(bound))


@measure("listing by system calls")
def system_calls(bench):
    page, plain = bench.data.page, bench.data.page_rows

    def both(folder):
        return {key: bench.load(key, f"{folder}/")["ns"] / 1e6 for key in ("list", "stat")}

    def arrayfs():
        with bench.mounts.arrayfs(page.store) as mounted:
            return both(f"{mounted.path}/{page.name}/rows")

    given = in_turn(bench.runs, {"native": lambda: both(plain), "arrayfs": arrayfs})
    yield Line(f"getdents of {page.rows:,} rows", "ms", column(given, "list"))
    yield Line(f"statx of each of {page.rows:,} rows after that", "ms", column(given, "stat"))
