"""Variables of MATLAB files (versions 5 to 7), read with SciPy."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from pplkit.core.errors import PplkitError, reason


def read_mat(path: Path, name: str, remedy: str) -> Any:
    """The variable `name` of a MATLAB file: an array, a text, or an array of dictionaries for structures.

    Raises PplkitError, naming the file and `remedy`, if the file is missing or damaged, or lacks the variable.
    """
    if not path.is_file():
        raise PplkitError(f"{path} is missing; {remedy}")
    try:
        variables = loadmat(path, variable_names=[name], simplify_cells=True)
    except Exception as error:  # a torn file can fail anywhere inside SciPy's reader
        raise PplkitError(f"{path} cannot be read as a MATLAB file ({reason(error)}); {remedy}") from error
    if name not in variables:
        raise PplkitError(f"{path} has no variable {name!r}; {remedy}")
    return variables[name]


def read_numbers(path: Path, name: str, remedy: str) -> np.ndarray:
    """As `read_mat`, for an array of real numbers without axes of length 1; raises PplkitError for anything else."""
    numbers = np.asarray(read_mat(path, name, remedy))
    if numbers.dtype.kind not in "biuf":
        raise PplkitError(f"{path} has a variable {name!r} that is not an array of numbers; {remedy}")
    return numbers
