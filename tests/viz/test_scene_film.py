"""The video in a scene: one frame for each of the scene, keypoints in its pixels, small enough to be sent."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_reader import SceneBytes

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import Skeleton
from pplkit.data.video import readable
from pplkit.data.video_writer import write_video
from pplkit.viz import Scene
from pplkit.viz.scene_film import at_times, read_film

PAIR = Skeleton("pair", ("nose", "tail"), (-1, 0))


def shades(path: Path) -> list[float]:
    return [float(np.asarray(image).mean()) for _, image, _ in readable(path)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds at 10 frames a second that grow brighter: frame n is 10 n."""
    frames = (np.full((100, 160, 3), 10 * number, np.uint8) for number in range(20))
    return write_video(tmp_path / "video.mp4", frames, 10)


def keypoints(frames: int, fps: float = 20) -> PoseSequence:
    points = np.arange(frames * 4, dtype=float).reshape(frames, 2, 2) % 90
    points[1, 0] = np.nan
    return PoseSequence(points=points, fps=fps, skeleton=PAIR)


def test_the_frame_that_a_player_shows() -> None:
    images = [Image.new("L", (1, 1), value) for value in (0, 1, 2)]
    shots = list(zip([0.0, 0.1, 0.35], images, strict=True))
    times = np.array([0, 0.05, 0.0999, 0.2, 0.34, 0.36, 0.9])
    assert [image.getpixel((0, 0)) for image in at_times(shots, times)] == [0, 0, 1, 1, 1, 2, 2]
    assert list(at_times([], times)) == []


def test_it_has_a_frame_for_each_of_the_scene(video: Path, tmp_path: Path) -> None:
    film = read_film(video, None, 30, 20.0)
    (tmp_path / "film.mp4").write_bytes(film.content)
    found = shades(tmp_path / "film.mp4")
    assert film.size == (160, 100) and film.layers == [] and len(found) == 30
    assert found == pytest.approx([10 * (number // 2) for number in range(30)], abs=3)


def test_the_scene_carries_the_video_and_its_keypoints(video: Path) -> None:
    scene = Scene((np.zeros((30, 2, 3)) + [[0, 0, 0], [0, 1, 0]], np.array([[0, 1, 0]])), fps=20)
    points = keypoints(30)
    found = SceneBytes(scene.with_video(video, points).to_bytes())
    film = found.header["film"]
    assert film["size"] == [160, 100] and found.array(film["bytes"]).tobytes()[4:8] == b"ftyp"
    (layer,) = film["layers"]
    assert layer["bones"] == [[0, 1]]
    np.testing.assert_allclose(found.positions(layer), points.points, atol=0.01)
    picture = scene.with_video(video, points).figure(20)
    assert len(picture.axes) == 2 and picture.axes[0].get_images()[0].get_array().mean() == pytest.approx(100, abs=3)
    assert len(picture.axes[0].collections) == 2  # both points
    assert "film" not in SceneBytes(scene.to_bytes()).header  # the scene itself stays as it is


def test_ten_seconds_of_any_video_are_below_15_mb(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)  # noise is the largest that a video can be
    frames = (rng.integers(0, 255, (240, 320, 3), dtype=np.uint8) for _ in range(50))
    path = write_video(tmp_path / "noise.mp4", frames, 5, coding={"preset": "ultrafast"})
    scene = Scene((np.eye(3)[None].repeat(50, 0), np.array([[0, 1, 2]])), fps=5)
    assert 1e6 < len(scene.to_html(tmp_path / "page.html", video=path)) < 15e6
    assert (tmp_path / "page.html").stat().st_size < 15e6


def test_what_is_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="have 20 frames a second and the scene 30: use keypoints.resampled"):
        read_film(video, keypoints(30), 30, 30.0)
    solid = PoseSequence(points=np.zeros((3, 2, 3)), fps=20, skeleton=PAIR)
    with pytest.raises(PplkitError, match="are in 3D"):
        read_film(video, solid, 3, 20.0)
    with pytest.raises(PplkitError, match="missing.mp4 is missing"):
        read_film(tmp_path / "missing.mp4", None, 3, 20.0)
    with pytest.raises(PplkitError, match="give video"):
        Scene((np.eye(3), np.array([[0, 1, 2]]))).to_html(keypoints=keypoints(3))
