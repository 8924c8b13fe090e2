"""`pplkit doctor`: each fault is named by the number that shows it, good runs are passed in silence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from discs import film

from pplkit.cli.main import main
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.evaluation.diagnosis import report as diagnosis
from pplkit.evaluation.diagnosis.checks import CHECKS, Check
from pplkit.evaluation.diagnosis.report import diagnose, diagnose_images, finding_table, findings
from pplkit.experiments import notebooks
from pplkit.models.prior.config import Config
from pplkit.training.logger import DIVERGED
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load, write_run
from pplkit.training.tasks.prior import build, train

PRESET = Config.preset("puppets")
ALL = PRESET.replace(prior_from="all")

# The preset `puppets`, seed 0 on one core: 3,100 steps.
GOOD = {
    "images": 6400, "variety": 0.171, "strongest": 2.03, "top": 0.0558, "effective": 1.85, "unlinked": 0, "width": 1.73,
    "outside": 0, "off_object": 0.0542, "strayed": 0.0651, "extent": 0.248, "breadth": 0.45, "variation": 0.109,
    "following": 0.915, "mixed": 0.00366, "unused": 0.133, "shift": 0.0532, "offset_all": 0.0504, "offset_used": 0.0184,
    "harm": 0.0532, "own": 0.234, "swapped": 0.398, "empty": 0.363, "another": 0.863, "reference": 0.359,
    "change": 0.0453, "told": 0.412, "alone": 0.461, "gap": 1.0, "done": 1, "skipped": 0, "diverged": 0, "seen": 99200,
    "rise": 1, "filled": 0.517, "cut": 0, "still": 0, "slowest": 0.645, "exchanged": 0, "reach": 1.06,
}  # fmt: skip
IN_MOTION = {"still", "slowest", "exchanged"}  # which need six frames of a video and eight pairs


def names(config: Config, numbers: dict[str, float]) -> list[str]:
    return [result["name"] for result in findings(config, numbers)]


def test_a_good_run_is_passed_in_silence() -> None:
    assert names(PRESET, GOOD) == names(ALL, GOOD) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_fault_is_found_by_its_number_alone(check: Check) -> None:
    """Just beyond the limit it is named, and nothing else is; at the limit nothing is."""
    limit = check.most if check.most is not None else check.least
    assert limit is not None and (check.most is None) != (check.least is None)
    beyond = limit + 1e-3 if check.most is not None else limit - 1e-3
    (result,) = findings(ALL, {**GOOD, check.number: beyond})
    assert (result["name"], result["number"]) == (check.name, beyond)
    assert names(ALL, {**GOOD, check.number: limit}) == []
    assert names(ALL, {name: value for name, value in GOOD.items() if name != check.number}) == []


def test_checks_have_names_of_their_own_and_explain_other_checks() -> None:
    known = [check.name for check in CHECKS]
    assert len(set(known)) == len(known)
    assert all(set(check.explains) <= set(known) - {check.name} for check in CHECKS)


def test_consequences_are_not_named_beside_their_cause() -> None:
    ignored = {**GOOD, "told": 0.0}
    assert names(PRESET, ignored) == ["link map ignored"]
    assert names(PRESET, {**ignored, "alone": 0.05}) == ["reference gives away"]
    assert names(PRESET, {**ignored, "seen": 12_800}) == ["too few steps"]
    assert names(PRESET, {**ignored, "gap": 2.0, "outside": 0.5}) == ["too little data", "keypoints outside"]


def test_some_checks_need_settings() -> None:
    """Dead codes do no harm to a T that leaves them out; few steps are enough through a pretrained network."""
    harmful, few = {**GOOD, "harm": 0.1}, {**GOOD, "seen": 9_600}
    assert names(ALL, harmful) == ["dead vectors"]
    assert names(PRESET, harmful) == names(ALL.replace(prior_keypoints="random"), harmful) == []
    assert names(PRESET, few) == ["too few steps"] and names(PRESET.replace(backbone="random"), few) == []


def test_the_table_says_number_limit_meaning_and_remedy() -> None:
    report = {"findings": findings(PRESET, {**GOOD, "outside": 0.2, "effective": 0.1}), "numbers": GOOD}
    lines = finding_table(report)
    assert max(map(len, lines)) <= 130 and not any(line.endswith(" ") for line in lines)
    assert lines[0].split("  ")[0] == "finding"
    starts = [0, *(lines[0].index(head) for head in ("number", "what it means", "what to try"))]
    cells = [[line[a:b].strip() for line in lines] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    text = [" ".join(filter(None, column)) for column in cells]
    assert "links collapsed keypoints outside" in text[0]
    assert "0.1 (at least 0.4): effective number of" in text[1] and "0.2 (at most 0.02): fraction of" in text[1]
    assert "Keypoints have left the image" in text[2] and "learning_rate=0.0003 (now 0.001)" in text[3]
    assert finding_table({"findings": [], "numbers": GOOD}) == [
        "No findings: 40 numbers are as in runs that went well."
    ]


@pytest.fixture(scope="module")
def run(tiny: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "one"
    train(tiny, puppets, path, device="cpu", bar=False)
    return path


def test_a_run_is_looked_at_and_the_report_is_in_its_folder(
    run: Path, puppets: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "LEAST_TEST_IMAGES", 9)
    assert main(["doctor", str(run)]) == 0  # findings are advice
    said = capsys.readouterr().out
    report = json.loads((run / "doctor.json").read_text())
    assert [result["name"] for result in report["findings"]][0] == "too few steps"
    assert said.splitlines()[1:-1] == finding_table(report) and "too few steps" in said
    assert said.splitlines()[-1] == f"The page of the run is {run / 'index.html'}."
    assert set(GOOD) - {"rise", "reach"} - IN_MOTION == set(report["numbers"])  # six steps, four keypoints
    assert report["made_by"]["step"] == 6 and report["made_by"]["data_sha256"] == puppets.sha256
    again = diagnose(run, puppets)
    assert again == report


def test_films_without_masks_are_judged_by_what_moves(
    tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keypoints are not on the object after six steps; the summary of `pplkit run` says how many are."""
    with DatasetWriter(tmp_path / "films", name="video", size=32) as writer:
        for split in ("train", "test"):
            for number in range(2):
                writer.add(
                    split, film(number, radius=11.5, way=16.0)[:, ::2, ::2], videos=np.full(16, number, np.int32)
                )
    data = open_dataset(tmp_path / "films")
    train(tiny, data, tmp_path / "run", device="cpu", bar=False)
    report = diagnose(tmp_path / "run", data)
    numbers = report["numbers"]
    assert {"on_foreground", "off_foreground", "filled", "cut", *IN_MOTION} <= set(numbers)
    assert 0 <= numbers["on_foreground"] <= 1 and 0.1 < numbers["filled"] < 0.3 and numbers["cut"] == 0
    assert diagnose_images(data) == []
    capsys.readouterr()
    notebooks._print_summary(tmp_path / "run", 61)
    share = f"{100 * numbers['on_foreground']:.0f} %"
    assert f"  {share} of the keypoints lie on what stands out as object" in capsys.readouterr().out


