"""The work that has a goal as a picture: the speed of each, where the plain file's is 1."""

from html import escape

from report import is_contest

WIDTH, LABELS, RIGHT, ROW, TOP = 920, 440, 70, 24, 84
# The axis ends here; longer bars are cut, and their number says how far they would reach.
END = 2.0

STYLE = """
  text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .card { fill: #ffffff } .small { fill: #59636e; font-size: 11px } .title { font-size: 15px; font-weight: 600 }
  .met { fill: #2da44e } .missed { fill: #d1722c }
  .native { stroke: #59636e } .grid { stroke: #d1d9e0 } .goal { stroke: #1f2328; stroke-width: 2 }
  .reference { fill: none; stroke: #8250df; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .card { fill: #0d1117 } .small { fill: #9198a1 }
    .met { fill: #3fb950 } .missed { fill: #db8446 }
    .native { stroke: #9198a1 } .grid { stroke: #2b3139 } .goal { stroke: #e6edf3 } .reference { stroke: #a371f7 }
  }"""


def speed(line, ratio):
    """The ratio as a speed, so that longer is better for all."""
    return ratio if line.more_is_better else 1 / ratio


def x(value):
    return LABELS + (WIDTH - LABELS - RIGHT) * min(value, END) / END


def bar(line, y):
    value = speed(line, line.ratio())
    kind = "met" if line.met() else "missed"
    parts = [
        f'<text x="{LABELS - 10}" y="{y + 16}" text-anchor="end">{escape(line.work)}</text>',
        f'<rect class="{kind}" x="{LABELS}" y="{y + 5}" width="{x(value) - LABELS:.1f}" height="14" rx="2"/>',
        # Apart from the bar, where it would lie under the marks.
        f'<text class="small" x="{WIDTH - 20}" y="{y + 16}" text-anchor="end">{value:.2f}</text>',
    ]
    reference = line.ratio("reference")
    at = x(speed(line, line.goal.bound * (reference if line.goal.to == "reference" else 1)))
    parts.append(f'<line class="goal" x1="{at:.1f}" x2="{at:.1f}" y1="{y + 2}" y2="{y + 22}"/>')
    if reference:
        parts.append(f'<circle class="reference" cx="{x(speed(line, reference)):.1f}" cy="{y + 12}" r="5"/>')
    return parts


def legend():
    entries = [
        ('<rect class="met" x="{0}" y="46" width="14" height="10" rx="2"/>', "goal met"),
        ('<rect class="missed" x="{0}" y="46" width="14" height="10" rx="2"/>', "goal missed"),
        ('<line class="goal" x1="{1}" x2="{1}" y1="43" y2="59"/>', "goal"),
        ('<circle class="reference" cx="{1}" cy="51" r="5"/>', "libfuse's passthrough_hp"),
    ]
    at, parts = 20, []
    for mark, words in entries:
        parts += [mark.format(at, at + 7), f'<text class="small" x="{at + 20}" y="55">{words}</text>']
        at += 40 + 7 * len(words)
    return parts


def axis(bottom):
    parts = []
    for value in (0, 0.5, 1, 1.5, END):
        kind = "native" if value == 1 else "grid"
        label = "plain file = 1" if value == 1 else f"{value:g}"
        parts += [
            f'<line class="{kind}" x1="{x(value)}" x2="{x(value)}" y1="{TOP}" y2="{bottom}"/>',
            f'<text class="small" x="{x(value)}" y="{TOP - 6}" text-anchor="middle">{label}</text>',
        ]
    return parts


def svg(lines, machine):
    shown = [line for line in lines if line.goal and line.ratio() and not is_contest(line)]
    bottom = TOP + ROW * len(shown)
    about = f"{machine['date']}, Linux {machine['kernel']}, {machine['cores']} cores; longer is faster"
    parts = [
        f'<rect class="card" width="{WIDTH}" height="{bottom + 16}" rx="6"/>',
        '<text class="title" x="20" y="28">Speed of arrayfs against plain files</text>',
        f'<text class="small" x="{WIDTH - 20}" y="28" text-anchor="end">{escape(about)}</text>',
        *legend(),
        *axis(bottom),
    ]
    for number, line in enumerate(shown):
        parts += bar(line, TOP + ROW * number)
    size = f'width="{WIDTH}" height="{bottom + 16}" viewBox="0 0 {WIDTH} {bottom + 16}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}\n</style>\n{body}\n</svg>\n'
