"""Poses for other programs: COCO keypoints, a table, DeepLabCut and SLEAP.

The poses come from `pplkit estimate`'s poses.json or `inference.estimate_files`: pixels of each file, 0 = center of the
first, as COCO's keypoints, DeepLabCut and SLEAP count them. A row with a `frame` is that frame of a video.

coco   .json: images, one annotation each, and a category with the names and the strong links, counted from 1. Beside
       what COCO asks for, `keypoint_scores` has the confidences and `score` their mean. Flag 2 = at least the asked
       confidence, 1 = less, 0 = outside the image. The bbox (left, top, width, height), edge to edge, is that of the
       keypoints.
csv    file,frame,keypoint,x,y,confidence, a line for each keypoint; `frame` is empty for images.
dlc    .csv or .h5: the table of `deeplabcut.analyze_videos`, three header rows (scorer, bodyparts, coords = x, y,
       likelihood), a row for each frame of one video, or for each image with its file as the index. DeepLabCut finds
       the .h5 of a video beside it if it is called <video>DLC_pplkit_<run>.h5: name, then scorer.
sleap  .slp, written by sleap-io, predicted instances with the scores of their points.
"""

import csv
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import MAX_TABLE_BYTES, atomic_path, read_json, write_json
from pplkit.core.version import __version__
from pplkit.core.words import choice
from pplkit.data.images import as_text
from pplkit.data.label_readers import IMAGE_FOLDER, POSE_TABLE
from pplkit.data.video import frame_table
from pplkit.inference.estimate import csv_rows
from pplkit.models.prior.outputs import Poses
from pplkit.training.saved_model import to_tell

ENDINGS = {"coco": (".json",), "csv": (".csv",), "dlc": (".csv", ".h5"), "sleap": (".slp",)}
"""The endings of the files of each format"""


@dataclass(frozen=True, eq=False)
class PoseTable:
    """Poses of n images or frames, N keypoints each."""

    files: list[str]
    frames: list[int | None]  # of the file, if it is a video
    sizes: list[tuple[int, int]]  # width, height
    keypoints: np.ndarray  # (n, N, 2) pixels, NaN = missing
    confidence: np.ndarray  # (n, N)
    names: list[str]
    links: list[tuple[int, int]]
    made_by: Mapping[str, Any]
    category: str = "object"

    @property
    def scorer(self) -> str:
        """DeepLabCut's name of the model, in which it looks for "DLC"."""
        run = str(self.made_by.get("run", "model"))
        return "DLC_pplkit_" + "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in run)


