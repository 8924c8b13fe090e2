"""MATLAB files: numbers, structures, and what is neither."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from data_prep.common.matlab import read_mat, read_numbers
from pplkit.core.errors import PplkitError


def test_numbers_and_structures_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"a": np.array([[3, 1, 2]]), "b": np.array([("x", 1), ("y", 2)], dtype=[("n", object), ("k", int)])})
    assert read_numbers(path, "a", "mend it").tolist() == [3, 1, 2]
    assert [structure["n"] for structure in read_mat(path, "b", "mend it")] == ["x", "y"]
    with pytest.raises(PplkitError, match="a.mat has no variable 'c'; mend it"):
        read_mat(path, "c", "mend it")


def test_cells_and_text_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    for value in (np.array([{}, "a"], object), "text"):
        savemat(path, {"a": value})
        with pytest.raises(PplkitError, match="a.mat has a variable 'a' that is not an array of numbers; mend it"):
            read_numbers(path, "a", "mend it")
