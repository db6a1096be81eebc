"""The results as a table and as JSON."""

import json

from result import from_json

SIDES = ("native", "arrayfs", "reference")
VERDICTS = {True: "yes", False: "NO", None: ""}


def number(value):
    """Three digits that count."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:.{decimals}f}"


def times(ratio):
    return "" if ratio is None else f"{ratio:.2f} x"


def figure(line, side):
    value = line.median(side)
    return "" if value is None else f"{number(value)} {line.unit}"


def verdict(line):
    """With the ratio that counts, where that is not the one to the plain file."""
    to_reference = line.goal and line.goal.to == "reference"
    return VERDICTS[line.met()] + (f", {times(line.ratio(to='reference'))}" if to_reference else "")


def row(line):
    return [
        line.work,
        figure(line, "native"),
        figure(line, "arrayfs"),
        times(line.ratio()),
        line.goal_text(),
        times(line.ratio("reference")),
        verdict(line),
    ]


def is_contest(line):
    """Whether other programs than the table's columns take part."""
    return any(side not in SIDES for side in line.samples)


def contest_rows(line):
    native = line.median("native")
    for side in line.samples:
        value = line.median(side)
        yield [line.work if side == "native" else "", side, f"{number(value)} {line.unit}", times(value / native)]


def aligned(heads, rows):
    table = [heads, *rows]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(heads))]

    def text(cells):
        first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths))
        return "  ".join([cells[0].ljust(widths[0]), *rest]).rstrip()

    return "\n".join(text(cells) for cells in [heads, ["-" * width for width in widths], *rows])


def text(lines):
    heads = ["work", "native", "arrayfs", "ratio", "goal", "reference", "met"]
    parts = [aligned(heads, [row(line) for line in lines if not is_contest(line)])]
    contests = [cells for line in lines if is_contest(line) for cells in contest_rows(line)]
    if contests:
        parts.append(aligned(["instead of arrayfs", "by", "figure", "of native"], contests))
    notes = [f"{line.work}: {line.note}" for line in lines if line.note]
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def write(path, lines, machine, given, left_out):
    content = {
        "about": "Written by scripts/bench. A ratio is the median of the rounds' ratios; of GB/s, M/s and files/s more "
        "is better, of times and memory less.",
        **machine,
        "scale": given.size,
        "runs": given.runs,
        "left_out": left_out,
        "lines": [line.as_json() for line in lines],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read(path):
    """The lines of a file that was written, and all else in it."""
    content = json.loads(path.read_text())
    return [from_json(entry) for entry in content["lines"]], content
