"""Labels of the tools that people have: the same points from each of them, and a reason where none can be had."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHARED

from pplkit.core.errors import PplkitError
from pplkit.data.label_readers import read_labels
from pplkit.data.labels import Label, Labels, in_pixels, match

NAMES = ["nose", "tail"]
POINTS = {"a.png": [(3.0, 4.5), (20.25, 11.0)], "b.png": [(5.0, 6.0), (np.nan, np.nan)]}


def write_table(folder: Path) -> Path:
    rows = [
        f"{file},{name},{x},{y},{float(x == x)}" for file, points in POINTS.items() for name, (x, y) in named(points)
    ]
    return saved(folder / "labels.csv", "\n".join(["file,name,x,y,visible", *rows]))


def named(points: list[tuple[float, float]]) -> list[tuple[str, tuple[float, float]]]:
    return list(zip(NAMES, points, strict=True))


def saved(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf8")
    return path


def coco_content(**changes: Any) -> dict[str, Any]:
    notes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 30, 20], "iscrowd": 0,
         "keypoints": [value for x, y in points for value in ((x, y, 2) if x == x else (0, 0, 0))]}
        for number, points in enumerate(POINTS.values())
    ]  # fmt: skip
    images = [{"id": number, "file_name": file} for number, file in enumerate(POINTS)]
    return {"images": images, "annotations": notes, "categories": [{"id": 1, "keypoints": NAMES}], **changes}


def write_coco(folder: Path) -> Path:
    return saved(folder / "labels.json", json.dumps(coco_content()))


def write_deeplabcut(folder: Path, header: str = "scorer", columns: int = 1) -> Path:
    gap = "," * columns
    lines = [f"{header}{gap}me,me,me,me", f"bodyparts{gap}nose,nose,tail,tail", f"coords{gap}x,y,x,y"]
    for file, points in POINTS.items():
        values = ["" if x != x else str(x) for point in points for x in point]
        lines.append(
            ",".join(["/".join(["labeled-data", "v", file]) if columns == 1 else f"labeled-data,v,{file}", *values])
        )
    return saved(folder / "labeled-data" / "v" / "CollectedData_me.csv", "\n".join(lines))


def write_deeplabcut_three_columns(folder: Path) -> Path:
    return write_deeplabcut(folder, columns=3)


def write_deeplabcut_project(folder: Path) -> Path:
    write_deeplabcut(folder)
    return folder


def write_deeplabcut_h5(folder: Path) -> Path:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    columns = pandas.MultiIndex.from_product([["me"], NAMES, ["x", "y"]], names=["scorer", "bodyparts", "coords"])
    index = pandas.MultiIndex.from_tuples([("labeled-data", "v", file) for file in POINTS])
    frame = pandas.DataFrame(np.array(list(POINTS.values())).reshape(2, 4), index=index, columns=columns)
    frame.to_hdf(folder / "CollectedData_me.h5", key="df_with_missing", mode="w")
    return folder / "CollectedData_me.h5"


def write_labelme(folder: Path) -> Path:
    for file, points in POINTS.items():
        shapes = [
            {"label": name, "points": [[x + 0.5, y + 0.5]], "shape_type": "point", "group_id": None}
            for name, (x, y) in named(points)
            if x == x
        ]
        content = {"imagePath": f"..\\pics\\{file}", "shapes": shapes}
        saved(folder / "l" / f"{file[0]}.json", json.dumps(content))
    return folder / "l"


def write_sleap(folder: Path) -> Path:
    sleap = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    skeleton = sleap.Skeleton(list(NAMES))
    about = {"type": "ImageVideo", "filename": "a.png", "filenames": list(POINTS), "shape": [2, 40, 40, 3]}
    video = sleap.Video("a.png", None, about, open_backend=False)
    frames = [
        sleap.LabeledFrame(
            video=video, frame_idx=number, instances=[sleap.Instance.from_numpy(np.array(points), skeleton=skeleton)]
        )
        for number, points in enumerate(POINTS.values())
    ]
    sleap.save_slp(sleap.Labels(frames), str(folder / "labels.slp"))
    return folder / "labels.slp"


WRITERS = [
    write_table, write_coco, write_deeplabcut, write_deeplabcut_three_columns, write_deeplabcut_project,
    write_deeplabcut_h5, write_labelme, write_sleap,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_each_format_gives_the_same_points_to_the_hundredth_of_a_pixel(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    labels = read_labels(write(tmp_path))
    objects, faults = match(labels, ["a.png", "b.png", "unlabeled.png"])
    assert labels.names == NAMES and faults == {} and list(objects) == ["a.png", "b.png"] and not labels.fractions
    for file, points in POINTS.items():
        (label,) = objects[file]
        np.testing.assert_allclose(label.points, points, atol=0.01)
        assert label.visible.tolist() == [x == x for x, _ in points]


def test_several_animals_of_deeplabcut_are_objects_of_an_image(tmp_path: Path) -> None:
    text = "scorer,me,me,me,me\nindividuals,one,one,two,two\nbodyparts,nose,nose,nose,nose\ncoords,x,y,x,y\n"
    path = saved(tmp_path / "CollectedData_me.csv", text + "labeled-data/v/a.png,1,2,3,4\nlabeled-data/v/b.png,,,5,6\n")
    objects, _ = match(read_labels(path), ["a.png", "b.png"])
    assert [label.points.tolist() for label in objects["a.png"]] == [[[1, 2]], [[3, 4]]]
    assert [label.points.tolist() for label in objects["b.png"]] == [[[5, 6]]]


def test_annotations_without_keypoints_or_box_cost_no_good_one(tmp_path: Path) -> None:
    """A box alone, an empty object, a box without an area."""
    content = coco_content()
    content["annotations"][0]["bbox"] = [0, 0, 0, 0]
    content["annotations"] += [
        {"id": 7, "image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9]},
        {"id": 8, "image_id": 1, "category_id": 1, "bbox": [0, 0, 0, 0], "keypoints": []},
    ]
    labels = read_labels(saved(tmp_path / "l.json", json.dumps(content)))
    good, boxed = labels.objects["a.png"]
    assert labels.faults == {} and good.box is None and good.visible.all() and boxed.box == (0, 0, 9, 9)
    assert not boxed.visible.any() and len(labels.objects["b.png"]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": []}, "has no annotations"),
        ({"annotations": [{"image_id": 0, "category_id": 1, "iscrowd": 1}]}, r"all 1 annotations are crowds"),
        (
            {"annotations": [{"image_id": "0", "category_id": 1}]},
            "image_id is such as '0', the id of images such",
        ),
    ],
)
def test_labels_that_label_nothing_are_refused_with_the_reason(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(PplkitError, match=message):
        read_labels(saved(tmp_path / "l.json", json.dumps(coco_content(**change))))


def one_label(name: str) -> Labels:
    return Labels(Path("l.csv"), ["nose"], [], {name: [Label(np.array([[1.0, 2.0]]), np.array([True]), None)]})


def test_names_are_compared_in_one_form_of_unicode() -> None:
    for written, here in (("säuger.png", "NFD"), (unicodedata.normalize("NFD", "é/ü.png"), "NFC")):
        image = unicodedata.normalize(here, written)
        assert list(match(one_label(written), [image])[0]) == [image]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("images/23082be9-a.png", r"none of them is among the 2 images, such as 'a.png' \(Label Studio .*'23082be9-'"),
        ("A.PNG", r"a\.png differs from it in upper and lower case alone"),
        ("a.jpg", r"a\.png has another ending"),
        ("z.png", r"'z.png', and none of them is among the 2 images, such as 'a.png': write"),
    ],
)
def test_names_of_no_image_are_refused_with_the_likely_reason(written: str, message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        match(one_label(written), ["a.png", "b/c.png"])


def test_folders_tell_images_of_one_name_apart() -> None:
    images = ["v/1.png", "w/1.png"]
    assert list(match(one_label("labeled-data/v/1.png"), images)[0]) == ["v/1.png"]
    assert list(match(one_label("w/1.png"), [f"labeled-data/{name}" for name in images])[0]) == ["labeled-data/w/1.png"]
    assert "but v/1.png and w/1.png are called so" in match(one_label("1.png"), images)[1]["1.png"]


def test_fractions_of_the_sides_become_pixels() -> None:
    labels = one_label("a.png")
    assert not labels.fractions
    labels.objects["a.png"] = [Label(np.array([[0.5, 0.25]]), np.array([True]), (0.25, 0.0, 0.75, 0.5))]
    assert labels.fractions
    label = in_pixels(labels.objects["a.png"][0], 100, 40)
    assert label.points.tolist() == [[49.5, 9.5]] and label.box == (25, 0, 75, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file;name;x;y;visible\n", "separated by semicolons: save it with commas"),
        ("file\tname\tx\ty\tvisible\n", "separated by tabs"),
        ("scorer,me\nbodyparts,a\n", "no lines 'bodyparts' and 'coords'"),
        ("scorer,me\nbodyparts,a\ncoords,x\na.png,left\n", "coordinates that are not numbers"),
    ],
)
def test_tables_of_another_form_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=message):
        read_labels(saved(tmp_path / "t.csv", text))


@pytest.mark.skipif(not (SHARED / "data" / "dlc_reaching").is_dir(), reason="no ../shared/data/dlc_reaching")
def test_a_real_project_of_deeplabcut() -> None:
    folder = SHARED / "data" / "dlc_reaching"
    labels = read_labels(folder)
    images = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    objects, faults = match(labels, images)
    assert labels.names == ["Hand", "Finger1", "Tongue", "Joystick1", "Joystick2"] and not faults
    assert len(objects) == len(images) == 55 and sum(label.visible.sum() for (label,) in objects.values()) > 200
