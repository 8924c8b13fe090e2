"""Tracks of a video from end to end, tracks of landmarks, damaged and hardly visible frames, and refused files."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from sources import film

from pplkit.core.errors import PplkitError
from pplkit.data import video as frames
from pplkit.data.label_readers import TRACK_TABLE, read_labels
from pplkit.geometry.trajectories import jitter
from pplkit.inference.estimate import Estimator, estimate_files
from pplkit.inference.landmarks.landmark_map import LandmarkMap
from pplkit.inference.tracking import Tracks, confidence_weights, summary, track, write_tracks
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Poses
from pplkit.viz.overlay import track_video


@pytest.fixture(scope="module")
def estimator(model: PosePriorLearner) -> Estimator:
    return Estimator(model)


def frame_count(path: Path) -> int:
    with av.open(str(path)) as file:
        return len(list(file.decode(video=0)))


def test_a_video_from_end_to_end(model: PosePriorLearner, tmp_path: Path) -> None:
    video, estimator = film(tmp_path / "a.mp4", 12), Estimator(model, crop="pad", batch_size=5)
    plain = track(estimator, video, smoothing=0.0, least=0.0, bar=False)
    rows = estimate_files(Estimator(model, crop="pad"), [video])["images"]
    np.testing.assert_allclose(plain.raw, [row["keypoints"] for row in rows], atol=0.006)
    np.testing.assert_array_equal(plain.points, plain.raw)
    assert plain.names == ["0", "1", "2", "3"] and not plain.filled.any()
    assert plain.side == max(rows[0]["width"], rows[0]["height"])
    smoothed = track(estimator, video, smoothing=1.0, least=0.0, bar=False)
    distance = np.square(smoothed.points - smoothed.raw).sum(-1)
    assert np.sqrt(distance.mean()) <= 1.01 * plain.side / 32 and jitter(smoothed.points) <= jitter(smoothed.raw)
    assert frame_count(track_video(model, video, tmp_path / "posed.mp4", smoothed)) == 12


def test_a_truncated_video_gives_the_tracks_of_its_readable_part(
    estimator: Estimator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = film(tmp_path / "a.mkv", 60)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    tracks = track(estimator, video, bar=False)
    message = capfd.readouterr().err
    assert 5 < len(tracks.seconds) < 55 and np.isfinite(tracks.raw).all()
    assert message.count("\n") == 1 and message.startswith("pplkit: only a part of a video is used: ")
    out = track_video(estimator.model, video, tmp_path / "drawn.mp4", tracks)
    assert not capfd.readouterr().err  # only once
    assert frame_count(out) == len(tracks.seconds)
    rows = estimate_files(estimator, [video, film(tmp_path / "b.mp4", 4)])["images"]
    assert len(rows) == len(tracks.seconds) + 4


def hide(monkeypatch: pytest.MonkeyPatch, hidden: set[int]) -> None:
    """Frames with these numbers cannot be decoded."""
    decoded = frames._decoded

    def damaged(container: Any, stream: Any) -> Iterator[Any]:
        for number, frame in enumerate(decoded(container, stream)):
            yield None if number in hidden else frame

    monkeypatch.setattr(frames, "_decoded", damaged)


@pytest.mark.parametrize("hidden", [{0, 1}, {5, 6, 7}, {11}])
def test_damaged_frames_count_as_not_visible(
    hidden: set[int], estimator: Estimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "a.mp4", 12)
    sound = track(estimator, video, smoothing=0.0, least=0.0, bar=False)
    hide(monkeypatch, hidden)
    tracks = track(estimator, video, smoothing=0.0, least=0.0, gap=3, bar=False)
    readable, missing = sorted({*range(12)} - hidden), sorted(hidden)
    np.testing.assert_array_equal(tracks.seconds, sound.seconds)
    np.testing.assert_array_equal(tracks.points[readable], sound.points[readable])
    assert np.isnan(tracks.raw[missing]).all() and not tracks.confidence[missing].any()
    inside = hidden == {5, 6, 7}
    assert tracks.filled[missing].all() == np.isfinite(tracks.points[missing]).all() == inside
    assert [row["frame"] for row in estimate_files(estimator, [video])["images"]] == readable
    assert frame_count(track_video(estimator.model, video, tmp_path / "drawn.mp4", tracks)) == len(readable)
    lines = write_tracks(tmp_path / "t.csv", tracks).read_text().splitlines()
    assert len(lines) == 1 + 4 * 12 and "nan" not in "".join(lines)


def test_unreadable_videos_and_numbers_below_0_are_refused(
    estimator: Estimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PplkitError, match="a.png does not have the file name of a video"):
        track(estimator, tmp_path / "a.png")
    with pytest.raises(PplkitError, match="smoothing=-1 is below 0"):
        track(estimator, tmp_path / "a.mp4", smoothing=-1)
    with pytest.raises(PplkitError, match="none.mp4 is missing"):
        track(estimator, tmp_path / "none.mp4", bar=False)
    header = film(tmp_path / "a.mkv", 60)
    header.write_bytes(header.read_bytes()[:900])
    with pytest.raises(PplkitError, match=r"a\.mkv .*copy or download it again or remove it$"):
        track(estimator, header, bar=False)
    video = film(tmp_path / "b.mp4", 6)
    hide(monkeypatch, set(range(6)))
    with pytest.raises(PplkitError, match=r"b\.mp4 is damaged in 6 places; copy or download it again or remove it$"):
        track(estimator, video, bar=False)


def test_frames_without_times_are_all_tracked(estimator: Estimator, tmp_path: Path) -> None:
    """Raw streams have no times."""
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
    np.testing.assert_allclose(track(estimator, video, bar=False).seconds, np.arange(12) / 25)


def landmarks(names: list[str], keypoints: list[int], shift: float = 0.0, **options: Any) -> LandmarkMap:
    """Landmarks at keypoints, moved to the right by `shift`."""
    count = len(names)
    weights, zero = np.zeros((count, 2, 4, 2)), np.zeros(count)
    for number, keypoint in enumerate(keypoints):
        weights[number, :, keypoint] = np.eye(2)
    return LandmarkMap(names, weights, np.tile([shift, 0.0], (count, 1)), zero, zero, zero, **options)


def test_tracks_of_landmarks(model: PosePriorLearner, tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", 6)
    plain = track(Estimator(model), video, least=0.0, smoothing=0.0, bar=False)
    spot = Estimator(model, landmarks=landmarks(["spot"], [2], 0.5))
    tracks = track(spot, video, least=0.0, smoothing=0.0, bar=False)
    assert tracks.names == ["spot"]
    shift = 0.5 * 31 / 2 * plain.side / 32
    np.testing.assert_allclose(tracks.points[:, 0], plain.points[:, 2] + (shift, 0), atol=1e-3)
    np.testing.assert_allclose(tracks.confidence[:, 0], plain.confidence[:, 2], atol=1e-6)
    track_video(model, video, tmp_path / "named.mp4", tracks)


def test_confidence_moves_with_its_hand(
    model: PosePriorLearner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two keypoints change places in frame 3, where the second is hardly visible: it is the left hand that is not."""
    points, confidence = torch.zeros(6, 4, 2), torch.ones(6, 4)
    points[:, 0, 0], points[:, 1, 0] = 0.5, -0.5
    points[3, :2] = points[3, [1, 0]]
    confidence[3, 1] = 0.1
    monkeypatch.setattr(type(model), "estimate", lambda *_, **__: Poses(points, confidence))
    hands = landmarks(["left", "right"], [0, 1], pairs=[(0, 1)], side_accuracy=0.5)
    tracks = track(Estimator(model, landmarks=hands), film(tmp_path / "a.mp4", 6), smoothing=0.0, bar=False)
    assert np.ptp(tracks.raw, axis=0).max() < 1e-3 and tracks.raw[0, 0, 0] > tracks.raw[0, 1, 0]
    np.testing.assert_allclose(tracks.confidence, [[1, 1]] * 3 + [[0.1, 1]] + [[1, 1]] * 2, atol=1e-6)
    assert tracks.filled.tolist() == [[frame == 3, False] for frame in range(6)]


