"""Small sound files of every format that the kit reads, and how each is read: what `malformed.py` spoils."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from batches_home import write_data, write_notebook, write_plan
from h36m_source import drawn, make_raw
from malformed_arrays import parts, safetensors
from PIL import Image
from sources import coco, film, make_cub, make_hands, table
from torch import nn

from data_prep import cub, h36m_raw, hands
from data_prep.common.archives import unpack
from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.data import label_readers as labels
from pplkit.data import video as frames
from pplkit.data.dataset import open_dataset
from pplkit.data.images import read_image
from pplkit.data.labels import match
from pplkit.data.validation import faults, summary
from pplkit.data.writer import DatasetWriter
from pplkit.experiments import batch
from pplkit.experiments.notebooks import declared
from pplkit.experiments.plan import read_plan
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.released_reader import read_state
from pplkit.training import run_folder as runs
from pplkit.training import saved_model
from pplkit.training.checkpoint import TRAINING
from pplkit.training.run_folder import data_of
from pplkit.training.saved_model import save_completer

TINY: dict[str, Any] = {
    "name": "tiny", "image_size": 32, "reference": "frame", "mask_grid": 8, "keypoints": 4, "thickness": 5e-3,
    "banks": 3, "vectors": 4, "dimension": 8, "encoder_layers": 1, "token_hidden": 8, "decoder_dimension": 8,
    "regressor_channels": (8, 8, 8, 8), "regressor_features": 8, "decoder_channels": (8, 8, 8, 8, 8),
    "perceptual": "random", "perceptual_size": 32, "steps": 6, "batch_size": 4,
}  # fmt: skip
FILM = h36m_raw.Video


class Source(NamedTuple):
    """A reader: `make` writes sound files into a folder, `files` are those to spoil, `read` takes all that it can.

    With `strict` half of a file is no file of its kind; others may be read after it was cut.
    """

    make: Callable[[Path], object]
    files: tuple[str, ...]
    read: Callable[[Path], object]
    strict: bool = True


def make_dataset(folder: Path) -> None:
    rng = np.random.default_rng(0)
    names = {"keypoint_names": ["nose", "tail"], "class_names": ["cat", "dog"], "skeleton": [(0, 1)]}
    with DatasetWriter(folder / "set", name="toy", size=8, groups={"all": [0]}, protocol="cub", **names) as writer:
        for split in ("train", "test"):
            writer.add(
                split,
                rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8),
                keypoints=rng.uniform(-1, 1, (3, 2, 2)),
                visible=np.ones((3, 2), bool),
                videos=np.array([0, 0, 1]),
                masks=np.zeros((3, 8, 8), np.uint8),
                classes=np.array([0, 1, 1]),
            )


def read_dataset(folder: Path) -> None:
    found = faults(folder / "set")
    data = open_dataset(folder / "set")
    for split in data.splits.values():
        split.images[np.arange(len(split))]
    summary(data)
    assert found or sound(folder), "what was changed is found by its sha256"


def sound(folder: Path) -> bool:
    """Whether every array is as it was written."""
    return bool(np.load(folder / "set/train/videos.npy").tolist() == [0, 0, 1]) and all(
        (folder / "set" / name).read_bytes() == (folder / "as written" / name.replace("/", " ")).read_bytes()
        for name in ARRAYS
        if (folder / "as written").exists()
    )


ARRAYS = tuple(f"train/{name}.npy" for name in (
    "images-00000", "masks-00000", "keypoints", "visible", "videos", "classes",
))  # fmt: skip


def make_run(folder: Path) -> None:
    """A run with a completer, an optimiser that went a step, and what notebooks and batches leave there."""
    torch.manual_seed(0)
    make_dataset(folder)
    config, data = Config(**TINY), open_dataset(folder / "set")
    run, model = runs.RunFolder(folder / "run"), PosePriorLearner(config)
    made_by = run.open(config, data)
    optimiser = torch.optim.AdamW(model.parameters())
    (sum(parameter.sum() for parameter in model.parameters()) * 0.0).backward()  # type: ignore[union-attr]
    optimiser.step()
    run.save(1, model, optimiser, made_by)
    model.completer = Completer(model.regressor)
    save_completer(run, model, 3)
    model.prior().save(run.path / "prior.json")
    write_json(run.path / "evaluation.json", {"made_by": {"step": 1}, "error": 0.1})
    row = {"parameters": {"steps": 1}, "seconds": 2.0}
    write_json(run.path / batch.MARKER, {"notebooks": {"02_training": row}})
    for step in (1, 2):
        run.append("metrics.jsonl", {"step": step, "loss": 1.0})


def make_first_run(folder: Path) -> None:
    """The same with a checkpoint as version 1 wrote them, without checksum."""
    make_run(folder)
    file = folder / "run/checkpoints/step-00000001.safetensors"
    header, content = parts(file)
    del header["__metadata__"]["checksum"]
    header["__metadata__"]["schema"] = TRAINING[1]
    file.write_bytes(safetensors(header, content))


def read_run(folder: Path) -> None:
    run = runs.RunFolder(folder / "run")
    run.read("evaluation.json")
    batch.finished(run.path)
    run.cut("metrics.jsonl", 1)
    data_of(run)
    model = saved_model.load(run.path)
    optimiser = torch.optim.AdamW(model.parameters())
    run.restore(model, optimiser)
    model.prior().links()


def make_plan(folder: Path) -> None:
    write_data(folder, "roses")
    write_notebook(folder / "notebooks/train.ipynb", 'run = "none"  # a name\nfactor = 1.0  # of the error', "run")
    variants = {"ppl": None, "small": {"banks": 4, "learning_rate": 1e-3}}
    more = {"parameters": {"factor": 2.0}, "slurm": {"gpus": 1}, "variants": variants}
    write_plan(folder, datasets={"roses": {"size": 32}}, seeds=[0], notebooks=["train"], **more)


def read_planned(folder: Path) -> None:
    before = os.environ.get("PPLKIT_HOME")
    os.environ["PPLKIT_HOME"] = str(folder)
    try:
        declared(folder / "notebooks/train.ipynb")
        read_plan(folder / "try.yaml", lambda name: "images")
    finally:
        os.environ.pop("PPLKIT_HOME")
        os.environ.update({} if before is None else {"PPLKIT_HOME": before})


def make_labels(folder: Path) -> None:
    coco(folder / "l.json")
    table(folder / "l.csv", "a.png,nose,20,30,1", "a.png,ear,10,18,1", "b.png,nose,,,0")


def read_labels(folder: Path) -> None:
    for name in ("l.json", "l.csv"):
        found = labels.read_labels(folder / name)
        match(found, ["a.png", "b.png"])
        for reason in found.faults.values():  # of a picture, which is left out, and this is said
            raise PplkitError(reason)


def make_tables(folder: Path) -> None:
    make_cub(folder / "cub")
    make_hands(folder / "hands")


def read_cub(folder: Path) -> None:
    cub.prepare(folder / "cub", folder / "out", 8, strict=True)


def read_raw(folder: Path) -> None:
    video = FILM("train", folder / "S1", "Directions 1.54138969", 0)
    assert len(list(h36m_raw.rows(video, 8, 4, masks=True))) == 3


def make_pickles(folder: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    torch.save(module.state_dict(), folder / "state.pt")
    torch.save(module.state_dict(), folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(module, folder / "module.pt")


PICTURES: dict[str, dict[str, Any]] = {
    "a.png": {}, "b.jpg": {"progressive": True}, "c.gif": {}, "d.tif": {}, "e.webp": {}, "f.bmp": {}, "g.ppm": {},
    "h.ico": {}, "i.jp2": {}, "j.tga": {},
}  # fmt: skip


def make_pictures(folder: Path) -> None:
    image = Image.fromarray(drawn(3)).resize((40, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, options in PICTURES.items():
        image.save(folder / name, **({"exif": exif} if name in ("a.png", "b.jpg", "d.tif") else {}), **options)


VIDEOS = ("a.mp4", "b.avi", "c.mkv", "d.ts")


def read_video(path: Path) -> None:
    frames.frame_rate(path)
    frames.times(path, 5.0, 0.0, None)
    for _ in frames.frames(path, 0.1, 0.8, 5.0, threads=1):
        pass


def make_archive(folder: Path) -> None:
    with tarfile.open(folder / "a.tgz", "w:gz") as file:
        part = tarfile.TarInfo("jpg/a.txt")
        part.size = 3000
        file.addfile(part, io.BytesIO(np.random.default_rng(0).bytes(3000)))


def each(names: tuple[str, ...], read: Callable[[Path], object]) -> Callable[[Path], None]:
    def read_all(folder: Path) -> None:
        for name in names:
            read(folder / name)

    return read_all


H36M = (
    "S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf",
    "S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat",
)
CUB = tuple(f"cub/{name}.txt" for name in (
    "images", "classes", "bounding_boxes", "image_class_labels", "train_test_split", "parts/parts", "parts/part_locs",
))  # fmt: skip
SOURCES: dict[str, Source] = {
    "data set": Source(make_dataset, ("set/dataset.json", *(f"set/{name}" for name in ARRAYS)), read_dataset),
    "sources.txt": Source(make_dataset, ("set/train/sources.txt",), read_dataset, strict=False),
    "checkpoint": Source(make_run, ("run/checkpoints/step-00000001.safetensors",), read_run),
    "checkpoint of version 1": Source(make_first_run, ("run/checkpoints/step-00000001.safetensors",), read_run),
    "completer": Source(make_run, ("run/completer.safetensors",), read_run),
    "run folder": Source(make_run, ("run/config.json", "run/evaluation.json", "run/batch.json"), read_run),
    "log of a run": Source(make_run, ("run/metrics.jsonl",), read_run, strict=False),
    "prior": Source(make_run, ("run/prior.json",), lambda folder: PosePrior.load(folder / "run/prior.json").links()),
    "plan": Source(make_plan, ("try.yaml",), read_planned, strict=False),
    "notebook": Source(make_plan, ("notebooks/train.ipynb",), read_planned),
    "COCO labels": Source(make_labels, ("l.json",), read_labels),
    "CSV labels": Source(make_labels, ("l.csv",), read_labels, strict=False),
    "tables of CUB": Source(make_tables, CUB, read_cub, strict=False),
    "CSV of hands": Source(
        make_tables, ("hands/HandInfo.csv",), lambda f: hands.prepare(f / "hands", f / "out", 8, strict=True), False
    ),
    "CDF and HDF5": Source(make_raw, H36M, read_raw),
    "official": Source(
        make_pickles, ("state.pt", "old.pt", "module.pt"), each(("state.pt", "old.pt", "module.pt"), read_state)
    ),
    "picture": Source(make_pictures, tuple(PICTURES), each(tuple(PICTURES), read_image), strict=False),
    "video": Source(lambda f: [film(f / name, 10) for name in VIDEOS], VIDEOS, each(VIDEOS, read_video), strict=False),
    "archive": Source(make_archive, ("a.tgz",), lambda folder: unpack(folder / "a.tgz", folder / "out")),
}
