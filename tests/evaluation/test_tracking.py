"""Videos from end to end: tracks, named ones, what is damaged or hardly seen, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from sources import film

from pplkit.core.errors import PplkitError
from pplkit.data import video as frames
from pplkit.inference.estimate import estimate_files
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.inference.tracking import jitter, track, write_tracks
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.overlay import track_video


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


def test_a_video_from_end_to_end(model: PosePriorLearner, tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", 12)
    found = track(model, video, "pad", smoothing=0.0, least=0.0, bar=False)
    rows = estimate_files(model, [video], crop="pad")["images"]
    np.testing.assert_allclose(found.found, [row["keypoints"] for row in rows], atol=0.006)
    np.testing.assert_array_equal(found.points, found.found)
    assert (
        found.names == ["0", "1", "2", "3"]
        and not found.filled.any()
        and found.side == max(rows[0]["width"], rows[0]["height"])
    )
    smoothed = track(model, video, "pad", smoothing=1.0, least=0.0, batch_size=5, bar=False)
    off = np.square(smoothed.points - smoothed.found).sum(-1)
    assert np.sqrt(off.mean()) <= 1.01 * found.side / 32 and jitter(smoothed.points) <= jitter(smoothed.found)
    out = track_video(model, video, tmp_path / "posed.mp4", smoothed)
    with av.open(str(out)) as file:
        assert len(list(file.decode(video=0))) == 12


def test_a_video_cut_short_gives_the_tracks_of_what_is_left(
    model: PosePriorLearner, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = film(tmp_path / "a.mkv", 60)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    found = track(model, video, bar=False)
    said = capfd.readouterr().err
    assert 5 < len(found.seconds) < 55 and np.isfinite(found.found).all()
    assert said.count("\n") == 1 and said.startswith("pplkit: only a part of a video is used: ") and "a.mkv is " in said
    out = track_video(model, video, tmp_path / "drawn.mp4", found)
    assert not capfd.readouterr().err  # it has been said
    with av.open(str(out)) as file:
        assert len(list(file.decode(video=0))) == len(found.seconds)
    rows = estimate_files(model, [video, film(tmp_path / "b.mp4", 4)])["images"]
    assert len(rows) == len(found.seconds) + 4


def hide(monkeypatch: pytest.MonkeyPatch, hidden: set[int]) -> None:
    """Of every video the frames with these numbers cannot be decoded."""
    decoded = frames._decoded

    def damaged(container: Any, stream: Any) -> Iterator[Any]:
        for number, frame in enumerate(decoded(container, stream)):
            yield None if number in hidden else frame

    monkeypatch.setattr(frames, "_decoded", damaged)


@pytest.mark.parametrize("hidden", [{0, 1}, {5, 6, 7}, {11}])
def test_frames_that_are_damaged_count_as_not_seen(
    hidden: set[int],
    model: PosePriorLearner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    video = film(tmp_path / "a.mp4", 12)
    sound = track(model, video, smoothing=0.0, least=0.0, bar=False)
    hide(monkeypatch, hidden)
    found = track(model, video, smoothing=0.0, least=0.0, gap=3, bar=False)
    assert f"a.mp4 is damaged in {len(hidden)} place" in capfd.readouterr().err
    count = 11 if 11 in hidden else 12  # what lacks at the end nobody knows of
    there = [number for number in range(count) if number not in hidden]
    assert len(found.seconds) == count
    np.testing.assert_array_equal(found.points[there], sound.points[there])
    np.testing.assert_allclose(found.seconds[there], sound.seconds[there])
    lacking = [number for number in hidden if number < count]
    assert np.isnan(found.found[lacking]).all() and not found.confidence[lacking].any()
    inside = hidden == {5, 6, 7}
    assert found.filled[lacking].all() == inside and np.isfinite(found.points[lacking]).all() == inside or not lacking
    assert [row["frame"] for row in estimate_files(model, [video])["images"]] == there
    out = track_video(model, video, tmp_path / "drawn.mp4", found._replace(points=found.points[:-1]))
    with av.open(str(out)) as file:
        assert len(list(file.decode(video=0))) == len(there)  # one that the tracks do not have is drawn without points
    lines = write_tracks(tmp_path / "t.csv", found).read_text().splitlines()
    assert len(lines) == 1 + 4 * count and "nan" not in "".join(lines)


def test_a_video_of_which_all_is_damaged_is_refused(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "a.mp4", 6)
    hide(monkeypatch, set(range(6)))
    with pytest.raises(PplkitError, match=r"a\.mp4 is damaged in 6 places; copy or download it again or remove it$"):
        track(model, video, bar=False)


def test_frames_without_times_are_all_there(model: PosePriorLearner, tmp_path: Path) -> None:
    """Raw streams have none."""
    if "libx264" not in av.codecs_available:
        pytest.skip("PyAV has no encoder of H.264 here")
    video = tmp_path / "a.h264"
    with av.open(str(video), "w", format="h264") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * value, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    found = track(model, video, bar=False)
    np.testing.assert_allclose(found.seconds, np.arange(12) / 25)


def test_a_video_of_which_nothing_can_be_read_is_refused(model: PosePriorLearner, tmp_path: Path) -> None:
    video = film(tmp_path / "a.mkv", 60)
    video.write_bytes(video.read_bytes()[:900])
    with pytest.raises(PplkitError, match=r"a\.mkv .*copy or download it again or remove it$"):
        track(model, video, bar=False)


def test_named_tracks(model: PosePriorLearner, tmp_path: Path) -> None:
    """A landmark that is the third keypoint, moved: its track is that keypoint's, moved."""
    video = film(tmp_path / "a.mp4", 6)
    weights = np.zeros((1, 2, 4, 2))
    weights[0, :, 2] = np.eye(2)
    zero = np.zeros(1)
    named = LandmarkMap(["spot"], weights, np.array([[0.5, 0.0]]), zero, zero, zero)
    plain = track(model, video, least=0.0, smoothing=0.0, bar=False)
    found = track(model, video, least=0.0, smoothing=0.0, landmarks=named, bar=False)
    assert found.names == ["spot"]
    shift = 0.5 * 31 / 2 * plain.side / 32
    np.testing.assert_allclose(found.points[:, 0], plain.points[:, 2] + (shift, 0), atol=1e-3)
    np.testing.assert_allclose(found.confidence[:, 0], plain.confidence[:, 2], atol=1e-6)
    track_video(model, video, tmp_path / "named.mp4", found)


