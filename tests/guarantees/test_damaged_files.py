"""Every kind of file that the kit reads, damaged in the ordinary ways, ends in one sentence with file and remedy."""

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batches_home import write_data, write_notebook, write_plan
from conftest import stepped, with_completer
from h36m_source import make_raw
from PIL import Image
from sources import coco, film, make_cub, make_flowers, make_hands, make_taichi, table

from data_prep import cub, flowers, h36m_raw, hands, taichi
from data_prep.common.archives import unpack
from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.images import read_image
from pplkit.data.label_readers import read_labels
from pplkit.data.video import frames
from pplkit.experiments.notebooks import declared_parameters
from pplkit.experiments.plan import read_plan
from pplkit.inference.export.model_card import save_pretrained
from pplkit.inference.export.pose_formats import read_poses
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.released_reader import read_state
from pplkit.training.run_folder import RunFolder, data_of
from pplkit.training.saved_model import fingerprint, load, save_completer

STEP = "run/checkpoints/step-00000001.safetensors"
POSE = {"width": 40, "height": 24, "keypoints": [[1.0, 2.0], [3.0, 4.0]], "confidence": [0.5, 1.0]}


def make_run(folder: Path, tiny: Config, data: Dataset) -> None:
    """A data set, a run with a completer and landmarks, and the same exported."""
    shutil.copytree(data.path, folder / "set")
    run, (model, optimizer) = RunFolder(folder / "run"), stepped(tiny)
    run.save(1, model, optimizer, run.open(tiny, open_dataset(folder / "set")))
    save_completer(run, with_completer(model), 3)
    model.prior().save(run.path / "prior.json")
    points, names = np.random.default_rng(0).uniform(-1, 1, (6, 4, 2)), ["left ear", "right ear", "nose"]
    made_by = {"weights": fingerprint(load(run.path))}
    fit_landmarks(points, points[:, :3], names, 32, made_by=made_by).save(run.path / "landmarks.json")
    save_pretrained(run.path, folder / "model")


def make_others(folder: Path) -> None:
    """Files of all other kinds, most of them in folders of their own."""
    write_data(folder / "home", "roses")
    write_notebook(folder / "home/notebooks/train.ipynb", 'run = "none"  # a name', "run")
    write_plan(folder / "home", datasets=["roses"], notebooks=["train"])
    for name, make in (("cub", make_cub), ("hands", make_hands), ("flowers", make_flowers), ("taichi", make_taichi)):
        make(folder / name)
    make_raw(folder / "h36m")
    (folder / "files").mkdir()
    coco(folder / "files/l.json")
    table(folder / "files/l.csv", "a.png,nose,20,30,1", "a.png,ear,10,18,1", "b.png,nose,,,0")
    write_json(folder / "files/poses.json", {"images": [{"file": "a.png", **POSE}], "links": [[0, 1]], "made_by": {}})
    torch.save(torch.nn.Linear(2, 2).state_dict(), folder / "files/state.pt")
    for ending in ("png", "jpg", "tif"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)).save(
            folder / f"files/a.{ending}"
        )
    film(folder / "files/a.mp4", 10)
    film(folder / "files/a.mkv", 10)
    with tarfile.open(folder / "files/a.tgz", "w:gz") as archive:
        archive.add(folder / "files/a.png", "jpg/a.png")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, tiny: Config, puppets: Dataset) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    make_run(folder, tiny, puppets)
    make_others(folder)
    return folder


def read_run(folder: Path) -> None:
    data_of(RunFolder(folder / "run"))
    load(folder / "run").prior()


def read_film(path: Path) -> None:
    list(frames(path, 0.0, None, None, threads=1))


def read_at(name: str, read: Callable[[Path], object], folder: Path) -> None:
    read(folder / name)


def read_h36m(folder: Path) -> None:
    list(h36m_raw.rows(h36m_raw.Video("train", folder / "h36m/S1", "Directions 1.54138969", 0), 8, 4, masks=True))


def prepared(module: Any, name: str) -> Callable[[Path], object]:
    return lambda folder: module.prepare(folder / name, folder / "out", 8, strict=True)


