"""The bench's arrays, and the plain files they are measured against; each is made when first asked for."""

import os
from dataclasses import dataclass
from functools import cached_property

import numpy

ITEM = 4  # bytes of a float32
GIB = 1 << 30


@dataclass
class Sizes:
    """Rows and columns, by a scale: 1 needs a bit less than 4 GiB of disk."""

    scale: float

    def rows(self, count, least):
        return max(least, int(count * min(self.scale, 1)))

    @property
    def big(self):
        return self.rows(1_000_000, 20_000), (1000 if self.scale > 1 else 500)

    @property
    def short(self):
        return self.rows(16_384, 1000), 8192 // ITEM

    @property
    def long(self):
        return self.rows(1024, 128), 131_072 // ITEM

    @property
    def page(self):
        return self.rows(100_000, 2000), 4096 // ITEM

    @property
    def arrays(self):
        return self.rows(10_000, 500)


@dataclass
class Matrix:
    """A float32 matrix of the store, by name."""

    store: str
    name: str
    rows: int
    columns: int

    @property
    def file(self):
        return f"{self.store}/{self.name}.array"

    @property
    def row_bytes(self):
        return self.columns * ITEM

    @property
    def bytes(self):
        return self.rows * self.row_bytes

    def memmap(self):
        return numpy.memmap(self.file, "<f4", "r", shape=(self.rows, self.columns))

    @property
    def text(self):
        return f"{self.rows:,} rows of {size_text(self.row_bytes)}"


def size_text(count):
    for unit, name in ((GIB, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:,} bytes"


class Data:
    """Everything below a directory: `store/` to mount, `plain/` beside it."""

    def __init__(self, base, sizes, say):
        self.base, self.sizes, self.say = base, sizes, say
        self.store, self.plain = f"{base}/store", f"{base}/plain"
        os.mkdir(self.store)
        os.mkdir(self.plain)
        self.random = numpy.random.default_rng(1)

    def _made(self, what):
        """Written out before anything is timed, or the disk would be busy meanwhile."""
        os.sync()
        return what

    def _matrix(self, name, shape):
        matrix = Matrix(self.store, name, *shape)
        self.say(f"writing {name}: {matrix.text}, {size_text(matrix.bytes)}")
        with open(matrix.file, "wb") as file:
            step = max(1, (16 << 20) // matrix.row_bytes)
            for first in range(0, matrix.rows, step):
                part = (min(step, matrix.rows - first), matrix.columns)
                file.write(self.random.random(part, numpy.float32).tobytes())
        write_metadata(f"{self.store}/{name}.yaml", shape)
        return self._made(matrix)

    def _row_files(self, matrix):
        folder = f"{self.plain}/{matrix.name}"
        self.say(f"writing the plain files of {matrix.name}'s rows")
        os.mkdir(folder)
        width = len(str(matrix.rows - 1))
        with open(matrix.file, "rb") as source:
            for row in range(matrix.rows):
                with open(f"{folder}/{row:0{width}}", "wb", 0) as file:
                    file.write(source.read(matrix.row_bytes))
        return self._made(folder)

    @cached_property
    def big(self):
        """As wide as the disk allows: for whole files, columns and long listings."""
        return self._matrix("big", self.sizes.big)

    @cached_property
    def short(self):
        return self._matrix("short", self.sizes.short)

    @cached_property
    def long(self):
        return self._matrix("long", self.sizes.long)

    @cached_property
    def page(self):
        return self._matrix("page", self.sizes.page)

    @cached_property
    def short_rows(self):
        return self._row_files(self.short)

    @cached_property
    def long_rows(self):
        return self._row_files(self.long)

    @cached_property
    def page_rows(self):
        return self._row_files(self.page)

    @cached_property
    def empty_files(self):
        """A real directory of as many names as `big` has rows: a listing reads no content."""
        self.say(f"making {self.big.rows:,} plain files to list")
        folder = f"{self.plain}/empty"
        os.mkdir(folder)
        width = len(str(self.big.rows - 1))
        directory = os.open(folder, os.O_RDONLY)
        for row in range(self.big.rows):
            os.close(os.open(f"{row:0{width}}", os.O_CREAT | os.O_WRONLY, 0o444, dir_fd=directory))
        os.close(directory)
        return self._made(folder)

    @cached_property
    def npy(self):
        file = f"{self.plain}/page.npy"
        numpy.save(file, self.page.memmap())
        return self._made(file)

    @cached_property
    def many(self):
        """A store of many small arrays."""
        self.say(f"writing {self.sizes.arrays:,} small arrays")
        store = f"{self.base}/many"
        os.mkdir(store)
        for number in range(self.sizes.arrays):
            write_metadata(f"{store}/a{number:05}.yaml", (4, 8))
            with open(f"{store}/a{number:05}.array", "wb") as file:
                file.write(bytes(4 * 8 * ITEM))
        return self._made(store)


def write_metadata(path, shape):
    with open(path, "w") as file:
        file.write(f"version: [1, 0]\ndtype: float32\nshape: [{shape[0]}, {shape[1]}]\n")