def test_confidence_goes_with_the_hand_it_is_of(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two keypoints change places in frame 3, the second is hardly seen there: it is the left hand that is not."""
    from pplkit.models.prior.outputs import Poses

    video = film(tmp_path / "a.mp4", 6)
    places, sure = torch.zeros(6, 4, 2), torch.ones(6, 4)
    places[:, 0, 0], places[:, 1, 0] = 0.5, -0.5
    places[3, :2] = places[3, [1, 0]]
    sure[3, 1] = 0.1
    monkeypatch.setattr(type(model), "estimate", lambda *_, **__: Poses(places, sure))
    weights = np.zeros((2, 2, 4, 2))
    weights[0, :, 0] = weights[1, :, 1] = np.eye(2)
    zero = np.zeros(2)
    hands = LandmarkMap(["left", "right"], weights, np.zeros((2, 2)), zero, zero, zero, pairs=[(0, 1)], told=0.5)
    found = track(model, video, smoothing=0.0, landmarks=hands, bar=False)
    assert np.ptp(found.found, axis=0).max() < 1e-3 and found.found[0, 0, 0] > found.found[0, 1, 0]
    np.testing.assert_allclose(found.confidence[:, 1], 1)
    np.testing.assert_allclose(found.confidence[:, 0], [1, 1, 1, 0.1, 1, 1], atol=1e-6)
    assert found.filled.tolist() == [[frame == 3, False] for frame in range(6)]


def test_what_is_not_sure_is_filled_or_left_open(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second keypoint is lost in one frame, the third in the last two, which have nothing after them."""
    from pplkit.models.prior.outputs import Poses

    def estimate(images: np.ndarray, *given: object, **named: object) -> Poses:
        sure = torch.ones(len(images), 4)
        sure[4, 1], sure[6:, 2] = 0.1, 0.1
        return Poses(torch.zeros(len(images), 4, 2), sure)

    monkeypatch.setattr(model, "estimate", estimate)
    found = track(model, film(tmp_path / "a.mp4", 8), bar=False)
    assert np.argwhere(found.filled).tolist() == [[4, 1]]
    assert np.argwhere(np.isnan(found.points[..., 0])).tolist() == [[6, 2], [7, 2]]


def test_what_is_wrong_is_said(model: PosePriorLearner, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(PplkitError, match="a.png is no video"):
        track(model, tmp_path / "a.png")
    with pytest.raises(PplkitError, match="smoothing=-1 is below 0"):
        track(model, tmp_path / "a.mp4", smoothing=-1)
    with pytest.raises(PplkitError, match="a.mp4 is missing"):
        track(model, tmp_path / "a.mp4", bar=False)
