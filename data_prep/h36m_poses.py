"""Human3.6M as poses: 2D keypoints of a detector beside the 3D joints, for lifting.

SOURCE is the folder that holds the files of the authors of VideoPose3D, made as
https://github.com/facebookresearch/VideoPose3D/blob/main/DATASETS.md says (registration at Human3.6M, academic use):

data_3d_h36m.npz             3D joints in world coordinates
data_2d_h36m_DETECTOR.npz    keypoints: gt (projected), cpn_ft_h36m_dbb, sh_ft_h36m, detectron_ft_h36m, ...

Of gt, the file may be missing: the joints are then projected. OUT gets the folders train (S1, S5, S6, S7, S8) and test
(S9, S11), with a file SUBJECT_ACTION_CAMERA_2d.npz of keypoints in pixels and one ..._3d.npz of joints in meters in
camera space for each video, 50 frames a second (`pplkit.data.sequences`). The files are pickles; nothing in them is
executed. `read_keypoints` also reads keypoints of one's own videos (data_2d_custom_NAME.npz).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.common.command_line import run_sequences
from data_prep.common.numpy_pickle import read_objects
from data_prep.h36m_cameras import EXTRINSICS, INTRINSICS, camera, image_size
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, LAYOUTS, Skeleton, check_layout
from pplkit.geometry.cameras import image_from_screen, project, world_to_camera

FPS = 50.0
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # of 32 joints, in the order of h36m17
SUBJECTS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
REMEDY = "make the file again as `python -m data_prep.h36m_poses --help` says"


def read_joints(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """World coordinates in meters, z up: {subject: {action: (T, 17, 3)}} of data_3d_h36m.npz.

    Raises PplkitError for a missing or damaged file, and one of another layout.
    """
    subjects = read_objects(path, ("positions_3d",), REMEDY).get("positions_3d")
    if not isinstance(subjects, dict):
        raise PplkitError(f"{path} has no dictionary positions_3d; {REMEDY}.")
    return {
        str(subject): {
            str(action): _points(path, f"{subject} {action}", points, (32, 3))[:, KEPT]
            for action, points in _dictionary(path, subject, actions).items()
        }
        for subject, actions in subjects.items()
    }


def read_keypoints(path: Path, fps: float = FPS) -> dict[str, dict[str, list[PoseSequence]]]:
    """Keypoints in pixels: {subject: {action: [a sequence for each camera]}} of a file data_2d_*.npz.

    The layout is the known one with the file's left and right joints. In files of one's own videos the subject is the
    video, whose `fps` the file does not say. Raises PplkitError for a missing or damaged file, one of another layout,
    and keypoints that are not in the order that the file claims.
    """
    content = read_objects(path, ("positions_2d", "metadata"), REMEDY)
    subjects, metadata = content.get("positions_2d"), content.get("metadata")
    if not isinstance(subjects, dict) or not isinstance(metadata, dict):
        raise PplkitError(f"{path} has no dictionaries positions_2d and metadata; {REMEDY}.")
    layout = _layout(path, metadata)
    videos = metadata.get("video_metadata", {})
    keypoints: dict[str, dict[str, list[PoseSequence]]] = {}
    for subject, actions in subjects.items():
        keypoints[str(subject)] = {}
        for action, cameras in _dictionary(path, subject, actions).items():
            sequences = keypoints[str(subject)][str(action)] = []
            for number, points in enumerate(cameras):
                points = _points(path, f"{subject} {action}", points, (len(layout.joints), 2))
                check_layout(points, layout, f"{path}, {subject} {action}")
                name = list(INTRINSICS)[number] if subject in EXTRINSICS and number < len(INTRINSICS) else ""
                size = image_size(name) if name else _video_size(videos.get(subject))
                source = f"{subject} {action} {name}".strip()
                sequences.append(PoseSequence(points=points, fps=fps, skeleton=layout, size=size, source=source))
    return keypoints


def _dictionary(path: Path, subject: Any, actions: Any) -> Mapping[Any, Any]:
    if not isinstance(actions, dict):
        raise PplkitError(f"{path} has no dictionary of actions for {subject}; {REMEDY}.")
    return actions


def _points(path: Path, name: str, points: Any, tail: tuple[int, int]) -> np.ndarray:
    if not isinstance(points, np.ndarray) or points.ndim != 3 or points.dtype.kind != "f" or points.shape[1:] < tail:
        shape = getattr(points, "shape", type(points).__name__)
        raise PplkitError(f"{path} holds {shape} for {name}, not (frames, {tail[0]}, {tail[1]}); {REMEDY}.")
    return points[:, : tail[0], : tail[1]]


def _layout(path: Path, metadata: Mapping[str, Any]) -> Skeleton:
    try:
        count = int(metadata["num_joints"])
        left, right = (tuple(int(joint) for joint in side) for side in metadata["keypoints_symmetry"])
    except (KeyError, TypeError, ValueError):
        raise PplkitError(f"{path} has no num_joints and keypoints_symmetry in its metadata; {REMEDY}.") from None
    for layout in LAYOUTS.values():
        if len(layout.joints) == count and set(zip(left, right, strict=False)) == set(layout.flip_pairs):
            return layout
    raise PplkitError(
        f"{path} has {count} joints, of which {left} are left and {right} right, as in none of {', '.join(LAYOUTS)}: "
        "convert its keypoints to one of them."
    )


def _video_size(video: Any) -> tuple[int, int] | None:
    return (int(video["w"]), int(video["h"])) if isinstance(video, dict) and {"w", "h"} <= video.keys() else None


def sequence_pairs(
    joints: Mapping[str, Mapping[str, np.ndarray]], keypoints: Mapping[str, Mapping[str, list[PoseSequence]]] | None
) -> Iterator[tuple[PoseSequence, PoseSequence]]:
    """The keypoints of each video, and its joints in camera space; without keypoints, the joints are projected.

    Keypoints may have more frames than joints, never fewer. Raises PplkitError where keypoints are missing.
    """
    for subject, actions in joints.items():
        for action, world in actions.items():
            for number, name in enumerate(INTRINSICS):
                view, size, source = camera(subject, name), image_size(name), f"{subject} {action} {name}"
                points = world_to_camera(world, view.orientation, view.translation)
                positions = PoseSequence(points=points, fps=FPS, skeleton=H36M17, camera=view, source=source)
                if keypoints is None:
                    pixels, layout = image_from_screen(project(points, view.intrinsic), *size), H36M17
                else:
                    cameras = keypoints.get(subject, {}).get(action, [])
                    if number >= len(cameras) or len(cameras[number]) < len(world):
                        raise PplkitError(f"the 2D file has fewer than {len(world)} frames of {source}; {REMEDY}.")
                    pixels, layout = cameras[number].points[: len(world)], cameras[number].skeleton
                detected = PoseSequence(points=pixels, fps=FPS, skeleton=layout, camera=view, size=size, source=source)
                yield detected, positions


def prepare(
    source: Path | str, out: Path | str, detector: str = "cpn_ft_h36m_dbb", subjects: Sequence[str] | None = None
) -> Path:
    """Write the keypoints of a detector and the joints of all or some subjects to `out` and return it.

    Raises PplkitError for a missing or damaged file.
    """
    source, out = Path(source), Path(out)
    joints = read_joints(source / "data_3d_h36m.npz")
    path = source / f"data_2d_h36m_{detector}.npz"
    keypoints = None if detector == "gt" and not path.exists() else read_keypoints(path)
    for split, people in SUBJECTS.items():
        chosen = {person: joints[person] for person in people if person in joints and person in (subjects or people)}
        (out / split).mkdir(parents=True, exist_ok=True)
        for detected, positions in sequence_pairs(chosen, keypoints):
            name = detected.source.replace(" ", "_")
            detected.write(out / split / f"{name}_2d.npz")
            positions.write(out / split / f"{name}_3d.npz")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help="the folder that holds data_3d_h36m.npz")
    command.add_argument("out", type=Path, help="the folder to write the sequences to")
    command.add_argument("--detector", default="cpn_ft_h36m_dbb", help="of the 2D keypoints (default: %(default)s)")
    command.add_argument("--subjects", nargs="+", help="to keep, such as S1 S9 (default: all)")
    return run_sequences(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
