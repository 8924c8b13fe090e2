"""Poses written for other programs, read back by the library that owns each format."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sources
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.label_readers import read_labels
from pplkit.inference.estimate import Estimator, estimate_files
from pplkit.inference.export.pose_formats import PoseTable, coco, export_poses, pose_table, read_poses
from pplkit.inference.landmarks.labeled_files import read_labeled_files
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner


def content(folder: Path, **changes: Any) -> dict[str, Any]:
    """Poses as `estimate_files` gives them, of three pictures in two sizes."""
    rows = []
    for number, (width, height) in enumerate(((20, 10), (30, 10), (20, 10))):
        file = folder / f"{number}.png"
        Image.new("RGB", (width, height), (10 * number, 0, 0)).save(file)
        points = [[1.25 + number, 2.5], [12.0, 6.75], [4.0, 7.0]]
        size = {"width": width, "height": height}
        rows.append({"file": str(file), **size, "keypoints": points, "confidence": [0.5, 0.25, 0.75 + number / 10]})
    about = {"made_by": {"run": "first, try", "data": "mice"}, "links": [(1, 0), (1, 2)]}
    return about | {"names": ["nose", "tail, tip", "paw"], "images": rows} | changes


def film(rows: list[tuple[str, int | None]], keypoints: int = 2) -> PoseTable:
    """Poses of frames: (video, frame)."""
    one = {"width": 8, "height": 6, "keypoints": [[1.0, 2.0]] * keypoints, "confidence": [0.5] * keypoints}
    return pose_table({"links": [(0, 1)], "images": [{"file": file, "frame": frame, **one} for file, frame in rows]})


@pytest.fixture
def poses(tmp_path: Path) -> PoseTable:
    return pose_table(content(tmp_path))


def test_coco_by_hand() -> None:
    """The third keypoint lies outside, the last nowhere."""
    row = {"file": "a.png", "width": 20, "height": 10, "confidence": [0.5, 0.2, 0.8, 0.1]}
    row["keypoints"] = [[1.25, 2.5], [19.25, 9.0], [20.0, 5.0], [None, None]]
    far = row | {"file": "b.png", "keypoints": [[-3.0, -3.0]] * 4}
    result = coco(pose_table({"links": [(0, 2)], "images": [row, far], "made_by": {"data": "mice"}}), visible=0.3)
    assert [image["file_name"] for image in result["images"]] == ["a.png", "b.png"]
    (note,) = result["annotations"]  # of the second picture there is nothing to say
    assert note["keypoints"] == [1.25, 2.5, 2, 19.25, 9, 1, 0, 0, 0, 0, 0, 0]
    assert note["num_keypoints"] == 2 and note["image_id"] == 1
    assert note["bbox"] == [1.25, 2.5, 18.75, 7.5]  # to the right edge, 20, and the lower edge, 10
    assert note["area"] == pytest.approx(140.62, abs=0.01)
    assert note["score"] == 0.4 and note["keypoint_scores"] == [0.5, 0.2, 0.8, 0.1]
    (category,) = result["categories"]
    assert category["name"] == "mice" and category["skeleton"] == [[1, 3]]
    assert category["keypoints"] == ["0", "1", "2", "3"]


def test_coco_read_by_pycocotools(poses: PoseTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    owner = pytest.importorskip("pycocotools.coco", reason="pycocotools reads COCO: pip install 'pplkit[dev]'")
    export_poses(poses, "coco", tmp_path / "poses.json")
    read = owner.COCO(str(tmp_path / "poses.json"))
    assert [read.imgs[number]["file_name"] for number in read.getImgIds()] == poses.files
    notes = read.loadAnns(read.getAnnIds())
    points = np.array([note["keypoints"] for note in notes]).reshape(3, 3, 3)
    np.testing.assert_allclose(points[..., :2], poses.keypoints, atol=0.005)
    assert (points[..., 2] == 2).all()
    results = read.loadRes(notes)  # the same annotations as another's results, which need a score
    assert len(results.anns) == 3
    assert read.cats[1]["keypoints"] == ["nose", "tail, tip", "paw"] and read.cats[1]["skeleton"] == [[2, 1], [2, 3]]


FORMATS = [("coco", ".json"), ("csv", ".csv"), ("dlc", ".csv"), ("dlc", ".h5"), ("sleap", ".slp"), (None, ".json")]


@pytest.mark.parametrize(("kind", "ending"), FORMATS)
@pytest.mark.parametrize("of_video", [False, True])
def test_poses_are_read_back_as_labels(
    kind: str | None, ending: str, of_video: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the formats of `export`, and in the JSON of `estimate` (None)."""
    for package in {".h5": ("tables", "h5py"), ".slp": ("sleap_io",)}.get(ending, ()):
        pytest.importorskip(package)
    written, path = content(tmp_path), tmp_path / f"poses{ending}"
    if of_video:
        written["images"] = [
            row | {"file": "a, b.mp4", "frame": 2 * number, "seconds": 0.1, "width": 30, "height": 10}
            for number, row in enumerate(written["images"])
        ]
    if kind is None:
        path.write_text(json.dumps(written))
    else:
        export_poses(pose_table(written), kind, path)
    labels = read_labels(path)
    objects = {name: candidates[0] for name, candidates in labels.objects.items() if candidates}
    names = (
        [f"a, b.mp4 frame {2 * number}" for number in range(3)] if of_video else [r["file"] for r in written["images"]]
    )
    assert labels.names == written["names"] and not labels.faults
    assert list(objects) == (["0", "2", "4"] if of_video and kind == "dlc" else names)
    for label, row in zip(objects.values(), written["images"], strict=True):
        np.testing.assert_allclose(label.points, row["keypoints"], atol=0.01)


