"""Squares around objects: before cameras that stand and move, in plain and hard cases, in folders and single images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from moving import (
    HEIGHT,
    SQUARE,
    WIDTH,
    BrightFinder,
    check_around,
    ground,
    photograph,
    save,
    standing,
    walk,
    with_squares,
)
from PIL import Image

from data_prep import folder, video
from data_prep.scenes import extents
from data_prep.synthetic.scenes import Film, generate_wide
from pplkit.core.errors import PplkitError
from pplkit.data.background import moving_blobs, reduced
from pplkit.data.crops import NoObject, from_crop, resized
from pplkit.data.dataset import open_dataset
from pplkit.data.reader import FrameSource
from pplkit.data.video import readable
from pplkit.data.video_writer import write_video
from pplkit.inference import object_crop
from pplkit.inference.object_crop import (
    ImageSquares,
    Squares,
    TimedFrames,
    find_boxes,
    find_squares,
    in_order,
    possible_cameras,
    squares_by_motion,
    video_squares,
)
from pplkit.models.layers import saliency

LARGE = 2  # times the usual frames: a small square in frames that are large enough for the object to be searched
PLANE = ground(HEIGHT, WIDTH, contrast=20)


@pytest.fixture(autouse=True)
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saliency, "Finder", BrightFinder)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where motion shows nothing, the look shows nothing either."""
    monkeypatch.setattr(BrightFinder, "blobs", lambda self, image: np.empty((0, 5)))


def source(frames: np.ndarray) -> TimedFrames:
    return lambda: ((k / 10, frame) for k, frame in enumerate(frames))


