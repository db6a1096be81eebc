"""Files of a mount, and what they should hold. What differs is noted, and the rest goes on."""

import csv
import io
import os
import random
import stat

import numpy as np
import yaml

problems = []
counts = {"files": 0, "bytes": 0}
chance = random.Random(20)


def expect(is_so, path, what):
    if not is_so:
        problems.append(f"{os.fsencode(path)!r}: {what}")


def some(count, whole):
    """Numbers below count, of rows to look at. In whole arrays all, unless it is a great many; else
    the first, the last and others by chance."""
    if count <= (800 if whole else 3):
        return list(range(count))
    return sorted({0, count - 1, *chance.sample(range(count), 60 if whole else 1)})


def read(path):
    """The bytes of a file, read whole and then in pieces anywhere; its size is what stat says."""
    counts["files"] += 1
    try:
        size = os.stat(path).st_size
        with open(path, "rb", buffering=0) as file:
            whole = file.readall()
            expect(size == len(whole), path, f"stat says {size} bytes, {len(whole)} were read")
            check_pieces(path, file.fileno(), whole)
    except OSError as error:
        expect(False, path, error)
        return b""
    counts["bytes"] += len(whole)
    return whole


def check_pieces(path, fd, whole):
    """Reads at any offset and of any length are parts of the whole; at the end there is nothing."""
    for most in [20, 5000, len(whole) + 10]:
        offset, length = chance.randint(0, len(whole)), chance.randint(1, most)
        piece = os.pread(fd, length, offset)
        expect(piece == whole[offset : offset + length], path, f"{length} bytes at {offset} differ from the whole")
    expect(os.pread(fd, 10, len(whole)) == b"", path, "there are bytes beyond the end")


def same_bytes(path, found, wanted):
    if found != wanted:
        pairs = zip(found, wanted)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(found), len(wanted)))
        expect(False, path, f"{len(found)} bytes, not {len(wanted)}, or another at {at}")


def same_array(path, found, wanted):
    expect(found.dtype == wanted.dtype, path, f"dtype {found.dtype}, not {wanted.dtype}")
    expect(found.shape == wanted.shape, path, f"shape {found.shape}, not {wanted.shape}")
    same_bytes(path, found.tobytes(), wanted.tobytes())


def check_numbers(path, wanted):
    """A file of raw numbers, and the same as .npy. Returns the raw bytes."""
    found = read(path)
    same_bytes(path, found, wanted.tobytes())
    check_npy(path + ".npy", wanted)
    return found


def check_npy(path, wanted):
    read(path)
    mode = chance.choice([None, "r"])
    try:
        same_array(f"{path} (mmap_mode={mode})", np.load(path, mmap_mode=mode), wanted)
    except (OSError, ValueError) as error:
        expect(False, path, error)


def check_csv(path, wanted):
    """One row as text, below a header, reads back to its very bits; of NaN only that it is one."""
    text = read(path).decode()
    lines = list(csv.reader(io.StringIO(text)))
    expect(text.endswith("\n") and len(lines) == 2, path, "is not a header and one line")
    expect(len(lines[0]) == len(lines[1]), path, "the header is not as long as the line")
    # In front of the numbers the row may have a name.
    cells = lines[1][-len(wanted):]
    if wanted.dtype.kind != "f":
        # Of bool too: nothing but 0 and 1 stands there.
        return expect([int(cell) for cell in cells] == [int(item) for item in wanted], path, "numbers differ")
    # By way of float64, as readers do that have but one type.
    found = np.array([float(cell) for cell in cells], np.float64).astype(wanted.dtype)
    nan = np.isnan(wanted)
    expect(np.array_equal(np.isnan(found), nan), path, "NaN is elsewhere")
    same_array(path, found[~nan], wanted[~nan])


def check_meta(path, array, wanted):
    """meta.yaml says kind, dtype and shape, as any YAML reader finds them."""
    meta = yaml.safe_load(read(path))
    facts = {"kind": array.kind, "shape": list(array.shape), **array.dtypes(), **wanted}
    for key, value in facts.items():
        expect(meta.get(key) == value, path, f"{key} is {meta.get(key)!r}, not {value!r}")


def check_missing(path):
    """There is nothing of that name."""
    try:
        os.stat(path)
        expect(False, path, "should not exist")
    except FileNotFoundError:
        pass
    except OSError as error:
        expect(False, path, error)


def check_stat(path, source):
    """Times of the source, and its mode less what it lets write."""
    found, wanted = os.stat(path), os.stat(source)
    expect(found.st_mtime_ns == wanted.st_mtime_ns, path, f"mtime {found.st_mtime_ns}, not {wanted.st_mtime_ns}")
    expect(stat.S_IMODE(found.st_mode) == stat.S_IMODE(wanted.st_mode) & 0o555, path, f"mode {oct(found.st_mode)}")


def check_names(path, wanted):
    """A directory lists these names, each once."""
    found = sorted(os.listdir(path))
    if found != sorted(wanted):
        expect(False, path, f"lists {found[:5]}… ({len(found)}), not {sorted(wanted)[:5]}… ({len(wanted)})")
