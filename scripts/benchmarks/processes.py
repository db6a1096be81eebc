"""What the system tells of a process: memory, time on the processor, open files, threads."""

import os
from pathlib import Path


def find(program, argument):
    """The process of `program` that has `argument` on its command line."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.path.basename(arguments[0]) == os.path.basename(program).encode() and argument.encode() in arguments:
            return int(directory.name)
    raise RuntimeError(f"no process of {program} serves {argument}")


def is_alive(pid):
    """Whether it still has anything: one that has ended stays in the list until its parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def status(pid, key):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def resident_mib(pid):
    """All that counts as resident, the store's mapped pages too."""
    return status(pid, "VmRSS") / 1024


def own_mib(pid):
    """Memory of its own: without pages of mapped files, which the kernel takes back when it likes."""
    return status(pid, "RssAnon") / 1024


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return status(pid, "Threads")


def cpu_seconds(pid):
    """Of all threads, to the nanosecond: clock ticks would be too coarse."""
    schedules = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(schedule.read_text().split()[0]) for schedule in schedules) / 1e9
