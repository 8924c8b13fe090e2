"""Files of MATLAB that are too long, of too many parts, or hold no numbers; `test_flowers` reads sound ones."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from data_prep.common import matlab
from data_prep.common.matlab import read_numbers
from pplkit.core.errors import PplkitError


def test_what_is_long_or_of_many_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"a": np.arange(3.0)})
    assert read_numbers(path, "a", "mend it").tolist() == [[0, 1, 2]]
    monkeypatch.setattr(matlab, "ELEMENTS", 4)  # one of the file, four of the matrix
    with pytest.raises(PplkitError, match=r"a.mat cannot be read as a MATLAB file .*more than 4 parts.*: mend it"):
        read_numbers(path, "a", "mend it")
    with path.open("r+b") as stream:
        stream.truncate(10**11)
    with pytest.raises(PplkitError, match="a.mat cannot be read as a MATLAB file .it is longer than 268,435,456 bytes"):
        read_numbers(path, "a", "mend it")


def test_cells_and_text_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    for value in (np.array([{}, "a"], object), "text"):
        savemat(path, {"a": value})
        with pytest.raises(PplkitError, match="a.mat has text, cells or structures called a, not numbers: mend it"):
            read_numbers(path, "a", "mend it")
