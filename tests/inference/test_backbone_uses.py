"""A run that looks through a backbone is used like any other: occlusion, landmarks, tracks, exports."""

from pathlib import Path

import numpy as np
import pytest
from trainings import trained

import pplkit
from data_prep.synthetic.puppets import generate, layout
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.video_writer import write_video
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation.occlusion import occlusion_report
from pplkit.evaluation.report import evaluation_report
from pplkit.inference import tracking as tracks
from pplkit.inference.estimate import Estimator, estimate_files
from pplkit.inference.export.pose_formats import export_poses, pose_table
from pplkit.inference.landmarks.fitting import suggest
from pplkit.inference.landmarks.landmark_map import fit_landmarks
from pplkit.models.prior.config import Config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out, about = tmp_path_factory.mktemp("data") / "puppets", vars(layout("humanoid"))
    with DatasetWriter(out, name="puppets", size=64, protocol="h36m", **about) as writer:
        for number, split in enumerate(("train", "test")):
            made = generate("humanoid", 4, 6, size=64, seed=number)
            writer.add(split, **vars(made))
    return open_dataset(out)


@pytest.fixture(scope="module")
def run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained for eight steps, with a completer."""
    settings = {
        "image_size": 64,
        "paint_size": 32,
        "keypoints": 4,
        "backbone_views": 4,
        "steps": 8,
        "max_rotation": 0.3,
    }
    folder = tmp_path_factory.mktemp("runs") / "one"
    trained(Config.preset("photographs").smoke().replace(**settings), data, folder)
    pplkit.complete(folder, data, steps=2, device="cpu", bar=False)
    return folder


def test_the_occlusion_experiment_runs(run: Path, data: Dataset) -> None:
    report = occlusion_report(pplkit.load(run), data, amounts={"random": (0.3,)}, iterations=1, limit=6)
    rows = [row for row in report["rows"] if row["kind"] == "random"]
    assert {(row["procedure"], row["iteration"]) for row in rows} == {
        (name, number) for name in ("published", "completed") for number in (0, 1)
    }
    assert all(np.isfinite(row["error"]) for row in rows)


def test_it_is_evaluated_and_its_points_are_named(run: Path, data: Dataset) -> None:
    model = pplkit.load(run)
    report = evaluation_report(model, data)
    assert np.isfinite(report["relative_error"]) and report["test_images"] == 24
    chosen = suggest(model, data, 5)
    keypoints = model.estimate(np.asarray(data["train"].images)[chosen]).keypoints.numpy()
    named = fit_landmarks(keypoints, np.asarray(data["train"].keypoints)[chosen], data.keypoint_names, data.size)
    assert np.isfinite(named.apply(keypoints)).all()


def test_films_become_tracks_and_tables(run: Path, data: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV writes videos: pip install 'pplkit[data]'")
    model, frames = pplkit.load(run), np.asarray(data["test"].images)
    film = write_video(tmp_path / "a.mp4", iter(frames), 12)
    result = tracks.track(Estimator(model), film, bar=False)
    assert result.points.shape == (24, 4, 2) and np.isfinite(result.raw).all()
    table = pose_table(estimate_files(Estimator(model), [film]))
    export_poses(table, "csv", tmp_path / "a.csv", 0.0)
    assert len((tmp_path / "a.csv").read_text(encoding="utf8").splitlines()) == 1 + 24 * 4