def test_coco_labels_a_data_set_of_images(poses: PoseTable, tmp_path: Path) -> None:
    export_poses(poses, "coco", tmp_path / "poses.json", visible=0.3)
    labels = read_labels(tmp_path / "poses.json")
    assert labels.faults == {} and labels.names == poses.names and labels.skeleton == poses.links
    for file, points in zip(poses.files, poses.keypoints, strict=True):
        (label,) = labels.objects[file]
        np.testing.assert_allclose(label.points, points, atol=0.005)
        assert label.visible.tolist() == [True, False, True]


def test_coco_works_elsewhere(poses: PoseTable, tmp_path: Path) -> None:
    """Names are relative to a folder, and the category is the user's name of the data."""
    export_poses(poses, "coco", tmp_path / "poses.json", root=tmp_path)
    assert list(read_labels(tmp_path / "poses.json").objects) == ["0.png", "1.png", "2.png"]
    for folder in ("photos", "exports"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "photos" / "a.png")  # and neither b.png nor c.png
    photo = replace(poses, files=[str(tmp_path / "photos" / name) for name in ("a.png", "b.png", "c.png")])
    export_poses(photo, "coco", tmp_path / "exports" / "poses.json", root=tmp_path / "photos")
    assert len(read_labeled_files(tmp_path / "exports" / "poses.json", 32).images) == 1
    about = {"data": "folder", "data_path": "../../data/folder-folder-mice-smoke"}
    made = pose_table(content(tmp_path, made_by=about))
    assert coco(made)["categories"][0]["name"] == "folder-mice" and "data_path" not in made.made_by


