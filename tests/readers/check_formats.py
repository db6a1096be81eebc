"""Opens every format of every array through its real readers: check_formats.py STORE MOUNT [MODULE...]."""

import importlib
import os
import pkgutil
import random
import sys
import traceback
import warnings

import formats
import mounted
from names import names_of
from store import folders

chance = random.Random(4)


def slices(array):
    """Some slices of an array, as they are written and as Python has them."""
    count = array.shape[0]
    if count < 4:
        return {}
    start = chance.randrange(count - 1)
    stop = chance.randint(start + 1, count)
    return {f"{start}:{stop}": slice(start, stop), "::3": slice(None, None, 3)}


def check_array(modules, folder, array, names):
    for module in modules:
        check = getattr(module, f"check_{array.kind}", None)
        if check is None:
            continue
        try:
            check(folder, array, names)
        except Exception:
            mounted.expect(False, folder, f"{module.__name__}: {traceback.format_exc()}")


def main(store, mount, *wanted):
    warnings.simplefilter("ignore")
    found = [module.name for module in pkgutil.iter_modules(formats.__path__)]
    modules = [importlib.import_module(f"formats.{name}") for name in wanted or found]
    arrays = 0
    for folder in folders(store):
        place = os.path.normpath(os.path.join(mount, os.path.relpath(folder.path, store)))
        for path, array in folder.arrays.items():
            whole = os.path.join(place, folder.mounted_name(path))
            rows, columns = names_of(path, array.shape)
            check_array(modules, whole, array, (rows, columns))
            for text, selection in slices(array).items():
                chosen = rows and rows[selection]
                check_array(modules, f"{whole}/slices/{text}", array.rows(selection), (chosen, columns))
            arrays += 1
    for problem in mounted.problems[:20]:
        print(problem)
    print(f"{arrays} arrays, {len(modules)} formats, {len(mounted.problems)} problems")
    return 1 if mounted.problems or not arrays or not modules else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
