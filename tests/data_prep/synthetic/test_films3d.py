"""Films of bodies in three dimensions."""

import numpy as np

from data_prep.synthetic.films3d import FOCAL, TURN, film, surface_points
from pplkit.geometry.cameras import camera_to_world


def test_a_film_follows_from_its_numbers() -> None:
    first, again, other = film(1, 0.2), film(1, 0.2), film(3, 0.2)
    assert all(np.array_equal(a, b) for a, b in zip(first.images(32), again.images(32), strict=True))
    assert not np.array_equal(first.root, other.root)


def test_truth_of_world_camera_and_image_agree() -> None:
    shot = film(0, 0.2)
    joints = shot.posed()[1]
    seen = shot.in_camera(joints)
    back = np.stack([camera_to_world(p, c.orientation, c.translation) for p, c in zip(seen, shot.cameras, strict=True)])
    assert np.allclose(back, joints)
    pixels = shot.on_image(joints, 64)
    assert np.allclose(pixels[..., 0], (FOCAL * seen[..., 0] / seen[..., 2] + 1) * 32 - 0.5)
    assert (pixels > 0).all() and (pixels < 63).all()  # all of the body can be seen
    assert (seen[..., 2] > 1).all()


def test_the_body_is_drawn_where_its_joints_are() -> None:
    shot = film(0, 0.2)
    image = next(shot.images(64)).astype(int)
    moved = film(0, 0.2)
    moved.root[:] += [100.0, 0, 0]  # out of sight: what is left is background
    changed = np.abs(next(moved.images(64)).astype(int) - image).sum(-1) > 30
    rows, columns = np.nonzero(changed)
    pixels = shot.on_image(shot.posed()[1], 64)[0]
    assert abs(rows.mean() - pixels[:, 1].mean()) < 6 and abs(columns.mean() - pixels[:, 0].mean()) < 4
    assert changed[tuple(np.rint(pixels[shot.body.joints.index("spine"), ::-1]).astype(int))]


def test_people_face_the_camera() -> None:
    for number in range(4):
        joints = film(number, 0.4).posed()[1]
        names = film(number, 0.4).body.joints
        across = (joints[:, names.index("left_hip")] - joints[:, names.index("right_hip")]).mean(0)
        assert abs(np.arctan2(-across[2], across[0])) < np.deg2rad(TURN + 5)


def test_points_lie_within_their_faces() -> None:
    numbers, shares = surface_points(np.array([[4, 5, 6]]))
    assert (numbers == [4, 5, 6]).all() and np.allclose(shares.sum(1), 1) and (shares > 0).all()
    assert len(np.unique(shares, axis=0)) == len(shares)
