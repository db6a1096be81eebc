"""How work is timed: the load generator, programs as a user runs them, and rounds of all sides in turn."""

import json
import os
import subprocess
import time

SHELL = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": {**os.environ, "LC_ALL": "C"}}


# After so many seconds of the same work, two rounds are enough: a whole run is to end within 10 minutes.
PATIENCE = 12


def in_turn(runs, sides):
    """Calls every side once a round, each round in the opposite order; returns what each side gave.

    A machine that becomes slower or faster meanwhile so does it to all of them.
    """
    given = {name: [] for name in sides}
    start = time.perf_counter()
    for number in range(runs):
        if number >= 2 and time.perf_counter() - start > PATIENCE:
            break
        order = list(sides)
        for name in order if number % 2 == 0 else reversed(order):
            given[name].append(sides[name]())
    return given


def column(given, key):
    """One figure of what every side gave."""
    return {side: [values[key] for values in rounds] for side, rounds in given.items()}


def seconds(command, **options):
    """How long a program runs."""
    start = time.perf_counter()
    subprocess.run(command, check=True, **{**SHELL, **options})
    return time.perf_counter() - start


def shell_seconds(script, folder):
    return seconds(["bash", "-c", script], cwd=folder)


class Load:
    """The load generator, examples/load.rs."""

    def __init__(self, program):
        self.program = program

    def __call__(self, *arguments):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def start(self, *arguments):
        """In the background, until it is stopped."""
        return subprocess.Popen([self.program, *map(str, arguments)], **SHELL)

    def files(self, folder, rows, *options):
        """The passes over `rows` files of a folder, named by padded numbers."""
        found = self("files", folder, "--width", len(str(rows - 1)), "--count", rows, *options)
        return found["passes"]


def rate(measured):
    """Files a second of one pass."""
    return measured["files"] / measured["ns"] * 1e9
