"""The whole raw file: by `dd`, by random reads, mapped; as root, and by those who are not."""

from lines import measure
from mounts import AS_NOBODY, CannotMount
from result import Goal, Line
from work import column, in_turn, seconds

PREADS = 400_000


def dd(path, prefix=()):
    return seconds([*prefix, "dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])


def sides(bench, use):
    """Each side on the big array: `use` is told its path. The file systems are mounted anew each time."""
    big, array = bench.data.big, f"{bench.data.big.name}/array"

    def arrayfs():
        with bench.mounts.arrayfs(big.store) as mounted:
            return use(f"{mounted.path}/{array}")

    found = {"native": lambda: use(big.file), "arrayfs": arrayfs}
    if bench.has_reference:

        def reference():
            with bench.mounts.reference(big.store) as mounted:
                return use(f"{mounted.path}/{big.name}.array")

        found["reference"] = reference
    return found


@measure("whole file as root")
def privileged(bench):
    if not bench.is_root:
        return bench.leave_out("whole file as root", "the bench is not run by root")
    big = bench.data.big

    def gigabytes(path):
        return big.bytes / dd(path) / 1e9

    def preads(path):
        read = bench.load("pread", path, "--count", PREADS, "--seconds", 2)
        return read["count"] / read["ns"] * 1e3

    def mapped(path):
        summed = bench.load("mmap", path)
        return summed["bytes"] / summed["ns"]

    what = f"whole array of {bench.size_text(big.bytes)}"
    yield Line(f"{what}, dd bs=1M, as root", "GB/s", in_turn(bench.runs, sides(bench, gigabytes)), Goal(0.95))
    yield Line(f"{what}, random pread of 4 KiB, as root", "M/s", in_turn(bench.runs, sides(bench, preads)), Goal(0.9))
    yield Line(f"{what}, mmap and sum, as root", "GB/s", in_turn(bench.runs, sides(bench, mapped)), Goal(0.95))


def without_rights(bench):
    """How to mount as one who is not root, what to run readers with, and what is said about it."""
    store = bench.data.store
    if not bench.is_root:
        return lambda: bench.mounts.arrayfs(store), [], "as the user who runs the bench"
    try:
        with bench.mounts.arrayfs_as_nobody(store):
            return lambda: bench.mounts.arrayfs_as_nobody(store), AS_NOBODY, "as the user nobody"
    except CannotMount as reason:
        bench.say(f"the user nobody cannot mount here ({reason}): measured as root, with --no-passthrough")
    with bench.mounts.arrayfs(store, "--no-passthrough"):
        return lambda: bench.mounts.arrayfs(store, "--no-passthrough"), [], "as root, with --no-passthrough"


@measure("whole file not privileged")
def unprivileged(bench):
    big = bench.data.big
    mount, prefix, how = without_rights(bench)

    def twice(path, prefix=()):
        cold, warm = dd(path, prefix), dd(path, prefix)
        return {"cold": big.bytes / cold / 1e9, "warm": big.bytes / warm / 1e9}

    def arrayfs():
        with mount() as mounted:
            return twice(f"{mounted.path}/{big.name}/array", prefix)

    compared = {"native": lambda: twice(big.file), "arrayfs": arrayfs}
    if bench.has_reference:

        def reference():
            with bench.mounts.reference(big.store, "--nopassthrough") as mounted:
                return twice(f"{mounted.path}/{big.name}.array")

        compared["reference"] = reference
    given = in_turn(bench.runs, compared)
    for key, bound in (("cold", 0.3), ("warm", 0.6)):
        yield Line(f"whole array, not privileged, {key}", "GB/s", column(given, key), Goal(bound), how)
