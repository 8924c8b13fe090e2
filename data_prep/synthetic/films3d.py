"""Films of bodies in three dimensions by a moving camera, with the truth of each frame.

Motion is made by rule (`data_prep.motion_synthetic`), the body is one of `bodies3d`, dressed, lit and seen before a
background that turns with the camera. Surfaces are drawn as many small points, the nearest of which shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.motion_synthetic import motion_windows
from data_prep.synthetic.bodies3d import Body3D, body3d
from data_prep.synthetic.clutter import clutter
from data_prep.synthetic.rendering import hsv
from pplkit.data.sequences import Camera, PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.geometry.cameras import project_linear, rotate, world_to_camera
from pplkit.geometry.kinematics import axis_rotation
from pplkit.geometry.quaternions import from_matrices
from pplkit.geometry.skinning import bone_rotations

PEOPLE = {  # joints of the body that are those of h36m17
    "pelvis": "pelvis", "spine": "spine", "thorax": "neck", "head": "head_top", "nose": "chin",
    **{f"{side} {part}": f"{side}_{part}" for side in ("left", "right")
       for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")},
}  # fmt: skip
RULES = ("planted", "gait")
FPS = 25.0
LARGEST_PATH = 0.9  # meters that somebody covers at most, so that the camera need not follow
TURN = 40.0  # degrees at most by which somebody faces another way than the camera
FOCAL = 2.2  # focal length in half images
FILLED = 0.92  # of the image, by all places where the body is seen
SWAY = (0.04, 1.0)  # meters and degrees by which a hand-held camera moves
GRID = 5  # points drawn along the side of a face
SKIN = 0.03  # meters by which a point must be nearer than another to hide it
FINER = 2  # rows and columns drawn for each of the image


@dataclass(frozen=True, eq=False)
class Film:
    """A body, its motion and its camera.

    Attributes:
        body: at rest.
        turns: (T, J, 3, 3) rotations of its joints against their parents.
        root: (T, 3) places of its first joint in the world, in meters, y up.
        cameras: one for each frame.
        seed: of clothes, light and background.
    """

    body: Body3D
    turns: np.ndarray
    root: np.ndarray
    cameras: list[Camera]
    seed: int

    def posed(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (T, V, 3) and joints (T, J, 3) in the world."""
        vertices, joints = self.body.posed(self.turns)
        return vertices + self.root[:, None], joints + self.root[:, None]

    def in_camera(self, points: np.ndarray) -> np.ndarray:
        """Points (T, N, 3) of the world in the axes of the camera of each frame."""
        return np.stack(
            [world_to_camera(p, c.orientation, c.translation) for p, c in zip(points, self.cameras, strict=True)]
        )

    def on_image(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points (T, N, 3) of the world in pixels (T, N, 2) of frames of `size`; 0 is the center of the first."""
        screen = project_linear(self.in_camera(points), self.cameras[0].intrinsic)
        return (screen + 1) * size / 2 - 0.5

    def motion(self) -> PoseSequence:
        """The joints of people in the world, as h36m17."""
        joints = self.posed()[1][:, [self.body.joints.index(PEOPLE[name]) for name in H36M17.joints]]
        return PoseSequence(points=joints, fps=FPS, skeleton=H36M17, space="world", source="data_prep.films3d")

    def images(self, size: int) -> Iterator[np.ndarray]:
        """The frames, uint8 (size, size, 3)."""
        vertices, _ = self.posed()
        clothes, corners = Clothes(self.body, self.seed), surface_points(self.body.faces)
        light = directions_of_light(self.seed)
        behind = _backgrounds(self, size * FINER)
        for frame, (camera, image) in enumerate(zip(self.cameras, behind, strict=True)):
            yield _drawn(image, vertices[frame], self.body.faces, camera, clothes, corners, light, size)


class Clothes:
    """Colors of the points of a body: skin, hair, a shirt, trousers and shoes, some with stripes."""

    def __init__(self, body: Body3D, seed: int) -> None:
        rng = np.random.default_rng([seed, 5])
        numbers, shares = surface_points(body.faces)
        owners = body.weights.argmax(1)[numbers[:, 0]]
        names = np.array(body.joints)[owners]
        places = (body.vertices[numbers] * shares[..., None]).sum(1)
        hues = rng.permutation(6)[:3] / 6 + 0.05 * rng.random(3)
        shirt, trousers, shoes = hsv(hues, rng.uniform(0.3, 0.9, 3), rng.uniform(0.25, 0.95, 3))
        skin = hsv(np.array([0.07]), np.array([rng.uniform(0.25, 0.6)]), np.array([rng.uniform(0.4, 0.95)]))[0]
        self.colors = np.broadcast_to(skin, (len(names), 3)).copy()
        stripes = np.sin(places @ rng.normal(0, 1, 3) * rng.uniform(25, 60)) > 0.2
        tone = np.where(stripes, rng.uniform(0.45, 1.0), 1.0)[:, None]
        legs = np.isin(names, [f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee")])
        trunk = np.isin(names, ["pelvis", "spine", "neck", "left_shoulder", "right_shoulder"])
        trunk |= np.isin(names, ["left_elbow", "right_elbow"]) & (rng.random() < 0.5)
        self.colors[trunk] = (shirt * tone)[trunk]
        self.colors[legs | (names == "pelvis")] = trousers * rng.uniform(0.8, 1)
        self.colors[np.isin(names, ["left_ankle", "right_ankle"])] = shoes
        self.colors[(names == "head") & (places[:, 2] < 0.02)] *= 0.35  # hair


def surface_points(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points spread over faces (F, 3): the vertices (N, 3) of their faces, and the shares (N, 3) of these in them."""
    first, second = np.meshgrid(np.arange(GRID), np.arange(GRID), indexing="ij")
    inside = first + second < GRID
    shares = np.stack([first[inside], second[inside], (GRID - 1 - first - second)[inside]], -1) / (GRID - 1)
    shares = 0.94 * shares + 0.02  # within the face
    return np.repeat(faces, len(shares), 0), np.tile(shares, (len(faces), 1))


def directions_of_light(seed: int) -> np.ndarray:
    """Where the light of a film comes from (3,): from above, rather from the front."""
    light = np.random.default_rng([seed, 6]).uniform([-0.8, 0.5, 0.2], [0.8, 1.2, 1.0])
    return np.asarray(light / np.linalg.norm(light))


def _drawn(
    image: np.ndarray, vertices: np.ndarray, faces: np.ndarray, camera: Camera, clothes: Clothes,
    corners: tuple[np.ndarray, np.ndarray], light: np.ndarray, size: int,
) -> np.ndarray:  # fmt: skip
    """One frame, over the image of its background, which is changed."""
    fine = size * FINER
    seen = world_to_camera(vertices, camera.orientation, camera.translation)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    lit = np.repeat(0.5 + 0.55 * np.maximum(normals @ light, 0), GRID * (GRID + 1) // 2)
    numbers, shares = corners
    points = (seen[numbers] * shares[..., None]).sum(1)
    pixels = np.floor((project_linear(points, camera.intrinsic) + 1) * fine / 2 - 0.5).astype(int)
    nearest = np.argsort(-points[:, 2])  # what is drawn last shows
    nearest = nearest[((pixels[nearest] >= 0) & (pixels[nearest] < fine - 1)).all(1)]
    colors = np.clip(clothes.colors[nearest] * lit[nearest, None], 0, 1).astype(image.dtype)
    columns, rows = pixels[nearest].T
    # A point fills four pixels, all points one pixel after the other, so that farther ones do not lie over nearer ones.
    depth = np.full((fine, fine), np.inf, np.float32)
    far = points[nearest, 2].astype(np.float32)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        place = rows + down, columns + right
        seen_before = depth[place] < far - SKIN
        place = place[0][~seen_before], place[1][~seen_before]
        image[place], depth[place] = colors[~seen_before], far[~seen_before]
    image = image.reshape(size, FINER, size, FINER, 3).mean((1, 3))
    return np.asarray(np.rint(255 * image), np.uint8)


def _backgrounds(shot: Film, fine: int) -> Iterator[np.ndarray]:
    """What lies far away in each frame, (fine, fine, 3) from 0 to 1: it moves by the turns of the camera alone."""
    away = np.stack([rotate(np.array([0.0, 0, 1]), camera.orientation) for camera in shot.cameras])
    turns = np.stack([np.arctan2(away[:, 0], -away[:, 2]), -np.arcsin(away[:, 1])], 1)
    shifts = np.rint((turns - turns.min(0)) * FOCAL * fine / 2).astype(int)
    columns, rows = (np.arange(fine + most) * 2 / fine - 1 for most in shifts.max(0))
    whole = np.ascontiguousarray(clutter((shot.seed, 0), columns, rows).transpose(1, 2, 0))
    for column, row in shifts:
        yield whole[row : row + fine, column : column + fine].copy()


def film(number: int, seconds: float = 5.0, kind: str = "humanoid", shape: str = "average", seed: int = 0) -> Film:
    """Film `number` of a body; the same numbers give the same film."""
    key = 1000 * seed + number
    body = body3d(kind, shape, "fine")
    rng = np.random.default_rng([key, 4])
    points = _suitable_motion(rng, round(seconds * FPS), RULES[number % len(RULES)])
    turns, root = _followed(body, points)
    yaw = np.deg2rad(rng.uniform(-TURN, TURN)) - _facing(points)
    about = axis_rotation(np.array([[yaw]]), 1)[:, 0]
    turns[:, 0] = about @ turns[:, 0]
    root = (about @ root[..., None])[..., 0]
    still = Film(body, turns, root, [], key)
    return Film(body, turns, root, _hand_held(rng, still.posed()[0]), key)


def _suitable_motion(rng: np.random.Generator, frames: int, rule: str) -> np.ndarray:
    """A window (T, 17, 3) made by a rule in which nobody walks far or turns round."""
    while True:
        (window,) = motion_windows(int(rng.integers(2**20)), 1, frames, FPS, rule=rule)
        across = window[:, 4] - window[:, 1]  # from the right to the left hip
        heading = np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))
        if np.ptp(window[:, 0, [0, 2]], axis=0).max() < LARGEST_PATH and np.ptp(heading) < np.deg2rad(70):
            return window.astype(np.float64)


