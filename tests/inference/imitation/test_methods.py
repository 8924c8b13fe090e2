"""`imitate`: its methods, its report, and what it refuses."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from strides import lifted, walk

from pplkit.core.errors import PplkitError
from pplkit.inference.imitation import methods
from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.methods import METHODS, imitate


@pytest.mark.parametrize(("method", "settings"), [("filters", {}), ("fit", {"iterations": 60})])
def test_each_method_gives_motion_and_a_report_with_truth_or_without(method: str, settings: dict[str, int]) -> None:
    truth = walk(40)
    motion, report = imitate(lifted(truth), method, truth=truth, **settings)
    assert motion.points.shape == truth.points.shape and motion.space == "world" and motion.fps == 30
    assert report.after.keys() >= report.before.keys() > {"mpjpe_mm", "skate_cm_s", "bone_deviation_mm"}
    assert report.after["bone_deviation_mm"] < 1e-3 and report.before["bone_deviation_mm"] > 20
    assert report.after["mpjpe_mm"] < report.before["mpjpe_mm"]
    assert "skate cm s" in str(report) and report.contact.shape == (40, 2)
    assert "mpjpe_mm" not in imitate(lifted(truth), method, **settings)[1].after


def test_a_clip_of_25_frames_a_second_is_imitated_at_30() -> None:
    truth = walk(51, 25.0)
    motion, report = imitate(lifted(truth), "filters", fps=30, truth=truth)
    assert motion.fps == 30 and len(motion) == 61 and report.after["mpjpe_mm"] < 70


def test_the_truth_is_compared_in_the_axes_of_the_result() -> None:
    truth = walk(40)
    report = imitate(replace(truth, points=truth.points + np.float32(0)), "filters", gravity="estimated", truth=truth)[
        1
    ]
    assert report.before["world_mpjpe_mm"] == pytest.approx(0, abs=0.01)
    with pytest.raises(PplkitError, match="the truth has other frames"):
        imitate(truth, "filters", truth=walk(41))


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(PplkitError, match="method 'filter' is unknown.*filters"):
        imitate(walk(5), "filter")
    with pytest.raises(PplkitError, match="setting 'smooth' of method filters is unknown.*smoothing"):
        imitate(walk(5), "filters", smooth=1)


def test_a_method_that_fails_is_reported_and_numbers_of_its_own_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(clip: Clip, *, force: float = 0.0) -> Imitation:
        return Imitation(clip.points / force, {"force_n": force})

    monkeypatch.setitem(METHODS, "explode", "somewhere")
    module = SimpleNamespace(import_module=lambda _: SimpleNamespace(imitate_clip=explode))
    monkeypatch.setattr(methods, "importlib", module)
    with pytest.raises(PplkitError, match="did not come to finite poses"), np.errstate(all="ignore"):
        imitate(walk(5), "explode")
    assert imitate(walk(5), "explode", force=1.0)[1].after["force_n"] == 1
