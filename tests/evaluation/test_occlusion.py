"""The occlusion experiment: its arithmetic by hand, and a report on a small model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import with_completer

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.occlusion import Covered, cover, objects
from pplkit.data.sampling import evenly_spaced
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation import occlusion
from pplkit.evaluation.occlusion import (
    Setting,
    analyze_rounds,
    auroc,
    bootstrap_interval,
    confidence_report,
    inference_cost,
    iterate,
    occlusion_report,
    occlusion_table,
    seed_table,
)
from pplkit.evaluation.report import evaluation_report
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Iteration, Poses


@pytest.fixture(scope="module")
def plain(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    made = PosePriorLearner(tiny.replace(affine_init="place", sharpness=30.0)).eval()
    made.made_by = {"run": "untrained"}
    return made


@pytest.fixture(scope="module")
def model(plain: PosePriorLearner) -> PosePriorLearner:
    made = PosePriorLearner(plain.config)
    made.load_state_dict(plain.state_dict())
    return with_completer(made)


@pytest.mark.parametrize(
    ("values", "positive", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0.0),
        ([0.1, 0.8, 0.2, 0.9], [0, 0, 1, 1], 0.75),  # of four pairs, 0.2 before 0.8 is wrong
        ([0.5, 0.5, 0.5], [0, 1, 1], 0.5),
        ([0.5, 0.5, 0.7], [0, 1, 1], 0.75),
        ([0.3, 0.4], [1, 1], None),
        ([0.3, 0.4], [0, 0], None),
    ],
)
def test_auroc_by_hand(values: list[float], positive: list[int], expected: float | None) -> None:
    assert auroc(np.array(values), np.array(positive, bool)) == expected


def test_the_mean_of_an_interval_by_hand() -> None:
    """Each distance counts once, not each image; NaN does not count."""
    distances = np.array([[1.0, 3.0], [5.0, np.nan], [100.0, 100.0]])
    chosen = np.array([[True, True], [True, True], [False, False]])
    interval = bootstrap_interval(distances, chosen)
    assert interval is not None and interval[0] == pytest.approx(3.0) and 2.0 <= interval[1] < 3.0 < interval[2] <= 5.0
    assert bootstrap_interval(np.full((3, 2), 0.7), np.ones((3, 2), bool)) == pytest.approx([0.7] * 3)
    assert bootstrap_interval(distances, np.zeros((3, 2), bool)) is None
    assert bootstrap_interval(np.full((3, 2), np.nan), np.ones((3, 2), bool)) is None


def test_more_images_narrow_the_interval() -> None:
    """Four times as many: half as wide. 95 % of a mean of 75 uniform numbers: 2 * 1.96 / sqrt(12 * 75)."""
    distances, widths = np.random.default_rng(0).uniform(0, 1, (400, 3)), []
    for count in (25, 100):
        interval = bootstrap_interval(distances[:count], np.ones((count, 3), bool))
        assert interval is not None and interval[1] < interval[0] < interval[2]
        widths.append(interval[2] - interval[1])
    assert widths[0] == pytest.approx(0.131, rel=0.3) and widths[1] / widths[0] == pytest.approx(0.5, abs=0.15)


LEFT = np.zeros((2, 9, 9), bool)
LEFT[:, :, :4] = True  # x < 0
ACROSS = np.stack([np.array([[-0.5, 0], [0.5, 0], [-0.75, 0.5], [0.75, -0.5]] * 2)] * 2)  # (2, 8, 2), half of it hidden
AWAY = np.array([[0.25, 0.02, 0.35, 0.04, 0.45, 0.06, 0.55, 0.08], [0.3, 0.03, 0.4, 0.05, 0.5, 0.07, 0.6, 0.09]])


def setting(kind: str, sure: np.ndarray, expected: np.ndarray | None = None) -> Setting:
    """Eight keypoints in two images, `AWAY` to the right of their places; the hidden ones are farther away."""
    keypoints = torch.from_numpy(ACROSS + AWAY[..., None] * [1, 0])
    more = () if expected is None else (torch.from_numpy(expected), torch.zeros(2, 8))
    images = torch.zeros(2, 3, 9, 9)
    rounds = [Iteration(images, Poses(keypoints, torch.from_numpy(sure), *more))]
    return Setting(kind, 4, Covered(images, LEFT), {"published": rounds})


def test_right_and_wrong_confidence() -> None:
    right, wrong = 1 - AWAY, AWAY
    result = confidence_report([setting("none", wrong), setting("center", right)], "published", ACROSS)
    assert (result["auroc"], result["rank_correlation"]) == (1.0, pytest.approx(-1))
    assert result["kinds"] == {"center": {"auroc": 1.0, "rank_correlation": pytest.approx(-1)}}
    assert len(result["calibration"]) == 8
    # The least sure two are 0.6 and 0.55 away, in images of 9 pixels: 4 of them to the unit.
    first, last = result["calibration"][0], result["calibration"][-1]
    assert first == {"sure": pytest.approx(0.425), "away": pytest.approx(0.575 * 4 / 9), "hidden": 1.0}
    assert last == {"sure": pytest.approx(0.975), "away": pytest.approx(0.025 * 4 / 9), "hidden": 0.0}
    result = confidence_report([setting("center", right), setting("random", wrong)], "published", ACROSS)
    assert result["kinds"]["random"] == {"auroc": 0.0, "rank_correlation": pytest.approx(1)}
    assert result["kinds"]["center"]["auroc"] == 1.0 and 0.3 < result["auroc"] < 0.7
    assert confidence_report([setting("none", right)], "published", ACROSS) == {}


def test_the_expected_distance_is_part_of_the_calibration() -> None:
    report = confidence_report([setting("center", 1 - AWAY, expected=2 * AWAY)], "published", ACROSS)
    assert all(part["expected"] == pytest.approx(2 * part["away"] * 9 / 4) for part in report["calibration"])


def test_constant_confidence_tells_nothing() -> None:
    report = confidence_report([setting("center", np.full((2, 8), 0.5))], "published", ACROSS)
    assert (report["auroc"], report["rank_correlation"]) == (0.5, None)


def test_the_analysis_by_hand(plain: PosePriorLearner) -> None:
    """White images of 5 pixels, a grey corner of four pixels; the memory moves the pose by (0.3, 0.4), rounds by 1."""
    images, grey = np.full((2, 5, 5, 3), 255, np.uint8), torch.ones(2, 3, 5, 5)
    grey[:, :, :2, :2] = 0
    hidden = np.zeros((2, 5, 5), bool)
    hidden[:, :2, :2] = True
    start = torch.zeros(2, 4, 2)

    def made(painted: float, *shifts: float) -> list[Iteration]:
        """Rounds whose poses have moved so far to the right; `painted` is what stands in the corner afterwards."""
        after, rounds = torch.full((2, 3, 5, 5), -1.0), []
        after[:, :, :2, :2] = painted
        for shift in shifts:
            poses = start + torch.tensor([shift, 0])
            rounds.append(Iteration(grey, Poses(poses, torch.ones(2, 4)), poses + torch.tensor([0.3, 0.4]), after))
        return rounds

    ways = {"published": made(0.5, 0.0, 1.0, -1.0), "completed": made(7.0, 0.0, 0.0, 0.0)}
    nothing = Setting("none", 0, Covered(torch.ones(2, 3, 5, 5), 0 * hidden > 0), ways)
    first, second = analyze_rounds(plain, [nothing, Setting("center", 8, Covered(grey, hidden), ways)], images)
    assert first.keys() == {"kind", "amount", "recall", "banks", "drift"} and first["kind"] == "none"
    unit = 4 / 10  # image sides
    assert second["recall"] == pytest.approx(0.5 * unit) and second["drift"] == pytest.approx([unit, 2 * unit])
    assert second["banks"] == 0
    assert second["grey"] == pytest.approx(0.5)
    assert second["painted"] == {"published": pytest.approx(0.25), "completed": 0}  # 7 is white


def test_banks_that_take_another_vector_are_counted(plain: PosePriorLearner) -> None:
    draw, images, settings = torch.Generator().manual_seed(0), torch.zeros(6, 3, 5, 5), []
    for kind, size in (("none", 0.1), ("center", 9.0)):
        poses = size * torch.randn(6, 4, 2, generator=draw)
        rounds = [Iteration(images, Poses(poses, torch.ones(6, 4)), poses, images)]
        settings.append(Setting(kind, 4, Covered(images, np.zeros((6, 5, 5), bool)), {"published": rounds}))
    first, second = analyze_rounds(plain, settings, np.zeros((6, 5, 5, 3), np.uint8))
    with torch.no_grad():
        chosen = [plain.memory(one.rounds["published"][0].poses.keypoints).assignments for one in settings]
    assert first["banks"] == 0 and first["drift"] == []
    assert second["banks"] == pytest.approx((chosen[0] != chosen[1]).float().mean().item()) and second["banks"] > 0


Row = dict[str, Any]


def reported(model: PosePriorLearner, data: Dataset, said: list[str]) -> dict[tuple[Any, ...], Row]:
    """Rows of a report by kind, amount, procedure and iteration."""
    amounts = {"center": (8, 32), "random": (0.0,), "things": (0.5,)}
    fronts = objects(data["test"], [0, 1])
    report = occlusion_report(
        model, data, amounts=amounts, iterations=1, limit=6, occluders=fronts, callback=said.append
    )
    json.dumps(report)
    assert report["test_images"] == 6 and report["iterations"] == 1 and report["made_by"] == model.made_by
    assert [(row["kind"], row["amount"]) for row in report["analysis"]] == [
        ("none", 0), ("center", 8), ("center", 32), ("random", 0), ("things", 0.5)
    ]  # fmt: skip
    names = ("kind", "amount", "procedure", "iteration")
    assert set(report["confidence"]) == {row["procedure"] for row in report["rows"]}
    return {tuple(row[name] for name in names): row for row in report["rows"]}


def test_a_report_has_a_row_for_everything(plain: PosePriorLearner, model: PosePriorLearner, puppets: Dataset) -> None:
    said: list[str] = []
    rows = reported(model, puppets, said)
    assert said == ["none 0", "center 8", "center 32", "random 0", "things 0.5"]
    assert len(rows) == 5 * 2 * 2 and list(rows)[0] == ("none", 0, "published", 0)
    error = evaluation_report(plain, puppets, limit=6)["error"]
    for kind in ("none", "random"):  # 0 % of the patches are nothing
        row = rows[kind, 0, "published", 0]
        assert row["error"] == pytest.approx(error, rel=1e-4)
        assert row["hidden"] is None and row["all"] == row["visible"]
    for row in rows.values():
        assert row["all"][0] == pytest.approx(row["error"], rel=1e-4)
    everything = rows["center", 32, "completed", 1]
    assert everything["visible"] is None and everything["hidden"] is not None
    assert rows["center", 8, "published", 0]["error"] != rows["center", 8, "completed", 0]["error"]
    alone = reported(plain, puppets, [])
    assert len(alone) == 5 * 2 and {key[2] for key in alone} == {"published"}
    for key, row in alone.items():
        assert row == rows[key]


def test_without_labels_distances_are_those_to_the_complete_images_pose(
    model: PosePriorLearner, puppets: Dataset, tmp_path: Path
) -> None:
    with DatasetWriter(tmp_path / "pictures", name="pictures", size=32) as writer:
        for name, split in puppets.splits.items():
            writer.add(name, np.array(split.images))
    pictures = open_dataset(tmp_path / "pictures")
    report = occlusion_report(model, pictures, amounts={"center": (16,)}, iterations=1, limit=5)
    assert report["measure"] == "distance to the pose of the complete image"
    rows = {(row["kind"], row["procedure"], row["iteration"]): row for row in report["rows"]}
    assert rows["none", "published", 0]["error"] == 0 and rows["none", "completed", 0]["error"] > 0
    images = np.array(pictures["test"].images[evenly_spaced(pictures["test"], 5)])
    complete = model.estimate(images, procedure="published").keypoints
    covered = model.estimate(cover(images, "center", 16).images, procedure="published").keypoints
    expected = (covered - complete).norm(dim=-1).mean().item() * 31 / 64
    assert rows["center", "published", 0]["error"] == pytest.approx(expected, rel=1e-4)


def test_rounds_in_batches_are_the_same(
    model: PosePriorLearner, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered = cover(np.array(puppets["test"].images[:5]), "center", 8)
    for procedure in ("published", "completed"):
        whole = iterate(model, covered, 2, procedure)
        with monkeypatch.context() as patch:
            patch.setattr(occlusion, "BATCH_SIZE", 2)
            parts = iterate(model, covered, 2, procedure)
        assert len(whole) == len(parts) == 3
        for a, b in zip(whole, parts, strict=True):
            torch.testing.assert_close(a.poses.keypoints, b.poses.keypoints, atol=1e-4, rtol=1e-4)
            for name in ("images", "reconstruction", "decoded_pose"):
                torch.testing.assert_close(getattr(a, name), getattr(b, name), atol=1e-4, rtol=1e-4)


def test_tables_by_hand() -> None:
    def row(kind: str, amount: float, iteration: int, error: float, hidden: list[float] | None) -> Row:
        names = {"kind": kind, "amount": amount, "procedure": "published", "iteration": iteration}
        return {**names, "error": error, "hidden": hidden}

    rows = [row("none", 0, 0, 0.01, None), row("none", 0, 1, 0.5, None), row("none", 0, 2, 0.02, None)]
    rows += [row("center", 8, k, 0.03 + k / 100, [0.06 + k / 100, 0, 1]) for k in range(3)]
    confidence = {"auroc": 0.75, "rank_correlation": None}
    report = {"rows": rows, "confidence": {"published": confidence}, "iterations": 2}
    lines = occlusion_table(report)
    assert [line.split() for line in lines] == [
        ["hidden", "published", "0", "published", "2"],
        ["nothing", "0.0100", "0.0200"],
        ["center", "8", "0.0300", "(0.0600)", "0.0500", "(0.0800)"],
    ]
    assert len({len(line) for line in lines}) == 1
    other = {**report, "rows": [{**row, "error": row["error"] + 0.02} for row in rows]}
    lines = seed_table([report, other])
    assert lines[0] == "% of the image side, 2 runs" and "2.00 ± 1.41" in lines[2] and "(6.00 ± 0.00)" in lines[3]
    assert lines[4:] == ["published auroc: 0.75 ± 0.00", "published rank_correlation: none"]


def test_the_cost_is_measured_for_every_round(plain: PosePriorLearner, model: PosePriorLearner) -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    costs = inference_cost(model, images, 1)
    assert {name: len(times) for name, times in costs.items()} == {"published": 2, "completed": 2}
    assert min(min(times) for times in costs.values()) > 0
    assert list(inference_cost(plain, images, 0)) == ["published"]


@pytest.mark.parametrize("amounts", [{}, {"center": [], "random": ()}])
def test_hiding_nothing_is_refused(tiny: Config, puppets: Dataset, amounts: dict[str, Any]) -> None:
    with pytest.raises(PplkitError, match="nothing is hidden: give at least one amount of"):
        occlusion_report(PosePriorLearner(tiny).eval(), puppets, amounts=amounts)
