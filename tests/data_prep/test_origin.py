"""A prepared data set knows what it was made from, and is not used for anything else by mistake."""

from pathlib import Path

import pytest
from PIL import Image

import data_prep
from data_prep.common.origin import origin_of
from data_prep.registry import resolve
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    return _images(tmp_path / "photos", 4)


def _images(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.effect_noise((20, 20), 20 + number).save(folder / f"{number}.png")
    return folder


def test_origin_is_path_count_and_hash_of_the_files(photos: Path) -> None:
    data = open_dataset(data_prep.prepared("folder-a", str(photos), 32))
    assert data.origin == {**origin_of(str(photos), {}), "options": {}} and data.origin["files"] == 4
    assert data.origin["path"] == str(photos)
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "labels.csv").write_text("file,name,x,y,visible\n")
    assert data_prep.prepared("folder-a", str(photos)) == data.path
    (photos / "3.png").write_bytes(b"edited")
    with pytest.raises(PplkitError, match="photos has changed files since .*folder-a was prepared: use --refresh"):
        data_prep.prepared("folder-a", str(photos))
    assert data_prep.prepared("folder-a") == data.path  # later notebooks name no source


def test_another_source_is_refused_with_both(photos: Path, tmp_path: Path) -> None:
    data_prep.prepared("folder-a", str(photos), 32)
    other = _images(tmp_path / "other", 1)
    match = r"folder-a was prepared from .*photos \(4 files\), not from .*other \(1 file\): .* folder-a-2"
    with pytest.raises(PplkitError, match=match):
        data_prep.prepared("folder-a", str(other))
    photos.rename(tmp_path / "moved")
    assert data_prep.prepared("folder-a", str(tmp_path / "moved"))  # the same files elsewhere


def test_refresh_takes_added_files_with_the_options_of_before(photos: Path) -> None:
    data_prep.prepared("folder-a", str(photos), 32, {"crop": "pad"})
    _images(photos, 6)
    with pytest.raises(PplkitError, match="photos has 2 more files since"):
        data_prep.prepared("folder-a", str(photos))
    data = resolve("folder-a").preparation(refresh=True)()
    assert (sum(map(len, data.splits.values())), data.size, data.options["crop"]) == (6, 32, "pad")
    assert data.origin["files"] == 6


def test_labels_elsewhere_count_as_well(photos: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("file,name,x,y,visible\n" + "".join(f"{n}.png,nose,3,4,1\n" for n in range(4)))
    data_prep.prepared("folder-a", str(photos), 32, {"labels": str(labels)})
    labels.write_text(labels.read_text().replace("3,4", "4,3"))
    with pytest.raises(PplkitError, match="changed files"):
        data_prep.prepared("folder-a", str(photos))
