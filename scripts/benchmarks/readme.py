"""The table of docs/PERFORMANCE.md, from docs/bench.json: its figures are never typed by hand."""

import sys

import report

BEGIN = "<!-- Written by scripts/bench --readme from docs/bench.json. -->"
END = "<!-- The end of what scripts/bench writes. -->"


def markdown(heads, rows):
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows])


def table(lines):
    def cells(line):
        return [line.work, report.figure(line, "native"), report.figure(line, "arrayfs"), report.times(line.ratio()),
                line.goal_text(), report.verdict(line)]

    shown = [cells(line) for line in lines if line.goal and not report.is_contest(line)]
    return markdown(["work", "plain file", "arrayfs", "ratio", "goal", "met"], shown)


def contest(lines):
    """Other ways to the same row, each work in a sentence."""
    for line in filter(report.is_contest, lines):
        names = {side: "plain file" if side == "native" else side for side in line.samples}
        found = ", ".join(f"{name} {report.figure(line, side)}" for side, name in names.items())
        yield f"{line.work[0].upper()}{line.work[1:]}: {found}."


def section(lines, about):
    machine = (f"Measured on {about['date']}: Linux {about['kernel']}, {about['cores']} cores, {about['processor']}, "
               f"{about['disk']}; medians of 2 to {about['runs']} rounds, "
               f"plain files and arrayfs in turn.")
    return "\n\n".join([table(lines), *contest(lines), machine])


def update(root):
    path = root / "docs" / "PERFORMANCE.md"
    text = path.read_text()
    if BEGIN not in text or END not in text:
        print(f"scripts/bench: {path.name} has no place for the table", file=sys.stderr)
        return 1
    before, rest = text.split(BEGIN)
    lines, about = report.read(root / "docs" / "bench.json")
    path.write_text(f"{before}{BEGIN}\n\n{section(lines, about)}\n\n{END}{rest.split(END)[1]}")
    return 0
