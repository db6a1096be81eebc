"""Readers in processes of their own: other languages, or versions that cannot be in one with those here.

Such a program answers to lines on its standard input: a path, and a folder that it writes what it found into, as
raw numbers by names of its own. It says on one line of JSON: {"NAME": [DTYPE, [AXIS...]], ...} of these files; else
{"error": WHY}.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

PROGRAMS = os.path.join(os.path.dirname(__file__), "programs")
# See scripts/python-env.
OLD = f"{sys.prefix}-old"


class Refused(Exception):
    """What a program says that cannot read a file."""


class Program:
    """A program that is started when it is first asked, and asked one thing after the other."""

    def __init__(self, *command, **environment):
        self.command, self.environment, self.process = command, environment, None

    def ask(self, path):
        """The arrays that the program finds at this path."""
        if self.process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.process = subprocess.Popen(self.command, env={**os.environ, **self.environment}, **pipes)
        with tempfile.TemporaryDirectory() as folder:
            self.process.stdin.write(os.fsencode(f"{os.path.abspath(path)}\n{folder}\n"))
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            if not line:
                raise Refused(f"{self.command[-1]} ended: {self.process.wait()}")
            said = json.loads(line)
            if "error" in said:
                raise Refused(said["error"])
            load = lambda name, dtype, shape: np.fromfile(os.path.join(folder, name), dtype).reshape(shape)
            return {name: load(name, *facts) for name, facts in said.items()}


def old_python(script, **environment):
    return Program(f"{OLD}/bin/python", "-BW", "ignore", f"{PROGRAMS}/{script}", **environment)


def node(script):
    # From the folder that has the packages.
    return Program(f"{OLD}/bin/node", f"{OLD}/{script}")
