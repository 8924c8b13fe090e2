import zlib
from pathlib import Path

import numpy as np
import pytest

import data_prep.puppets
from data_prep.synthetic import posing, puppets
from data_prep.synthetic.bodies import Body, Part
from data_prep.synthetic.puppets import CATEGORIES, Puppets, generate, layout
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture(scope="module", params=CATEGORIES)
def category(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def made(category: str) -> Puppets:
    return generate(category, videos=24, frames=8)


def to_pixels(points: np.ndarray, size: int) -> np.ndarray:
    return np.rint((points + 1) * (size - 1) / 2).astype(int)


def test_shapes_and_types(category: str, made: Puppets) -> None:
    joints = len(layout(category).keypoint_names)
    assert joints == {"humanoid": 15, "quadruped": 15, "hand": 16}[category]
    assert (made.images.shape, made.images.dtype) == ((192, 64, 64, 3), np.uint8)
    assert (made.keypoints.shape, made.keypoints.dtype) == ((192, joints, 2), np.float32)
    assert (made.visible.shape, made.visible.dtype) == ((192, joints), bool)
    assert (made.masks.shape, made.masks.dtype) == ((192, 64, 64), np.uint8)
    assert made.videos.dtype == np.int32
    assert made.videos.tolist() == [v for v in range(24) for _ in range(8)]
    assert set(np.unique(made.masks)) == {0, 255}


def test_layout_is_one_tree_over_all_keypoints(category: str) -> None:
    shape = layout(category)
    count = len(shape.keypoint_names)
    links = [link for indices in shape.groups.values() for link in indices]
    assert sorted(links) == list(range(len(shape.skeleton)))  # each link in one limb
    reached = {0}
    for _ in range(count):
        reached |= {point for link in shape.skeleton if reached & set(link) for point in link}
    assert reached == set(range(count))
    for left, right in shape.flip_pairs:
        assert shape.keypoint_names[left].replace("left", "right") == shape.keypoint_names[right]


def test_humanoid_names_its_limbs() -> None:
    shape = layout("humanoid")
    assert {"left_arm", "right_arm", "left_leg", "right_leg"} <= shape.groups.keys()
    arm = [[shape.keypoint_names[i] for i in shape.skeleton[link]] for link in shape.groups["left_arm"]]
    assert arm == [["left_shoulder", "left_elbow"], ["left_elbow", "left_wrist"]]
    assert len(shape.flip_pairs) == 6


def test_skeleton_lies_on_the_mask_and_the_mask_inside_the_picture(category: str, made: Puppets) -> None:
    on_object = []
    for a, b in layout(category).skeleton:
        for t in np.linspace(0, 1, 9):
            column, row = to_pixels((1 - t) * made.keypoints[:, a] + t * made.keypoints[:, b], 64).T
            on_object.append(made.masks[np.arange(len(row)), row, column] > 0)
    assert np.mean(on_object) > 0.995
    assert not made.masks[:, [0, -1]].any()
    assert not made.masks[:, :, [0, -1]].any()


def test_video_depends_on_category_seed_and_index_alone(category: str, monkeypatch: pytest.MonkeyPatch) -> None:
    many = generate(category, 5, 7, 32, seed=3)
    monkeypatch.setattr(puppets, "CHUNK", 1)
    monkeypatch.setattr(puppets.os, "cpu_count", lambda: 1)
    for other in (generate(category, 2, 4, 32, seed=3, first_video=2), generate(category, 4, 4, 32, seed=3)):
        for v in set(other.videos.tolist()):
            mine, theirs = np.nonzero(other.videos == v)[0], np.nonzero(many.videos == v)[0][:4]
            for name, array in vars(other).items():
                np.testing.assert_array_equal(array[mine], vars(many)[name][theirs], err_msg=name)
    assert (generate(category, 1, 1, 32, seed=4).keypoints != many.keypoints[:1]).any()
    assert (many.keypoints[0] != many.keypoints[7]).any()


def test_every_machine_makes_the_same_bytes(category: str) -> None:
    made = generate(category, 3, 4, 32, seed=7)
    arrays = (made.images, made.keypoints, made.visible, made.masks)
    assert [zlib.crc32(array.tobytes()) for array in arrays] == {
        "humanoid": [0xC7CB952E, 0x75D5D951, 0xE034E8A9, 0x869A11CB],
        "quadruped": [0xBDFDE7D9, 0x729720AA, 0x16B62566, 0x6AD0641B],
        "hand": [0x330F257, 0xE319A345, 0x1E975F87, 0x7599B2F4],
    }[category]


def test_pictures_are_picked_from_a_video(category: str) -> None:
    picked, video = generate(category, 2, 4, 32, seed=3), generate(category, 2, 13, 32, seed=3, every=1)
    for name, array in vars(picked).items():
        every_fourth = vars(video)[name].reshape(2, 13, *array.shape[1:])[:, ::4]
        np.testing.assert_array_equal(every_fourth.reshape(array.shape), array, err_msg=name)
    steps = np.linalg.norm(np.diff(video.keypoints.reshape(2, 13, -1), axis=1), axis=2)
    assert (steps > 0).all() and (steps[:, 0] < steps[:, 5]).all()  # slow at a key pose, fastest halfway


def test_half_the_pace_is_the_same_movement_in_twice_the_frames(category: str) -> None:
    fast, slow = (generate(category, 2, 7, 32, seed=3, every=n, pace=12 * n).keypoints for n in (1, 2))
    np.testing.assert_array_equal(fast, slow)


def test_humanoids_move_like_people() -> None:
    """People of Human3.6M are 23.8 mm away after 80 ms, relative to the hips (Guo et al. 2023, repeated last frame)."""
    shares = {}
    for pace in (12, 24):
        made = generate("humanoid", 60, 100, 16, every=1, pace=pace).keypoints.reshape(60, 100, -1, 2)
        height = np.ptp(made[..., 1], axis=2).mean()
        moved = made - made[:, :, [layout("humanoid").keypoint_names.index("pelvis")]]
        shares[pace] = np.linalg.norm(moved[:, 2:] - moved[:, :-2], axis=-1).mean() / height
    assert shares[24] == pytest.approx(23.8 / 1700, rel=0.1)
    assert shares[12] == pytest.approx(2 * 23.8 / 1700, rel=0.1)


def test_scene_is_the_same_at_every_size(category: str) -> None:
    small, large = generate(category, 3, 4, 64), generate(category, 3, 4, 256)
    np.testing.assert_array_equal(small.keypoints, large.keypoints)
    np.testing.assert_array_equal(small.visible, large.visible)
    assert np.mean(small.masks > 0) == pytest.approx(np.mean(large.masks > 0), rel=0.05)
    nearest = np.rint(np.linspace(0, 255, 64)).astype(int)
    difference = large.images[:, nearest][:, :, nearest].astype(float) - small.images
    assert np.abs(difference).mean() < 4


def test_background_and_colours_stay_within_a_video(made: Puppets) -> None:
    first, other = 0, 5  # two frames of video 0
    empty = ~(made.masks[[first, other]] > 0).any(axis=0)
    for shift in (-1, 1):  # leave out pixels that an edge covers in part
        for axis in (0, 1):
            empty &= np.roll(empty, shift, axis)
    assert empty.mean() > 0.3
    np.testing.assert_array_equal(made.images[first][empty], made.images[other][empty])
    assert np.abs(made.images[first].astype(int) - made.images[8])[empty].mean() > 2
    tints = [made.images[i][made.masks[i] > 0].mean(axis=0) for i in range(16)]
    within = np.linalg.norm(np.diff(tints[:8], axis=0), axis=1).max()
    assert within < np.linalg.norm(tints[8] - tints[0])


def test_poses_of_a_video_differ_widely(made: Puppets) -> None:
    frames = made.keypoints.reshape(24, 8, -1, 2)
    distance = np.linalg.norm(frames[:, 0] - frames[:, 6], axis=-1).mean() / 2
    assert distance > 0.04


def test_mean_pose_is_a_poor_guess(made: Puppets) -> None:
    error = np.linalg.norm(made.keypoints - made.keypoints.mean(axis=0), axis=-1).mean() / 2
    assert 0.08 < error < 0.12


@pytest.mark.parametrize(
    ("kind", "dark", "light"),
    [
        ("humanoid", ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")),
        ("humanoid", ("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
        ("quadruped", ("far_front_knee", "far_front_paw"), ("near_front_knee", "near_front_paw")),
    ],
)
def test_left_limbs_are_darker_in_every_video(kind: str, dark: tuple[str, str], light: tuple[str, str]) -> None:
    made, names = generate(kind, 24, 9), layout(kind).keypoint_names
    brightness = []
    for ends in (dark, light):
        middle = made.keypoints[:, [names.index(name) for name in ends]].mean(axis=1)
        column, row = to_pixels(middle, 64).T
        brightness.append(made.images[np.arange(len(row)), row, column].max(axis=-1).reshape(24, 9))
    assert (np.median(brightness[0], axis=1) < 0.85 * np.median(brightness[1], axis=1)).all()


def test_visible_means_no_nearer_part_in_front() -> None:
    parts = [
        Part("a", "b", (0.1, 0.1), 0, depth=0.0),
        Part("c", "d", (0.1, 0.1), 0, depth=1.0),
        Part("e", "e", (0.1, 0.1), 0, depth=2.0, joins=("d",)),
    ]
    body = Body(["a", "b", "c", "d"], "a", (0, 0), 0, [], parts, [], {})
    places = {"a": (-0.5, 0), "b": (0.5, 0), "c": (0.5, -0.5), "d": (0.5, 0.5), "e": (0.5, 0.5)}
    points = {name: np.array([place]) for name, place in places.items()}  # c-d crosses the end b of a-b
    radii, depth = np.array([[part.radii for part in parts]]), np.array([[part.depth for part in parts]])
    assert posing.visible(body, points, radii, depth).tolist() == [[True, False, True, True]]
    assert posing.visible(body, points, radii, -depth).tolist() == [[True, True, True, True]]
    points["b"] = np.array([[0.39, 0.0]])  # just outside of c-d
    assert posing.visible(body, points, radii, depth).tolist() == [[True, True, True, True]]


def test_some_joints_are_hidden_but_most_are_not(made: Puppets) -> None:
    assert 0.7 < made.visible.mean() < 1
    assert (made.visible.mean(axis=0) > 0.3).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"category": "dog"}, "humanoid, quadruped, hand"),
        ({"videos": 0}, "videos"),
        ({"frames": 0}, "frames"),
        ({"size": 8}, "size"),
        ({"seed": -1}, "seed"),
        ({"first_video": 0.5}, "first_video"),
        ({"every": 0}, "every"),
        ({"pace": 0}, "pace"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, named: str) -> None:
    with pytest.raises(PplkitError, match=named):
        generate(**{"category": "hand", "videos": 1, "frames": 1, **arguments})


def test_prepared_data_set(tmp_path: Path) -> None:
    options = {
        "size": 32,
        "videos": 18,
        "frames": 3,
        "test_videos": 2,
        "test_frames": 4,
        "films": 1,
        "film_frames": 6,
        "seed": 5,
    }
    data = open_dataset(data_prep.puppets.prepare("humanoid", tmp_path / "set", **options))
    shape = layout("humanoid")
    assert (data.protocol, data.swap_pairs, data.flip_pairs) == ("h36m", [], shape.flip_pairs)
    assert (data.keypoint_names, data.skeleton, data.groups) == (shape.keypoint_names, shape.skeleton, shape.groups)
    assert [(name, len(split)) for name, split in data.splits.items()] == [("train", 54), ("test", 8), ("films", 6)]
    expected = generate("humanoid", 18, 3, 32, seed=5)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(np.asarray(getattr(data["train"], name)), array, err_msg=name)
    assert not set(data["test"].videos.tolist()) & set(data["train"].videos.tolist())
    assert len({zlib.crc32(image.tobytes()) for name in ("train", "test") for image in data[name].images}) == 62
    films, test = data["films"], data["test"]
    assert films.videos.tolist() == [test.videos[0]] * 6
    np.testing.assert_array_equal(films.images[::4], test.images[:2])  # the test set has every fourth frame of them
    np.testing.assert_array_equal(films.keypoints[::4], test.keypoints[:2])
    assert films.sources[4] == test.sources[1] == "humanoid seed 5 video 1000000 frame 4"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(["dog"], "humanoid"), (["hand", "--size", "4"], "size"), (["hand", "--films", "-1"], "films is -1")],
)
def test_command_line_names_the_fault(
    wrong: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    category, *options = wrong
    assert data_prep.puppets.main([category, str(tmp_path / "set"), *options]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_command_line_counts_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [
        "--videos",
        "2",
        "--frames",
        "3",
        "--test-videos",
        "1",
        "--test-frames",
        "2",
        "--films",
        "0",
        "--size",
        "16",
    ]
    assert data_prep.puppets.main(["quadruped", str(tmp_path / "set"), *counts]) == 0
    assert "6 training and 2 test images, 0 frames of films" in capsys.readouterr().out
    data = open_dataset(tmp_path / "set")
    assert data.name == "puppets-quadruped" and list(data.splits) == ["train", "test"]
