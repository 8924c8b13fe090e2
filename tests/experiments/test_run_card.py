"""Cards of runs: what they say of each method, and that they say nothing of the machine."""

import json
from pathlib import Path

import pytest
from lifters import TINY, tiny_lifter

from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.experiments.methods import METHODS, PRIOR, Scores
from pplkit.experiments.run_card import ABOUT, card_of, write_card, write_gallery
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def lifter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lifter(tmp_path_factory.mktemp("runs") / "lifter", TINY.replace(steps=1, warmup_steps=1))


def scored(run: Path, report: dict[str, object]) -> None:
    (run / "evaluation.json").write_text(json.dumps(report), encoding="utf8")


def test_a_card_has_settings_scores_and_limits(lifter: Path) -> None:
    assert "Not measured: a batch scores all methods" in card_of(lifter)
    scored(lifter, Scores("MPJPE, mm", "mean pose", {"mean pose": 300.0, "trained": 71.25}).report())
    text = card_of(lifter)
    for part in (
        "# lifter\n", "Method `lifting`, 1 of 1 steps.", "| preset | lift-small |", "| seed | 0 |", "| | MPJPE, mm |",
        "| mean pose | 300.00 |\n| trained | 71.25 |", "## Limits", "MIT licence", "The folder does not say",
    ):  # fmt: skip
        assert part in text, part
    assert str(lifter.parent) not in text and write_card(lifter).read_text(encoding="utf8") == text


def test_data_of_a_batch_are_named(lifter: Path) -> None:
    stages = {"train": {"parameters": {"dataset": "motion_synthetic"}, "seconds": 1.0}}
    (lifter / "batch.json").write_text(json.dumps({"notebooks": stages}), encoding="utf8")
    assert "`motion_synthetic`; scored on data that the training has not seen." in card_of(lifter)


def test_a_card_of_the_prior_has_the_mean_pose_in_its_unit(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "people")
    config = Config.preset("puppets").smoke()
    made_by = {"version": "1", "data": "puppets", "data_sha256": "ab", "data_path": "../../secret"}
    (run.path / "checkpoints").mkdir(parents=True)
    (run.path / "config.json").write_text(json.dumps({"config": config.to_dict(), "made_by": made_by}))
    run.save(3, PosePriorLearner(config), None, made_by)
    scored(run.path, {"protocol": "h36m", "error": 0.031, "mean_pose_error": 0.12})
    text = card_of(run.path)
    assert "`puppets`, sha256 ab." in text and "secret" not in text
    assert "error (% of the image side) |" in text and "| mean pose | 12.00 |\n| trained | 3.10 |" in text
    assert "backbone" in text and f"3 of {config.steps} steps" in text


def test_what_is_no_run_is_refused(tmp_path: Path, lifter: Path) -> None:
    with pytest.raises(PplkitError, match="there is no run folder"):
        card_of(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"config": {}, "made_by": {}}')
    with pytest.raises(PplkitError, match="holds no checkpoint yet: train it first"):
        card_of(tmp_path)
    scored(lifter, {"protocol": "h36m"})
    with pytest.raises(PplkitError, match=r"evaluation.json holds no scores: delete it"):
        card_of(lifter)
    (lifter / "evaluation.json").unlink()
    with pytest.raises(PplkitError, match="does not exist: create it"):
        write_gallery([lifter], tmp_path / "no" / "gallery.md")


def test_a_gallery_shows_runs_with_picture_scores_and_card(
    lifter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lifter / "figures").mkdir()
    (lifter / "figures" / "poses.png").write_bytes(b"")
    page = lifter.parent / "gallery.md"
    assert cli.main(["card", str(lifter), "--gallery", str(page)]) == 0
    text = page.read_text(encoding="utf8")
    assert "1 run, each" in text and "![lifter](lifter/figures/poses.png)" in text
    assert "[Card](lifter/MODEL_CARD.md)" in text and "## lifter\n\n3D poses from 2D keypoints" in text
    assert "The gallery is" in capsys.readouterr().out
    assert cli.main(["card", str(lifter)]) == 0
    assert "MODEL_CARD.md" in capsys.readouterr().out


def test_every_method_of_plans_has_words() -> None:
    assert set(ABOUT) == {PRIOR, *METHODS}
