"""2D keypoints of one person as upright 3D motion: one call for files and arrays of any length."""

import os
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.bvh import constant_bones as with_constant_bones
from pplkit.data.sequences import Camera, PoseSequence
from pplkit.data.skeletons import LEG, SIDES, Skeleton, plain_name
from pplkit.geometry.cameras import image_from_screen, normalize_screen, project_linear, world_to_camera
from pplkit.geometry.ground import floor_height
from pplkit.geometry.placement import root_path
from pplkit.geometry.quaternions import from_matrices
from pplkit.geometry.upright import estimate_up, upright_rotation
from pplkit.inference.lifting.frames import Poses, poses_at
from pplkit.inference.lifting.joint_map import Layout, joints_of, layout_of
from pplkit.inference.lifting.keypoint_files import keypoints_from_array, keypoints_from_sequence, read_keypoints
from pplkit.inference.lifting.people import Keypoints
from pplkit.training.saved_lifter import LifterRun, load_lifter

FOCAL_LENGTH = 2.3  # screen units, of a camera that nobody knows: a view of 47 degrees
FOOT_HEIGHT = 0.039  # of the ankle above the ground, in heights of a person (Drillis and Contini, 1966)
HEIGHTS = (0.3, 3.0)  # meters, of people


def lift(
    keypoints: Any,
    size: tuple[int, int] | None = None,
    layout: Layout | None = None,
    confidence: Any = None,
    fps: float | None = None,
    model: LifterRun | str | os.PathLike[str] | None = None,
    *,
    person: str | int | None = None,
    height: float | None = None,
    constant_bones: bool = False,
    focal_length: float | None = None,
    resample: bool = True,
    device: str = "cpu",
) -> PoseSequence:
    """Lift the 2D keypoints of a person to 3D.

    The result has `points` (T, J, 3) in meters, a pose for each frame: x right, y up, z towards the camera, the floor
    at 0 and the root of the first frame above the origin. Up and floor are estimated from the motion, the path of the
    root from the keypoints. `confidence` is that of the keypoints, `spread` the expected error in meters where the
    lifter has learned it; `write` of the result keeps all of it. One camera tells no scale: people are as tall as those
    of the training unless `height` is given.

    Args:
        keypoints: a file or folder of a detector (`inference.lifting.keypoint_files`), a 2D `PoseSequence`, or an array
            (T, K, 2) of pixels, (T, K, 3) with a confidence, or (K, 2) of one image.
        size: width and height of the image in pixels, unless the file has them.
        layout: coco17, h36m17, halpe26, mpii16, body25, a JSON file, or names of the points, unless the file has them.
        confidence: (T, K) from 0, for missing, to 1, of an array.
        fps: frames a second; by default those of the file, else those that the lifter was trained on.
        model: the run folder of a lifter, or what `load_lifter` gives.
        person: which of several people.
        height: of the person in meters, which sets the scale.
        constant_bones: whether each bone has one length in all frames, the same on both sides.
        focal_length: of the camera in pixels; by default one that sees 47 degrees, which makes the path in depth rough.
        resample: whether frames are interpolated to the rate that the lifter was trained on, and poses back.
        device: where the lifter runs.

    Raises PplkitError for what cannot be read, several people without `person`, an unknown layout or size, no lifter.

    >>> lifted = pplkit.lift("poses.csv", size=(1000, 1000), layout="coco17", fps=30, model="runs/lift")
    >>> lifted.points.shape, lifted.fps
    ((5, 17, 3), 30.0)
    """
    run = _lifter(model, device)
    pose2d = _keypoints(keypoints, confidence, person)
    size, fps, focal, seconds = _checked(pose2d, size, fps, focal_length, height, run.fps)
    seen = joints_of(pose2d, layout_of(layout, pose2d), run.skeleton)
    if not (seen.confidence > 0).any():
        raise PplkitError(f"{pose2d.source} shows no joint in any frame: all points are missing or of confidence 0.")
    screen = normalize_screen(seen.points, *size)
    poses = poses_at(run, screen, seen.confidence, seconds, resample)
    poses = _sized(poses, run.skeleton, height, constant_bones)
    path = root_path(poses.positions, screen, seen.confidence, focal, fps)
    points, camera = upright(poses.positions + path[:, None], run.skeleton, focal)
    return PoseSequence(
        points=points, fps=fps, skeleton=run.skeleton, space="world", confidence=seen.confidence, spread=poses.spread,
        camera=camera, size=size, source=pose2d.source,
    )  # fmt: skip


def _lifter(model: LifterRun | str | os.PathLike[str] | None, device: str) -> LifterRun:
    if model is None:
        raise PplkitError("a lifter is needed: give model=, the run folder that `pplkit train --preset lift` wrote.")
    return model if isinstance(model, LifterRun) else load_lifter(model, device)


