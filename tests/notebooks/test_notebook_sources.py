"""Notebook 01 and the command of each data set, on a tiny source in its publisher's layout."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
import sources
from h36m_source import make_raw, make_simplified
from one_kernel import run_in_one_kernel

from data_prep.registry import KINDS, SMOKE_SIZE, prepared, preset_for, resolve
from pplkit.data.dataset import open_dataset
from pplkit.experiments.notebooks import run_notebooks

pytestmark = pytest.mark.notebooks


def make_aligned(folder: Path) -> Path:
    sources.make_cub(folder)
    sources.cleaned(folder, train=["002.B/2.png"], val=["001.A/1.png"], test=["002.B/3.png"])
    return folder


def make_torn(folder: Path) -> Path:
    sources.make_horses(folder)
    (folder / "trainA/n1_2.jpg").write_bytes(b"text")
    return folder


def make_films(folder: Path) -> Path:
    for name in ("1.mp4", "2.mkv", "3.avi"):
        sources.film(folder / name, 9)
    return folder


def make_labelled(folder: Path) -> Path:
    names = [f"{split}/{kind}/{number}.png" for split in ("train", "test") for kind in "ab" for number in range(3)]
    for seed, name in enumerate(names):
        sources.patchwork(folder / name, seed)
    sources.table(folder / "labels.csv", *(f"{name},spot,20,30,1" for name in names[:-1]))
    return folder


class Case(NamedTuple):
    """What the notebook is to be given, and what is to come of it."""

    dataset: str
    make: Callable[[Path], Path]
    options: dict[str, Any]
    counts: dict[str, int]
    figures: str
    said: str = ""


CASES = [
    Case("h36m", make_simplified, {"subjects": None, "actions": None, "every": 4, "masks": True},
         {"train": 6, "test": 3}, "labels pose_spread samples videos", "left out: S5: there is no folder"),
    Case("h36m-raw", make_raw, {"subjects": None, "actions": None, "every": 4}, {"train": 6, "test": 3},
         "labels pose_spread samples videos", "192 of 192 keypoints labelled"),
    Case("taichi", sources.make_taichi, {"every": 2}, {"train": 5, "labelled": 2, "test": 1},
         "labels pose_spread samples videos", "labelled: 2 images, 2 of 36 keypoints"),
    Case("cub", sources.make_cub, {}, {"train": 1}, "labels pose_spread samples", "classes: 001.A 1"),
    Case("cub-three", sources.make_cub, {"variant": "three", "classes": [1, 2]}, {"train": 2, "test": 1},
         "labels pose_spread samples", "classes: 001.A 1, 002.B 1"),
    Case("cub-aligned", make_aligned, {"variant": "aligned", "classes": [2, 1]}, {"train": 1, "val": 1, "test": 1},
         "labels pose_spread samples", "classes: 001.A 0, 002.B 1"),
    Case("hands", sources.make_hands, {"aspect": "palmar", "accessories": 0, "where": {"gender": "female", "age": 20}},
         {"train": 11, "test": 1}, "pose_spread samples", "protocol pictures"),
    Case("flowers", sources.make_flowers, {}, {"train": 3, "val": 1, "test": 2}, "pose_spread samples",
         "classes: class 1 1, class 2 1, class 3 1"),
    Case("horses", make_torn, {"limit": 0.5}, {"train": 2, "test": 2}, "pose_spread samples",
         "left out: trainA/n1_2.jpg: "),
    Case("afhq", sources.make_afhq, {"category": None}, {"train": 6, "test": 3}, "pose_spread samples",
         "classes: cat 2, dog 2, wild 2"),
    Case("dogs", make_films, {"frames": 3, "test_share": 0.3}, {"train": 6, "test": 3}, "pose_spread samples videos",
         "2 videos"),
    Case("folder-roses", make_labelled, {"test_share": 0.3, "duplicates": "drop"}, {"train": 9, "test": 3},
         "pose_spread samples"),
    Case("folder-mice", make_labelled, {"labels": "labels.csv", "crop": "labels", "splits": "folder"},
         {"train": 6, "test": 5}, "labels pose_spread samples", "has no label, which crop='labels' needs"),
    Case("folder-films", make_labelled, {"videos": "folder", "classes": "folder", "splits": "folder"},
         {"train": 6, "test": 6}, "pose_spread samples videos", "classes: a 3, b 3"),
    Case("video-cats", lambda path: sources.film(path / "a.mp4"), {"rate": 5, "crop": [0, 0, 32, 32], "frames": 6},
         {"train": 4, "test": 2}, "pose_spread samples videos", "test: 2 images, 1 video\n"),
]  # fmt: skip


class Prepared(NamedTuple):
    """A home in which notebook 01 has run for each case, and the notebook as executed."""

    home: Path
    notebook: nbformat.NotebookNode


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    home = tmp_path_factory.mktemp("home")
    runs = []
    for case in CASES:
        source = case.make(home / "sources" / case.dataset)
        if "labels" in case.options:
            case.options["labels"] = str(source / case.options["labels"])
        given = {"dataset": case.dataset, "source": str(source), "options": case.options, "scale": "smoke"}
        runs.append(("01_data_preparation", given))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return Prepared(home, run_in_one_kernel(home, runs))


@pytest.fixture
def home(prepared_home: Prepared) -> Path:
    return prepared_home.home


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.dataset)
def test_the_notebook_shows_every_data_set(case: Case, prepared_home: Prepared) -> None:
    data = open_dataset(prepared_home.home / "data" / f"{case.dataset}-smoke")
    assert {name: len(split) for name, split in data.splits.items()} == case.counts and data.size == SMOKE_SIZE
    assert sorted(path.stem for path in (data.path / "figures").iterdir()) == case.figures.split()
    own = [cell for cell in prepared_home.notebook.cells if cell.metadata.get("part") == CASES.index(case)]
    outputs = [output for cell in own for output in cell.outputs]
    assert len(own) == 11 and not [output for output in outputs if output.output_type == "error"]
    assert len([one for one in outputs if "image/png" in one.get("data", {})]) == len(case.figures.split())
    assert case.said in "".join(one.text for one in outputs if one.output_type == "stream")


def test_single_test_images_are_no_reason_to_stop_after_training(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Tai Chi are of no video, while the model is trained with another frame as reference."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = {"scale": "smoke", "steps": 1, "preset": preset_for("taichi")}
    run = run_notebooks("taichi", "taichi", given, ("02_training",), root=home)
    assert (run / "figures/reconstructions.png").is_file()


def arguments(options: dict[str, Any]) -> Iterator[str]:
    """Options of `prepare` as the command line of its module takes them."""
    for name, value in options.items():
        if value is None or value is False or name == "duplicate_groups":
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        if isinstance(value, dict):
            values = [f"{key}={one}" for key, one in value.items()]
        elif name == "crop" and isinstance(value, list):
            values = [",".join(map(str, value))]
        yield from (f"--{name.replace('_', '-')}", *map(str, values))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.dataset)
def test_its_command_prepares_the_same(case: Case, home: Path, tmp_path: Path) -> None:
    data = open_dataset(home / "data" / f"{case.dataset}-smoke")
    module = importlib.import_module(f"data_prep.{resolve(case.dataset).kind}")
    line = [str(home / "sources" / case.dataset), str(tmp_path / "out"), "--size", str(SMOKE_SIZE)]
    assert module.main([*line, *arguments({**data.options, **case.options})]) == 0
    made = open_dataset(tmp_path / "out")
    assert (made.sha256, made.dropped) == (data.sha256, data.dropped)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.dataset)
def test_it_is_opened_again_with_the_same_options(case: Case, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pplkit run` does, which prepares before the notebook."""
    monkeypatch.setenv("PPLKIT_HOME", str(home))
    source = str(home / "sources" / case.dataset)
    assert prepared(case.dataset, source, 64, case.options, "smoke") == home / "data" / f"{case.dataset}-smoke"


def test_every_data_set_has_its_case() -> None:
    assert {resolve(case.dataset).kind for case in CASES} | {"puppets"} == set(KINDS)
