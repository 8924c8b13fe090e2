"""Frames of meshes: the unit box around a rest pose, and which axes of one mesh are which of another."""

from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from scipy.spatial import KDTree

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh.operators import checked_mesh, face_frames

SAMPLES = 2000  # points on a surface, by which two surfaces are compared
# The usual ones: none; from z up and front -y to y up and front z; and back.
USUAL = np.array([np.eye(3), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], [[1, 0, 0], [0, 0, -1], [0, 1, 0]]])  # (3, 3, 3)
UPWARD = {  # turns of an axis to y
    axis: np.array(rows, float)
    for axis, rows in {
        "x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]], "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
        "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
        "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]], "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    }.items()
}  # fmt: skip
LANDMARKS = 4  # fewer lie in a plane
CLEAR = 0.8  # two turns whose distances differ by less are equally good
AXES = "xyz"
# Meters of a unit, and how large a body is that is measured in it: people and animals are 0.3 to 3 m large.
UNITS = {"meters": (1.0, 0.3, 3.0), "centimeters": (0.01, 30.0, 300.0), "millimeters": (0.001, 300.0, 3000.0)}
ROTATIONS = np.array(
    [
        matrix
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
        if np.linalg.det(matrix := np.eye(3)[list(order)] * np.array(signs)[:, None]) > 0
    ]
)  # (24, 3, 3), the first is the identity


class UnitBox(NamedTuple):
    """Moves points to where the box around a rest pose has its center at the origin and its longest side is 1."""

    center: np.ndarray  # (3,)
    side: float

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in the frame of the box."""
        return (points - self.center) / self.side

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the frame of the box where they were."""
        return points * self.side + self.center


def unit_box(rest: np.ndarray) -> UnitBox:
    """The box around vertices (V, 3). Raises PplkitError for vertices that all lie in one place."""
    low, high = np.min(rest, 0), np.max(rest, 0)
    side = float((high - low).max())
    if not side > 0:
        raise PplkitError("all vertices of the mesh lie in one place: scale it up before exporting.")
    return UnitBox((low + high) / 2, side)


def unit_of(size: float) -> tuple[str, float]:
    """The unit that a body of this size is probably measured in, and its meters; "" and 1 where none is probable."""
    return next(((name, meters) for name, (meters, low, high) in UNITS.items() if low <= size < high), ("", 1.0))


def upward_axis(rest: np.ndarray) -> str:
    """The axis, "y" or "z", that probably points up in vertices (V, 3) at rest.

    y, as in most programs, unless that is the thinnest side: a person is less deep than high and wide.
    """
    return "z" if np.ptp(rest, axis=0).argmin() == 1 else "y"


def y_up(points: np.ndarray, up: str) -> np.ndarray:
    """Points (..., 3) turned so that y is up, where the axis `up`, one of UPWARD, was."""
    return np.asarray(points) @ UPWARD[up].T


class Turn(NamedTuple):
    """How a mesh is turned to the axes of another: turned = points @ rotation.T."""

    rotation: np.ndarray  # (3, 3), a permutation of the axes with signs
    clear: bool  # whether no other turn does nearly as well
    distance: float = 0.0  # mean distance between the turned mesh and the other, in sides of the unit box

    @property
    def words(self) -> str:
        """Such as "x, z, -y": the axes of the other mesh that x, y and z of this one become."""
        return ", ".join(signed_axis(column) for column in self.rotation.T)


def turn_from_words(words: str) -> Turn:
    """The turn whose `Turn.words` these are. Raises PplkitError for other words."""
    turns = (Turn(rotation, True) for rotation in ROTATIONS)
    match = next((turn for turn in turns if turn.words.replace(" ", "") == words.lower().replace(" ", "")), None)
    if match is None:
        raise PplkitError(
            f"{words!r} is no turn of axes: write which of the source's axes the target's x, y and z are, such as "
            "x,z,-y, and no mirror image."
        )
    return match


def find_turn(
    source: np.ndarray,
    source_faces: np.ndarray,
    target: np.ndarray,
    target_faces: np.ndarray,
    landmarks: tuple[np.ndarray, np.ndarray] = (np.zeros((0, 3)), np.zeros((0, 3))),
) -> Turn:
    """The turn of the target's axes to the source's under which the rest poses agree best.

    Surfaces are compared in their unit boxes by the mean distance between nearest points, both ways; landmarks
    (L, 3) of either, four or more, decide instead where they are given. Front and back of a person are too much alike
    for that: of turns that are equally good, none at all and those between the usual axes of programs go first.
    """
    boxes = unit_box(source), unit_box(target)
    if len(landmarks[0]) >= LANDMARKS:
        goal, start = (box.inside(points) for box, points in zip(boxes, landmarks, strict=True))
        goal, start = goal - goal.mean(0), start - start.mean(0)
        costs = np.array([np.linalg.norm(start @ turn.T - goal, axis=1).mean() for turn in ROTATIONS])
    else:
        surfaces = [
            surface_points(box.inside(points), faces, seed)  # of one mesh twice, they are not the same points
            for seed, (box, points, faces) in enumerate(
                zip(boxes, (source, target), (source_faces, target_faces), strict=True)
            )
        ]
        costs = np.array([_distance(surfaces[0], surfaces[1] @ turn.T) for turn in ROTATIONS])
    good = ROTATIONS[costs * CLEAR <= costs.min()]
    usual = [turn for turn in USUAL if (good == turn).all((1, 2)).any()]
    return Turn(usual[0] if usual else ROTATIONS[costs.argmin()], len(good) == 1, float(costs.min()))


def surface_points(vertices: np.ndarray, faces: np.ndarray, seed: int = 0, count: int = SAMPLES) -> np.ndarray:
    """Points (count, 3), spread evenly at random over a surface; the seed decides which."""
    rng = np.random.default_rng(seed)
    areas = face_frames(*checked_mesh(vertices, faces))[2].numpy()
    chosen = rng.choice(len(faces), count, p=areas / areas.sum())
    shares = np.sort(rng.random((count, 2)), axis=1)
    weights = np.stack([shares[:, 0], shares[:, 1] - shares[:, 0], 1 - shares[:, 1]], 1)
    return np.einsum("nc,ncd->nd", weights, vertices[faces[chosen]])


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return sum(float(KDTree(a).query(b)[0].mean()) for a, b in ((first, second), (second, first))) / 2


def signed_axis(direction: np.ndarray) -> str:
    """The axis nearest to a direction (3,), such as "-z"."""
    number = int(np.abs(direction).argmax())
    return ("-" if direction[number] < 0 else "") + AXES[number]
