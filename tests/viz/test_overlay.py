"""Poses over images and videos."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from sources import film

from data_prep.user_media import film_puppets
from pplkit.core.errors import PplkitError
from pplkit.data.crops import center, from_crop, resized, whole
from pplkit.data.reader import FrameSource, read_whole
from pplkit.data.video import readable
from pplkit.data.video_writer import write_video
from pplkit.inference.estimate import Estimator
from pplkit.inference.tracking import track
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Poses
from pplkit.viz import overlay
from pplkit.viz.drawing import strong_links
from pplkit.viz.overlay import TILE, draw_pose, overlays, pose_images, pose_video, track_video

POINTS = np.array([[10.0, 20.0], [70.0, 20.0], [40.0, 50.0]])


def test_points_and_links_are_where_they_should_be() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    result = draw_pose(image, POINTS, [(0, 1)], [1.0])
    assert not image.any()  # the image itself stays
    for x, y in POINTS.astype(int):
        assert result[y, x].any()
    assert result[20, 40].tolist() == [0, 0x72, 0xB2]  # the middle of the link
    assert not result[35, 55].any() and not result[5].any()


def test_a_weak_link_is_thin_and_pale_and_the_weakest_left_out() -> None:
    image = np.zeros((600, 900, 3), np.uint8)
    strong, weak, gone = (draw_pose(image, 10 * POINTS, [(0, 1)], [value])[:400, 400] for value in (1.0, 0.3, 0.05))
    assert (strong == 255).all(-1).any() and not (weak == 255).all(-1).any()  # only strong links have a rim
    assert 0 < np.count_nonzero(weak[..., 2]) < np.count_nonzero(strong[..., 2]) / 2
    assert 0 < weak.max() < 0xB2 and not gone.any()


def test_what_is_is_below_the_least_confidence_is_left_out() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    result = draw_pose(image, POINTS, [(0, 1), (1, 2)], confidence=np.array([0.9, 0.2, 0.9]), least=0.5)
    assert result[20, 10].any() and result[50, 40].any()
    assert not result[20, 70].any() and not result[20, 40].any()
    hidden = POINTS.copy()
    hidden[1] = np.nan
    np.testing.assert_array_equal(draw_pose(image, hidden, [(0, 1), (1, 2)]), result)


@pytest.mark.parametrize("crop", ["center", "pad"])
def test_poses_lie_where_the_model_sees_them(model: PosePriorLearner, crop: str, tmp_path: Path) -> None:
    """The pose of the crop, in the image's own pixels; more images than are held at once, of two sizes."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 60 + k % 2, 3), dtype=np.uint8) for k in range(18)]
    files = [tmp_path / f"{number:02}.png" for number in range(18)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    actual = list(overlays(model, FrameSource(files, 32, crop, whole=True)))
    assert [image.shape for image in actual] == [image.shape for image in images]
    box = (center if crop == "center" else whole)(61, 40)
    poses = model.estimate(resized(Image.fromarray(images[17]), model.config.image_size, box)[None])
    points = from_crop(poses.keypoints[0].numpy(), box, model.config.image_size)
    prior = model.prior()
    links = prior.links()
    expected = draw_pose(images[17], points, links, [prior.strength(link) for link in links])
    np.testing.assert_array_equal(actual[17], expected)


def test_named_landmarks_are_drawn_without_links(model: PosePriorLearner, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    landmarks: Any = SimpleNamespace(
        apply_with_confidence=lambda points, confidence: (0 * points[:, :1], np.ones((1, 1)))
    )
    (drawn,) = overlays(model, FrameSource([tmp_path / "a.png"], 32, "center", whole=True), landmarks=landmarks)
    np.testing.assert_array_equal(drawn, draw_pose(image, np.array([[29.5, 19.5]]), confidence=np.ones(1)))


def test_a_video_is_not_drawn_over_itself(model: PosePriorLearner, tmp_path: Path) -> None:
    path = sorted(film_puppets(tmp_path / "films", "smoke").iterdir())[0]
    before = path.read_bytes()
    (tmp_path / "link.mp4").hardlink_to(path)
    for out in (path, tmp_path / "link.mp4", tmp_path / "films" / ".." / "films" / path.name):
        with pytest.raises(PplkitError, match="is the video to draw over"):
            pose_video(model, path, out)
    assert path.read_bytes() == before


def test_videos_and_folders_of_images(model: PosePriorLearner, tmp_path: Path) -> None:
    source = sorted(film_puppets(tmp_path / "films", "smoke").iterdir())[1]
    with av.open(str(pose_video(model, source, tmp_path / "posed.mp4"))) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert len(frames) == 6 and frames[0].shape == (120, 160, 3)
        assert float(file.streams.video[0].average_rate or 0) == 25
    files = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for path in files:
        Image.new("RGB", (30, 20), "red").save(path)
    written = pose_images(model, files, tmp_path / "out", "pad")
    assert [path.name for path in written] == ["00000-a.png", "00001-b.png"]
    assert Image.open(written[1]).size == (30, 20)


def test_drawn_videos_keep_the_clock_of_their_source(model: PosePriorLearner, tmp_path: Path) -> None:
    """Uneven times, a pause of 30 seconds, and frames that were never recorded."""
    seconds = [0.0, 0.04, 0.08, 0.12, 0.3, 0.31, 30.31, 30.35, 30.6, 30.7]
    write_video(tmp_path / "v.mp4", [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(10)], 25, seconds)
    tracks = track(Estimator(model), tmp_path / "v.mp4", bar=False)
    np.testing.assert_allclose(tracks.seconds, seconds, atol=1e-3)
    for out in (
        track_video(model, tmp_path / "v.mp4", tmp_path / "tracks.mp4", tracks),
        pose_video(model, tmp_path / "v.mp4", tmp_path / "poses.mp4"),
    ):
        assert [time for time, *_ in readable(out)] == pytest.approx(seconds, abs=1e-3)


def test_pages_are_drawn_and_long_names_shortened(model: PosePriorLearner, tmp_path: Path) -> None:
    stack, long = tmp_path / "s.gif", tmp_path / f"{'ü' * 120}.png"  # a name of 244 bytes
    pages = [Image.new("RGB", (30, 20), color) for color in ("red", "blue")]
    pages[0].save(stack, save_all=True, append_images=pages[1:])
    pages[0].save(long)
    written = pose_images(model, [stack, long], tmp_path / "out", "pad")
    assert [path.name for path in written] == ["00000-s-0.png", "00001-s-1.png", f"00002-{'ü' * 50}.png"]


def test_drawn_poses_of_files_arrays_and_videos(tiny: Config, tmp_path: Path) -> None:
    """One image at its own size, several as a sheet; of a video the frames that are meant."""
    model = PosePriorLearner(tiny).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    poses = model.estimate(image)
    expected = draw_pose(image, poses.pixels().numpy(), *strong_links(model.prior()))
    for drawn in (poses.draw(), model.estimate(tmp_path / "a.png").draw(), model.estimate([image])[0].draw()):
        np.testing.assert_array_equal(np.asarray(drawn), expected)
    np.testing.assert_array_equal(np.asarray(poses.draw(least=1.1)), image)
    film(tmp_path / "b.mp4", count=5)
    frames = model.estimate(tmp_path / "b.mp4")
    assert len(frames) == 5 and frames.draw().size == (3 * TILE, 2 * TILE)
    shown = list(FrameSource([tmp_path / "b.mp4"], 32, whole=True))
    np.testing.assert_array_equal(read_whole([frames.frames[3]])[0], shown[3].image)
    with pytest.raises(PplkitError, match="do not say of which images they are"):
        Poses(poses.keypoints, poses.confidence).draw()


def test_a_notebook_plays_the_video_and_keeps_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", [np.zeros((16, 16, 3), np.uint8)] * 3, 5)
    assert "data:video/mp4;base64," in overlay.shown_file(path)._repr_html_()
    monkeypatch.setattr(overlay, "EMBEDDED_BYTES", 10)
    assert "base64" not in overlay.shown_file(path)._repr_html_()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert overlay.shown_file(tmp_path / "a.png")._repr_mimebundle_()[0]["image/png"]
