import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from data_prep.common.numpy_pickle import read_objects
from pplkit.core.errors import PplkitError


def archive(path: Path, pickled: bytes) -> Path:
    """An .npz file with one array `a` of objects, whose pickle is given."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", header.getvalue() + pickled)
    return path


@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_poses_need_is_read(protocol: int, tmp_path: Path) -> None:
    content = {
        "S1": {"Walking": np.arange(6, dtype=np.float32).reshape(2, 3), "list": [np.zeros((2, 2)).T, (1, "é")]},
        "scalar": np.float64(2.5), "bool": np.bool_(True), "bytes": b"\xff", "text": np.array(["a"]), "none": None,
    }  # fmt: skip
    value = np.array(content, dtype=object)
    read = read_objects(archive(tmp_path / "a.npz", pickle.dumps(value, protocol)), ("a", "b"), "again")
    assert list(read) == ["a"] and list(read["a"]) == list(content)
    assert np.array_equal(read["a"]["S1"]["Walking"], content["S1"]["Walking"])
    assert read["a"]["scalar"] == 2.5 and read["a"]["S1"]["list"][1] == (1, "é") and read["a"]["bytes"] == b"\xff"


def test_savez_of_objects_and_plain_arrays_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a={"x": [1]}, b=np.arange(6).reshape(2, 3).T)
    read = read_objects(tmp_path / "a.npz", ("a", "b"), "again")
    assert read["a"] == {"x": [1]} and np.array_equal(read["b"], np.arange(6).reshape(2, 3).T)


class Runs:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.parametrize(
    "function, arguments",
    [(os.system, ("touch RAN",)), (eval, ("open('RAN', 'w')",)), (getattr, ("", "lower")), (np.load, ("x",))]
    + [(np.memmap, ("RAN", "u1", "w+", 0, (1,))), (__import__, ("os",))],
)
def test_hostile_pickles_are_refused_and_nothing_is_run(
    function: object, arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(2, 6):
        path = archive(tmp_path / "a.npz", pickle.dumps({"S1": Runs(function, *arguments)}, protocol))
        with pytest.raises(PplkitError, match=r"a\.npz is refused, nothing was run: it names .*; make it again\."):
            read_objects(path, ("a",), "make it again")
    assert not Path("RAN").exists()


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", a={"x": np.arange(1000)})
    content = (tmp_path / "whole.npz").read_bytes()
    for number in range(0, len(content), 97):
        (tmp_path / "cut.npz").write_bytes(content[:number])
        with pytest.raises(PplkitError, match=r"cut\.npz"):
            read_objects(tmp_path / "cut.npz", ("a",), "make it again")
    with pytest.raises(PplkitError, match="absent.npz does not exist"):
        read_objects(tmp_path / "absent.npz", ("a",), "make it again")