def test_points_of_low_confidence_are_filled_or_left_open(
    estimator: Estimator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second keypoint is lost in one frame, the third in the last two, which have nothing after them."""

    def estimate(images: np.ndarray, *given: object, **named: object) -> Poses:
        confidence = torch.ones(len(images), 4)
        confidence[4, 1], confidence[6:, 2] = 0.1, 0.1
        return Poses(torch.zeros(len(images), 4, 2), confidence)

    monkeypatch.setattr(estimator.model, "estimate", estimate)
    tracks = track(estimator, film(tmp_path / "a.mp4", 8), bar=False)
    assert np.argwhere(tracks.filled).tolist() == [[4, 1]]
    assert np.argwhere(np.isnan(tracks.points[..., 0])).tolist() == [[6, 2], [7, 2]]


def test_weights_are_squared_confidence_or_0() -> None:
    confidence = np.array([[0.9, 0.9], [0.1, 0.8], [0, 0], [0, 0], [0, 0]])  # the median leaves out unreadable frames
    np.testing.assert_allclose(confidence_weights(confidence), [[0.81, 0.81], [0, 0.64], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_allclose(confidence_weights(confidence, 0.0), confidence**2)
    assert not confidence_weights(np.zeros((3, 2))).any()


def test_the_table_has_a_line_for_each_point_of_each_frame(tmp_path: Path) -> None:
    raw = np.arange(8.0).reshape(2, 2, 2)
    points = raw + 0.25
    points[1, 0] = np.nan
    confidence, filled = np.array([[0.5, 0.25], [0.01, 1.0]]), np.array([[False, True], [False, False]])
    tracks = Tracks(["a", "b"], np.array([0.0, 0.04]), points, raw, confidence, filled, 32.0)
    path = write_tracks(tmp_path / "tracks.csv", tracks)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(TRACK_TABLE) and len(rows) == 4
    assert list(rows[1].values()) == ["0", "0.0000", "b", "2.25", "3.25", "0.2500", "1", "2.00", "3.00"]
    assert (rows[2]["x"], rows[2]["y"], rows[2]["found_x"]) == ("", "", "4.00")
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.csv"]
    with pytest.raises(PplkitError, match="put it beside that, called tracks"):
        read_labels(path)
    for name in ("other.mp4", "tracks.mp4"):
        (tmp_path / name).touch()
    labels = read_labels(path)  # round trip to 0.01 pixels
    assert labels.names == ["a", "b"] and list(labels.objects) == ["tracks.mp4 frame 0", "tracks.mp4 frame 1"]
    for (label,), frame in zip(labels.objects.values(), points, strict=True):
        np.testing.assert_allclose(label.points, frame, atol=0.01)
    with pytest.raises(PplkitError, match="tracks.csv cannot be written"):
        write_tracks(tmp_path / "none" / "tracks.csv", tracks)
    assert summary(tracks) == ["2 frames, 2 points", "filled 25.0%, left open 25.0%"]  # too few for an acceleration
