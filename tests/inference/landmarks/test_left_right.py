"""Left and right: names that belong together, points that change sides, and paths through a video."""

import numpy as np
import pytest

from pplkit.inference.landmarks.left_right import (
    names_side,
    nearer_swapped,
    side_directions,
    side_pairs,
    side_score,
    swap_sides,
    swapped_images,
    viterbi_swaps,
)

PAIRS = [(0, 1)]


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], [(1, 2)]),
        (["Right Wrist", "Left Wrist"], [(1, 0)]),
        (["wrist_l", "wrist_r", "l.ear", "r.ear"], [(0, 1), (2, 3)]),
        (["tail", "lip", "rip", "left_wing"], []),
        (["leftPaw", "rightPaw"], [(0, 1)]),
        (["pawRight", "pawLeft", "EARLEFT", "EARRIGHT", "lefteye", "righteye"], [(1, 0), (2, 3), (4, 5)]),
        (["eyeleft", "eyeright", "l1", "R1", "手L", "手R"], [(0, 1), (2, 3), (4, 5)]),
        (["LHip", "RHip", "earR", "earL", "LIP", "RIP", "Lip", "Rip"], [(0, 1), (3, 2)]),
        (["bright left spot", "bright right spot", "cleft", "left cleft", "right cleft"], [(0, 1), (3, 4)]),
    ],
)
def test_names_that_differ_in_their_side_are_pairs(names: list[str], pairs: list[tuple[int, int]]) -> None:
    assert side_pairs(names) == pairs


def test_a_side_is_a_word_or_its_beginning() -> None:
    none = [
        "bright spot", "upright ear", "cleft", "Bright", "CLEFT", "lobe", "leaf_tip", "gröl", "Éclefté", "", "fright9",
    ]  # fmt: skip
    sided = [
        "left_hand", "leftHand", "hand_left", "left hand", "handLeft", "HandRIGHT", "LEFT", "righteye", "l.ear", "L1",
        "ear-r", "2left", "(right)", "upRight", "手left", "bright left", "LHip", "RElbow1", "earL", "paw_R2",
    ]  # fmt: skip
    assert [name for name in none if names_side([name])[0]] == []
    assert [name for name in sided if not names_side([name])[0]] == []


def test_sides_are_swapped_in_the_chosen_poses() -> None:
    points = np.arange(12.0).reshape(2, 3, 2)
    result = swap_sides(points, [(0, 2)], np.array([False, True]))
    np.testing.assert_array_equal(result, [points[0], points[1][[2, 1, 0]]])
    assert nearer_swapped(points, result, [(0, 2)]).tolist() == [False, True]
    np.testing.assert_array_equal(swap_sides(points[..., 0], [(0, 2)], np.array([False, True])), result[..., 0])


def test_the_direction_is_the_mean_vector_over_its_variance() -> None:
    """x: vectors 1 and 3, mean 2, variance 1; y: both 0; the third image has no right one."""
    labels = np.array([[[1.0, 0.0], [0.0, 0.0]], [[3.0, 0.0], [0.0, 0.0]], [[9.0, 9.0], [np.nan, np.nan]]])
    result = side_directions(labels, PAIRS)
    np.testing.assert_allclose(result, [[2 / 1.0001, 0]])
    np.testing.assert_allclose(side_score(labels[:2], PAIRS, result), [2 / 1.0001, 6 / 1.0001])
    np.testing.assert_allclose(side_score(labels[:2, ::-1], PAIRS, result), [-2 / 1.0001, -6 / 1.0001])


def bodies(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and labels: nose, left hand, right hand; left lies to the right, as of people who face the camera."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(0, 0.2, (count, 1, 2))
    labels = middle + np.array([[0, -0.5], [0.4, 0], [-0.4, 0]]) + rng.normal(0, 0.08, (count, 3, 2))
    return labels + 0.01, labels


def test_images_in_which_keypoints_change_sides_are_found() -> None:
    keypoints, labels = bodies(12)
    assert not swapped_images(keypoints, labels, [(1, 2)]).any()
    back = np.arange(12) % 3 == 1
    changed = swap_sides(keypoints, [(1, 2)], back)
    np.testing.assert_array_equal(swapped_images(changed, labels, [(1, 2)]), back)
    np.testing.assert_array_equal(
        swapped_images(swap_sides(keypoints, [(1, 2)], ~back), labels, [(1, 2)]), back
    )  # the fewer
    assert not swapped_images(changed, labels, []).any() and not swapped_images(changed[:2], labels[:2], [(1, 2)]).any()


def test_a_video_keeps_its_sides() -> None:
    """Two hands that swing through each other's height; frames 3 and 7 to 9 have them exchanged."""
    time = np.arange(20)[:, None] / 5
    path = np.stack((np.hstack((0.5 + 0 * time, np.sin(time))), np.hstack((-0.5 + 0 * time, -np.sin(time)))), 1)
    wrong = np.isin(np.arange(20), [3, 7, 8, 9])
    np.testing.assert_array_equal(viterbi_swaps(swap_sides(path, PAIRS, wrong), PAIRS), wrong)
    np.testing.assert_array_equal(
        viterbi_swaps(swap_sides(path, PAIRS, ~wrong), PAIRS), wrong
    )  # as most frames have it
    assert not viterbi_swaps(path, []).any()
    assert viterbi_swaps(path[:1], PAIRS).shape == (1,) and viterbi_swaps(path[:0], PAIRS).shape == (0,)


def test_no_landmark_loses_all_its_labels(recwarn: pytest.WarningsRecorder) -> None:
    """Of two legs one is seen at a time, and which one depends on where the bird looks."""
    for seed in range(10):
        keypoints = np.random.default_rng(seed).normal(0, 0.3, (6, 3, 2))
        labels = np.full((6, 2, 2), np.nan)
        right = np.argsort(keypoints[:, 0, 0])[-2:]
        labels[:, 0] = keypoints[:, 0]
        labels[right] = np.stack((np.full((2, 2), np.nan), keypoints[right, 1]), 1)
        swapped_images(keypoints, labels, [(0, 1)])
    assert not recwarn.list
