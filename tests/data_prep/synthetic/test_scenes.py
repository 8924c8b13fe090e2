"""Small puppets in whole scenes: where they are, and what the camera does."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.scenes import extents
from data_prep.synthetic import lighting, scenes
from data_prep.synthetic.posing import capsules, figures
from data_prep.synthetic.puppets import BODIES, CATEGORIES, layout
from data_prep.synthetic.scenes import Film, Scenes, generate_wide
from pplkit.core.errors import PplkitError

SIDES = {"width": 240, "height": 200}


@pytest.fixture(scope="module")
def made() -> Scenes:
    return generate_wide("humanoid", videos=8, frames=6, **SIDES)


def film(moves: bool, category: str = "humanoid", **sides: int) -> Film:
    """The first video whose camera moves, or stands still."""
    return next(one for v in range(30) if (one := Film(category, v, **(sides or SIDES))).moves == moves)


def test_shapes_and_types(made: Scenes) -> None:
    assert (made.images.shape, made.images.dtype) == ((48, 200, 240, 3), np.uint8)
    assert (made.keypoints.shape, made.keypoints.dtype) == ((48, 15, 2), np.float32)
    assert (made.visible.shape, made.visible.dtype) == ((48, 15), bool)
    assert (made.masks.shape, made.masks.dtype) == ((48, 200, 240), np.uint8)
    assert made.videos.tolist() == [v for v in range(8) for _ in range(6)]
    assert set(np.unique(made.masks)) == {0, 255}


def test_a_person_is_40_to_80_pixels_tall_and_in_the_middle_square(made: Scenes) -> None:
    low, high = extents(made.masks)
    tall = (high - low)[:, 1]
    assert tall.min() >= 40 and tall.max() <= 80
    assert low.min(axis=0)[0] > 20 and high.max(axis=0)[0] < 220
    assert low.min(axis=0)[1] > 0 and high.max(axis=0)[1] < 200


def test_no_pose_is_so_small_or_large_that_a_person_would_be_of_another_height() -> None:
    body = BODIES["humanoid"]
    videos = np.repeat(np.arange(400), 8)
    shapes, _ = capsules(body, figures(body, (0, 0), videos, np.arange(3200) % 8 * 6, 12))
    tops = np.minimum(shapes.starts[..., 1] - shapes.radii[..., 0], shapes.ends[..., 1] - shapes.radii[..., 1])
    feet = np.maximum(shapes.starts[..., 1] + shapes.radii[..., 0], shapes.ends[..., 1] + shapes.radii[..., 1])
    tall = feet.max(axis=1) - tops.min(axis=1)
    assert scenes.HALF[0] * tall.min() > 40 and scenes.HALF[1] * tall.max() < 80
    assert 2 * 1.15 * scenes.HALF[1] + 1 <= scenes.PAINTED


@pytest.mark.parametrize("category", CATEGORIES)
def test_skeleton_lies_on_the_mask(category: str) -> None:
    made = generate_wide(category, 6, 3, **SIDES)
    on_object = []
    for a, b in layout(category).skeleton:
        for t in np.linspace(0, 1, 5):
            column, row = np.rint((1 - t) * made.keypoints[:, a] + t * made.keypoints[:, b]).astype(int).T
            on_object.append(made.masks[np.arange(len(row)), row, column] > 0)
    assert np.mean(on_object) > 0.99


def test_visible_keypoints_lie_on_the_mask(made: Scenes) -> None:
    column, row = np.rint(made.keypoints).astype(int).transpose(2, 0, 1)
    on_object = made.masks[np.arange(len(row))[:, None], row, column] > 0
    assert on_object[made.visible].mean() > 0.995
    assert 0.6 < made.visible.mean() < 1


def test_the_mask_is_what_was_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.arange(3) * 20
    for moves in (False, True):
        one = film(moves)
        with_puppet = one.shoot(frames)
        with monkeypatch.context() as patch:
            patch.setattr(scenes, "layered", lambda planes, *_: np.concatenate([planes, np.zeros_like(planes[:1])]))
            without = one.shoot(frames)
        assert not without.masks.any()
        changed = (with_puppet.images != without.images).any(axis=-1)
        inside = with_puppet.masks > 0
        assert changed[inside].mean() > 0.97
        near = inside.copy()
        for axis in (1, 2):
            near |= np.roll(near, 1, axis) | np.roll(near, -1, axis)
        assert not (changed & ~near).any()  # an edge that covers less than half of its pixel


def test_frames_depend_on_nothing_but_the_video(made: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "AT_ONCE", 2)
    for v in (1, 3):
        other = generate_wide("humanoid", 1, 3, first_video=v, **SIDES)
        whole = generate_wide("humanoid", 1, 9, first_video=v, every=1, **SIDES)
        for name, array in vars(other).items():
            np.testing.assert_array_equal(array, vars(made)[name][6 * v : 6 * v + 3], err_msg=name)
            np.testing.assert_array_equal(array, vars(whole)[name][::4], err_msg=name)
    assert (generate_wide("humanoid", 1, 1, seed=1, **SIDES).images != made.images[:1]).mean() > 0.9


def test_every_machine_makes_the_same_bytes() -> None:
    result = vars(generate_wide("quadruped", 4, 2, 160, 160, 7))
    assert [zlib.crc32(array.tobytes()) for array in result.values()] == [
        0x81677ACC,
        0x49277D20,
        0x14732063,
        0xAE9183D,
        0x69C7602A,
    ]
    assert {Film("quadruped", v, 160, 160, 7).moves for v in range(4)} == {True, False}


def test_the_camera_moves_in_a_third_of_the_videos() -> None:
    films = [Film("humanoid", v, 160, 160) for v in range(60)]
    assert 0.2 < np.mean([one.moves for one in films]) < 0.47
    assert len({tuple(one.sides + (one.scene.shape[2] > 160)) for one in films}) == 2  # more of the scene is needed


def test_a_camera_that_stands_sees_a_still_background() -> None:
    shot = film(False).shoot(np.array([0, 40]))
    empty = ~(shot.masks > 0).any(axis=0)
    steps = np.abs(np.diff(shot.images.astype(float), axis=0)).mean(axis=-1)[0]
    still = 255 * (2 * lighting.FLICKER + 2 * lighting.GRAIN) + 1
    assert (steps[empty] < still).mean() > 0.96  # the rest is the shadow of the puppet
    moved = film(True).shoot(np.array([0, 40])).images.astype(float)
    assert np.abs(np.diff(moved, axis=0)).mean() > 2 * steps[empty].mean()


def test_puppet_and_background_follow_one_camera() -> None:
    one = film(True)
    frames = np.arange(0, 120, 15)
    camera = one._camera(frames)
    assert np.ptp(camera.zoom) > 0.02 and camera.zoom.min() >= 1 and camera.zoom.max() <= scenes.ZOOM
    assert np.ptp(camera.pan, axis=0).min() > 3 and np.abs(camera.shake).max() <= scenes.SHAKE
    rows, columns = np.mgrid[: one.scene.shape[1], : one.scene.shape[2]].astype(np.float32)
    one.scene = np.stack([columns, rows, rows, rows])
    _, centre = one._place(frames, camera)
    walk = one._wander(scenes.Stream.WALK, frames, 2)
    places = []
    for i, (x, y) in enumerate(centre):
        view = one._view(camera, i)
        assert view.shape == (4, 200, 240)
        left, top = int(x), int(y)
        seen = view[:2, top, left] + (view[:2, top + 1, left + 1] - view[:2, top, left]) * (x - left, y - top)
        places.append(seen - (np.array(one.scene.shape[:0:-1]) - 1) / 2)  # in the scene, from its middle
    for place, way in zip(np.array(places).T, walk.T, strict=True):
        assert np.ptp(way) > 0.2
        reach = (place * way).sum() / (way * way).sum()
        np.testing.assert_allclose(place, reach * way, atol=0.01)  # the same path, whatever the camera does


def test_a_puppet_walks_smoothly_through_the_scene() -> None:
    travelled = []
    for v in range(8):
        one = Film("humanoid", v, 640, 480) if v < 2 else Film("humanoid", v, 480, 480)
        frames = np.arange(100)
        _, centre = one._place(frames, one._camera(frames))
        steps = np.diff(centre, axis=0)
        assert np.abs(steps).max() < 16
        if not one.moves:
            assert np.abs(np.diff(steps, axis=0)).max() < 1.5
        travelled.append(np.ptp(centre, axis=0).max())
    assert np.median(travelled) > 100


def test_animals_walk_both_ways() -> None:
    films = [Film("quadruped", v, 160, 160) for v in range(12)]
    names = layout("quadruped").keypoint_names
    for one in films:
        nose, rump = (one.shoot(np.array([0])).keypoints[0, names.index(name), 0] for name in ("nose", "rump"))
        assert (nose < rump) == one.mirrored
    assert 2 < sum(one.mirrored for one in films) < 10
    assert not any(Film("humanoid", v, 160, 160).mirrored for v in range(6))


def test_photographs_are_backgrounds(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (0, 200, 0)).save(tmp_path / "green.png")
    shot = generate_wide("humanoid", 2, 1, photographs=[tmp_path / "green.png"], **SIDES)
    red, green, blue = np.moveaxis(shot.images[shot.masks == 0].astype(int), -1, 0)
    assert (green - red).min() > 10 and (green - blue).min() > 10


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"category": "dog"}, "humanoid, quadruped, hand"),
        ({"videos": 0}, "videos"),
        ({"frames": 0}, "frames"),
        ({"width": 100}, "width is 100; give a whole number of at least 160"),
        ({"height": 100}, "height"),
        ({"seed": -1}, "seed"),
        ({"first_video": 0.5}, "first_video"),
        ({"every": 0}, "every"),
        ({"pace": 0}, "pace"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(PplkitError, match=named):
        generate_wide(**{"category": "hand", "videos": 1, "frames": 1, **arguments})
