"""One module a format: what its real readers make of an array's files.

A module has `check_dense(folder, array, names)`, `check_sparse(folder, array, names)`, or both. `folder` is
the array's folder in the mount, or that of a slice; `array` is a Dense or Sparse of store.py, which the
files must agree with; `names` are the lists (rows, columns), each None where the store does not know.
"""
