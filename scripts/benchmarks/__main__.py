"""The command line of the bench; `scripts/bench` starts it, with everything installed."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCALES = {"small": 0.05, "default": 1.0, "large": 2.0}

EXAMPLES = """examples:
  scripts/bench                                 everything; at most 4 GiB of disk and 10 minutes
  scripts/bench --size small --out /tmp/b       a first look, in about a minute; docs/ stays as it is
  scripts/bench --only rows --only ls --out /tmp/b
  scripts/bench --only list                     the names that --only looks at
  scripts/bench --readme                        the table of docs/PERFORMANCE.md anew, from docs/bench.json

The data are written below $TMPDIR, or /var/tmp, and removed at the end. Words go to standard error, the
table to standard output; bench.json and bench.svg to docs/, or to DIR."""


def size(text):
    scale = SCALES.get(text) or float(text)
    if not 0 < scale <= 2:
        raise ValueError
    return scale


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures arrayfs against plain files, side by side in the same run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=size, default=1.0, metavar="SIZE",
                        help="small, default, large, or a scale from 0 to 2 of the default's number of rows")
    parser.add_argument("--runs", type=int, default=5, metavar="N",
                        help="rounds of all sides; of work that takes long fewer, but two [5]")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="only measures with this in their names; may be given again")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where bench.json and bench.svg go [docs/]")
    parser.add_argument("--readme", action="store_true", help="measure nothing; write the table of docs/PERFORMANCE.md")
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    found = parser.parse_args()
    if found.runs < 1:
        parser.error("--runs must be at least 1")
    if found.only and not found.out and found.only != ["list"]:
        parser.error("some lines alone are no result to keep in docs/: give --out DIR with --only")
    return found


def main():
    given = arguments()
    if given.readme:
        import readme

        return readme.update(ROOT)
    import bench

    return bench.main(ROOT, given)


if __name__ == "__main__":
    sys.exit(main())
