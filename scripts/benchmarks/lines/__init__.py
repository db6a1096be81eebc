"""The lines of the table, one file a subject. A measure gives lines; it is chosen by its name."""

MEASURES = []


def measure(name):
    """Registers a generator of lines under the name that `--only` looks at."""

    def register(function):
        MEASURES.append((name, function))
        return function

    return register