def test_a_table_has_a_line_for_each_keypoint(poses: PoseTable, tmp_path: Path) -> None:
    export_poses(poses, "csv", tmp_path / "poses.csv")
    with (tmp_path / "poses.csv").open(newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert rows[4] == {
        "file": poses.files[1], "frame": "", "keypoint": "tail, tip", "x": "12.0", "y": "6.75", "confidence": "0.25",
    }  # fmt: skip
    export_poses(film([("a.mp4", 7)]), "csv", tmp_path / "film.csv")
    assert "a.mp4,7,0,1.0,2.0,0.5" in (tmp_path / "film.csv").read_text(encoding="utf8").splitlines()


def test_deeplabcut_tables_are_read_as_it_reads_them(poses: PoseTable, tmp_path: Path) -> None:
    """It takes the only table of an .h5, and three header rows of a .csv."""
    pandas = pytest.importorskip("pandas", reason="pandas reads DeepLabCut's tables: pip install 'pplkit[data]'")
    export_poses(poses, "dlc", tmp_path / "poses.csv")
    table = pandas.read_csv(tmp_path / "poses.csv", header=[0, 1, 2], index_col=0)
    assert list(table.columns.names) == ["scorer", "bodyparts", "coords"]
    assert list(table.index) == poses.files
    assert set(table.columns.get_level_values("scorer")) == {"DLC_pplkit_first--try"}
    assert list(table.columns.get_level_values("bodyparts").unique()) == poses.names
    for number, part in enumerate(("x", "y")):
        np.testing.assert_array_equal(table.xs(part, axis=1, level="coords"), poses.keypoints[..., number])
    np.testing.assert_array_equal(table.xs("likelihood", axis=1, level="coords"), poses.confidence)
    pytest.importorskip("tables", reason="PyTables reads .h5: pip install 'pplkit[data]'")
    export_poses(poses, "dlc", tmp_path / "poses.h5")
    pandas.testing.assert_frame_equal(pandas.read_hdf(tmp_path / "poses.h5"), table, check_names=True)
    with pandas.HDFStore(tmp_path / "poses.h5", "r") as store:
        assert store.keys() == ["/df_with_missing"]
        assert store.get_storer("df_with_missing").attrs.pandas_version  # without it pandas 1 and 2 fail


def test_deeplabcut_has_a_row_for_every_frame_of_a_video(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas reads DeepLabCut's tables: pip install 'pplkit[data]'")
    export_poses(film([("a.mp4", 0), ("a.mp4", 5)]), "dlc", tmp_path / "poses.csv")
    table = pandas.read_csv(tmp_path / "poses.csv", header=[0, 1, 2], index_col=0)
    assert table.index.tolist() == list(range(6)) and table.isna().all(axis=1).tolist() == [0, 1, 1, 1, 1, 0]
    export_poses(film([("a.mp4", 2)]), "dlc", tmp_path / "poses.csv")  # damaged at its beginning
    assert [line.split(",")[:2] for line in (tmp_path / "poses.csv").read_text().splitlines()[3:5]] == [
        ["0", ""], ["1", ""],
    ]  # fmt: skip
    for two in ([("a.mp4", 0), ("b.mp4", 0)], [("a.mp4", 0), ("a.png", None)]):
        with pytest.raises(PplkitError, match="several videos, or of videos and images"):
            export_poses(film(two), "dlc", tmp_path / "two.csv")
    assert not list(tmp_path.glob("two*"))


def test_deeplabcut_has_rows_for_the_frames_after_the_last_pose(tmp_path: Path) -> None:
    video = sources.film(tmp_path / "a.mp4", 8)
    export_poses(film([(str(video), 0), (str(video), 5)]), "dlc", tmp_path / "poses.csv")
    assert len((tmp_path / "poses.csv").read_text().splitlines()) == 3 + 8


def test_sleap_read_by_sleap_io(poses: PoseTable, tmp_path: Path) -> None:
    owner = pytest.importorskip("sleap_io", reason="sleap-io reads .slp: pip install 'pplkit[sleap]'")
    export_poses(poses, "sleap", tmp_path / "poses.slp")
    labels = owner.load_slp(str(tmp_path / "poses.slp"))
    assert labels.skeleton.node_names == poses.names and labels.skeleton.edge_inds == poses.links
    videos = [[str(file) for file in video.filename] for video in labels.videos]
    assert videos == [[poses.files[0], poses.files[2]], [poses.files[1]]]
    for file, points, sure in zip(poses.files, poses.keypoints, poses.confidence, strict=True):
        (frame,) = [one for one in labels if str(one.video.filename[one.frame_idx]) == file]
        (result,) = frame.instances
        np.testing.assert_allclose(result.numpy(), points)
        np.testing.assert_allclose(result.points["score"], sure)
        assert result.score == pytest.approx(sure.mean())
        assert frame.image.shape[:2] == Image.open(file).size[::-1]  # the very picture
    export_poses(film([("a.mp4", 3), ("b.mp4", 0), ("a.mp4", 4)]), "sleap", tmp_path / "films.slp")
    labels = owner.load_slp(str(tmp_path / "films.slp"), open_videos=False)
    assert [(str(one.video.filename), one.frame_idx) for one in labels] == [("a.mp4", 3), ("b.mp4", 0), ("a.mp4", 4)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": []}, "IndexError"),
        ({"links": None}, "TypeError"),
        ({"links": [(0, 3)]}, "a link that leaves 0 to 2"),
        ({"names": ["a", "a", "b"]}, "2 different names for 3 keypoints"),
        ({"images": [{"file": "a.png"}]}, "KeyError"),
    ],
)
def test_other_content_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.json"
    path.write_text(json.dumps(content(tmp_path) | changes), encoding="utf8")
    with pytest.raises(PplkitError, match=f"poses.json holds no poses .*{said}"):
        read_poses(path)


def test_formats_and_endings_are_checked(poses: PoseTable, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="nothing.json does not exist"):
        read_poses(tmp_path / "nothing.json")
    with pytest.raises(PplkitError, match="format='voc' is unknown: choose one of coco, csv, dlc, sleap"):
        export_poses(poses, "voc", tmp_path / "a.json")
    with pytest.raises(PplkitError, match=r"a.json does not end in .csv or .h5"):
        export_poses(poses, "dlc", tmp_path / "a.json")
    with pytest.raises(PplkitError, match="cannot be written"):
        export_poses(poses, "csv", tmp_path / "no" / "a.csv")


def test_a_failure_leaves_what_was_there(poses: PoseTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_: PoseTable, out: Path) -> None:
        out.write_text("half")
        raise OSError("no room")

    (tmp_path / "a.csv").write_text("before")
    monkeypatch.setattr("pplkit.inference.export.pose_formats._write_csv", torn)
    with pytest.raises(PplkitError, match="no room"):
        export_poses(poses, "csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "before" and len(list(tmp_path.glob("a*"))) == 1


def test_estimated_poses_are_those_of_the_same_files(tiny: Config, tmp_path: Path) -> None:
    """`poses.export` writes what `pplkit export` writes, up to the rounding of JSON."""
    model = PosePriorLearner(tiny).eval()
    for number, size in enumerate([(30, 44), (32, 32)]):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    expected = coco(pose_table(estimate_files(Estimator(model), [tmp_path])))
    for image in expected["images"]:
        image["file_name"] = Path(image["file_name"]).name  # relative to the folder of the file written
    content = json.loads(model.estimate(tmp_path).export(tmp_path / "poses.json").read_text())
    assert content["images"] == expected["images"] and content["categories"] == expected["categories"]
    for ours, theirs in zip(content["annotations"], expected["annotations"], strict=True):
        np.testing.assert_allclose(ours["keypoints"], theirs["keypoints"], atol=0.0101)
    one = model.estimate(tmp_path / "0.png").export(tmp_path / "one.csv", format="csv")
    assert one.read_text().count("\n") == 5
    with pytest.raises(PplkitError, match="format='cocoo' is unknown"):
        model.estimate(tmp_path).export(tmp_path / "poses.json", format="cocoo")
