"""From films to a moving character, tiny: every stage once, and again where something changed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lifters import TINY

import pplkit
from data_prep import films3d
from data_prep.motion_synthetic import lift_batch
from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json
from pplkit.data.dataset import Dataset
from pplkit.data.sequences import read_sequence
from pplkit.experiments import road
from pplkit.experiments.road import Road, skeleton_of, table_lines, travel, videos_in
from pplkit.inference.landmarks import landmark_head
from pplkit.inference.landmarks.landmark_head import HeadFit, LandmarkHead
from pplkit.models.prior.config import Config
from pplkit.training.tasks.lifting import train_lifter
from pplkit.training.tasks.prior import train


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Iterator[tuple[Road, Dataset]]:
    home = tmp_path_factory.mktemp("road")
    films3d.prepare(home / "films", films=2, seconds=0.8, size=48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPLKIT_HOME", str(home))
        data = pplkit.prepare(home / "films" / "clips", "video-people", size=32, crop="center", test_share=0.5)
    train(tiny.replace(image_size=32, backbone="random"), data, home / "prior", device="cpu", bar=False)
    train_lifter(TINY, lift_batch, home / "lifter", device="cpu", bar=False)
    plan = Road(
        videos=videos_in(home / "films" / "clips"), prior=home / "prior", lifter=home / "lifter", out=home / "out",
        labels=home / "films" / "labeled" / "labels.csv", character=home / "films" / "character.obj", method="filters",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmark_head, "STEPS", 4)
        yield plan, data


def test_every_stage_leaves_its_files_and_is_done_once(start: tuple[Road, Dataset]) -> None:
    plan, data = start
    said: list[str] = []
    rows = travel(plan, data, said.append)
    assert [row["video"] for row in rows] == ["film_00.mp4", "film_01.mp4"] and len(said) == 8
    folder = plan.out / "film_01"
    keypoints = read_sequence(folder / "keypoints" / road.KEYPOINTS)
    motion = read_sequence(folder / "motion" / road.MOTION)
    assert len(keypoints) == len(motion) == 20 and motion.space == "world"
    assert all((folder / name).stat().st_size > 1000 for name in ("motion/motion.bvh", "character/character.glb"))
    assert "film_01" in (folder / "character" / road.VIEW).read_text(encoding="utf-8")
    assert read_json(plan.out / "road.json", "")["videos"] == rows
    assert table_lines(rows)[0].startswith("| video | frames | seen") and "film_01.mp4" in table_lines(rows)[3]
    kept = (folder / "character" / road.VIEW).stat().st_mtime_ns
    assert travel(plan, data, said.append) == rows and len(said) == 8
    assert (folder / "character" / road.VIEW).stat().st_mtime_ns == kept


def test_a_stage_that_did_not_end_is_carried_out_again(start: tuple[Road, Dataset], tmp_path: Path) -> None:
    plan, data = start
    travel(plan, data)
    shutil.copytree(plan.out, tmp_path / "out")
    (tmp_path / "out" / "film_00" / "motion" / "stage.json").unlink()  # as after a kill
    said: list[str] = []
    travel(replace(plan, out=tmp_path / "out"), data, said.append)
    assert said == ["film_00.mp4: motion"]
    again, first = (
        read_sequence(out / "film_00" / "motion" / road.MOTION).points for out in (tmp_path / "out", plan.out)
    )
    assert np.array_equal(again, first)
    with pytest.raises(PplkitError, match="made with other settings"):
        travel(replace(plan, out=tmp_path / "out", method="fit"), data)


def test_a_head_that_helps_corrects_the_points(
    start: tuple[Road, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, data = start
    plain = travel(plan, data)
    head = LandmarkHead(128, 32, torch.full((15,), 0.1))
    monkeypatch.setattr(road, "fit_head", lambda model, labeled, landmarks: HeadFit(head, 0.05, 0.03))
    travel(replace(plan, out=tmp_path / "out", videos=plan.videos[:1]), data, print)
    assert (
        read_json(tmp_path / "out" / "road.json", "")["landmarks"].items()
        >= {"map_percent": 5, "head_percent": 3}.items()
    )
    corrected, before = (
        read_sequence(out / "film_00" / "keypoints" / road.KEYPOINTS).points for out in (tmp_path / "out", plan.out)
    )
    assert corrected.shape == before.shape and np.nanmax(np.abs(corrected - before)) > 0.1 and len(plain) == 2


def test_named_points_of_people_hang_together() -> None:
    skeleton = skeleton_of(("head_top", "neck", "pelvis", "left_hip", "right_hip", *_limbs()))
    bones = {(skeleton.joints[a], skeleton.joints[b]) for a, b in skeleton.bones}
    assert {("pelvis", "neck"), ("left_hip", "left_knee"), ("left_elbow", "left_wrist"), ("neck", "head_top")} <= bones
    assert skeleton_of(("tip", "tail")).parents == (-1, 0)


def _limbs() -> list[str]:
    return [f"{side}_{part}" for side in ("left", "right") for part in ("knee", "ankle", "shoulder", "elbow", "wrist")]


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="holds no video"):
        videos_in(tmp_path)
