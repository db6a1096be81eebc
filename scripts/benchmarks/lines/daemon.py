"""What the process that serves costs: to start, for each gigabyte, and after a million files."""

import os
import time

import processes
from data import GIB
from lines import measure
from lines.whole import dd
from result import Goal, Line
from work import in_turn

OPENS_SECONDS = 45


def itself(bound):
    return Goal(bound, "itself")


@measure("mount of many arrays")
def many(bench):
    store, count = bench.data.many, bench.data.sizes.arrays
    found = {"ready": [], "resident": [], "listed": [], "after": []}
    for _ in range(bench.runs):
        with bench.mounts.arrayfs(store) as mounted:
            found["ready"].append(mounted.seconds * 1e3)
            found["resident"].append(processes.resident_mib(mounted.pid))
            start = time.perf_counter()
            names = os.listdir(mounted.path)
            found["listed"].append((time.perf_counter() - start) * 1e3)
            bench.check(len(names) >= count, f"the mount shows {len(names)} of {count} arrays")
            found["after"].append(processes.resident_mib(mounted.pid))
    what = f"{count:,} arrays"
    yield Line(f"mount of {what}, to ready", "ms", {"arrayfs": found["ready"]}, itself(300))
    yield Line(f"mount of {what}, resident memory when ready", "MiB", {"arrayfs": found["resident"]}, itself(32))
    yield Line(f"mount of {what}, first listing of them", "ms", {"arrayfs": found["listed"]})
    yield Line(f"mount of {what}, resident memory after it", "MiB", {"arrayfs": found["after"]}, itself(32))


@measure("processor time of the raw file")
def processor(bench):
    if not bench.is_root:
        return bench.leave_out("processor time of the raw file", "the bench is not run by root")
    big = bench.data.big
    # Enough of it that finding the file does not count.
    times = max(1, -(-2 * GIB // big.bytes))

    def once():
        with bench.mounts.arrayfs(big.store) as mounted:
            before = processes.cpu_seconds(mounted.pid)
            for _ in range(times):
                dd(f"{mounted.path}/{big.name}/array")
            return (processes.cpu_seconds(mounted.pid) - before) / (times * big.bytes / GIB)

    yield Line("daemon's processor time for 1 GiB of array, as root", "s", in_turn(bench.runs, {"arrayfs": once}),
               itself(0.01))


@measure("memory over many files")
def memory(bench):
    big, opens = bench.data.big, bench.data.sizes.rows(1_000_000, 50_000)
    with bench.mounts.arrayfs(big.store) as mounted:
        folder, pid = f"{mounted.path}/{big.name}/rows", mounted.pid

        def facts():
            return processes.own_mib(pid), processes.open_files(pid), processes.threads(pid)

        # What it needs once for all, it has after a few.
        bench.load.files(folder, big.rows, "--threads", 2, "--seconds", 0.5)
        before, cpu = facts(), processes.cpu_seconds(pid)
        limits = ("--threads", 2, "--passes", -(-opens // big.rows), "--seconds", OPENS_SECONDS)
        done = sum(found["files"] for found in bench.load.files(folder, big.rows, *limits))
        after, cpu = facts(), processes.cpu_seconds(pid) - cpu
    note = (f"own memory {before[0]:.1f} -> {after[0]:.1f} MiB, open files {before[1]} -> {after[1]}, threads "
            f"{before[2]} -> {after[2]}; {cpu / done * 1e6:.1f} µs of processor time a file")
    yield Line(f"growth of the daemon's own memory, {done:,} row files read", "MiB",
               {"arrayfs": [after[0] - before[0]]}, itself(4), note)