def pose_table(content: Mapping[str, Any], source: str | Path = "poses") -> PoseTable:
    """Poses as `estimate_files` returns them, checked; without `names` keypoints are called by their numbers.

    Raises PplkitError naming `source` for any other content.
    """
    try:
        made_by: Mapping[str, Any] = content.get("made_by") or {}
        rows, links = content["images"], [(int(a), int(b)) for a, b in content.get("links", ())]
        count = len(rows[0]["keypoints"])
        names = [str(name) for name in content.get("names") or range(count)]
        if len(names) != count or len(set(names)) != count:
            raise ValueError(f"{len(set(names))} different names for {count} keypoints")
        if any(not 0 <= end < count for link in links for end in link):
            raise ValueError(f"a link that leaves 0 to {count - 1}")
        return PoseTable(
            [str(row["file"]) for row in rows],
            [None if row.get("frame") is None else int(row["frame"]) for row in rows],
            [(int(row["width"]), int(row["height"])) for row in rows],
            np.array([row["keypoints"] for row in rows], dtype=np.float64).reshape(len(rows), count, 2),
            np.array([row["confidence"] for row in rows], dtype=np.float64).reshape(len(rows), count),
            names,
            links,
            to_tell(made_by),
            category_name(made_by),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        message = f"{type(error).__name__}: {reason(error)}"
        raise PplkitError(f"{source} holds no poses ({message}): write it with `pplkit estimate`.") from None


def category_name(made_by: Mapping[str, Any]) -> str:
    """What a model knows, by the name of its data set: hands for data/folder-hands, puppets for data/puppets."""
    data = str(made_by.get("data", "object"))
    folder = Path(str(made_by.get("data_path", data))).name.removesuffix("-smoke")
    return folder.removeprefix(f"{data}-") if data in ("folder", "video") else data


def table_of(poses: Poses) -> PoseTable:
    """The poses that `model.estimate` returned; keypoints are called by their numbers."""
    if poses.prior is None or not poses.frames:
        raise PplkitError("these poses do not say of which images they are: take those of model.estimate(...).")
    points, prior, frames = poses.pixels().numpy().astype(np.float64), poses.prior(), poses.frames
    points = points.reshape(len(poses), -1, 2)
    return PoseTable(
        [as_text(frame.file) for frame in frames], [frame.number for frame in frames], [frame.size for frame in frames],
        points, poses.confidence.numpy().astype(np.float64).reshape(points.shape[:2]),
        [str(number) for number in range(points.shape[1])], prior.links(), to_tell(prior.made_by),
        category_name(prior.made_by),
    )  # fmt: skip


def read_poses(path: Path) -> PoseTable:
    """The poses of a JSON file of `pplkit estimate`; raises PplkitError naming it."""
    if path.suffix.lower() != ".json":
        raise PplkitError(f"{path} does not end in .json: give the poses of `pplkit estimate --out poses.json`.")
    return pose_table(read_json(path, "write it with `pplkit estimate`", MAX_TABLE_BYTES), path)


def check_format(kind: str, out: Path) -> None:
    """Raise PplkitError for an unknown format, or a file name without an ending of the format."""
    if kind not in ENDINGS:
        raise PplkitError(f"format={kind!r} is unknown: {choice(kind, ENDINGS)}.")
    if out.suffix not in ENDINGS[kind]:
        endings = " or ".join(ENDINGS[kind])
        raise PplkitError(f"{out} does not end in {endings}, as files of format={kind!r} do: name another file.")


def export_poses(poses: PoseTable, kind: str, out: Path, visible: float = 0.0, root: Path | None = None) -> None:
    """Write poses as `kind`, a key of ENDINGS, whole or not at all.

    `visible` is the confidence from which COCO's flag calls a keypoint visible, `root` the
    folder that COCO's file names are relative to (None: the names as they are). Raises PplkitError where the package
    that owns a format is missing, for poses that the format cannot hold, and if the file cannot be written.
    """
    check_format(kind, out)
    folder = "." if root is None else Path(os.path.relpath(root, out.parent)).as_posix()
    writers: dict[str, Callable[[PoseTable, Path], None]] = {
        "coco": lambda poses, path: write_json(path, coco(poses, visible, folder)),
        "csv": _write_csv,
        "dlc": lambda poses, path: _write_deeplabcut(poses, path, as_csv=out.suffix == ".csv"),
        "sleap": _write_sleap,
    }
    if kind == "coco" and root is not None:
        poses = replace(poses, files=[Path(os.path.relpath(file, root)).as_posix() for file in poses.files])
    if kind != "coco":  # JSON can hold names that are not text
        poses = replace(poses, files=[as_text(Path(file)) for file in poses.files])
    with atomic_path(out) as partial:
        writers[kind](poses, partial)


def export_estimated(poses: Poses, out: Path, kind: str = "coco", visible: float = 0.0) -> Path:
    """`export_poses` of what `model.estimate` returned; returns the file."""
    export_poses(table_of(poses), kind, out, visible, out.parent)
    return out


def coco(poses: PoseTable, visible: float = 0.0, folder: str = ".") -> dict[str, Any]:
    """COCO keypoints, ready for JSON; see the module. `folder`, from that of the file, holds the images."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (file, frame, (width, height)) in enumerate(zip(poses.files, poses.frames, poses.sizes, strict=True)):
        image = {"id": number + 1, "file_name": file, "width": width, "height": height}
        images.append(image if frame is None else image | {"frame_id": frame})
        points, confidence = poses.keypoints[number], np.nan_to_num(poses.confidence[number])
        inside = ((points >= -0.5) & (points <= np.array((width, height)) - 0.5)).all(1)
        if not inside.any():
            continue
        flags = np.where(inside, np.where(confidence >= visible, 2, 1), 0)
        low = np.maximum(points[inside].min(0), 0)  # the box includes the pixels of the outermost points
        side = np.minimum(points[inside].max(0) + 1, (width, height)) - low
        rows = np.column_stack((np.where(inside[:, None], points, 0).round(2), flags)).tolist()
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": number + 1,
                "category_id": 1,
                "iscrowd": 0,
                "keypoints": [number for x, y, flag in rows for number in (x, y, int(flag))],
                "num_keypoints": int(inside.sum()),
                "bbox": [*low.round(2).tolist(), *side.round(2).tolist()],
                "area": float(side.prod().round(2)),
                "score": round(float(confidence.mean()), 4),
                "keypoint_scores": confidence.round(4).tolist(),
            }
        )
    skeleton = [[first + 1, second + 1] for first, second in poses.links]
    category = {"id": 1, "name": poses.category, "supercategory": "", "keypoints": poses.names, "skeleton": skeleton}
    info = {"description": f"poses of {poses.category}, estimated by pplkit {__version__}", "made_by": poses.made_by}
    info |= {} if folder == "." else {IMAGE_FOLDER: folder}
    return {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": [category]}


def _write_csv(poses: PoseTable, out: Path) -> None:
    with out.open("w", encoding="utf8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(POSE_TABLE)
        for image, frame, *pose in zip(poses.files, poses.frames, poses.keypoints, poses.confidence, strict=True):
            table.writerows(csv_rows(image, frame, poses.names, *pose))


def _write_deeplabcut(poses: PoseTable, out: Path, *, as_csv: bool) -> None:
    sources = {file if frame is not None else None for file, frame in zip(poses.files, poses.frames, strict=True)}
    if len(sources) > 1:
        raise PplkitError(
            "the poses are of several videos, or of videos and images; DeepLabCut has a file for each video, and one "
            "for images: export one alone."
        )
    index: list[Any] = [file if frame is None else frame for file, frame in zip(poses.files, poses.frames, strict=True)]
    heads = [(poses.scorer, name, part) for name in poses.names for part in ("x", "y", "likelihood")]
    values = np.concatenate((poses.keypoints, poses.confidence[..., None]), axis=-1).reshape(len(index), -1)
    levels = ("scorer", "bodyparts", "coords")
    if None not in sources and index:  # other tools take row k for frame k
        rows = np.full((_frame_total(poses.files[0], max(index) + 1), values.shape[1]), np.nan)
        rows[index] = values
        index, values = list(range(len(rows))), rows
    if as_csv:
        with out.open("w", encoding="utf8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows((level, *names) for level, names in zip(levels, zip(*heads, strict=True), strict=True))
            cells = [["" if value != value else value for value in row] for row in values.tolist()]
            table.writerows((key, *row) for key, row in zip(index, cells, strict=True))
        return
    try:
        import pandas as pd
        import tables  # noqa: F401
    except ImportError as error:
        raise PplkitError(
            f"{error.name} is missing, which writes .h5: pip install 'pplkit[data]', or use .csv."
        ) from None
    frame = pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(heads, names=levels), index=index)
    # In memory: PyTables takes no name of a file that is not text.
    with pd.HDFStore("poses.h5", "w", driver="H5FD_CORE", driver_core_backing_store=0) as store:
        store.put("df_with_missing", frame, format="table", track_times=False)
        # pandas 3 omits it; pandas 1 and 2, which DeepLabCut uses, then take the table for one before 0.15
        store.get_storer("df_with_missing").attrs.pandas_version = "0.15.2"
        out.write_bytes(store._handle.get_file_image())


def _write_sleap(poses: PoseTable, out: Path) -> None:
    try:
        import sleap_io
    except ImportError:
        raise PplkitError("sleap_io is missing, which owns .slp: pip install 'pplkit[sleap]'.") from None
    links = [(poses.names[first], poses.names[second]) for first, second in poses.links]
    skeleton = sleap_io.Skeleton(nodes=list(poses.names), edges=links, name=poses.category)
    backends, places = _videos(poses)
    videos = [sleap_io.Video(about["filename"], None, about, open_backend=False) for about in backends]
    frames = []
    for (video, number), points, scores in zip(places, poses.keypoints, np.nan_to_num(poses.confidence), strict=True):
        if np.isfinite(points).any():
            instance = sleap_io.PredictedInstance.from_numpy(
                points, skeleton=skeleton, point_scores=scores, score=float(scores.mean())
            )
            frames.append(sleap_io.LabeledFrame(video=videos[video], frame_idx=number, instances=[instance]))
    labels = sleap_io.Labels(frames, videos=videos, skeletons=[skeleton])
    labels.provenance = {"made_by": dict(poses.made_by)}
    sleap_io.save_slp(labels, str(out))


def _videos(poses: PoseTable) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """SLEAP's description of each video, images of one size being one, and the video and frame of each pose."""
    places: list[tuple[int, int]] = []
    videos: dict[str | tuple[int, int], dict[str, Any]] = {}
    keys = [
        size if frame is None else file
        for file, frame, size in zip(poses.files, poses.frames, poses.sizes, strict=True)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    for key, file, frame, (width, height) in zip(keys, poses.files, poses.frames, poses.sizes, strict=True):
        about = videos.setdefault(key, {"filename": file, "grayscale": False, "shape": [0, height, width, 3]})
        if frame is None:
            about |= {"type": "ImageVideo", "height_": height, "width_": width, "channels_": 3}
            about.setdefault("filenames", []).append(file)
            frame = len(about["filenames"]) - 1
        else:
            about["type"] = "MediaVideo"
        about["shape"][0] = max(about["shape"][0], frame + 1)
        places.append((numbers[key], frame))
    for about in videos.values():
        if about["type"] == "MediaVideo":
            about["shape"][0] = _frame_total(about["filename"], about["shape"][0])
    return list(videos.values()), places


def _frame_total(file: str, least: int) -> int:
    """The frames of a video, those after the last pose as well; `least` where the file is not there."""
    with suppress(PplkitError):
        least = max(least, len(frame_table(Path(file)).seconds))
    return least
