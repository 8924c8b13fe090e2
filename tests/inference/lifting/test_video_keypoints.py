"""The kit's own 2D: a video, a pose prior with landmarks, a lifter."""

from pathlib import Path

import numpy as np
import pytest
from lifters import TINY, flat_lifter
from sources import film
from trainings import trained

import pplkit
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.skeletons import Skeleton
from pplkit.inference.landmarks.landmark_map import fit_landmarks
from pplkit.inference.lifting.video_keypoints import video_keypoints
from pplkit.models.prior.config import Config
from pplkit.training.saved_model import fingerprint

NAMES = ("hip", "left hand", "right hand")


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory, tiny: Config, puppets: Dataset) -> Path:
    """A run with landmarks, its first three keypoints."""
    run = tmp_path_factory.mktemp("runs") / "prior"
    trained(tiny, puppets, run)
    model = pplkit.load(run)
    keypoints = np.random.default_rng(0).uniform(-1, 1, (10, 4, 2))
    made_by = {"weights": fingerprint(model)}
    fit_landmarks(keypoints, keypoints[:, :3], NAMES, 32, made_by=made_by).save(run / "landmarks.json")
    return run


def test_landmarks_of_a_video_go_straight_to_the_lifter(prior: Path, tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mp4", 12)
    found = video_keypoints(video, prior, device="cpu")
    assert found.names == NAMES and found.points.shape == (12, 3, 2) and found.size is not None
    assert found.seconds is not None and found.fps == pytest.approx(1 / np.median(np.diff(found.seconds)))
    assert ((found.confidence > 0) == np.isfinite(found.points).all(-1)).all() and found.confidence.max() == 1
    body = Skeleton("body", NAMES, (-1, 0, 0), ((1, 2),))
    lifted = pplkit.lift(found, model=flat_lifter(TINY.for_skeleton(body, 30)))
    assert lifted.points.shape == (12, 3, 3) and lifted.size == found.size
    kept = tmp_path / "kept.json"
    (prior / "landmarks.json").rename(kept)
    assert np.array_equal(video_keypoints(video, prior, kept, device="cpu").points, found.points, equal_nan=True)
    with pytest.raises(PplkitError, match="landmarks.json"):
        video_keypoints(video, prior, device="cpu")
    with pytest.raises(PplkitError, match="poses.txt does not have the file name of a video"):
        video_keypoints(tmp_path / "poses.txt", prior)
