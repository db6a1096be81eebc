"""What was measured: samples of each side, their medians and ratios, and whether the goal is met."""

from dataclasses import dataclass, field
from statistics import median

# How a unit's numbers read, and whether more of it is better.
MORE_IS_BETTER = {"GB/s": True, "M/s": True, "files/s": True, "ms": False, "µs": False, "s": False, "MiB": False}


@dataclass
class Goal:
    """A bound on the ratio to a side, or on arrayfs' own figure where there is nothing to compare with."""

    bound: float
    to: str = "native"

    def text(self, better, unit):
        sign = "≥" if better else "≤"
        if self.to == "itself":
            return f"{sign} {self.bound:g} {unit}"
        return f"{sign} {self.bound:g} x" + (" reference" if self.to == "reference" else "")


@dataclass
class Line:
    """One kind of work. A ratio is that of the figures as they are: of rates more is better, of times less."""

    work: str
    unit: str
    samples: dict[str, list[float]]
    goal: Goal | None = None
    note: str = ""
    more_is_better: bool | None = field(default=None)

    def __post_init__(self):
        if self.more_is_better is None:
            self.more_is_better = MORE_IS_BETTER[self.unit]

    def median(self, side):
        values = self.samples.get(side)
        return median(values) if values else None

    def ratios(self, side, to):
        """Round by round: both sides of a round had the same noise around them."""
        pairs = zip(self.samples.get(side, []), self.samples.get(to, []))
        return [value / base for value, base in pairs if base]

    def ratio(self, side="arrayfs", to="native"):
        ratios = self.ratios(side, to)
        return median(ratios) if ratios else None

    def met(self):
        if self.goal is None:
            return None
        reached = self.median("arrayfs") if self.goal.to == "itself" else self.ratio(to=self.goal.to)
        if reached is None:
            return None
        return reached >= self.goal.bound if self.more_is_better else reached <= self.goal.bound

    def goal_text(self):
        return self.goal.text(self.more_is_better, self.unit) if self.goal else ""

    def as_json(self):
        def spread(values):
            return {"median": median(values), "min": min(values), "max": max(values), "samples": values}

        ratios = {
            "arrayfs/native": self.ratios("arrayfs", "native"),
            "reference/native": self.ratios("reference", "native"),
            "arrayfs/reference": self.ratios("arrayfs", "reference"),
        }
        return {
            "work": self.work,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "goal": self.goal and {"bound": self.goal.bound, "to": self.goal.to},
            "met": self.met(),
            "note": self.note,
            "sides": {side: spread(values) for side, values in self.samples.items() if values},
            "ratios": {name: spread(values) for name, values in ratios.items() if values},
        }


def from_json(entry):
    goal = entry["goal"] and Goal(**entry["goal"])
    samples = {side: spread["samples"] for side, spread in entry["sides"].items()}
    return Line(entry["work"], entry["unit"], samples, goal, entry["note"], entry["more_is_better"])
