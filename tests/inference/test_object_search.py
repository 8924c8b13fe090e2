"""The squares around the object of a video: cameras that stand and move, plain and hard cases, bounded memory."""

from collections.abc import Iterator

import numpy as np
import pytest
from moving import HEIGHT, SQUARE, WIDTH, check_around, ground, standing, walk, with_squares

from data_prep.scenes import extents
from data_prep.synthetic.scenes import Film, generate_wide
from pplkit.core.errors import PplkitError
from pplkit.data.background import moving_blobs, reduced
from pplkit.inference import object_search as objects
from pplkit.inference.object_search import Squares, by_motion, cameras, find_boxes, search, warnings
from pplkit.models.layers import saliency


def shots(frames: np.ndarray) -> objects.Shots:
    return lambda: ((k / 10, frame) for k, frame in enumerate(frames))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where motion tells nothing, looks tell nothing either."""

    class Blind:
        def __init__(self, pictures: list[np.ndarray]) -> None:
            assert pictures

        def blobs(self, picture: np.ndarray) -> np.ndarray:
            return np.empty((0, 5))

    monkeypatch.setattr(saliency, "Finder", Blind)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_moving_square_on_noise_before_a_standing_camera(noise: float, no_network: None) -> None:
    frames, corners = standing(noise=noise)
    boxes = find_boxes(frames)
    assert boxes.shape == (40, 4)
    check_around(boxes, corners)
    np.testing.assert_array_equal(find_boxes(list(frames)), boxes)
    wider = find_boxes(frames, margin=0.5)
    np.testing.assert_allclose(np.ptp(wider[:, ::2], axis=1) / np.ptp(boxes[:, ::2], axis=1), 2 / 1.4)
    large = find_boxes(frames[::2].repeat(3, axis=1).repeat(3, axis=2))
    check_around(large / 3, corners[::2])


def test_a_moving_square_before_a_moving_camera(no_network: None) -> None:
    plane = ground(HEIGHT + 40, WIDTH + 200)
    corners = walk(60, WIDTH, HEIGHT, SQUARE)
    grounds = [plane[20 + k // 9 : 20 + k // 9 + HEIGHT, 3 * k : 3 * k + WIDTH] for k in range(60)]
    found = search(shots(with_squares(grounds, corners, SQUARE)), "a")
    assert found.how == "moving" and found.rivals == 0
    check_around(found.boxes, corners, 3)


def test_neither_frames_nor_their_background_are_held_and_the_same_is_found(
    monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    """300 frames, of which never more than SAMPLE are asked for before the next one is: the film is made as it goes."""
    corners = walk(300, WIDTH, HEIGHT, SQUARE)
    plane = ground(HEIGHT, WIDTH, contrast=20)
    alive = most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= self.base is not None and self.shape == (HEIGHT, WIDTH, 3) and self.dtype == np.uint8

    def made() -> Iterator[tuple[float, np.ndarray]]:
        nonlocal alive, most
        for k, corner in enumerate(corners):
            frame = with_squares([plane], corner[None], SQUARE)[0].copy()[:].view(Counted)
            alive += 1
            most = max(most, alive)
            yield float(k), frame

    found = search(made, "a")
    assert most <= 3
    whole = find_boxes(np.stack([frame for _, frame in made()]))
    np.testing.assert_array_equal(found.boxes, whole)
    check_around(found.boxes, corners)


def test_chunks_of_a_moving_camera_hold_so_many_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "CHUNK", 16)
    plane = ground(HEIGHT + 40, WIDTH + 200)
    corners = walk(56, WIDTH, HEIGHT, SQUARE)
    grounds = [plane[20 : 20 + HEIGHT, 3 * k : 3 * k + WIDTH] for k in range(56)]
    lengths = []

    def laid(window: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        lengths.append(len(window))
        return moving_blobs(window)

    monkeypatch.setattr(objects, "moving_blobs", laid)
    found = by_motion(shots(with_squares(grounds, corners, SQUARE)))
    assert found is not None and lengths == [16, 16, 16, 16]  # the last, of 8 new frames, begins with those before
    check_around(found.boxes, corners, 3)


def test_before_a_plain_ground_the_object_does_not_pass_for_it(no_network: None) -> None:
    corners = walk(30, WIDTH, HEIGHT, 30)
    frames = with_squares([np.full((HEIGHT, WIDTH), 100.0)] * 30, corners, 30)
    assert cameras([reduced(frame) for frame in frames])[-1] == "standing"
    found = search(shots(frames), "a")
    assert found.how == "standing" and found.found.all()
    np.testing.assert_allclose((found.boxes[:, :2] + found.boxes[:, 2:]) / 2, corners + 15, atol=4.5)
    others = with_squares([ground(HEIGHT, WIDTH, seed) for seed in range(12)], corners[:12], 30)
    assert cameras([reduced(frame) for frame in others]) == []


def test_no_object_is_one_sentence(no_network: None) -> None:
    frames = with_squares([ground(HEIGHT, WIDTH)] * 10, np.full((10, 2), -1), SQUARE)
    with pytest.raises(PplkitError, match=r"^c\.mp4 shows no object: give crop=centre, or leave it out\.$"):
        search(shots(frames), "c.mp4")
    with pytest.raises(PplkitError, match="the video shows no object"):
        find_boxes(frames[:2])
    with pytest.raises(PplkitError, match="the video has no frame"):
        find_boxes(frames[:0])


def test_what_is_hidden_for_a_while_is_interpolated_and_said(no_network: None) -> None:
    corners = walk(60, WIDTH, HEIGHT, SQUARE)
    gone = corners.copy()
    gone[20:26] = -1
    found = search(shots(with_squares([ground(HEIGHT, WIDTH, contrast=20)] * 60, gone, SQUARE)), "a")
    assert found.found.tolist() == [not 20 <= k < 26 for k in range(60)]
    check_around(found.boxes, corners, 6)
    assert warnings(found, "a.mp4") == ["a.mp4 shows no object in 10% of its frames: there it is interpolated."]


def test_two_objects_are_said_and_one_is_followed(no_network: None) -> None:
    corners = walk(40, WIDTH, HEIGHT, SQUARE)
    frames = with_squares([ground(HEIGHT, WIDTH, contrast=20)] * 40, corners, SQUARE)
    for frame, (x, y) in zip(frames, walk(40, WIDTH, HEIGHT, SQUARE)[(np.arange(40) + 20) % 40], strict=True):
        frame[y : y + 12, x : x + 12] = 0
    found = search(shots(frames), "a")
    steps = np.abs(np.diff(found.boxes[:, :2], axis=0))
    assert found.rivals > 0.8 and steps.max() < 3 * np.abs(np.diff(corners, axis=0)).max()
    (sentence,) = warnings(found, "b.mp4")
    assert sentence.startswith("b.mp4 shows several objects in ")


def test_an_object_that_never_leaves_its_place_is_told_by_its_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an arm of it moves: the square is around what the network says, not around the arm."""

    class Knows:
        def __init__(self, pictures: list[np.ndarray]) -> None:
            assert all(one.shape == (saliency.SIDE, saliency.SIDE, 3) for one in pictures)

        def blobs(self, picture: np.ndarray) -> np.ndarray:
            return np.array([[0.25, 0.25, 0.5, 0.75, 1.0]])

    monkeypatch.setattr(saliency, "Finder", Knows)
    arm = np.stack([np.full(30, 70), 50 + np.arange(30) % 6], axis=1)
    found = search(shots(with_squares([ground(HEIGHT, WIDTH, contrast=20)] * 30, arm, 10)), "a")
    assert found.how == "look" and found.share == pytest.approx(60 * 60 / (WIDTH * HEIGHT))
    np.testing.assert_allclose(found.boxes, np.tile([60 - 42, 60 - 42, 60 + 42, 60 + 42], (30, 1)), atol=0.01)


def test_the_square_of_a_time_is_that_of_the_nearest_frame() -> None:
    boxes = np.arange(12.0).reshape(3, 4)
    squares = Squares(np.array([0, 0.1, 0.3]), boxes, np.ones(3, bool), "standing", 0, 0.1)
    assert [squares.at(time)[0] for time in (-1, 0, 0.04, 0.06, 0.19, 0.21, 9)] == [0, 0, 0, 4, 4, 8, 8]


@pytest.mark.parametrize("category", ["humanoid", "quadruped"])
def test_a_puppet_in_a_wide_scene_is_held_whole(category: str, no_network: None) -> None:
    """Videos with a standing and with a moving camera; the labels only score."""
    videos = [next(v for v in range(20) if Film(category, v, seed=7).moves == moves) for moves in (False, True)]
    for video in videos:
        made = generate_wide(category, 1, 12, seed=7, first_video=video)
        boxes = find_boxes(made.images)
        low, high = extents(made.masks)
        assert (boxes[:, :2] <= low).all() and (boxes[:, 2:] >= high).all()
        assert (boxes[:, 2] - boxes[:, 0] < 3 * (high - low).max(axis=1)).all()
