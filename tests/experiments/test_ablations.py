"""Comparisons of variants: their numbers over seeds, their table and their figures."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.synthetic.puppets import generate, layout
from pplkit import viz
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.ablations import _errors, _row, compare, table_text
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.run_folder import RunFolder

PRIOR = PosePrior(
    np.array([[0, -0.5], [0, 0], [0.5, 0.5], [-0.5, 0.5]], np.float32),
    np.array([[0, 4, 0, 0], [4, 0, 2, 2], [0, 2, 0, 0], [0, 2, 0, 0]], np.float32),
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """More images than a linear map from 16 keypoints has unknowns."""
    shape = layout("humanoid")
    names = {"keypoint_names": shape.keypoint_names, "skeleton": shape.skeleton, "groups": shape.groups}
    out = tmp_path_factory.mktemp("many") / "puppets"
    with DatasetWriter(out, name="many", size=32, protocol="cub", **names) as writer:
        for split, videos, seed in (("train", 10, 0), ("test", 2, 1)):
            made = generate("humanoid", videos, 4, size=32, seed=seed)
            writer.add(split, made.images, keypoints=made.keypoints, videos=made.videos, masks=made.masks)
    return open_dataset(out)


@pytest.fixture(scope="module")
def compared(tiny: Config, many: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablations")
    compare(tiny.replace(steps=2, keypoints=16), many, ["ppl", "free", "fixed"], [0, 1], folder, device="cpu")
    return folder


def test_a_comparison_has_mean_and_deviation_of_the_seeds(compared: Path) -> None:
    result = RunFolder(compared).read("ablations.json")
    assert list(result["rows"]) == ["ppl", "free", "fixed"] and result["seeds"] == [0, 1]
    for name, row in result["rows"].items():
        reports = [RunFolder(compared / f"{name}-{seed}").read("evaluation.json") for seed in (0, 1)]
        first, second = (report["relative_error"] for report in reports)
        error = row["relative_error"]
        assert error["seeds"] == [first, second]
        assert error["mean"] == pytest.approx((first + second) / 2)
        assert error["std"] == pytest.approx(abs(first - second) / 2**0.5)
        assert row["error"]["seeds"] == [report["error"] for report in reports]
        assert result["mean_pose"] == {"error": reports[0]["mean_pose_error"]}


def test_what_is_finished_is_not_trained_again(compared: Path, tiny: Config, many: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in compared.rglob("step-*.safetensors")}
    messages: list[str] = []
    config = tiny.replace(steps=2, keypoints=16)
    compare(config, many, ["ppl", "free"], [0, 1], compared, device="cpu", callback=messages.append)
    assert messages == ["ppl, seed 0", "ppl, seed 1", "free, seed 0", "free, seed 1"]
    assert {path: path.stat().st_mtime_ns for path in compared.rglob("step-*.safetensors")} == before


def test_the_table_names_the_published_numbers() -> None:
    values = {"seeds": [0.5, 0.7], "mean": 0.6, "std": 0.1414}
    rows = {
        "ppl": {
            "relative_error": values,
            "error 001.Bird": values,
            "prior_share": values,
            "diverged": 0,
            "published": "7",
        },
        "no-boundary": {"diverged": 2, "published": "unstable"},
    }
    result = {"rows": rows, "mean_pose": {"error": 0.2, "error 001.Bird": 0.25}, "protocol": "cub", "data": "birds"}
    table = table_text({**result, "steps": 30, "seeds": [0, 1]}).splitlines()
    heads = "| variant | error / mean pose's | error 001, % | pose by bending T, % | diverged | published "
    assert table[0] == heads + "(other data, other scale) |"
    assert table[2] == "| mean pose | 1.000 | 25.0 |  |  | none |"
    assert table[3] == "| ppl | 0.600 ± 0.141 | 60.0 ± 14.1 | 60.0 ± 14.1 |  | 7 |"
    assert table[4] == "| no-boundary |  |  |  | 2 | unstable |"
    assert table[6].startswith("birds, 30 steps, 2 seeds: mean ±") and "data and scale differ" in table[6]
    assert "0.6 |" in table_text({**result, "protocol": "taichi", "steps": 3, "seeds": [0]}).replace(" ± 0.1", "")


def test_classes_have_errors_of_their_own() -> None:
    report = {"error": 0.2, "mean_pose_error": 0.3, "classes": {"001.Bird": {"error": 0.1, "mean_pose_error": 0.4}}}
    row = _row("ppl", [report, {"diverged": "at step 3"}, {**report, "error": 0.4}])
    assert row["diverged"] == 1 and row["error"]["seeds"] == [0.2, 0.4]
    assert row["error 001.Bird"] == {"seeds": [0.1, 0.1], "mean": 0.1, "std": 0.0}
    assert _errors(report, "mean_pose_error") == {"error": 0.3, "error 001.Bird": 0.4}


def test_the_figure_shows_every_seed_of_every_variant(tmp_path: Path) -> None:
    first, second = ({"seeds": seeds, "mean": 0.6, "std": 0.1} for seeds in ([0.5, 0.7], [0.55, 0.65]))
    rows = {"ppl": {"relative_error": first}, "gone": {"diverged": 2}, "free": {"relative_error": second}}
    (axis,) = viz.ablation_points({"rows": rows}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["ppl", "free"]
    seeds = [points.get_offsets() for points in axis.collections if len(points.get_offsets()) == 2]  # type: ignore[arg-type]
    np.testing.assert_allclose(seeds, [[[0.5, 0], [0.7, 0]], [[0.55, 1], [0.65, 1]]])


def test_priors_stand_side_by_side() -> None:
    figure = viz.priors_figure({"ppl": PRIOR, "free": PRIOR, "fixed": PRIOR}, columns=2)
    assert [axis.get_title() for axis in figure.axes if axis.get_visible()] == ["ppl", "free", "fixed"]


def test_a_training_that_diverges_is_a_row(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    wild = tiny.replace(steps=20, learning_rate=1e30, connectivity_learning_rate=1e30)
    result = compare(wild, puppets, ["ppl"], [0], tmp_path, device="cpu")
    assert result["rows"]["ppl"]["diverged"] == 1 and "relative_error" not in result["rows"]["ppl"]


@pytest.mark.parametrize(("variants", "seeds"), [([], [0]), (["ppl"], [])])
def test_nothing_to_compare_is_refused(
    variants: list[str], seeds: list[int], tiny: Config, puppets: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(PplkitError, match="must each name at least one"):
        compare(tiny, puppets, variants, seeds, tmp_path)
    assert list(tmp_path.iterdir()) == []
