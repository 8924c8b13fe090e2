"""What runs leave behind and hand on: results, summaries, landmarks, poses, a folder for others; and their harm."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from malformed_arrays import DEEP, HUGE, STEP, Spoil, about, each, long, repeated, text, weights
from malformed_sources import TINY, Source, make_dataset, make_run

from pplkit.core.files import read_json, write_json
from pplkit.data.dataset import open_dataset
from pplkit.data.npy_shards import file_hash
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation.diagnosis import measurements
from pplkit.experiments import report as batch_report
from pplkit.inference.export.model_card import save_pretrained
from pplkit.inference.export.pose_formats import read_poses
from pplkit.inference.landmarks import label_table as labels
from pplkit.inference.landmarks.fitting import read_labels
from pplkit.inference.landmarks.landmark_map import LandmarkMap, fit_landmarks
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training import run_folder as runs
from pplkit.training import saved_model
from pplkit.training.run_folder import MODEL
from pplkit.training.tasks.prior import train

NAMES = (MODEL, "prior.json", "landmarks.json")
FILE = f"model/{MODEL}"
SHORT = Config(**{**TINY, "steps": 1})
SCORES = {
    "protocol": "cub", "test_images": 9, "error": 0.06, "mean_pose_error": 0.12, "relative_error": 0.5,
    "made_by": {"step": 1},
}  # fmt: skip
HIDDEN = {
    "measure": "error of protocol cub", "unoccluded": {"published": 0.06, "completed": 0.06},
    "occluded": {"published": 0.12, "completed": None}, "made_by": {"step": 1},
}  # fmt: skip


ROW = {"file": "a.png", "width": 40, "height": 24, "keypoints": [[1.0, 2.0], [3.0, 4.0]], "confidence": [0.5, 1.0]}


def make_results(folder: Path) -> None:
    """A run with its evaluation, landmarks and history."""
    make_run(folder)
    rng = np.random.default_rng(0)
    for name, content in (("evaluation", SCORES), ("occlusion", HIDDEN), ("training", {"loss": 1.0})):
        write_json(folder / f"run/{name}.json", content)
    write_json(folder / "run/notes.json", {"notes": []})
    made = {"weights": runs.fingerprint(saved_model.load(folder / "run")), "data_path": "somewhere"}
    points, names = rng.uniform(-1, 1, (6, 4, 2)), ["left ear", "right ear", "nose"]
    fit_landmarks(points, points[:, :3], names, 32, made_by=made).save(folder / "run/landmarks.json")


def read_results(folder: Path) -> None:
    """What the page of a batch and `pplkit landmarks` take from a run."""
    one = batch_report.Outcome("roses", "ppl", 0, folder / "run", "finished", "", 1.0, ())
    found = [batch_report._results(one)]
    batch_report.summary([one], found)
    batch_report._measures([(one, found[0])])
    rows = runs.RunFolder(one.run).rows("metrics.jsonl")
    measurements.measure_training(SHORT, rows)
    batch_report.variant_curves({"ppl": [rows]} if rows else {})


def make_model(folder: Path) -> None:
    make_results(folder)
    save_pretrained(folder / "run", folder / "model")


def read_model(folder: Path) -> None:
    """A folder whose hashes were changed along with the files: they say what was altered, not who did it."""
    model = folder / "model"
    try:
        content = read_json(model / "config.json", "")
        there = [name for name in NAMES if name in content["sha256"] and (model / name).is_file()]
        short = [name for name in there if (model / name).stat().st_size < 2**26]
        content["sha256"].update({name: file_hash(model / name) for name in short})
        write_json(model / "config.json", content)
    except Exception:  # there is nothing to mend: the reader is to say what is wrong
        pass
    loaded = saved_model.load(model)
    loaded.prior()
    PosePrior.load(model / "prior.json").links()
    LandmarkMap.load(model / "landmarks.json").apply(np.zeros((1, 4, 2)))
    loaded.estimate(np.zeros((1, 32, 32, 3), np.uint8))


def make_clicked(folder: Path) -> None:
    make_dataset(folder)
    (folder / "clicked.csv").write_text("image,landmark,x,y\n0,nose,1.5,2\n0,tail,3,4\n2,nose,5,6\n")


def read_clicked(folder: Path) -> None:
    read_labels(folder / "clicked.csv", open_dataset(folder / "set")["train"], 8)
    labels.read_points(folder / "clicked.csv")


def make_poses(folder: Path) -> None:
    rows = [ROW, {**ROW, "file": "b.mp4", "frame": 3}]
    content = {"images": rows, "links": [[0, 1]], "names": ["nose", "tail"], "made_by": {"run": "first"}}
    write_json(folder / "poses.json", content)


def make_ended(folder: Path) -> None:
    """A run that went to its end, at once."""
    rng = np.random.default_rng(0)
    with DatasetWriter(folder / "set", name="toy", size=32) as writer:
        writer.add("train", rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8), videos=np.array([0, 0, 0, 1, 1, 1]))
    go_on(folder)
    write_json(folder / "run/notes.json", {"notes": []})


def go_on(folder: Path) -> None:
    """Call the training again."""
    train(SHORT, open_dataset(folder / "set"), folder / "run", device="cpu", bar=False)


RUN_SOURCES: dict[str, Source] = {
    "results of a run": Source(
        make_results, ("run/evaluation.json", "run/occlusion.json", "run/training.json"), read_results
    ),
    "run to hand on": Source(
        make_results,
        ("run/evaluation.json", "run/occlusion.json", "run/landmarks.json"),
        lambda folder: save_pretrained(folder / "run", folder / "out"),
    ),
    "model handed on": Source(
        make_model, (FILE, "model/config.json", "model/prior.json", "model/landmarks.json"), read_model
    ),
    "clicked landmarks": Source(make_clicked, ("clicked.csv",), read_clicked, strict=False),
    "poses": Source(make_poses, ("poses.json",), lambda folder: read_poses(folder / "poses.json")),
    "ended run": Source(make_ended, ("run/config.json", "run/training.json", "run/notes.json"), go_on),
}
MAP = "run/landmarks.json"
WRONG: list[Any] = [[], 5, "x", [[1]], None, [HUGE] * 3, {}]
HARM: dict[str, Spoil] = {
    **each("run/evaluation.json", protocol=[[], {}], error=["x", [], HUGE, None], made_by=[5, {}], test_images=[[]]),
    **each("run/occlusion.json", unoccluded=[5, [], {"published": "x"}], occluded=[5, {}], measure=[5]),
}
LOG = {
    "log longer than the disk": long("run/metrics.jsonl"),
    "log of lines that are empty": repeated("run/metrics.jsonl", "", "\n", 10**8),
    "log of one line": repeated("run/metrics.jsonl", "", "9", 10**8),
    "log with a number beyond all": text("run/metrics.jsonl", json.dumps({"step": 1, "loss": HUGE})),
    "log with text": text("run/metrics.jsonl", '{"step": 1, "loss": "low"}\n{"step": 2, "loss": [[1], []]}'),
    "log with a step beyond all": text("run/metrics.jsonl", json.dumps({"step": HUGE})),
}
LEFT_OUT = {*HARM, *LOG}
"""Cases that leave something out of a page or card, and are no faults"""
STATES = (
    "5",
    "[]",
    "{}",
    DEEP,
    '{"good": true}',
    json.dumps({**dict.fromkeys(("rate", "parts", "notes", "means")), "precision": {}}),
)
RUN_TEXTS: dict[str, dict[str, Spoil]] = {
    "results of a run": {
        "evaluation of depth 100,000": text("run/evaluation.json", DEEP),
        "evaluation longer than the disk": long("run/evaluation.json"),
        **LOG,
        **HARM,
    },
    "run to hand on": {
        **HARM,
        "landmarks of depth 100,000": text(MAP, DEEP),
        "landmarks longer than the disk": long(MAP),
        **each(
            MAP,
            names=[*WRONG, ["a"]],
            weights=WRONG,
            offsets=WRONG,
            error=WRONG,
            still=WRONG,
            labelled=WRONG,
            pairs=[5, [[0, 7]], [[0]], [[HUGE, 0]], [["a", 0]]],
            sides=[5, [[1]], "x"],
            told=["x", []],
            made_by=[5, None, []],
            schema=[None, []],
            more=[1],
        ),
    },
    "model handed on": {
        **weights(FILE),
        **each("model/config.json", config=[5, [], None], made_by=[5, None, []]),
        **each(
            "model/config.json", sha256=[5, [], {}, {"../run/config.json": ""}, {"prior.json": ""}, {"/dev/zero": ""}]
        ),
        **each("model/config.json", "config", keypoints=[10**9, 1000, 5], regressor_channels=[[8192] * 4, ["a"]]),
        "prior longer than the disk": long("model/prior.json"),
        "landmarks of another model": lambda folder: write_json(folder / "model/landmarks.json", {"schema": 1}),
    },
    "clicked landmarks": {
        "a cell of a million letters": text("clicked.csv", f"image,landmark,x,y\n0,{'x' * 10**6},1,2\n"),
        "quotes without end": text("clicked.csv", 'image,landmark,x,y\n0,"' + "x,y\n" * 200_000),
        "a zero byte": text("clicked.csv", "image,landmark,x,y\n0,no\0se,1,2\n\0"),
        "numbers that are none": text("clicked.csv", "image,landmark,x,y\n0,nose,nan,1e999\n"),
        "an image beyond all": text("clicked.csv", f"image,landmark,x,y\n{'9' * 5000},nose,1,2\n"),
        "a picture that is none": text("clicked.csv", "image,landmark,x,y\nset/dataset.json,nose,1,2\n"),
        "a picture without end": text("clicked.csv", "image,landmark,x,y\n/dev/zero,nose,1,2\n"),
        "other letters": text("clicked.csv", "image,landmark,x,y\n0,Käfer,1,2\n", "latin1"),
        "longer than the disk": long("clicked.csv"),
    },
    "poses": {
        "JSON of depth 100,000": text("poses.json", DEEP),
        "longer than the disk": long("poses.json"),
        "numbers by the hundred million": repeated("poses.json", '{"images": [', "9,", 10**8, "9]}"),
        "texts by the million": repeated("poses.json", '{"images": [', '"ab",', 4 * 10**7, "9]}"),
        **each(
            "poses.json", images=WRONG, links=[5, [[0, 7]], [[0]], [["a", 0]], [[HUGE, 0]]], names=[["a"], 5, {"a": 1}]
        ),
        **{
            f"keypoints = {str(value)[:30]}": text("poses.json", json.dumps({"images": [{**ROW, "keypoints": value}]}))
            for value in (*WRONG, [[1]], [["a", 2]], [[HUGE, 1], [1, 1]])
        },
    },
    "ended run": {f"state = {value[:30]}": about(STEP, state=value) for value in STATES},
}
