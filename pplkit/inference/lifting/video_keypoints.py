"""The kit's own 2D: named landmarks that a pose prior tracks in a video, as keypoints for lifting."""

import os
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.reader import is_video
from pplkit.data.video import frame_size
from pplkit.inference.estimate import Estimator
from pplkit.inference.landmarks.fitting import MAP, load_landmarks
from pplkit.inference.landmarks.landmark_head import head_file, load_head
from pplkit.inference.lifting.detector_files import confidence_of
from pplkit.inference.lifting.people import Keypoints
from pplkit.inference.tracking import track
from pplkit.training.saved_model import load

FILLED = 0.1  # confidence, at least, of a point in a short gap that the track has filled


def video_keypoints(
    video: str | os.PathLike[str],
    run: str | os.PathLike[str],
    landmarks: str | os.PathLike[str] | None = None,
    *,
    crop: str | None = None,
    device: str = "auto",
    bar: bool = False,
) -> Keypoints:
    """The named landmarks of a pose prior in a video, smooth, with their confidence relative to its usual value.

    Args:
        video: the video file.
        run: the run folder of the prior.
        landmarks: the file that `pplkit landmarks` has written; by default that of the run. A head in a file of the
            same name that ends in .safetensors corrects them (`inference.landmarks.landmark_head`).
        crop: the square of each frame that the model sees; by default that of the training.
        device: where the model runs.
        bar: whether to show progress.

    Raises PplkitError for a file that is no video, and landmarks that are missing or of another model.
    """
    video, run = Path(video), Path(run)
    if not is_video(video):
        raise PplkitError(f"{video} does not have the file name of a video: give a file such as {video.stem}.mp4.")
    model = load(run, device)
    names = load_landmarks(run, model, None if landmarks is None else Path(landmarks))
    head = load_head(head_file(run / MAP if landmarks is None else Path(landmarks)), names, model)
    tracks = track(Estimator(model, crop=crop or model.crop, landmarks=names, head=head), video, bar=bar)
    usual = np.array([np.median(values[values > 0]) if (values > 0).any() else 1.0 for values in tracks.confidence.T])
    confidence = confidence_of(tracks.confidence / usual)
    confidence = np.where(tracks.filled, np.maximum(confidence, FILLED), confidence)
    missing = ~np.isfinite(tracks.points).all(-1)
    return Keypoints(
        points=tracks.points, confidence=np.where(missing, 0, confidence), source=str(video), names=tuple(tracks.names),
        seconds=tracks.seconds, fps=_rate(tracks.seconds), size=frame_size(video),
    )  # fmt: skip


def _rate(seconds: np.ndarray) -> float | None:
    return float(1 / np.median(np.diff(seconds))) if len(seconds) > 1 else None
