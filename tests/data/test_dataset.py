"""The prepared format: round trips, atomic writing, and one clear sentence for every fault."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.npy_shards import Shards
from pplkit.data.writer import DatasetWriter

META: dict[str, Any] = {
    "name": "toy",
    "size": 4,
    "keypoint_names": ["a", "b", "c"],
    "skeleton": [(0, 1), (1, 2)],
    "flip_pairs": [(0, 2)],
    "groups": {"arm": [1]},
    "protocol": "cub",
    "class_names": ["x", "y"],
    "options": {"seed": 3},
}


def arrays(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-1, 1, (count, 3, 2)).astype(np.float32)
    keypoints[0, 1] = np.nan
    return {
        "images": rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8),
        "keypoints": keypoints,
        "visible": rng.random((count, 3)) < 0.5,
        "videos": np.arange(count),
        "masks": rng.integers(0, 2, (count, 4, 4), dtype=np.uint8) * 255,
        "classes": np.arange(count) % 2,
        "sources": [f"picture {i}.jpg" for i in range(count)],
    }


def write(out: Path, count: int = 10, seed: int = 0, **options: Any) -> Dataset:
    with DatasetWriter(out, **{**META, **options}) as writer:
        content = arrays(count, seed)
        for rows in (slice(0, 3), slice(3, count)):
            writer.add("train", **{key: value[rows] for key, value in content.items()})
        writer.add("test", np.zeros((2, 4, 4, 3), np.uint8))
    return open_dataset(out)


@pytest.mark.parametrize("shard_bytes", [2**30, 48 * 4, 1])
def test_what_is_written_is_read(tmp_path: Path, shard_bytes: int) -> None:
    data = write(tmp_path / "toy", shard_bytes=shard_bytes)
    split, expected = data["train"], arrays(10)
    for key in ("images", "keypoints", "visible", "videos", "masks", "classes"):
        np.testing.assert_array_equal(np.asarray(getattr(split, key)), expected[key])
    assert split.sources == expected["sources"] and len(split) == 10
    assert (data.size, data.skeleton, data.flip_pairs, data.swap_pairs) == (4, [(0, 1), (1, 2)], [(0, 2)], [])
    assert (data.groups, data.options, data.class_names) == ({"arm": [1]}, {"seed": 3}, ["x", "y"])
    assert "test" in data and "validation" not in data
    assert data["test"].keypoints is None and data["test"].masks is None
    files = len(list((tmp_path / "toy" / "train").glob("images-*.npy")))
    assert files == {2**30: 1, 48 * 4: 3, 1: 10}[shard_bytes]  # 48 bytes an image


def test_images_of_one_shard_are_mapped_not_loaded(tmp_path: Path) -> None:
    assert isinstance(write(tmp_path / "toy")["train"].images, np.memmap)


def test_each_array_file_is_plain_npy(tmp_path: Path) -> None:
    write(tmp_path / "toy")
    assert np.load(tmp_path / "toy/train/keypoints.npy").shape == (10, 3, 2)


@pytest.mark.parametrize(
    "index", [0, -1, np.int64(4), slice(None), slice(1, 9, 3), slice(8, 1, -2), np.array([7, 0, 7, -2]), [3, 4], []]
)
def test_shards_index_like_one_array(index: Any) -> None:
    whole = np.arange(30).reshape(10, 3)
    shards = Shards([whole[:4], whole[4:5], whole[5:]])
    np.testing.assert_array_equal(shards[index], whole[index])
    assert shards[index].dtype == whole.dtype and shards.shape == (10, 3)


def test_shards_take_boolean_rows_and_refuse_what_is_outside() -> None:
    whole = np.arange(6)
    shards = Shards([whole[:4], whole[4:]])
    np.testing.assert_array_equal(shards[whole % 2 == 0], [0, 2, 4])
    np.testing.assert_array_equal(np.asarray(shards, dtype=np.float32), whole.astype(np.float32))
    for wrong in (6, -7, np.array([0, 6]), np.array([True])):
        with pytest.raises(IndexError):
            shards[wrong]


def test_the_hash_depends_on_the_arrays_alone(tmp_path: Path) -> None:
    first, again = write(tmp_path / "a"), write(tmp_path / "b", name="other")
    assert first.sha256 == again.sha256 != write(tmp_path / "c", seed=1).sha256


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), DatasetWriter(tmp_path / "toy", **META) as writer:
        writer.add("train", **arrays(3))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_replaced_only_on_request(tmp_path: Path) -> None:
    old = write(tmp_path / "toy").sha256
    with pytest.raises(PplkitError, match="overwrite"):
        write(tmp_path / "toy", seed=1)
    with pytest.raises(ZeroDivisionError), DatasetWriter(tmp_path / "toy", overwrite=True, **META):
        raise ZeroDivisionError
    assert open_dataset(tmp_path / "toy").sha256 == old
    assert write(tmp_path / "toy", seed=1, overwrite=True).sha256 != old
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_another_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(PplkitError, match="not a data set"):
        DatasetWriter(tmp_path, overwrite=True, **META)


def test_a_data_set_that_appears_while_writing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="already holds"), DatasetWriter(tmp_path / "toy", **META) as writer:
        writer.add("train", **arrays(3))
        first = write(tmp_path / "toy", seed=1)
    assert open_dataset(tmp_path / "toy").sha256 == first.sha256


def test_no_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="no image"), DatasetWriter(tmp_path / "toy", **META):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 5, 5, 3), np.uint8)}, "train images must be uint8"),
        ({"images": np.zeros((3, 4, 4, 3))}, "is float64"),
        ({"keypoints": np.zeros((2, 3, 2), np.float32)}, "train keypoints must be float32"),
        ({"keypoints": np.full((3, 3, 2), np.inf)}, "far outside"),
        ({"keypoints": np.full((3, 3, 2), 57.0)}, "far outside"),
        ({"visible": np.ones((3, 3))}, "train visible must be bool"),
        ({"classes": np.array([0, 1, 2])}, "class_names"),
        ({"sources": ["one"]}, "1 line for 3 images"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message), DatasetWriter(tmp_path / "toy", **META) as writer:
        writer.add("train", **{**arrays(3), **change})
    assert list(tmp_path.iterdir()) == []


def test_a_split_has_the_same_arrays_throughout(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="same arrays"), DatasetWriter(tmp_path / "toy", **META) as writer:
        writer.add("train", **arrays(3))
        writer.add("train", np.zeros((1, 4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"protocol": "guess"}, "choose one of h36m"),
        ({"skeleton": [(0, 3)]}, "skeleton names keypoint 3"),
        ({"groups": {"arm": [2]}}, "names skeleton link 2"),
    ],
)
def test_wrong_metadata_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        DatasetWriter(tmp_path / "toy", **{**META, **change})


def spoil_json(folder: Path, **change: Any) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def drop_field(folder: Path) -> None:
    content = json.loads((folder / "dataset.json").read_text())
    del content["size"]
    (folder / "dataset.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "dataset.json").unlink(), r"dataset\.json is missing"),
        (lambda f: truncate(f / "dataset.json"), r"dataset\.json is not valid JSON"),
        (
            lambda f: spoil_json(f, schema=1),
            r"dataset\.json has schema 1.*prepare the data set again .*SOURCE OUT --overwrite",
        ),
        (lambda f: spoil_json(f, skeleton=[[0, 9]]), r"dataset\.json is not usable"),
        (drop_field, r"dataset\.json is not usable: the field 'size' is missing"),
        (lambda f: (f / "train/images-00001.npy").unlink(), r"images-00001\.npy is missing"),
        (lambda f: truncate(f / "train/images-00001.npy"), r"images-00001\.npy is damaged"),
        (lambda f: truncate(f / "train/visible.npy"), r"visible\.npy is damaged"),
        (lambda f: np.save(f / "train/images-00000.npy", np.zeros((1, 4, 4, 3), np.uint8)), r"ends at 7 rows"),
        (lambda f: np.save(f / "train/images-00000.npy", np.zeros((4, 4, 4), np.uint8)), r"images-00000\.npy must be"),
        (lambda f: np.save(f / "train/videos.npy", np.zeros(9, np.int32)), r"videos\.npy must be int32 \(10,\)"),
        (
            lambda f: np.save(f / "train/keypoints.npy", np.full((10, 3, 2), np.inf, np.float32)),
            r"keypoints\.npy holds",
        ),
        (lambda f: (f / "train/sources.txt").write_text("a\n"), r"sources\.txt has 1 line"),
    ],
)
def test_a_damaged_data_set_names_the_file_and_the_remedy(tmp_path: Path, spoil: Any, message: str) -> None:
    write(tmp_path / "toy", shard_bytes=48 * 4)
    spoil(tmp_path / "toy")
    with pytest.raises(PplkitError, match=message) as caught:
        open_dataset(tmp_path / "toy")
    assert "prepare the data set again" in str(caught.value) and "\n" not in str(caught.value)


def test_another_process_opens_the_folder_itself(tmp_path: Path) -> None:
    data = write(tmp_path / "toy", shard_bytes=48 * 4)
    sent = pickle.dumps(data)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    assert again.sha256 == data.sha256 and again["train"].sources == data["train"].sources
    assert [part.filename for part in again["train"].images.parts] == [  # mapped, and known by file
        part.filename for part in data["train"].images.parts
    ]


def test_a_missing_folder_and_a_missing_split_are_named(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="no folder .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(PplkitError, match="choose one of train, test"):
        write(tmp_path / "toy")["validation"]