def _sized(poses: Poses, skeleton: Skeleton, height: float | None, constant_bones: bool) -> Poses:
    """The poses with bones of constant lengths, and of the height that is asked for."""
    if constant_bones:
        poses = poses._replace(positions=with_constant_bones(poses.positions, skeleton, symmetric=True))
    if height is None:
        return poses
    scale = height / body_height(poses.positions, skeleton)
    return Poses(poses.positions * scale, None if poses.spread is None else poses.spread * scale)


def _keypoints(keypoints: Any, confidence: Any, person: str | int | None) -> Keypoints:
    if isinstance(keypoints, Keypoints):
        return keypoints
    if isinstance(keypoints, PoseSequence):
        return keypoints_from_sequence(keypoints)
    if isinstance(keypoints, str | os.PathLike):
        if confidence is not None:
            raise PplkitError("confidence= goes with an array of keypoints: a file has its own.")
        return read_keypoints(keypoints, person)
    return keypoints_from_array(keypoints, confidence, person=person)


def _checked(
    pose2d: Keypoints, size: Any, fps: float | None, focal_length: float | None, height: float | None, usual: float
) -> tuple[tuple[int, int], float, float, np.ndarray]:
    """The image's size, the frame rate, the focal length in screen units, and the times of the frames.

    Raises PplkitError for impossible ones.
    """
    size = pose2d.size if size is None else size
    if size is None:
        raise PplkitError(f"{pose2d.source} does not say how large the image is: give size=(width, height) (--size).")
    if len(size) != 2 or not all(np.isfinite(side) and side > 0 for side in size):
        raise PplkitError(f"size={size} is no size of an image: give (width, height) in pixels, such as (1920, 1080).")
    seconds = pose2d.seconds if fps is None else None
    fps = next(float(rate) for rate in (fps, pose2d.fps, usual) if rate is not None)
    values = {"fps": fps, "focal_length": focal_length, "height": height}
    for name, value in values.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise PplkitError(f"{name}={value} must be a positive number.")
    if height is not None and not HEIGHTS[0] <= height <= HEIGHTS[1]:
        raise PplkitError(f"height={height} is no height of a person in meters: give one such as 1.75.")
    width = int(size[0])
    focal = FOCAL_LENGTH if focal_length is None else focal_length * 2 / width
    return (width, int(size[1])), fps, focal, np.arange(len(pose2d.points)) / fps if seconds is None else seconds


def body_height(positions: np.ndarray, skeleton: Skeleton) -> float:
    """Height in meters of a person who stands straight, from the median lengths of bones in (T, J, 3).

    Legs, trunk, neck and head in line, and the foot below the ankle. For other skeletons than those with these names,
    the extent of the pose along the camera's vertical, as the median of the frames.
    """
    names = [plain_name(joint) for joint in skeleton.joints]
    chains = [tuple(f"{side} {part}" for part in LEG) for side in SIDES]
    trunk = ("pelvis", "spine", "thorax", "nose", "head")
    if not {name for chain in (*chains, trunk) for name in chain} <= set(names):
        return float(np.median(np.ptp(positions[..., 1], axis=1)))

    def length(chain: tuple[str, ...]) -> float:
        joints = positions[:, [names.index(name) for name in chain]]
        return float(np.median(np.linalg.norm(np.diff(joints, axis=1), axis=-1), axis=0).sum())

    return (length(trunk) + (length(chains[0]) + length(chains[1])) / 2) / (1 - FOOT_HEIGHT)


def upright(points: np.ndarray, skeleton: Skeleton, focal_length: float) -> tuple[np.ndarray, Camera]:
    """Points (T, J, 3) of camera space in the world (y up, the floor at 0), and the camera that sees them there.

    `focal_length` is in screen units. The root of the first frame lies above the origin.
    """
    joints = {plain_name(joint): number for number, joint in enumerate(skeleton.joints)}
    turn = upright_rotation(estimate_up(points, joints))
    turned = points @ turn.T
    root = turned[0, skeleton.root]
    lowest = turned.min(1, keepdims=True)
    floor = floor_height(lowest, np.zeros(lowest.shape[:2], bool), 0.0)
    place = -np.array([root[0], floor, root[2]])
    intrinsic = np.array([focal_length, focal_length, 0, 0, 0, 0, 0, 0, 0], float)
    return turned + place, Camera(intrinsic, from_matrices(turn), place)


def pixels(lifted: PoseSequence) -> np.ndarray:
    """Where the camera sees the joints of a lifted motion, (T, J, 2) in pixels. Raises PplkitError without a camera."""
    if lifted.camera is None or lifted.size is None:
        raise PplkitError("the motion has no camera and size: take what pplkit.lift has returned.")
    seen = world_to_camera(lifted.points.astype(float), lifted.camera.orientation, lifted.camera.translation)
    return image_from_screen(project_linear(seen, lifted.camera.intrinsic), *lifted.size)