def _facing(points: np.ndarray) -> float:
    """The angle about y by which joints (T, 17, 3) face another way than z, on average."""
    across = (points[:, 4] - points[:, 1]).mean(0)
    return float(np.arctan2(-across[2], across[0]))


def _followed(body: Body3D, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, J, 3, 3) and root (T, 3) of a body of people that follows joints (T, 17, 3) of another's size."""
    still = np.broadcast_to(np.eye(3), (len(body.joints), 3, 3))
    rest = body.posed(still)[1]
    ours = {body.joints.index(joint): H36M17.joints.index(name) for name, joint in PEOPLE.items()}
    named = np.stack([rest[next(j for j, n in ours.items() if n == number)] for number in range(17)])
    world = bone_rotations(named, points, H36M17.parents)
    turns = np.empty((len(points), len(body.joints), 3, 3))
    for joint, parent in enumerate(body.parents):
        turns[:, joint] = world[:, ours[joint]] if joint in ours else turns[:, parent]
    local = turns.copy()
    for joint, parent in list(enumerate(body.parents))[1:]:
        local[:, joint] = np.swapaxes(turns[:, parent], -1, -2) @ turns[:, joint]
    legs = rest[body.joints.index("pelvis"), 1] - rest[body.joints.index("left_ankle"), 1]
    theirs = np.linalg.norm(points[0, 4] - points[0, 5]) + np.linalg.norm(points[0, 5] - points[0, 6])
    return local, points[:, 0] * legs / theirs


def _hand_held(rng: np.random.Generator, vertices: np.ndarray) -> list[Camera]:
    """Cameras that see all vertices (T, V, 3), from the front, moving a little."""
    low, high = vertices.min((0, 1)), vertices.max((0, 1))
    middle = (low + high) / 2
    distance = FOCAL * max(high[0] - low[0], high[1] - low[1]) / 2 / FILLED + (high[2] - low[2]) / 2
    time = np.arange(len(vertices)) / FPS
    waves = np.sin(2 * np.pi * (rng.uniform(0.1, 0.4, (5, 1)) * time + rng.random((5, 1)))).T
    places = middle + [0, rng.uniform(-0.2, 0.3), distance] + SWAY[0] * waves[:, :3]
    away = middle - places.mean(0) + np.deg2rad(SWAY[1]) * distance * waves[:, [3, 4, 4]] * [1, 1, 0]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    right = np.cross(away, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(away, right), away], axis=2)  # columns: right, down, away
    intrinsic = np.array([FOCAL, FOCAL, 0, 0, 0, 0, 0, 0, 0.0])
    return [Camera(intrinsic, turn, place) for turn, place in zip(from_matrices(axes), places, strict=True)]
