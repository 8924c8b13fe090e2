"""A saved model: the same poses from the folder alone, no change unnoticed, and a model card."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import with_completer
from safetensors import safe_open
from safetensors.torch import save

import pplkit
from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.data.dataset import Dataset
from pplkit.data.npy_shards import file_hash
from pplkit.inference.export.model_card import save_pretrained
from pplkit.inference.landmarks.fitting import load_landmarks
from pplkit.inference.landmarks.landmark_head import LandmarkHead, load_head
from pplkit.inference.landmarks.landmark_map import fit_landmarks
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.run_folder import MODEL, RunFolder, data_of
from pplkit.training.saved_model import SCHEMA, fingerprint, save_completer

SCORES = {
    "protocol": "cub", "test_images": 9, "error": 0.0612, "mean_pose_error": 0.12, "relative_error": 0.51,
    "keypoints_on_object": 0.875,
}  # fmt: skip
HIDDEN = {
    "measure": "error of protocol cub", "unoccluded": {"published": 0.061, "completed": 0.06},
    "occluded": {"published": 0.1234, "completed": None},
}  # fmt: skip


def trained(path: Path, config: Config, data: Dataset) -> RunFolder:
    """A run folder as training, teaching and evaluating leave it, of a model that has learned nothing."""
    torch.manual_seed(0)
    folder = RunFolder(path)
    made_by = folder.open(config, data)
    model = PosePriorLearner(config).eval()
    folder.save(6, model, torch.optim.Adam(model.parameters()), made_by)
    save_completer(folder, with_completer(model), 5)
    for name, content in (("evaluation", SCORES), ("occlusion", HIDDEN)):
        write_json(path / f"{name}.json", {**content, "made_by": {"step": 6}})
    return folder


@pytest.fixture(scope="module")
def run(tiny: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "first", tiny, puppets).path


@pytest.fixture
def saved(run: Path, tmp_path: Path) -> Path:
    return save_pretrained(run, tmp_path / "saved")


def test_the_folder_alone_gives_the_same_poses(run: Path, saved: Path, puppets: Dataset, tmp_path: Path) -> None:
    moved = saved.rename(tmp_path / "elsewhere")
    ours, theirs = pplkit.load(run), pplkit.load(moved)
    images = np.asarray(puppets["test"].images)
    for procedure in ("completed", "published"):
        results = [model.estimate(images, procedure=procedure) for model in (ours, theirs)]
        torch.testing.assert_close(results[0].keypoints, results[1].keypoints, rtol=0, atol=0)
        torch.testing.assert_close(results[0].confidence, results[1].confidence, rtol=0, atol=0)
    assert theirs.procedure() == "completed"
    assert theirs.config == ours.config
    np.testing.assert_array_equal(PosePrior.load(moved / "prior.json").links(), ours.prior().links())
    assert theirs.made_by["run"] == "first" and theirs.made_by["step"] == 6


def test_the_folder_has_a_models_weights_and_no_more(saved: Path) -> None:
    names = ["README.md", "config.json", "model.safetensors", "prior.json"]
    assert sorted(path.name for path in saved.iterdir()) == names
    with safe_open(saved / MODEL, framework="pt") as file:
        tensors = set(file.keys())
    assert {"regressor.embed.weight", "completer.doubt.0.weight"} <= tensors
    assert not any("optimiser" in name for name in tensors)
    for path in saved.iterdir():
        assert b"data_path" not in path.read_bytes()  # a path of the machine it was made on


def test_a_model_without_completer(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "plain")
    (tmp_path / "plain" / "completer.safetensors").unlink()
    assert pplkit.load(save_pretrained(tmp_path / "plain", tmp_path / "saved")).completer is None
    assert "| completer | no |" in (tmp_path / "saved" / "README.md").read_text(encoding="utf8")


@pytest.mark.parametrize("name", ["model.safetensors", "prior.json"])
def test_changed_and_missing_files_are_noticed(saved: Path, name: str) -> None:
    path = saved / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PplkitError, match=f"{name} is not the file that was handed on"):
        pplkit.load(saved)
    path.unlink()
    with pytest.raises(PplkitError, match="prior.json does not exist" if name == "prior.json" else "no checkpoint yet"):
        pplkit.load(saved)


def test_other_weights_are_refused_even_with_their_hashes(saved: Path) -> None:
    content = json.loads((saved / "config.json").read_text(encoding="utf8"))
    other = save({"alpha": torch.ones(())}, {"schema": SCHEMA})
    newer = save({"alpha": torch.ones(())}, {"schema": "pplkit-model-9"})
    for weights, message in (
        (other, "does not fit the config"),
        (newer, "is of another version .'pplkit-model-9'"),
        (b"torn", "model.safetensors cannot be read"),
    ):
        (saved / MODEL).write_bytes(weights)
        write_json(saved / "config.json", {**content, "sha256": {MODEL: file_hash(saved / MODEL)}})
        with pytest.raises(PplkitError, match=message):
            pplkit.load(saved)
    for hashes in ({}, None, {"prior.json": content["sha256"]["prior.json"]}):
        write_json(saved / "config.json", {**content, "sha256": hashes})
        with pytest.raises(PplkitError, match="config.json has no sha256 by file"):
            pplkit.load(saved)


def test_a_saved_model_is_no_run_folder(saved: Path, tiny: Config, puppets: Dataset) -> None:
    before = (saved / "config.json").read_bytes()
    with pytest.raises(PplkitError, match="handed on: choose another folder to train in"):
        RunFolder(saved).open(tiny, puppets)
    assert (saved / "config.json").read_bytes() == before
    with pytest.raises(PplkitError, match="does not say where its data set is"):
        data_of(RunFolder(saved))


def test_a_folder_that_is_there_stays(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(PplkitError, match="mine exists already"):
        save_pretrained(run, tmp_path / "mine")
    with pytest.raises(PplkitError, match="there is no run folder"):
        save_pretrained(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(PplkitError, match="cannot be written"):
        save_pretrained(run, tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_the_card_says_what_the_model_is_worth(saved: Path, puppets: Dataset) -> None:
    text = (saved / "README.md").read_text(encoding="utf8")
    assert text.startswith("# Poses of puppets\n")
    for line in (
        "| licence | not stated |", f"| sha256 | {puppets.sha256} |", "| images | 20 train, 9 test |",
        "| steps | 6 |", "| preset | tiny |", "| completer | yes: hidden keypoints are completed |",
        "| error (% of the image side) of the labels, regressed linearly from the keypoints | 6.12 |",
        "| keypoints that lie on the object | 87.5 % |",
        "| published, mean over all kinds and amounts of occlusion | 12.34 |", "| completed, nothing hidden | 6.00 |",
    ):  # fmt: skip
        assert line in text.splitlines(), line
    assert "completed, mean over all" not in text  # which was not measured
    assert pplkit.__version__ in text.split("## Versions")[1]


def test_the_card_does_not_say_what_is_not_known(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    """Scores of an earlier checkpoint, and a data set that is gone."""
    folder = trained(tmp_path / "run", tiny, puppets)
    content = folder.read("config.json")
    content["made_by"] |= {"data_path": "gone", "data": "a|b <i>"}
    write_json(folder.path / "config.json", content)
    write_json(folder.path / "evaluation.json", {**SCORES, "made_by": {"step": 3}})
    (folder.path / "occlusion.json").unlink()
    text = (save_pretrained(folder.path, tmp_path / "saved") / "README.md").read_text(encoding="utf8")
    assert "None: the run was not evaluated." in text and "6.12" not in text
    assert r"# Poses of a\|b \<i\>" in text
    assert "| source and licence | unknown: the data set was missing when this was written |" in text


HEAD = "landmarks.safetensors"


def test_named_landmarks_go_along(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", tiny, puppets)
    points = np.random.default_rng(0).uniform(-1, 1, (5, 4, 2))
    made_by = {"run": "run", "data_path": "a", "weights": "of another model"}
    fitted = fit_landmarks(points, points[:, :2], ["nose", "tail_tip"], 32, made_by=made_by)
    fitted.save(folder.path / "landmarks.json")
    with pytest.raises(PplkitError, match="landmarks.json was fitted before the model changed"):
        save_pretrained(folder.path, tmp_path / "saved")
    made_by["weights"] = fingerprint(pplkit.load(folder.path))
    fitted.save(folder.path / "landmarks.json")
    saved = save_pretrained(folder.path, tmp_path / "saved")
    kept = json.loads((saved / "landmarks.json").read_text(encoding="utf8"))
    assert kept["names"] == ["nose", "tail_tip"] and kept["made_by"] == {"run": "run", "weights": made_by["weights"]}
    assert r"fitted to some labels: nose, tail\_tip" in (saved / "README.md").read_text(encoding="utf8")
    assert load_landmarks(saved, pplkit.load(saved)).names == kept["names"] and not (saved / HEAD).exists()
    LandmarkHead(8, 32, torch.ones(2)).save(folder.path / HEAD, fitted)
    again = save_pretrained(folder.path, tmp_path / "with head")
    model = pplkit.load(again)
    assert load_head(again / HEAD, load_landmarks(again, model), model) is not None
    write_json(saved / "landmarks.json", kept | {"names": ["tail_tip", "nose"]})
    with pytest.raises(PplkitError, match="landmarks.json is not the file that was handed on"):
        pplkit.load(saved)


def test_a_predefined_prior_is_named_without_its_folder(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    config = tiny.replace(prior_links="predefined", predefined=str(tmp_path / "secret" / "prior.json"))
    saved = save_pretrained(trained(tmp_path / "run", config, puppets).path, tmp_path / "saved")
    assert json.loads((saved / "config.json").read_text(encoding="utf8"))["config"]["predefined"] == "prior.json"
    assert pplkit.load(saved).config.predefined == "prior.json"
