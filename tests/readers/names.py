"""The names of rows and columns, as the store has them."""

import os
import re


def axis(folder, name):
    """The names in `NAME#.csv`, one a line below a header line."""
    path = os.path.join(folder, f"{name}#.csv")
    if not os.path.exists(os.path.join(folder, "__daf__.yaml")) or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().split("\n")[1:-1]


def listed(path):
    """The names in a file beside the array, one a line."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().removesuffix("\n").split("\n")


def names_of(path, shape):
    """The names of the rows and of the columns of the array `path`; None for those that do not fit."""
    folder, stem = os.path.split(path)
    axes = re.fullmatch(r"([^,#]+)(?:,([^,#]+))?#.+", stem)
    rows, columns = listed(f"{path}.rows.txt"), listed(f"{path}.cols.txt")
    if axes:
        rows = rows or axis(folder, axes[1])
        columns = columns or (axes[2] and axis(folder, axes[2]))
    fits = lambda names, count: names if names and len(names) == count else None
    return fits(rows, shape[0]), fits(columns, shape[1] if len(shape) > 1 else None)
