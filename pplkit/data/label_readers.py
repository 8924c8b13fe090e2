"""Files of labels: COCO keypoints, tables, DeepLabCut projects, SLEAP and labelme, and poses that the kit wrote.

COCO's bbox (left, top, width, height) counts from the image's upper left corner.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import MAX_TABLE_BYTES, read_json, read_text
from pplkit.core.words import quantity
from pplkit.data import deeplabcut
from pplkit.data.images import PAGED_SUFFIXES
from pplkit.data.labels import Faults, Label, Labels, frame_name, named_label, visible_label
from pplkit.data.video import SUFFIXES as VIDEO_SUFFIXES

MAX_COORDINATE = 1e7  # pixels
MAX_NAMES = 1000  # of keypoints
MAX_POINTS = 20_000_000  # names times files of a table: each file has room for all
LABEL_SUFFIXES = frozenset((".json", ".csv", ".h5", ".slp"))
TABLE = ["file", "name", "x", "y", "visible"]
TRACK_TABLE = ("frame", "seconds", "keypoint", "x", "y", "confidence", "filled", "found_x", "found_y")
"""As `inference.tracking` writes it"""
IMAGE_FOLDER = "image_folder"  # entry of `info` in COCO files that the kit wrote: the folder of the names
POSE_TABLE = ("file", "frame", "keypoint", "x", "y", "confidence")  # as `inference.estimate` writes it
KINDS = (
    "COCO keypoints (.json), a table file,name,x,y,visible (.csv), DeepLabCut (CollectedData_*.csv or .h5, or the "
    "project's folder), SLEAP (.slp), a folder of labelme's .json, or poses that pplkit wrote"
)


def read_labels(path: Path) -> Labels:
    """The labels of a file or folder of one of KINDS, which is recognized by ending and content.

    Raises PplkitError for a file that is missing, damaged, of no known kind or without any label; what is wrong with
    the labels of one image is a fault of that image.
    """
    readers = {".json": _coco, ".csv": _csv, ".h5": deeplabcut.read_h5, ".slp": _sleap}
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise PplkitError(f"there is no file {path}; give labels as {KINDS}")
    if path.suffix.lower() not in readers:
        raise PplkitError(f"{path} is no file of labels by its ending; give {KINDS}")
    return readers[path.suffix.lower()](path)


def _folder(path: Path) -> Labels:
    tables = sorted([*path.glob("CollectedData_*.csv"), *path.glob("labeled-data/*/CollectedData_*.csv")])
    if tables:
        return deeplabcut.merged(path, [_csv(table) for table in tables])
    files = sorted(path.rglob("*.json"))
    if files:
        return _labelme(path, files)
    raise PplkitError(
        f"{path} holds neither CollectedData_*.csv of DeepLabCut nor .json files of labelme; give {KINDS}"
    )


def _coco(path: Path) -> Labels:
    content = read_json(path, "give COCO keypoints, or save it as UTF-8", MAX_TABLE_BYTES)
    if "annotations" not in content and "images" in content:
        return _poses(path, _json_poses(content["images"], content.get("names")))
    try:
        files = {image["id"]: _image_name(image) for image in content["images"]}
        kinds = {kind["id"]: kind for kind in content["categories"] if kind.get("keypoints")}
        notes = [note for note in content["annotations"] if not note.get("iscrowd")]
        notes = [(note["image_id"], note) for note in notes if note.get("category_id") in kinds]
        hash(tuple(image for image, _ in notes))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PplkitError(
            f"{path} is not COCO keypoints ({type(error).__name__}: {error}); it needs images, annotations, categories"
        ) from error
    kind = next(iter(kinds.values()), None)
    if kind is None or any(other["keypoints"] != kind["keypoints"] for other in kinds.values()):
        wanted = "keep the annotations of one" if kinds else "export keypoints, not boxes or outlines alone"
        raise PplkitError(f"{path} has {len(kinds)} categories with keypoints: {wanted}")
    names = kind["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > MAX_NAMES:
        raise PplkitError(f"{path} has keypoints that are no list of at most {MAX_NAMES} names; correct it")
    _check_any(path, content["annotations"], notes, files)
    objects: dict[str, list[Label]] = {name: [] for name in files.values()}
    listed = Counter(map(_image_name, content["images"]))
    faults = {name: f"{path} lists {name} twice; leave one" for name, count in listed.items() if count > 1}
    for image, note in notes:
        if image not in files:
            faults[f"image {image}"] = f"{path} labels image {image}, which is not among its images; add or remove it"
            continue
        try:
            objects[files[image]].append(_annotation(note, len(names)))
        except (ValueError, TypeError, OverflowError) as error:
            faults[files[image]] = (
                f"{path} has a wrong annotation {note.get('id')} of {files[image]} ({error}); correct it"
            )
    info = content.get("info")
    folder = str(info.get(IMAGE_FOLDER, ".")) if isinstance(info, dict) else "."
    return Labels(path, names, _skeleton(path, kind, len(names)), objects, faults, folder)


def _image_name(image: Mapping[str, Any]) -> str:
    """The file of an image, and where that is a video or has several images, the frame."""
    file, frame = str(image["file_name"]), image.get("frame_id")
    several = Path(file).suffix.lower() in VIDEO_SUFFIXES | PAGED_SUFFIXES
    return frame_name(file, int(frame)) if several and frame is not None else file


def _check_any(
    path: Path, annotations: Sequence[Any], notes: Sequence[tuple[Any, Any]], files: Mapping[Any, str]
) -> None:
    """Raise PplkitError if no annotation is left, or none belongs to an image."""
    if not annotations:
        raise PplkitError(f"{path} has no annotations; export it with them, or leave labels out")
    if not notes:
        crowds = sum(bool(note.get("iscrowd")) for note in annotations)
        why = (
            f"all {crowds} annotations are crowds (iscrowd = 1)"
            if crowds == len(annotations)
            else "no annotation of them"
        )
        raise PplkitError(f"{path} labels nothing: {why}; set iscrowd to 0 and category_id to that of the keypoints")
    if not any(image in files for image, _ in notes):
        image, other = notes[0][0], next(iter(files), None)
        raise PplkitError(
            f"{path} has {quantity(len(notes), 'annotation')}, and none of them belongs to one of its "
            f"{quantity(len(files), 'image')}: their image_id is such as {image!r}, the id of images such as "
            f"{other!r}; write both the same way"
        )


def _skeleton(path: Path, kind: Mapping[str, Any], count: int) -> list[tuple[int, int]]:
    try:
        links = [(int(a) - 1, int(b) - 1) for a, b in kind.get("skeleton") or ()]
    except (ValueError, TypeError, OverflowError) as error:
        raise PplkitError(f"{path} has a skeleton that is not pairs of numbers ({error}); correct it") from error
    if any(not 0 <= end < count for link in links for end in link):
        raise PplkitError(f"{path} has a skeleton that leaves 1 to {count}; COCO counts keypoints from 1, correct it")
    return links


def _annotation(note: Mapping[str, Any], count: int) -> Label:
    """An annotation without keypoints, or with a bbox without an area, is an object that lacks them."""
    values = np.asarray(note.get("keypoints") or [0] * 3 * count, dtype=np.float64)
    if values.shape != (3 * count,):
        raise ValueError(f"{values.size} numbers in keypoints, not 3 x {count}")
    points, visibility = values.reshape(count, 3)[:, :2], values[2::3]
    if not np.isin(visibility, (0, 1, 2)).all():
        raise ValueError("visibility other than 0, 1 and 2")
    if not np.isfinite(points[visibility > 0]).all():
        raise ValueError("a labeled keypoint is not a number")
    box = None
    if note.get("bbox"):
        left, top, width, height = (float(value) for value in note["bbox"])
        if not (max(abs(left), abs(top)) < MAX_COORDINATE and max(width, height) < MAX_COORDINATE):
            raise ValueError("a bbox far away")
        box = (left, top, left + width, top + height) if width > 0 and height > 0 else None
    return Label(np.where(visibility[:, None] > 0, points, np.nan), visibility == 2, box)


def _csv(path: Path) -> Labels:
    text = read_text(path, "save it as UTF-8", MAX_TABLE_BYTES)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    except csv.Error as error:
        raise PplkitError(f"{path} is no table of CSV ({error}); its lines must be {','.join(TABLE)}") from error
    if rows and rows[0][:1] == ["scorer"]:
        return deeplabcut.table_labels(path, rows)
    if rows and tuple(rows[0]) == POSE_TABLE:
        poses = filter(any, rows[1:])
        return _poses(path, ((file, frame or None, name, (x, y)) for file, frame, name, x, y, _ in poses))
    if rows and tuple(rows[0]) == TRACK_TABLE:
        video = _video_of(path)
        return _poses(
            path, ((video, row[0], row[2], (row[3] or "nan", row[4] or "nan")) for row in rows[1:] if any(row))
        )
    if not rows or rows[0] != TABLE:
        first = text.splitlines()[0] if text else ""
        marks = {";": "semicolons", "\t": "tabs"}
        other = next((name for mark, name in marks.items() if mark in first), "")
        hint = f" (it is separated by {other}: save it with commas, and with decimal points)" if other else ""
        raise PplkitError(f"{path} begins with {first!r}; its first line must be {','.join(TABLE)}{hint}")
    return _table(path, [(number, row) for number, row in enumerate(rows[1:], start=2) if any(row)])


def _video_of(path: Path) -> str:
    """The name of the video of a table of tracks: the one beside it that is called alike, or the only one."""
    videos = sorted(file for file in path.parent.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES)
    alike = [file for file in videos if file.stem == path.stem] or videos
    if len(alike) != 1:
        raise PplkitError(f"{path} has tracks and does not say of which video: put it beside that, called {path.stem}")
    return alike[0].name


def _table(path: Path, cells: Sequence[tuple[int, list[str]]]) -> Labels:
    for number, row in cells:
        if len(row) != len(TABLE) or not row[0] or not row[1]:
            raise PplkitError(f"{path} has {len(row)} columns in line {number} or lacks file or name; give all 5")
    if not cells:
        raise PplkitError(f"{path} holds no label; add lines {','.join(TABLE)}")
    names = list(dict.fromkeys(row[1] for _, row in cells))
    if len(names) > MAX_NAMES or len(names) * len({row[0] for _, row in cells}) > MAX_POINTS:
        raise PplkitError(f"{path} has {len(names)} names, or too many files for so many; leave {MAX_NAMES} at most")
    by_file: dict[str, dict[str, tuple[float, float]]] = {}
    faults: Faults = {}
    for number, (file, name, *values) in cells:
        points = by_file.setdefault(file, {})
        try:
            if name in points:
                raise ValueError(f"{name} a second time")
            points[name] = _point(*values)
        except ValueError as error:
            faults[file] = f"{path} has a wrong line {number} for {file} ({error}); correct it"
    return Labels(path, names, [], {file: [named_label(names, points)] for file, points in by_file.items()}, faults)


def _json_poses(images: Any, names: Any) -> Iterator[tuple[str, Any, str, Any]]:
    for image in images:
        for number, point in enumerate(image["keypoints"]):
            yield image["file"], image.get("frame"), names[number] if names else str(number), point


def _poses(path: Path, points: Iterable[tuple[str, Any, str, Any]]) -> Labels:
    """Poses that `pplkit estimate` or `export` wrote: file, frame of a video or None, keypoint, (x, y)."""
    by_image: dict[str, dict[str, tuple[float, float]]] = {}
    try:
        for file, frame, name, (x, y) in points:
            image = str(file) if frame is None else frame_name(file, int(frame))
            by_image.setdefault(image, {})[str(name)] = (float(x), float(y))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PplkitError(f"{path} holds no poses of pplkit ({reason(error)}); give {KINDS}") from None
    names = list(dict.fromkeys(name for by_name in by_image.values() for name in by_name))
    return Labels(path, names, [], {image: [named_label(names, by_name)] for image, by_name in by_image.items()})


def _point(x: str, y: str, visible: str) -> tuple[float, float]:
    """NaN where it is not visible."""
    values = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
    if visible.lower() not in values:
        raise ValueError(f"visible is {visible!r}, neither 0 nor 1")
    if not values[visible.lower()]:
        return np.nan, np.nan
    if not np.isfinite((float(x), float(y))).all():
        raise ValueError(f"({x}, {y}) are not numbers")
    return float(x), float(y)


def _labelme(path: Path, files: Sequence[Path]) -> Labels:
    """One .json of labelme an image: shapes of type point, those of a group_id on one object, and rectangles."""
    shapes: dict[str, dict[Any, dict[str, tuple[float, float]]]] = {}
    boxes: dict[tuple[str, Any], Any] = {}
    faults: Faults = {}
    for file in files:
        content = read_json(file, "export it again", MAX_TABLE_BYTES)
        if not isinstance(content, dict) or "shapes" not in content:
            continue
        image = str(content.get("imagePath") or file.with_suffix("").name).replace("\\", "/")
        name = (file.parent.relative_to(path) / image.rpartition("/")[2]).as_posix()
        groups = shapes.setdefault(name, {})
        try:
            for shape in content["shapes"]:
                corners = [(float(x) - 0.5, float(y) - 0.5) for x, y in shape["points"]]  # labelme counts from the edge
                if shape.get("shape_type") == "rectangle":
                    (left, top), (right, bottom) = np.sort(np.array(corners), 0) + 0.5
                    boxes[name, shape.get("group_id")] = (float(left), float(top), float(right), float(bottom))
                elif shape.get("shape_type", "point") == "point":
                    groups.setdefault(shape.get("group_id"), {})[str(shape["label"])] = corners[0]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            faults[name] = f"{file} has a shape that cannot be read ({reason(error)}); correct it"
    names = sorted({label for groups in shapes.values() for points in groups.values() for label in points})
    if not names:
        raise PplkitError(f"{path} has no .json of labelme with points; give {KINDS}")
    objects = {
        name: [named_label(names, points)._replace(box=boxes.get((name, group))) for group, points in groups.items()]
        for name, groups in shapes.items()
    }
    return Labels(path, names, [], objects, faults)


def _sleap(path: Path) -> Labels:
    """SLEAP's .slp, read by sleap-io: instances that a person labeled, or if there are none, the predicted ones."""
    try:
        import sleap_io
    except ImportError:
        raise PplkitError(f"{path} is read by the package sleap-io: pip install sleap-io") from None
    try:
        content = sleap_io.load_slp(str(path), open_videos=False)
    except Exception as error:  # a foreign file can fail anywhere inside the reader
        raise PplkitError(f"{path} cannot be read by sleap-io ({reason(error)}): save it again with SLEAP") from None
    skeleton = content.skeletons[0]
    names = [node.name for node in skeleton.nodes]
    objects: dict[str, list[Label]] = {}
    labeled = any(frame.user_instances for frame in content.labeled_frames)
    for frame in content.labeled_frames:
        filename = frame.video.filename
        one_file = isinstance(filename, (str, Path))
        file = frame_name(str(filename), frame.frame_idx) if one_file else str(filename[frame.frame_idx])
        instances = frame.user_instances if labeled else frame.predicted_instances
        points = [np.asarray(instance.numpy(), np.float64) for instance in instances]
        objects[file] = [visible_label(point) for point in points]
    links = [(int(a), int(b)) for a, b in skeleton.edge_inds]
    return Labels(path, names, links, objects)
