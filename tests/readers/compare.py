"""Compares a mounted store with its source, read by NumPy: compare.py STORE MOUNT."""

import os
import sys
import warnings

import mounted
from folders import check_folder
from mounted import check_names, check_stat, read, same_bytes
from store import PARTS, folders


def main(store, mount):
    # Random bits are infinities and NaN too, and NumPy warns when these are converted.
    warnings.simplefilter("ignore", RuntimeWarning)
    arrays = 0
    for folder in folders(store):
        place = os.path.normpath(os.path.join(mount, os.path.relpath(folder.path, store)))
        check_contents(folder, place)
        arrays += len(folder.arrays)
    for problem in mounted.problems[:100]:
        print(problem)
    counts = mounted.counts
    print(f"{arrays} arrays, {counts['files']} files, {counts['bytes']} bytes, {len(mounted.problems)} problems")
    return 1 if mounted.problems or not arrays else 0


def check_contents(folder, place):
    """One directory of the store: its names, its files, its arrays."""
    arrays = {path: os.path.join(place, folder.mounted_name(path)) for path in folder.arrays}
    names = [os.path.basename(path) for path in arrays.values()]
    check_names(place, names + folder.files + folder.folders)
    for name in folder.files:
        source, file = os.path.join(folder.path, name), os.path.join(place, name)
        with open(source, "rb") as plain:
            same_bytes(file, read(file), plain.read())
        check_stat(file, source)
    for path, array in folder.arrays.items():
        check_folder(arrays[path], array)
        for part in PARTS[array.kind]:
            check_stat(os.path.join(arrays[path], part), f"{path}.{part}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
