"""Names to folders, and the errors of a run that cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pplkit
from pplkit.core import project
from pplkit.core.errors import PplkitError
from pplkit.data.writer import DatasetWriter
from pplkit.experiments import project_runs as projects
from pplkit.models.prior.config import Config
from pplkit.models.prior.presets import PRESETS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    return tmp_path


def write_data(folder: Path, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    with DatasetWriter(folder, name="noise", size=32, overwrite=True) as writer:
        writer.add("train", images)
        writer.add("test", images[:2])


def test_a_smoke_folder_never_is_the_default_one(home: Path) -> None:
    assert project.data_folder("birds") == home / "data" / "birds"
    assert project.data_folder("birds", "smoke") == home / "data" / "birds-smoke"
    assert project.run_folder("first") == home / "runs" / "first"
    assert project.run_folder("first", "smoke") == home / "runs" / "first-smoke"


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str, home: Path) -> None:
    with pytest.raises(PplkitError, match="run=.* cannot name a folder"):
        project.run_folder(name)


def test_an_unknown_scale_is_refused(home: Path) -> None:
    with pytest.raises(PplkitError, match="scale='tiny' is unknown: choose one of default, smoke"):
        project.data_folder("birds", "tiny")


def test_an_absent_run_says_train_first(home: Path) -> None:
    with pytest.raises(PplkitError, match="train first"):
        projects.load_run("nothing")


def test_a_trained_run_comes_with_its_data_even_if_both_moved(home: Path) -> None:
    write_data(home / "data" / "noise", 0)
    config = Config().smoke().replace(steps=1, batch_size=2, perceptual="none")
    pplkit.train(config, pplkit.open_dataset(home / "data" / "noise"), home / "runs" / "first", device="cpu", bar=False)
    for folder in ("data", "runs"):
        (home / "moved").mkdir(exist_ok=True)
        shutil.move(home / folder, home / "moved" / folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPLKIT_HOME", str(home / "moved"))
        run, data, model = projects.load_run("first")
        assert data.path == home / "moved" / "data" / "noise"
        assert (run.path, model.config.steps, model.training) == (home / "moved" / "runs" / "first", 1, False)
        write_data(data.path, 1)
        with pytest.raises(PplkitError, match="was changed after .*: train again"):
            projects.load_run("first")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_made_small(preset: str) -> None:
    small = Config.preset(preset).smoke()
    assert (small.steps, small.image_size, small.name) == (40, 32, preset)
    assert small.reference == Config.preset(preset).reference
    assert json.loads(small.to_json())["perceptual"] == "random"
