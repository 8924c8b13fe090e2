"""Data sets asked for by name: made once, opened afterwards, never silently another than asked for."""

import importlib
import inspect
from pathlib import Path

import pytest
from PIL import Image

import data_prep
from data_prep.registry import KINDS, preset_for, resolve
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.models.prior.config import Config

TINY = {"videos": 2, "frames": 2, "test_videos": 1, "test_frames": 1, "films": 0}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    return tmp_path


def test_puppets_make_themselves_once(home: Path) -> None:
    folder = data_prep.prepared("puppets", size=32, options=TINY)
    assert folder == home / "data" / "puppets"
    before = (folder / "dataset.json").stat().st_mtime_ns
    assert data_prep.prepared("puppets", "humanoid", 32, dict(reversed(TINY.items()))) == folder
    assert data_prep.prepared("puppets") == folder  # as it is, whatever its size and options
    assert (folder / "dataset.json").stat().st_mtime_ns == before
    assert len(open_dataset(folder)["train"]) == 4


@pytest.mark.parametrize(
    ("name", "source", "category"),
    [("puppets-quadruped", "", "quadruped"), ("puppets-hand", "", "hand"), ("puppets", "hand", "hand")],
)
def test_the_name_or_the_source_gives_the_category(name: str, source: str, category: str, home: Path) -> None:
    folder = data_prep.prepared(name, source, 32, TINY)
    assert folder.name == name
    assert open_dataset(folder).name == f"puppets-{category}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 48}, "size=32, not 48"),
        ({"options": {**TINY, "seed": 1}}, "seed=0, not 1"),
        ({"options": {"frames": 3}}, "frames=2, not 3"),
        ({"source": "quadruped"}, "source='humanoid', not 'quadruped'"),
    ],
)
def test_a_folder_prepared_otherwise_is_named(change: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"source": "", "size": 32, "options": TINY}
    data_prep.prepared("puppets", **asked)  # type: ignore[arg-type]
    with pytest.raises(PplkitError, match=f"data/puppets was prepared with {said}: .*--refresh"):
        data_prep.prepared("puppets", **{**asked, **change})  # type: ignore[arg-type]


def test_a_folder_from_before_an_option_came_is_opened(home: Path) -> None:
    """Unless somebody asks for that option."""
    small = {name: TINY[name] for name in ("videos", "frames", "test_videos", "test_frames")}
    folder = data_prep.prepared("puppets", size=32, options=TINY)
    text = (folder / "dataset.json").read_text()
    assert '"films": 0,' in text and '"film_frames": 100,' in text
    (folder / "dataset.json").write_text(text.replace('"films": 0,', "").replace('"film_frames": 100,', ""))
    assert data_prep.prepared("puppets", size=32, options=small) == folder
    with pytest.raises(PplkitError, match="prepared with films=None, not 2"):
        data_prep.prepared("puppets", size=32, options={**small, "films": 2})
    folder.rename(home / "data" / "puppets-smoke")
    assert data_prep.prepared("puppets", "", 32, small, "smoke").name == "puppets-smoke"


def test_smoke_data_lie_apart_and_fit_the_smoke_config(home: Path) -> None:
    folder = data_prep.prepared("puppets", "", 64, {}, "smoke")
    assert folder == home / "data" / "puppets-smoke"
    data = open_dataset(folder)
    assert data.size == Config().smoke().image_size
    assert [(name, len(split)) for name, split in data.splits.items()] == [("train", 72), ("test", 16), ("films", 80)]
    assert data_prep.prepared("puppets", "", 64, {}, "smoke") == folder


def test_an_unknown_option_is_refused_before_anything_is_written(home: Path) -> None:
    with pytest.raises(
        PplkitError, match="option 'vidoes' is unknown for dataset='puppets': .*else choose one of videos,"
    ):
        data_prep.prepared("puppets", options={"vidoes": 3})
    assert not (home / "data").exists()


def test_how_faults_are_met_is_an_option_too(home: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(pictures / f"{number}.png")
    (pictures / "torn.png").write_bytes(b"")
    with pytest.raises(PplkitError, match=r"torn\.png"):
        data_prep.prepared("folder-a", str(pictures), 32, {"strict": True})
    folder = data_prep.prepared("folder-a", str(pictures), 32, {"limit": 0.5})
    assert data_prep.prepared("folder-a", str(pictures), 32, {"limit": 0.2}) == folder


@pytest.mark.parametrize("name", ["cub", "hands"])
def test_a_downloaded_set_needs_its_source(name: str) -> None:
    with pytest.raises(PplkitError, match="source is empty"):
        data_prep.prepared(name)


def test_any_other_name_must_be_prepared_already(home: Path) -> None:
    with pytest.raises(PplkitError, match="dataset='lynx' is not known by name"):
        data_prep.prepared("lynx")
    folder = data_prep.prepared("puppets", size=32, options=TINY)
    folder.rename(home / "data" / "lynx")
    assert data_prep.prepared("lynx", "", 64, {}) == home / "data" / "lynx"


def test_several_data_sets_of_one_kind_lie_side_by_side(home: Path) -> None:
    first = data_prep.prepared("puppets-small", "hand", 32, options=TINY)
    assert first == home / "data" / "puppets-small" and open_dataset(first).name == "puppets-hand"
    kinds = [resolve(name).kind for name in ("cub-three", "video-of-my-cat", "cubs", "birds")]
    assert kinds == ["cub", "video", None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_module_with_the_shared_parameters(kind: str) -> None:
    parameters = inspect.signature(importlib.import_module(f"data_prep.{kind}").prepare).parameters
    wanted = {"source", "out", "size", "overwrite"} | ({"strict", "limit"} if kind != "puppets" else set())
    assert wanted <= set(parameters)


def test_settings_follow_from_the_name() -> None:
    names = ("puppets-hand", "puppets-mine", "cub-three", "video-cat", "h36m", "folder-roses", "flowers")
    results = [preset_for(name) for name in names]
    assert results == ["puppets-hand", "puppets", "cub-three", "videos", "videos", "photographs", "photographs"]
    with pytest.raises(PplkitError, match="no settings are named after the data set 'birds'"):
        preset_for("birds")


def test_classes_are_the_same_in_any_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_prep import cub

    folder = data_prep.prepared("puppets", size=32, options=TINY)
    folder.rename(home / "data" / "cub")
    text = (home / "data" / "cub" / "dataset.json").read_text()
    (home / "data" / "cub" / "dataset.json").write_text(text.replace('"videos": 2,', '"classes": [1, 2], "videos": 2,'))
    monkeypatch.setattr(cub, "prepare", lambda source, out, size=128, classes=None, overwrite=False: out)
    assert data_prep.prepared("cub", "", 32, {"classes": (2, 1)}).name == "cub"
    with pytest.raises(PplkitError, match=r"classes=\[1, 2\], not \[1\]"):
        data_prep.prepared("cub", "", 32, {"classes": [1]})
