"""Files of version 0.1.0 are still read. That version wrote tests/fixtures_0_1_0, with its own names of settings."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pplkit
from data_prep.registry import preset_for
from pplkit.cli.main import main
from pplkit.experiments.batch import MARKER, missing
from pplkit.experiments.plan import read_plan
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import belongs

OLD = Path(__file__).resolve().parents[1] / "fixtures_0_1_0"
EXPECTED = json.loads((OLD / "expected.json").read_text())  # what 0.1.0 computed from these files
CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # processors differ in the last digits


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(OLD, tmp_path / "home")
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def same_processor(home: Path) -> bool:
    """Whether 0.1.0's fingerprint comes out here: it was taken of computed numbers, whose last digits differ."""
    run = home / "runs" / "puppets"
    landmarks = json.loads((run / "landmarks.json").read_text())
    return belongs(landmarks["made_by"]["weights"], pplkit.load(run))


@pytest.mark.parametrize("folder", ["runs/puppets", "handed_on"])
def test_models_estimate_the_same_poses(home: Path, folder: str, same_processor: bool) -> None:
    model, images = pplkit.load(home / folder), pplkit.open_dataset(home / "data" / "puppets")["test"].images
    if model.completer is None:
        assert not same_processor and folder == "runs/puppets"
        pytest.skip("the completer of 0.1.0 is told to belong to its run on processors like that which made it alone")
    poses = model.estimate(np.asarray(images[:4])).keypoints
    np.testing.assert_allclose(poses, EXPECTED["poses"], **CLOSE)


def test_a_run_goes_on_as_it_would_have(home: Path) -> None:
    data, run = pplkit.open_dataset(home / "data" / "puppets"), home / "runs" / "puppets"
    settings = json.loads((run / "config.json").read_text())["config"]
    assert settings["forgetting"] == 0.99
    config = pplkit.Config.from_dict({**settings, "steps": 12})
    assert RunFolder(run).changed(config) == {"steps": (8, 12)}
    pplkit.train(config, data, run, device="cpu", bar=False)
    row = RunFolder(run).rows("metrics.jsonl")[-1]
    assert row == pytest.approx(EXPECTED["row"], rel=1e-3, abs=1e-4)


def test_commands_take_a_run(home: Path, same_processor: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run, out, image = home / "runs" / "puppets", home / "out", home / "image.png"
    out.mkdir()
    named = ["--named"] if same_processor else []
    if not same_processor:  # which are refused
        (run / "landmarks.json").unlink()
    Image.fromarray(np.asarray(pplkit.open_dataset(home / "data" / "puppets")["test"].images[0])).save(image)
    assert main(["check", str(home / "data" / "puppets"), "--sheet", str(out / "sheet.png")]) == 0
    assert main(["estimate", str(run), str(image), "--out", str(out / "poses.json"), *named, "--quiet"]) == 0
    poses = ["--poses", str(out / "poses.json"), "--format", "csv", "--out", str(out / "poses.csv")]
    assert main(["export", str(run), *poses, "--model", str(out / "model"), "--prior", str(out / "prior.svg")]) == 0
    assert main(["doctor", str(run)]) == 0
    assert not named or "left hand" in (out / "poses.csv").read_text()
    assert pplkit.load(out / "model").config == pplkit.load(run).config
    report = json.loads((out / "poses.json").read_text())
    assert np.isfinite(report["images"][0]["keypoints"]).all(), capsys.readouterr().err


def test_plans_mean_the_same_and_finished_runs_stay_finished(home: Path) -> None:
    plan = read_plan(home / "plan.yaml", preset_for)
    combinations = {combination.run: combination for combination in plan.combinations}
    assert len(combinations) == 10
    for run, settings in EXPECTED["config"].items():
        assert combinations[run].config == pplkit.Config.from_dict(settings)
        folder = home / "runs" / run
        (folder / "notebooks").mkdir(parents=True)
        (folder / "notebooks" / "02_training.ipynb").touch()
        done = {"02_training": {"parameters": EXPECTED["plan"][run], "seconds": 1.0}}
        (folder / MARKER).write_text(json.dumps({"notebooks": done}))
        assert missing(combinations[run], plan.scale) == ["05_occlusion"]