def panned(corners: np.ndarray) -> np.ndarray:
    """Frames with a square at these corners, of a camera that moves by three pixels a frame."""
    plane, frames = ground(HEIGHT + 40, WIDTH + 200), range(len(corners))
    grounds = [plane[20 + k // 9 : 20 + k // 9 + HEIGHT, 3 * k : 3 * k + WIDTH] for k in frames]
    return with_squares(grounds, corners, SQUARE)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_moving_square_before_a_standing_camera(noise: float, blind: None) -> None:
    frames, corners = standing(noise=noise)
    boxes = find_boxes(frames)
    assert boxes.shape == (40, 4)
    check_around(boxes, corners)
    np.testing.assert_array_equal(find_boxes(list(frames)), boxes)
    wider = find_boxes(frames, margin=0.5)
    np.testing.assert_allclose(np.ptp(wider[:, ::2], axis=1) / np.ptp(boxes[:, ::2], axis=1), 2 / 1.4)
    large = find_boxes(frames[::2].repeat(3, axis=1).repeat(3, axis=2))
    check_around(large / 3, corners[::2])


def test_a_moving_square_before_a_moving_camera(blind: None) -> None:
    corners = walk(60, WIDTH, HEIGHT, SQUARE)
    squares = find_squares(source(panned(corners)), "a")
    assert squares.method == "moving" and squares.rivals == 0
    check_around(squares.boxes, corners, 3)


def test_memory_does_not_grow_with_the_video(blind: None) -> None:
    """300 frames, made one by one, of which never more than three are alive."""
    corners = walk(300, WIDTH, HEIGHT, SQUARE)
    alive = most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= self.base is not None and self.shape == (HEIGHT, WIDTH, 3) and self.dtype == np.uint8

    def frames() -> Iterator[tuple[float, np.ndarray]]:
        nonlocal alive, most
        for k, corner in enumerate(corners):
            frame = with_squares([PLANE], corner[None], SQUARE)[0].copy()[:].view(Counted)
            alive += 1
            most = max(most, alive)
            yield float(k), frame

    squares = find_squares(frames, "a")
    assert most <= 3
    np.testing.assert_array_equal(squares.boxes, find_boxes(np.stack([frame for _, frame in frames()])))
    check_around(squares.boxes, corners)


def test_frames_of_a_moving_camera_are_aligned_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def counted(window: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        lengths.append(len(window))
        return moving_blobs(window)

    monkeypatch.setattr(object_crop, "CHUNK", 16)
    monkeypatch.setattr(object_crop, "moving_blobs", counted)
    corners = walk(56, WIDTH, HEIGHT, SQUARE)
    squares = squares_by_motion(source(panned(corners)))
    assert squares is not None and lengths == [16, 16, 16, 16]  # the last, of 8 new frames, begins with earlier ones
    check_around(squares.boxes, corners, 3)


def test_before_a_plain_ground_the_object_is_not_mistaken_for_it(blind: None) -> None:
    corners = walk(30, WIDTH, HEIGHT, 30)
    frames = with_squares([np.full((HEIGHT, WIDTH), 100.0)] * 30, corners, 30)
    assert possible_cameras([reduced(frame) for frame in frames])[-1] == "standing"
    squares = find_squares(source(frames), "a")
    assert squares.method == "standing" and squares.found.all()
    np.testing.assert_allclose((squares.boxes[:, :2] + squares.boxes[:, 2:]) / 2, corners + 15, atol=4.5)
    others = with_squares([ground(HEIGHT, WIDTH, seed) for seed in range(12)], corners[:12], 30)
    assert possible_cameras([reduced(frame) for frame in others]) == []


def test_no_object_is_one_sentence(blind: None) -> None:
    frames = with_squares([ground(HEIGHT, WIDTH)] * 10, np.full((10, 2), -1), SQUARE)
    with pytest.raises(NoObject, match=r"^c\.mp4 shows no object: give crop=center, or leave it out\.$"):
        find_squares(source(frames), "c.mp4")
    with pytest.raises(NoObject, match="the video shows no object"):
        find_boxes(frames[:2])
    with pytest.raises(PplkitError, match="the video has no frame"):
        find_boxes(frames[:0])


def test_a_hidden_object_is_interpolated_with_a_warning(blind: None) -> None:
    corners = walk(60, WIDTH, HEIGHT, SQUARE)
    hidden = corners.copy()
    hidden[20:26] = -1
    squares = find_squares(source(with_squares([PLANE] * 60, hidden, SQUARE)), "a")
    assert squares.found.tolist() == [not 20 <= k < 26 for k in range(60)]
    check_around(squares.boxes, corners, 6)
    assert squares.warnings("a.mp4") == ["a.mp4 shows no object in 10% of its frames: there it is interpolated."]


def test_one_of_two_objects_is_followed_with_a_warning(blind: None) -> None:
    corners = walk(40, WIDTH, HEIGHT, SQUARE)
    frames = with_squares([PLANE] * 40, corners, SQUARE)
    for frame, (x, y) in zip(frames, corners[(np.arange(40) + 20) % 40], strict=True):
        frame[y : y + 12, x : x + 12] = 0
    squares = find_squares(source(frames), "a")
    steps = np.abs(np.diff(squares.boxes[:, :2], axis=0))
    assert squares.rivals > 0.8 and steps.max() < 3 * np.abs(np.diff(corners, axis=0)).max()
    (sentence,) = squares.warnings("b.mp4")
    assert sentence.startswith("b.mp4 shows several objects in ")


def test_an_object_that_keeps_to_its_place_is_found_by_its_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an arm of it moves: the square is around what the network says, not around the arm."""
    monkeypatch.setattr(BrightFinder, "blobs", lambda self, image: np.array([[0.25, 0.25, 0.5, 0.75, 1.0]]))
    arm = np.stack([np.full(30, 70), 50 + np.arange(30) % 6], axis=1)
    squares = find_squares(source(with_squares([PLANE] * 30, arm, 10)), "a")
    assert squares.method == "look" and squares.fraction == pytest.approx(60 * 60 / (WIDTH * HEIGHT))
    np.testing.assert_allclose(squares.boxes, np.tile([60 - 42, 60 - 42, 60 + 42, 60 + 42], (30, 1)), atol=0.01)


def test_the_square_at_a_time_is_that_of_the_nearest_frame() -> None:
    boxes = np.arange(12.0).reshape(3, 4)
    squares = Squares(np.array([0, 0.1, 0.3]), boxes, np.ones(3, bool), "standing", 0, 0.1)
    assert [squares.box(time)[0] for time in (-1, 0, 0.04, 0.06, 0.19, 0.21, 9)] == [0, 0, 0, 4, 4, 8, 8]


@pytest.mark.parametrize("category", ["humanoid", "quadruped"])
def test_a_puppet_in_a_wide_scene_is_held_whole(category: str, blind: None) -> None:
    """Videos with a standing and with a moving camera; the labels only score."""
    for moves in (False, True):
        number = next(v for v in range(20) if Film(category, v, seed=7).moves == moves)
        scene = generate_wide(category, 1, 12, seed=7, first_video=number)
        boxes = find_boxes(scene.images)
        low, high = extents(scene.masks)
        assert (boxes[:, :2] <= low).all() and (boxes[:, 2:] >= high).all()
        assert (boxes[:, 2] - boxes[:, 0] < 3 * (high - low).max(axis=1)).all()


def test_preparation_and_use_see_the_same_squares_of_a_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    frames, corners = standing(40)
    clip = write_video(tmp_path / "a.mp4", frames.repeat(LARGE, axis=1).repeat(LARGE, axis=2), 10)
    boxes = video_squares(clip).boxes
    np.testing.assert_allclose(boxes, find_boxes([np.asarray(image) for _, image, _ in readable(clip)]), atol=1e-9)
    check_around(boxes / LARGE, corners)
    data = open_dataset(video.prepare(clip, tmp_path / "out", 64, crop="object", test_share=0, rate=5))
    used = list(FrameSource([clip], 64, "object"))
    assert data.options["crop"] == "object" and len(used) == 40 and len(data["train"]) == 20
    np.testing.assert_array_equal(np.asarray(data["train"].images), np.stack([frame.square for frame in used[::2]]))
    for frame, (x, y) in zip(used, corners, strict=True):
        bright = np.argwhere(frame.square.mean(axis=-1) > 230)
        middle = from_crop((bright.mean(axis=0)[::-1] / 63 * 2 - 1), frame.box, 64)
        np.testing.assert_allclose(middle, LARGE * (np.array([x, y]) + SQUARE / 2) - 0.5, atol=1.5)


def test_a_folder_of_frames_is_a_video_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    frames, corners = standing(24)
    files = [save(tmp_path / "in" / f"{k}.png", frame) for k, frame in enumerate(frames)]
    torn = tmp_path / "in" / "torn.png"
    torn.write_bytes(b"torn")
    lone = photograph(tmp_path / "in" / "other.png", 3)
    assert in_order(sorted(files)) == files
    warnings: list[str] = []
    squares = ImageSquares([*sorted(files), torn, lone], warn=warnings.append)
    check_around(np.array([squares.box(file) for file in files]), corners)
    assert not warnings and squares.fraction(files[0]) == pytest.approx(SQUARE**2 / (WIDTH * HEIGHT), rel=0.5)
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32, crop="object", videos="folder"))
    used = {frame.file.name: frame.square for frame in FrameSource([*files, lone], 32, "object")}
    for split in data.splits.values():
        for name, image in zip(split.sources, np.asarray(split.images), strict=True):
            np.testing.assert_array_equal(image, used[name])
    assert [name for name, _ in data.dropped] == ["torn.png"]


def test_an_image_without_an_object_is_cropped_to_its_center_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [photograph(tmp_path / f"{k}.png", k, bright=k != 1) for k in range(3)]
    squares = ImageSquares(files)
    with pytest.raises(NoObject, match=r"1\.png shows no object that differs from its surroundings: give crop=center"):
        squares.box(files[1])
    left, top, right, bottom = squares.box(files[0])
    x, y = np.random.default_rng(0).integers(0, (150, 118))
    np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], [x + 24, y + 20], atol=1)
    assert right - left == pytest.approx(1.4 * 48, abs=1.5) == bottom - top
    used = list(FrameSource(files, 32, "object"))
    message = capsys.readouterr().err
    assert message.startswith("pplkit: ") and message.count("\n") == 1
    assert "1.png shows no object" in message and message.endswith("its center is taken\n")
    assert used[1].box == (20, 0, 180, 160) and used[0].box == (left, top, right, bottom)
    np.testing.assert_array_equal(used[0].square, resized(Image.open(files[0]), 32, used[0].box))
    with pytest.raises(PplkitError, match=r"1\.png shows no object"):
        list(FrameSource([files[1]], 32, "object"))
    with pytest.raises(PplkitError, match="crop='all' is unknown: choose one of center, pad, object"):
        list(FrameSource(files, 32, "all"))
