from pathlib import Path

import numpy as np

from pplkit.geometry.cameras import (
    camera_to_world,
    image_from_screen,
    normalize_screen,
    project_linear,
    world_to_camera,
)
from pplkit.geometry.cameras import project as project_distorted
from pplkit.geometry.quaternions import from_rotation_vectors
from pplkit.models.motion.cameras import (
    RandomCamera,
    on_ground,
    project,
    random_camera,
    random_turn,
    seen_by,
    upright,
)
from tests.helpers.motion_parity import arrays, close

RNG = np.random.default_rng(0)


def test_a_camera_sees_people_upright_and_ahead() -> None:
    points = np.zeros((5, 2, 3))
    points[:, :, 2] = (0.9, 1.6)  # hips and head
    for _ in range(50):
        seen = seen_by(points, random_camera(RNG))
        assert (seen[..., 2] > 2).all() and (seen[:, 1, 1] < seen[:, 0, 1]).all()  # y down
        assert (np.abs(project(seen)) < 1.2).all()


def test_only_small_paths_are_shifted() -> None:
    camera = RandomCamera(5.0, 1.5, (-90.0, 0.0, 90.0), (0.3, -0.2))
    small = np.zeros((3, 1, 3))
    large = small.copy()
    large[-1, 0, 0] = 1.5
    moved, still = seen_by(small, camera), seen_by(small, camera._replace(shift=(0.0, 0.0)))
    assert np.allclose(moved - still, [-0.2, 0, -0.3])  # the camera looks along -x, its right is y
    assert np.allclose(seen_by(large, camera), seen_by(large, camera._replace(shift=(0.0, 0.0))))


def test_a_turn_is_about_the_vertical() -> None:
    points = RNG.normal(size=(4, 3))
    turned = random_turn(points, RNG)
    assert np.allclose(turned[:, 2], points[:, 2])
    assert np.allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(points, axis=1))


def test_the_floor_is_one_for_a_clip_unless_published() -> None:
    points = np.zeros((20, 2, 3))
    points[:, 1, 2] = 1
    points[8:12, :, 2] += 0.4  # a jump
    points += [0, 0, 0.25]
    assert np.allclose(on_ground(points)[..., 2].min(1).max(), 0.4)
    assert np.allclose(on_ground(points, published=True)[..., 2].min(1), 0)


def test_published_cameras(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    world, q, t = (stored[name] for name in ("world", "camera_q", "camera_t"))
    close(world_to_camera(world, q, t), stored["camera"])
    close(camera_to_world(stored["camera"], q, t), stored["back_to_world"])
    x, y, z = (world[..., n] for n in range(3))
    close(np.stack([-x, -z, -y], -1), stored["cam_axes"])
    close(np.stack([-stored["cam_axes"][..., n] for n in (0, 2, 1)], -1), stored["world_axes"])
    close(normalize_screen(stored["pixels"], 1000, 1002), stored["normalised"])
    close(image_from_screen(stored["normalised"], 1000, 1002), stored["pixels_back"])
    ahead, intrinsics = stored["points_ahead"], stored["intrinsics"]
    close(project_distorted(ahead, intrinsics), stored["projected_full"])
    close(project_linear(ahead, intrinsics), stored["projected_linear"])
    close(project(ahead), stored["projected_f23"])
    close(from_rotation_vectors(stored["angle_axis"]), stored["angle_axis_quaternion"])


def test_published_random_cameras(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    world = stored["world"].astype(float)
    walk = world + np.linspace(0, 2, len(world))[:, None, None] * [1, 0, 0]
    for name, motion in (("still", world), ("walk", walk)):
        distance, height, x, y, z, *shift = stored[f"random_camera_{name}_draws"].tolist()
        camera = RandomCamera(distance, height, (x, y, z), tuple(shift) or (9.0, 9.0))  # type: ignore[arg-type]
        close(seen_by(motion, camera), stored[f"random_camera_{name}"])


def test_published_way_to_the_ground(parity: Path) -> None:
    stored = arrays(parity, "transforms")
    for name in ("accepted", "fallback"):
        world, cosine = upright(stored[f"pca_{name}_camera"])
        close(world, stored[f"pca_{name}_world"])
        close(abs(cosine), np.abs(stored[f"pca_{name}_dot"]))
