"""The folder of films and their truth."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import films3d
from pplkit.data.meshes import read_mesh
from pplkit.data.video import frames


def test_films_labels_character_and_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films3d.prepare(tmp_path, films=2, seconds=0.4, size=48)
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["film_00.mp4", "film_01.mp4"]
    truth = np.load(tmp_path / "truth" / "film_01.npz")
    images = list(frames(tmp_path / "clips" / "film_01.mp4", 0, None, None))
    assert len(images) == len(truth["keypoints"]) == len(truth["vertices_world"]) == 10
    rows = list(csv.DictReader((tmp_path / "labeled" / "labels.csv").open(encoding="utf-8")))
    assert len({row["file"] for row in rows}) == 10 and len(rows) == 10 * len(truth["names"])
    row = next(row for row in rows if row["file"].startswith("film_01"))
    frame = int(row["file"][-7:-4])
    place = truth["keypoints"][frame, truth["names"].tolist().index(row["name"])]
    assert np.allclose([float(row["x"]), float(row["y"])], place, atol=0.01)
    assert Image.open(tmp_path / "labeled" / row["file"]).size == (48, 48)
    assert 150 < read_mesh(tmp_path / "character.obj").height < 200  # centimeters


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert films3d.main([str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