def test_findings_name_the_keypoints_that_they_count() -> None:
    (result,) = findings(PRESET, {**GOOD, "still": 2}, {"still": [3, 5]})
    assert result["says"] == "keypoints that hardly move while the object does: 3, 5"
    assert "does: 3, 5" in " ".join(" ".join(finding_table({"findings": [result], "numbers": GOOD})).split())


def test_a_training_that_stopped_is_told_from_a_finished_one(run: Path, puppets: Dataset, tmp_path: Path) -> None:
    """With a checkpoint, and without: then there are curves alone, or not even these."""
    folder = RunFolder(shutil.copytree(run, tmp_path / "one"))
    content = folder.read("config.json")
    content["config"]["steps"] = 8
    (folder.path / "config.json").write_text(json.dumps(content))
    for lines in (None, ""):  # it may have gone wrong before it logged a line
        if lines is not None:
            (folder.path / "metrics.jsonl").write_text(lines)
        first = diagnose(folder.path, puppets)["findings"][0]
        assert (first["name"], first["number"]) == ("unfinished", 0.75)
    shutil.rmtree(folder.path / "checkpoints")
    report = diagnose(folder.path, puppets)
    assert [result["name"] for result in report["findings"]] == ["unfinished"]
    assert report["findings"][0]["number"] == 0 and "told" not in report["numbers"]
    (folder.path / DIVERGED).touch()
    assert [result["name"] for result in diagnose(folder.path, puppets)["findings"]] == ["diverged"]


def test_weights_from_elsewhere_are_not_asked_for_curves(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "official")
    write_run(folder, build(tiny)[0], {"source": "elsewhere"})
    report = diagnose(folder.path, puppets)
    assert not {"done", "seen", "rise"} & set(report["numbers"]) and "told" in report["numbers"]


def test_weights_that_are_no_numbers_are_the_only_finding(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    model = build(tiny)[0]
    with torch.no_grad():
        model.decoder.paint.weight.fill_(torch.nan)
    folder = RunFolder(tmp_path / "broken")
    write_run(folder, model, {})
    assert [result["name"] for result in diagnose(folder.path, puppets)["findings"]] == ["not finite"]


def test_single_images_are_shown_from_training_where_a_frame_is_the_reference(
    run: Path, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test split without videos has no other frame; keypoints are looked at there all the same."""
    test = replace(puppets["test"], videos=None, name="test")
    other = replace(puppets, splits={**puppets.splits, "test": test})
    monkeypatch.setattr(diagnosis, "LEAST_TEST_IMAGES", 1)
    model = load(run)
    result = diagnosis.measure_model(model, other, 6)
    assert "gap" not in result and "strayed" in result
    assert "gap" in diagnosis.measure_model(model, puppets, 6)


def test_what_is_no_run_is_refused(puppets: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PplkitError, match=r"config.json does not exist"):
        diagnose(tmp_path, puppets)
    assert main(["doctor", str(tmp_path / "nix")]) == 2
    assert f"there is no run folder {tmp_path / 'nix'}: train first, or correct the path." in capsys.readouterr().err
    (tmp_path / "six").mkdir()
    (tmp_path / "six" / "config.json").touch()
    assert main(["doctor", str(tmp_path / "nix")]) == 2
    assert "nix: perhaps 'six' is meant; else choose one of six." in capsys.readouterr().err
