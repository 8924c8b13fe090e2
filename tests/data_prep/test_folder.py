"""Your own pictures: labels on their pixels, crops, splits that stay, videos, duplicates and bad input."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sources import TABLE, coco, note, patchwork, smooth, table

from data_prep.common.splits import held_out
from data_prep.folder import main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.npy_shards import NpyWriter


def red_center(image: np.ndarray) -> np.ndarray:
    """Center of what is red, in pixels."""
    red = image[..., 0].astype(float)
    y, x = np.indices(red.shape)
    return np.array([(x * red).sum(), (y * red).sum()]) / red.sum()


@pytest.mark.parametrize(("crop", "count"), [("center", 1), ("pad", 1), ("labels", 2)])
def test_coco_labels_lie_on_their_pixels(crop: str, count: int, tmp_path: Path) -> None:
    patchwork(tmp_path / "in" / "a.png", 0)
    labels = coco(tmp_path / "labels.json")
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 96, labels, crop, 0.25, test_share=0))
    train = data["train"]
    assert (data.protocol, data.skeleton, data.flip_pairs[0]) == ("cub", [(0, 1), (0, 2)], (1, 2))
    assert train.keypoints is not None and train.visible is not None and len(train) == count
    for image, points, visible in zip(np.asarray(train.images), train.keypoints, train.visible, strict=True):
        np.testing.assert_allclose((points[0] + 1) / 2 * 95, red_center(image), atol=0.5)
        assert visible.tolist() == [True, False, False] and np.isnan(points[2]).all()
    if crop == "labels":  # bbox 8..40 x 16..40, side 32 + 2 x 8, centre (24, 28): from (0, 4), twice as large
        np.testing.assert_allclose((train.keypoints[1, 0] + 1) / 2 * 95, (2 * 20.5 - 0.5, 2 * 26.5 - 0.5), atol=1e-4)
        assert train.sources == ["a.png #1", "a.png #2"]
    else:  # the larger of the two: its ear is labelled, though hidden
        assert np.isfinite(train.keypoints[0, 1]).all()


def test_a_table_labels_what_it_names(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b ü/c.png", "plain.png")):
        patchwork(tmp_path / "in" / name, seed)
    rows = ("a.png,nose,20,30,1", "a.png,tail,0,0,0", "c.png,tail,2,3,1", "c.png,nose,20,30,1")
    labels = table(tmp_path / "in" / "labels.csv", *rows)
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "out", 32, labels, "center", test_share=0))
    train = data["train"]
    assert train.keypoints is not None and train.visible is not None and data.keypoint_names == ["nose", "tail"]
    assert train.sources == ["a.png", "plain.png", "b ü/c.png"]
    assert train.visible.tolist() == [[True, False], [False, False], [True, False]]  # x = 2 is cut off by the crop
    np.testing.assert_allclose((train.keypoints[2, 0] + 1) / 2 * 31, red_center(np.asarray(train.images)[2]), atol=0.5)


def test_the_split_stays_when_files_are_added(tmp_path: Path) -> None:
    for seed in range(40):
        patchwork(tmp_path / "in" / f"{seed}.png", seed)
    before = open_dataset(prepare(tmp_path / "in", tmp_path / "1", 16, test_share=0.3))
    for seed in range(40, 60):
        patchwork(tmp_path / "in" / "more" / f"{seed}.png", seed)
    after = open_dataset(prepare(tmp_path / "in", tmp_path / "2", 16, test_share=0.3))
    assert before.protocol == "pictures" and 4 <= len(before["test"]) <= 20
    for split in ("train", "test"):
        assert set(before[split].sources) < set(after[split].sources)
    assert held_out(["a", "b"], 0) == held_out(["a"], 0.999) == set()


def test_folders_are_splits_classes_and_videos_where_asked(tmp_path: Path) -> None:
    for seed, name in enumerate(("train/cat/9.png", "train/cat/10.png", "train/dog/1.png", "train/dog/2.png")):
        patchwork(tmp_path / "in" / name, seed)
    for seed, name in enumerate(("test/cat/1.png", "test/cat/2.png", "test/dog/alone.png", "other.png"), start=9):
        patchwork(tmp_path / "in" / name, seed)
    data = open_dataset(
        prepare(tmp_path / "in", tmp_path / "out", 16, splits="folder", videos="folder", classes="folder")
    )
    train, test = data["train"], data["test"]
    assert train.sources == ["train/cat/9.png", "train/cat/10.png", "train/dog/1.png", "train/dog/2.png"]
    assert train.videos is not None and len(set(train.videos[:2])) == 1 and len(set(train.videos)) == 2
    assert train.classes is not None and data.class_names == ["cat", "dog"] and train.classes.tolist() == [0, 0, 1, 1]
    assert test.sources == ["test/cat/1.png", "test/cat/2.png"]
    assert [name for name, _ in data.dropped] == ["other.png", "test/dog/alone.png"]


def test_near_duplicates_are_reported_kept_together_or_dropped(tmp_path: Path) -> None:
    for seed in range(30):
        image = smooth(seed)
        image.save(patchwork(tmp_path / "in" / f"{seed:02}.png", 0))
        image.resize((96, 72)).save(tmp_path / "in" / f"z{seed:02}.jpg", quality=90)
    smooth(3).save(tmp_path / "in" / "copy.png")
    data = open_dataset(prepare(tmp_path / "in", tmp_path / "1", 16, test_share=0.3))
    alike = data.options["duplicate_groups"]
    assert len(alike) == 30 and ["03.png", "copy.png", "z03.jpg"] in alike
    test = set(data["test"].sources)
    assert test and all(len(test & set(group)) in (0, len(group)) for group in alike)
    kept = open_dataset(prepare(tmp_path / "in", tmp_path / "2", 16, duplicates="drop"))
    assert sum(map(len, kept.splits.values())) == 30 and len(kept.dropped) == 31
    assert ("copy.png", "copy.png is a near-duplicate of 03.png, which is kept") in kept.dropped


def clip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def bomb(path: Path) -> None:
    data = path.with_suffix(".png").read_bytes()
    path.write_bytes(data[:16] + (30_000).to_bytes(4, "big") * 2 + data[24:])


BAD: dict[str, tuple[Any, str]] = {
    "truncated": (lambda f: clip(f / "b c" / "ö.jpg"), r"ö\.jpg cannot be read as an image"),
    "empty": (lambda f: (f / "b c" / "ö.jpg").write_bytes(b""), r"ö\.jpg cannot be read"),
    "text": (lambda f: (f / "b c" / "ö.jpg").write_text("hello"), r"ö\.jpg cannot be read"),
    "huge": (lambda f: bomb(patchwork(f / "b c" / "huge.png", 5)), r"huge\.png .*(pixels|leave it out)"),
    "NaN": (lambda f: table(f / "l.csv", "0.png,nose,nan,3,1"), r"line 2 for 0\.png .*not numbers\); correct it"),
    "word": (lambda f: table(f / "l.csv", "0.png,nose,left,3,1"), r"line 2 for 0\.png .*could not convert"),
    "outside": (lambda f: table(f / "l.csv", "0.png,nose,99,3,1"), r"0\.png has a label at \(99, 3\), outside"),
    "unknown": (lambda f: table(f / "l.csv", "0.png,nose,9,3,1", "x.png,nose,1,1,1"), r"name x\.png, which is not"),
    "twice": (lambda f: table(f / "l.csv", *["0.png,nose,9,3,1"] * 2), r"line 3 for 0\.png \(nose a second time"),
    "ambiguous": (
        lambda f: (patchwork(f / "d" / "0.png", 77), patchwork(f / "e" / "1.png", 78), patchwork(f / "g" / "1.png", 79),
                   table(f / "l.csv", "h/1.png,nose,9,3,1")),
        r"h/1\.png, but 1\.png and e/1\.png are called so",
    ),
    "visibility": (lambda f: table(f / "l.csv", "0.png,nose,9,3,7"), r"visible is '7', neither 0 nor 1"),
    "link": (lambda f: os.symlink("loop.png", f / "loop.png"), r"loop\.png does not exist"),
    "count": (lambda f: coco_of(f, [note(1, [1, 1, 9, 9], [1, 2, 2])]), r"annotation 1 of 0\.png \(3 numbers"),
    "bbox": (lambda f: coco_of(f, [note(1, [70, 1, 9, 9], [0] * 9)]), r"0\.png has a bbox outside its 64 x 48"),
    "coco NaN": (lambda f: coco_of(f, [note(1, [1, 1, 9, 9], [float("nan"), 1, 2] * 3)]), r"not a number"),
    "orphan": (
        lambda f: coco_of(f, [note(1, [1, 1, 9, 9], [0] * 9), {**note(2, [1, 1, 9, 9], [0] * 9), "image_id": 8}]),
        r"image 8, which is not among",
    ),
    "same name": (
        lambda f: coco_of(
            f, [note(1, [1, 1, 9, 9], [0] * 9)], [{"id": 7, "file_name": "0.png"}, {"id": 8, "file_name": "0.png"}]
        ),
        r"0\.png twice",
    ),
}  # fmt: skip


def coco_of(folder: Path, notes: list[dict[str, Any]], images: Any = None) -> None:
    coco(folder / "l.json", annotations=notes, images=images or [{"id": 7, "file_name": "0.png"}])


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_left_out_and_named_or_stops_a_strict_run(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for seed in range(12):
        patchwork(folder / f"{seed}.png", seed)
    patchwork(folder / "b c" / "ö.jpg", 50)
    spoil, message = BAD[kind]
    spoil(folder)
    labels = next((folder / name for name in ("l.csv", "l.json") if (folder / name).exists()), None)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(folder, tmp_path / "made" / "out", 16, labels, strict=True)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("made/*"))
    data = open_dataset(prepare(folder, tmp_path / "made" / "out", 16, labels))
    assert len(data.dropped) == 1 and sum(map(len, data.splits.values())) >= 12
    with pytest.raises(PplkitError, match="more than 0 of"):
        prepare(folder, tmp_path / "made" / "none", 16, labels, limit=0)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "round"}, "crop is 'round'; choose one of center, pad, labels"),
        ({"crop": "labels"}, "crop is 'labels', but there are none"),
        ({"test_share": 1.0}, "test_share is 1.0; give the share"),
        ({"margin": -1}, "margin is -1; give a share"),
        ({"splits": "folder"}, "no image below a folder train"),
        ({"labels": "gone.csv"}, r"there is no file gone\.csv"),
        ({"labels": "bad.csv"}, r"bad\.csv begins with 'a,b'; its first line must be file,name"),
        ({"labels": "short.csv"}, r"short\.csv has 3 columns in line 2"),
        ({"labels": "none.csv"}, r"none\.csv holds no label"),
        ({"labels": "bad.json"}, r"bad\.json is not valid JSON .*: give COCO keypoints"),
        ({"labels": "skeleton.json"}, r"skeleton\.json has a skeleton that leaves 1 to 1"),
        ({"labels": "boxes.json"}, r"boxes\.json has 0 categories with keypoints"),
        ({"labels": "image.xml"}, r"image\.xml is no file of labels"),
    ],
)
def test_a_fault_of_options_or_the_whole_file_of_labels_stops(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    patchwork(tmp_path / "in" / "a.png", 0)
    Path("bad.csv").write_text("a,b\n")
    Path("short.csv").write_text(f"{TABLE}\na.png,nose,1\n")
    Path("none.csv").write_text(f"{TABLE}\n")
    Path("bad.json").write_text('{"images": [')
    Path("image.xml").write_text("<a/>")
    coco(Path("skeleton.json"), categories=[{"id": 1, "keypoints": ["nose"], "skeleton": [[1, 2]]}])
    coco(Path("boxes.json"), categories=[{"id": 1}])
    with pytest.raises(PplkitError, match=message) as caught:
        prepare("in", "out", 16, **options)
    assert "\n" not in str(caught.value) and not Path("out").exists()


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    patchwork(tmp_path / "in" / "a.png", 0)
    os.symlink(tmp_path / "in", tmp_path / "in" / "again")
    assert len(open_dataset(prepare(tmp_path / "in", tmp_path / "out", 16))["train"]) == 1


def test_a_source_that_may_only_be_read_is_enough(tmp_path: Path) -> None:
    patchwork(tmp_path / "in" / "a.png", 0)
    (tmp_path / "in").chmod(0o555)
    try:
        assert len(open_dataset(prepare(tmp_path / "in", tmp_path / "out", 16))["train"]) == 1
    finally:
        (tmp_path / "in").chmod(0o755)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_destination_that_cannot_be_written(tmp_path: Path) -> None:
    patchwork(tmp_path / "in" / "a.png", 0)
    (tmp_path / "to").mkdir(mode=0o555)
    with pytest.raises(PplkitError, match="out cannot be written .*choose a folder that can"):
        prepare(tmp_path / "in", tmp_path / "to" / "out", 16)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        patchwork(tmp_path / "in" / f"{seed}.png", seed)
    append = NpyWriter.append

    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

        def __enter__(self) -> Any:
            return self.stream.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.stream.__exit__(*error)

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def fill(self: NpyWriter, array: np.ndarray) -> None:
        if self._stream is not None and self._rows >= 5:
            self._stream = Full(self._stream)  # type: ignore[assignment]
        append(self, array)

    monkeypatch.setattr(NpyWriter, "append", fill)
    with pytest.raises(PplkitError, match="out cannot be written .*No space left.*free some space") as caught:
        prepare(tmp_path / "in", tmp_path / "made" / "out", 16)
    assert "\n" not in str(caught.value) and not list((tmp_path / "made").iterdir())


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patchwork(tmp_path / "in" / "a.png", 0)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "--size", "16", "--duplicates", "drop"]) == 0
    assert "1 train image of 16 pixels" in capsys.readouterr().out
    assert main([str(tmp_path / "gone"), str(tmp_path / "x")]) == 2
    assert "there is no folder" in capsys.readouterr().err
