"""`pplkit road`, from films to a moving character by one command."""

from pathlib import Path

import pytest

from data_prep import films3d
from pplkit import cli


def test_one_command_trains_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    films = films3d.prepare(tmp_path / "films", films=2, seconds=0.8, size=48)
    command = ["road", "video-people", "--source", str(films / "clips"), "--to", str(films / "character.obj")]
    command += ["--labels", str(films / "labeled" / "labels.csv"), "--method", "filters", "--lifter-steps", "2"]
    command += ["--preset", "fast", "--steps", "3", "--size", "32", "--option", "crop=center", "test_share=0.5"]
    assert cli.main([*command, "--set", "keypoints=4", "batch_size=4", "--device", "cpu"]) == 0
    assert "film_01.mp4" in capsys.readouterr().out
    assert (tmp_path / "runs" / "lifter" / "training.json").is_file()
    out = tmp_path / "runs" / "video-people" / "road"
    assert len(list(out.glob("film_*/character/character.glb"))) == 2


def test_a_source_without_videos_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["road", "video-x", "--source", str(tmp_path), "--labels", "labels.csv"]) == 2
    error = capsys.readouterr().err
    assert "holds no video" in error and error.count("\n") == 1
