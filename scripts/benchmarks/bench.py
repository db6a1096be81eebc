"""One run: data, measures, results, and everything taken away again."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import chart
import data
import facts
import report
from lines import MEASURES
# Each registers its measures; they run, and are shown, in this order.
from lines import whole, rows, npy, listing, columns, daemon, sharing, instead  # noqa: F401, I001
from mounts import CannotMount, Mounts
from work import Load


class WrongResult(Exception):
    """What was read is not what should be there: its speed is worth nothing."""


class Bench:
    """What the measures share."""

    size_text = staticmethod(data.size_text)

    def __init__(self, target, base, scale, runs):
        self.started = time.perf_counter()
        self.data = data.Data(base, data.Sizes(scale), self.say)
        self.load = Load(f"{target}/release/examples/load")
        reference = target / "bench" / "passthrough_hp"
        self.is_root = os.geteuid() == 0
        self.has_reference = self.is_root and reference.exists()
        self.mounts = Mounts(base, f"{target}/release/arrayfs", str(reference))
        self.runs = runs
        self.left_out = []
        self.failed = False
        if not self.has_reference:
            self.leave_out("the C reference", "it is not built, or the bench is not run by root")

    def say(self, words):
        print(f"[{time.perf_counter() - self.started:6.1f} s] {words}", file=sys.stderr, flush=True)

    def leave_out(self, what, why):
        self.say(f"left out: {what}: {why}")
        self.left_out.append({"what": what, "why": why})

    def check(self, holds, otherwise):
        if not holds:
            raise WrongResult(otherwise)

    def measured(self, patterns):
        """The lines of all measures that are wanted."""
        for name, measure in MEASURES:
            if patterns and not any(pattern in name for pattern in patterns):
                continue
            self.say(name)
            try:
                yield from measure(self)
            except CannotMount as reason:
                self.leave_out(name, f"not measurable: {reason}")
            except (WrongResult, OSError, subprocess.CalledProcessError, RuntimeError) as error:
                # The other lines are still worth having; the end of the run tells that these are not there.
                self.failed = True
                self.leave_out(name, f"failed: {error}")


def remove(base):
    """All of it, unless something is still mounted in there."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    if any(path.startswith(base + "/") for path in mounted):
        print(f"scripts/bench: something is still mounted below {base}: not removed", file=sys.stderr)
        return
    # rm is several times faster than Python with a million files.
    subprocess.run(["rm", "-rf", base], check=False)


def interrupted(*_):
    raise KeyboardInterrupt


def room(scale):
    """Where the data go; they are to lie in the page cache of a real disk."""
    place = os.environ.get("TMPDIR", "/var/tmp")
    wanted = int(min(scale, 1) * 4 * data.GIB + (2 * data.GIB if scale > 1 else 0))
    if shutil.disk_usage(place).free < wanted:
        sys.exit(f"scripts/bench: {place} has no room for {data.size_text(wanted)}; try --size small, or set TMPDIR")
    if facts.available_memory() < 1.5 * wanted:
        print("scripts/bench: little memory is free: what should be cached may not be", file=sys.stderr)
    return place


def main(root, given):
    if given.only == ["list"]:
        print("\n".join(name for name, _ in MEASURES))
        return 0
    # SIGINT too, which a shell has its background jobs ignore.
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    base = tempfile.mkdtemp(prefix="arrayfs-bench-", dir=room(given.size))
    # Others must get through, to mount as one without rights.
    os.chmod(base, 0o755)
    try:
        bench = Bench(given.target, base, given.size, given.runs)
        lines = list(bench.measured(given.only))
        machine = facts.machine(root, given.target, base)
    except KeyboardInterrupt:
        print("scripts/bench: interrupted", file=sys.stderr)
        return 130
    finally:
        remove(base)
    print(report.text(lines))
    out = given.out or root / "docs"
    out.mkdir(parents=True, exist_ok=True)
    report.write(out / "bench.json", lines, machine, given, bench.left_out)
    (out / "bench.svg").write_text(chart.svg(lines, machine))
    bench.say(f"wrote {out}/bench.json and {out}/bench.svg")
    return 1 if bench.failed else 0