def read_home(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPLKIT_HOME", str(folder / "home"))
        read_plan(folder / "home/try.yaml", lambda name: "images")


READERS: dict[str, Callable[[Path], object]] = {
    **{f"set/{name}": lambda folder: open_dataset(folder / "set") for name in (
        "dataset.json", "train/images-00000.npy", "train/keypoints.npy", "test/videos.npy", "train/sources.txt",
    )},
    **dict.fromkeys((STEP, "run/config.json", "run/completer.safetensors"), read_run),
    "run/prior.json": lambda folder: PosePrior.load(folder / "run/prior.json"),
    "run/landmarks.json": lambda folder: LandmarkMap.load(folder / "run/landmarks.json"),
    **dict.fromkeys(
        [f"model/{name}" for name in ("model.safetensors", "config.json", "prior.json", "landmarks.json")],
        lambda folder: load(folder / "model"),
    ),
    "home/try.yaml": read_home,
    "home/notebooks/train.ipynb": lambda folder: declared_parameters(folder / "home/notebooks/train.ipynb"),
    **dict.fromkeys(("cub/images.txt", "cub/bounding_boxes.txt", "cub/parts/part_locs.txt"), prepared(cub, "cub")),
    "hands/HandInfo.csv": prepared(hands, "hands"),
    **dict.fromkeys(("flowers/setid.mat", "flowers/imagelabels.mat"), prepared(flowers, "flowers")),
    "taichi/landmark/taichi_train_gt.npz": prepared(taichi, "taichi"),
    "h36m/S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf": read_h36m,
    "files/l.json": lambda folder: read_labels(folder / "files/l.json"),
    "files/l.csv": lambda folder: read_labels(folder / "files/l.csv"),
    "files/poses.json": lambda folder: read_poses(folder / "files/poses.json"),
    "files/state.pt": lambda folder: read_state(folder / "files/state.pt"),
    **{name: partial(read_at, name, read_image) for name in ("files/a.png", "files/a.jpg", "files/a.tif")},
    **{name: partial(read_at, name, read_film) for name in ("files/a.mp4", "files/a.mkv")},
    "files/a.tgz": lambda folder: unpack(folder / "files/a.tgz", folder / "out"),
}  # fmt: skip
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "a web page": lambda content: b"<!doctype html><html><body>Not found</body></html>\n",
}
SOUND = {("home/try.yaml", "cut"), ("files/l.csv", "cut"), ("files/a.mkv", "cut"), ("files/a.mp4", "cut")}
OPTIONAL = {"run/completer.safetensors"}  # a run may do without


def refused(read: Callable[[Path], object], folder: Path) -> None:
    """Fails unless reading ends in one line that names a file or its folder and then what to do."""
    with pytest.raises(PplkitError) as error:
        read(folder)
    _, _, after = (said := str(error.value)).partition(str(folder))
    assert "\n" not in said and (": " in after or "; " in after), said


def copied(sound: Path, folder: Path, file: str) -> Path:
    for name in {file.split("/")[0], *(["set"] if file.startswith("run") else [])}:
        shutil.copytree(sound / name, folder / name)
    return folder / file


@pytest.mark.parametrize("file", READERS)
def test_damage_is_named(file: str, sound: Path, tmp_path: Path) -> None:
    READERS[file](copied(sound, tmp_path / "sound", file).parents[file.count("/")])
    for number, (damage, change) in enumerate(DAMAGE.items()):
        folder = tmp_path / str(number)
        path = copied(sound, folder, file)
        path.write_bytes(change(path.read_bytes()))
        if (file, damage) not in SOUND:
            refused(READERS[file], folder)
    for replace in (os.mkdir, os.mkfifo, lambda path: None):
        shutil.rmtree(folder)
        path = copied(sound, folder, file)
        path.unlink()
        replace(path)
        if path.exists() or file not in OPTIONAL:
            refused(READERS[file], folder)


KEYS = {
    "set/dataset.json": ("size", "splits", "sha256", "schema", "keypoint_names"),
    "run/config.json": ("config", "made_by"),
    "run/prior.json": ("keypoints", "connectivity", "schema"),
    "run/landmarks.json": ("weights", "offsets", "names"),
    "model/config.json": ("config", "sha256"),
    "files/l.json": ("images", "annotations", "categories"),
    "files/poses.json": ("images",),
}


@pytest.mark.parametrize(("file", "key"), [(file, key) for file, keys in KEYS.items() for key in keys])
def test_a_key_that_is_missing_or_of_the_wrong_type_is_named(file: str, key: str, sound: Path, tmp_path: Path) -> None:
    path = copied(sound, tmp_path, file)
    content = json.loads(path.read_text())
    for value in (None, 5.5, [[1]]):
        path.write_text(json.dumps({**content, key: value}))
        refused(READERS[file], tmp_path)
    path.write_text(json.dumps({name: value for name, value in content.items() if name != key}))
    refused(READERS[file], tmp_path)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("set/train/keypoints.npy", lambda path: np.save(path, np.zeros((20, 3, 2), np.float32))),
        ("set/train/keypoints.npy", lambda path: np.save(path, np.load(path).astype(int))),
        ("set/train/images-00000.npy", lambda path: np.save(path, np.zeros((20, 16, 16, 3), np.uint8))),
        ("run/prior.json", lambda path: change_json(path, connectivity=[[0.0] * 3] * 3)),
        (STEP, lambda path: change_json(path.parents[1] / "config.json", "config", keypoints=5)),
        (STEP, lambda path: change_json(path.parents[1] / "config.json", "config", decoder_dimension=16)),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_named(file: str, change: Callable[[Path], object], sound: Path, tmp_path: Path) -> None:
    change(copied(sound, tmp_path, file))
    refused(READERS[file], tmp_path)


def change_json(path: Path, *key: str, **changes: Any) -> None:
    content = json.loads(path.read_text())
    (content[key[0]] if key else content).update(changes)
    write_json(path, content)
