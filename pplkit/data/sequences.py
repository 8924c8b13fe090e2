"""Pose sequences: the joints of one person over time, in 2D or 3D, and their file."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import atomic_path, check_file
from pplkit.data.skeletons import Skeleton

SCHEMA = 1  # of the .npz file of a sequence
SPACES = ("image", "camera", "world")
PER_JOINT = ("confidence", "spread")  # fields (T, J) that a sequence may have
REMEDY = "give a file that PoseSequence.write has written, or convert the poses again"


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera as `pplkit.geometry.cameras` takes it.

    Attributes:
        intrinsic: (9,) focal lengths fx, fy and center cx, cy in screen units, distortion k1, k2, k3, p1, p2.
        orientation: (4,) the quaternion (w, x, y, z) that turns camera axes into world axes.
        translation: (3,) the place of the camera in the world, in meters.
    """

    intrinsic: np.ndarray
    orientation: np.ndarray
    translation: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseSequence:
    """The joints of one person over time.

    Attributes:
        points: (T, J, 2) pixels, or (T, J, 3) meters; NaN where a joint is missing. Stored as float32.
        fps: frames a second.
        skeleton: the joints, in the order of the points.
        space: "image" for pixels (x right, y down); "camera" (x right, y down, z away) or "world" (y up) for meters.
        confidence: (T, J) from 0, for missing, to 1; none where no joint is unsure.
        spread: (T, J) the distance in meters by which a lifted joint is expected to be off, if known.
        camera: the camera that saw the sequence, if known.
        size: (width, height) of the image in pixels, if known.
        source: where the sequence comes from.

    Raises PplkitError for values that do not fit together.
    """

    points: np.ndarray
    fps: float
    skeleton: Skeleton
    space: str = ""
    confidence: np.ndarray | None = None
    spread: np.ndarray | None = None
    camera: Camera | None = None
    size: tuple[int, int] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float32)
        set_field: Callable[..., None] = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        set_field("points", points)
        if points.ndim != 3 or points.shape[1] != len(self.skeleton.joints) or points.shape[2] not in (2, 3):
            raise PplkitError(
                f"points have the shape {points.shape}; give (frames, {len(self.skeleton.joints)}, 2 or 3), the joints "
                f"of {self.skeleton.name}."
            )
        if not self.space:
            set_field("space", "image" if points.shape[2] == 2 else "camera")
        if self.space not in SPACES or (self.space == "image") != (points.shape[2] == 2):
            raise PplkitError(f'space is {self.space!r}; give "image" for 2D, "camera" or "world" for 3D points.')
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise PplkitError(f"fps is {self.fps}; give the frames a second, such as 30.")
        for name in PER_JOINT:
            if getattr(self, name) is not None:
                values = np.asarray(getattr(self, name), np.float32)
                if values.shape != points.shape[:2]:
                    raise PplkitError(f"{name} has the shape {values.shape}; give {points.shape[:2]}.")
                set_field(name, values)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def weight(self) -> np.ndarray:
        """The confidence (T, J), 1 where none is known, and 0 for missing joints."""
        present = np.isfinite(self.points).all(-1)
        return np.where(present, 1.0 if self.confidence is None else self.confidence, 0.0).astype(np.float32)

    def mirrored(self) -> "PoseSequence":
        """The sequence in a mirror: left and right joints exchanged, x negated (in an image of known size, turned)."""
        if self.space == "image" and self.size is None:
            raise PplkitError("a sequence in pixels can be mirrored only with the size of its image: give size.")
        points = self.points[:, self.skeleton.mirror] * np.array([-1, 1, 1], np.float32)[: self.points.shape[2]]
        if self.space == "image" and self.size is not None:
            points[..., 0] += self.size[0]
        return replace(
            self, points=points, camera=None, **self._per_joint(lambda values: values[:, self.skeleton.mirror])
        )

    def _per_joint(self, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        """Confidence and spread after a change, None where there are none."""
        values = {name: getattr(self, name) for name in PER_JOINT}
        return {name: None if value is None else change(value) for name, value in values.items()}

    def resampled(self, fps: float) -> "PoseSequence":
        """The sequence at another frame rate, interpolated linearly in time.

        The first frame keeps its time. A joint that is missing in one of the two frames around a new one is missing.
        """
        count = int(np.floor((len(self) - 1) / self.fps * fps + 1e-6)) + 1 if len(self) else 0
        time = np.arange(count) * (self.fps / fps)
        time = np.where(np.abs(time - time.round()) < 1e-6, time.round(), time)
        first = np.minimum(time.astype(int), max(len(self) - 1, 0))
        second = np.minimum(first + 1, max(len(self) - 1, 0))
        share = (time - first)[:, None]

        def between(values: np.ndarray) -> np.ndarray:
            weights = share.reshape(-1, *[1] * (values.ndim - 1))
            mixed = (1 - weights) * values[first] + weights * values[second]
            return np.where(weights > 0, mixed, values[first]).astype(np.float32)

        return replace(self, points=between(self.points), fps=float(fps), **self._per_joint(between))

    def write(self, path: Path | str) -> Path:
        """Write the sequence as an .npz file without pickle, whole or not at all. Raises WriteError."""
        path = Path(path)
        skeleton = self.skeleton
        content: dict[str, Any] = {"schema": SCHEMA, "points": self.points, "fps": float(self.fps), "space": self.space}
        content |= {"skeleton": skeleton.name, "joints": np.array(skeleton.joints), "parents": skeleton.parents}
        content |= {"flip_pairs": np.array(skeleton.flip_pairs, int).reshape(-1, 2), "source": self.source}
        content |= {name: value for name, value in self._per_joint(np.asarray).items() if value is not None}
        if self.size is not None:
            content["size"] = self.size
        if self.camera is not None:
            content |= {f"camera_{name}": np.asarray(value, float) for name, value in vars(self.camera).items()}
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez(file, **content)
        return path


def read_sequence(path: Path | str) -> PoseSequence:
    """The sequence in a file of `PoseSequence.write`. Raises PplkitError, naming the file, for any other."""
    path = Path(path)
    check_file(path, REMEDY)
    content = _read_arrays(path)
    try:
        if int(content["schema"]) > SCHEMA:
            raise PplkitError(f"{path} was written by a later version of pplkit: update pplkit.")
        pairs = tuple((int(left), int(right)) for left, right in content["flip_pairs"])
        parents = tuple(int(parent) for parent in content["parents"])
        skeleton = Skeleton(str(content["skeleton"]), tuple(str(name) for name in content["joints"]), parents, pairs)
        camera = None
        if "camera_intrinsic" in content:
            camera = Camera(*(content[f"camera_{name}"] for name in ("intrinsic", "orientation", "translation")))
        size = (int(content["size"][0]), int(content["size"][1])) if "size" in content else None
        return PoseSequence(
            points=content["points"],
            fps=float(content["fps"]),
            skeleton=skeleton,
            space=str(content["space"]),
            confidence=content.get("confidence"),
            spread=content.get("spread"),
            camera=camera,
            size=size,
            source=str(content["source"]),
        )
    except KeyError as error:
        raise PplkitError(f"{path} is not a pose sequence (it has no {error.args[0]}): {REMEDY}.") from None
    except (ValueError, TypeError, IndexError) as error:  # arrays of another shape or type than `write` gives them
        raise PplkitError(f"{path} is not a pose sequence ({reason(error)}): {REMEDY}.") from None
    except PplkitError as error:
        raise PplkitError(f"{path}: {error}") from None


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, without pickles. Raises PplkitError, naming the file, for any other."""
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise PplkitError(f"{path} is a single array, not a pose sequence: {REMEDY}.")
        with file:
            return dict(file)
    # zipfile calls a compression that it does not know not implemented.
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise PplkitError(f"{path} cannot be read ({reason(error)}): {REMEDY}.") from None


def read_pairs(folder: Path | str) -> list[tuple[PoseSequence, PoseSequence]]:
    """Keypoints and joints of the files NAME_2d.npz and NAME_3d.npz of a folder, as `data_prep.h36m_poses` writes them.

    In the order of the names. Raises PplkitError if there are none, or one of a pair is missing.
    """
    folder = Path(folder)
    names = sorted(path.name.removesuffix("_2d.npz") for path in folder.glob("*_2d.npz"))
    if not names:
        raise PplkitError(
            f"{folder} holds no pairs NAME_2d.npz and NAME_3d.npz: prepare them with data_prep.h36m_poses."
        )
    return [(read_sequence(folder / f"{name}_2d.npz"), read_sequence(folder / f"{name}_3d.npz")) for name in names]
