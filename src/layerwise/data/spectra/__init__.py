"""Spectra of Sigma_x: a file each, which defines ``eigenvalues``.

A new spectrum is a file NAME.py here with a function ``eigenvalues(d, kappa)``: d positive numbers,
descending, on any scale, the first ``kappa`` times the last. NAME is then allowed as task.spectrum.
"""

import pkgutil

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
