"""Batches of notebooks that take no time: parallel, only what is missing, and on in spite of what fails."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from batches_home import prepare, rows, small, write_data, write_plan

from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.core.locks import locked
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.batch import check_same, missing, predefine, run_batch
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.variants import labelled_prior
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import read_config, write_run

ROOT = Path(__file__).resolve().parents[2]


def state(home: Path) -> dict[Path, int]:
    """When each file of the run folders was written."""
    return {path: path.stat().st_mtime_ns for path in (home / "runs").glob("*-*/**/*") if path.is_file()}


def test_a_killed_worker_and_a_failure_leave_the_others_and_the_next_call_does_the_rest(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    troubled = {"kill": "roses-ppl-1", "fail": "roses-ppl-0"}
    plan = write_plan(home, datasets=["roses"], variants=["ppl"], seeds=[0, 1, 2], threads=3, parameters=troubled)
    assert cli.main(["batch", str(plan)]) == 2
    said = capsys.readouterr()
    assert "3 runs, 0 of them finished" in said.out and "2 of 3 runs failed" in said.err
    first = {row["run"]: row for row in rows(home)}
    states = {name: row["status"] for name, row in first.items()}
    assert states.pop("roses-ppl-1") == states.pop("roses-ppl-0") == "failed"
    assert set(states.values()) == {"finished"} and len(states) == 1
    assert "was killed" in first["roses-ppl-1"]["reason"]
    log = Path(first["roses-ppl-1"]["reason"].split(" is in ")[1])
    assert log.is_file() and log.is_relative_to(home / "runs/batches/try/logs/roses-ppl-1")
    assert "notebook train stopped in cell" in first["roses-ppl-0"]["reason"]
    assert "ValueError: no <luck>" in first["roses-ppl-0"]["reason"]
    before = state(home)

    assert cli.main(["batch", str(plan)]) == 0
    assert "3 runs, 1 of them finished" in capsys.readouterr().out
    assert {path: at for path, at in state(home).items() if path in before and before[path] != at}.keys() <= {
        path for path in before if path.relative_to(home / "runs").parts[0] in ("roses-ppl-1", "roses-ppl-0")
    }
    second = rows(home)
    assert {row["status"] for row in second} == {"finished"} and {row["reason"] for row in second} == {""}
    assert [float(row["evaluation.error"]) for row in second] == [1, 2, 3]
    tried = {path.parent.name: path.read_text().splitlines() for path in (home / "runs").glob("*/tried")}
    assert {name for name, lines in tried.items() if len(lines) == 2} == {"roses-ppl-1", "roses-ppl-0"}
    assert {line.split()[0] for lines in tried.values() for line in lines} == {"3"}  # threads

    before, page = state(home), (home / "runs/batches/try/index.html").read_bytes()
    assert cli.main(["batch", str(plan)]) == 0
    assert "3 runs, 3 of them finished" in capsys.readouterr().out
    assert state(home) == before and rows(home) == second
    assert (home / "runs/batches/try/index.html").read_bytes() == page


@pytest.mark.usefixtures("in_this_process")
def test_a_changed_plan_runs_what_it_changes(home: Path) -> None:
    both = {"notebooks": ["train", "score"]}
    run_batch(small(home), prepare)
    (one,) = small(home, **both).combinations
    assert missing(one, "default") == ["score"]
    run_batch(small(home, **both, parameters={"factor": 3.0}), prepare)
    assert [float(row["evaluation.error"]) for row in rows(home)] == [3]
    assert len((home / "runs/roses-ppl-0/tried").read_text().splitlines()) == 1
    noted = json.loads((home / "runs/roses-ppl-0/batch.json").read_text(encoding="utf8"))["notebooks"]
    assert noted["score"]["parameters"] == {"run": "roses-ppl-0", "factor": 3.0} and noted["train"]["seconds"] > 0

    (one,) = small(home, **both, parameters={"factor": 3.0}).combinations
    assert missing(one, "default") == []
    (home / "runs/roses-ppl-0/notebooks/score.ipynb").unlink()
    assert missing(one, "default") == ["score"]
    assert missing(small(home, device="auto").combinations[0], "default") == []  # where it runs changes no result
    assert missing(small(home, steps=5).combinations[0], "default") == ["train"]


def test_a_training_of_other_settings_or_data_is_never_overwritten(home: Path) -> None:
    """It is refused before anything runs: the first seed has no folder yet, and gets none."""
    trained, data = small(home, scale="smoke", seeds=[1]).combinations[0], open_dataset(home / "data/roses")
    folder = RunFolder(home / "runs/roses-ppl-1-smoke")
    write_run(folder, PosePriorLearner(trained.config), folder.open(trained.config, data))
    check_same(trained, data, "smoke")
    content = folder.read("config.json")
    del content["config"]["weight_decay"]  # as one has it that was trained before there was such a setting
    folder.path.joinpath("config.json").write_text(json.dumps(content), encoding="utf8")
    check_same(trained, data, "smoke")
    changed = small(home, scale="smoke", seeds=[0, 1], steps=5)
    said = "run roses-ppl-1: .*other settings .*steps 40, now 5.*give the variant another name, or delete the folder"
    with pytest.raises(PplkitError, match=said):
        run_batch(changed, prepare)
    assert not (home / "runs/roses-ppl-0-smoke").exists()
    with DatasetWriter(home / "data/roses", name="noise", size=32, overwrite=True) as writer:
        writer.add("train", np.zeros((8, 32, 32, 3), np.uint8))
    with pytest.raises(PplkitError, match="was trained on other data than .*roses holds: delete it"):
        check_same(trained, open_dataset(home / "data/roses"), "smoke")


def test_data_are_prepared_once_and_looked_at_before_anything_runs(home: Path) -> None:
    write_data(home, "nettles", test=False)
    calls: list[str] = []

    def counting(name: str, source: object, scale: str) -> Callable[[], Dataset]:
        return lambda: calls.append(name) or open_dataset(home / "data" / name)  # type: ignore[func-returns-value]

    with pytest.raises(PplkitError, match="try.yaml, run nettles-ppl-0: .*nettles has no split 'test'"):
        run_batch(small(home, datasets=["roses", "nettles"], seeds=[0, 1, 2]), counting)
    assert calls == ["roses", "nettles"] and not state(home)


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        (["daisies"], "try.yaml, datasets.daisies: dataset='daisies' is not known by name and .*daisies is absent"),
        (["puppets", "cub"], "try.yaml, datasets.cub: source is empty, but dataset='cub' is made of files"),
        ({"puppets": {"options": {"film": 1}}}, "datasets.puppets: option 'film' is unknown .*choose one of videos"),
    ],
)
def test_unknown_data_are_refused_before_any_is_prepared(
    datasets: Any, said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((home / "data").iterdir())
    assert cli.main(["batch", str(write_plan(home, datasets=datasets))]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert sorted((home / "data").iterdir()) == before and not (home / "runs").exists()


def test_predefined_priors_need_labels(home: Path) -> None:
    with pytest.raises(PplkitError, match="run roses-fixed-0: .*roses has no labels with a skeleton"):
        run_batch(small(home, variants=["ppl", "fixed"]), prepare)
    assert not state(home)


def test_a_predefined_prior_is_made_from_labels_before_the_run(home: Path, puppets: Dataset) -> None:
    plain, fixed = small(home, variants=["ppl", "fixed"], preset="puppets").combinations
    predefine(plain, puppets, "default")
    predefine(fixed, puppets, "default")
    assert [path.relative_to(home) for path in (home / "runs").rglob("*.json")] == [
        Path("runs/roses-fixed-0/predefined.json")
    ]
    made = PosePrior.load(home / "runs/roses-fixed-0/predefined.json")
    assert np.allclose(made.keypoints, labelled_prior(puppets, 16).keypoints, atol=1e-6)


@pytest.mark.usefixtures("in_this_process")
def test_a_project_that_was_copied_or_moved_goes_on_with_its_predefined_priors(
    home: Path, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(puppets.path, home / "data/puppets")
    given: dict[str, Any] = {"datasets": ["puppets"], "variants": ["fixed"], "preset": "puppets"}
    plan = small(home, **given)
    run_batch(plan, prepare)
    run, (one,) = RunFolder(home / "runs/puppets-fixed-0"), plan.combinations
    config = one.config.replace(image_size=puppets.size)
    write_run(run, PosePriorLearner(config), run.open(config, puppets))
    before = state(home)

    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    moved = copy.with_name("moved")
    for there, bring in ((copy, lambda: shutil.copytree(home, copy)), (moved, lambda: copy.rename(moved))):
        bring()
        monkeypatch.setenv("PPLKIT_HOME", str(there))
        run_batch(small(there, **given), prepare)
        assert [row["status"] for row in rows(there)] == ["finished"]
        assert {path.relative_to(there) for path in state(there)} == {path.relative_to(home) for path in before}
        assert len((there / "runs/puppets-fixed-0/tried").read_text().splitlines()) == 1  # nothing ran again
    (there / "priors").mkdir()
    other = str(there / "priors/other.json")
    Path(other).write_text("{}", encoding="utf8")
    changed = small(there, **{**given, "variants": {"fixed": None, "mine": {"like": "fixed", "predefined": other}}})
    assert missing(changed.combinations[1], "default") == ["train"]
    (there / "runs/puppets-fixed-0").rename(there / "runs/puppets-mine-0")
    with pytest.raises(PplkitError, match=r"mine-0 .* other settings \(predefined '.*, now '.*other.json'"):
        check_same(changed.combinations[1], puppets, "default")


def test_a_training_goes_on_in_a_copied_project(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"scale": "smoke", "variants": ["fixed"], "steps": 5}
    (one,), data = small(home, **given).combinations, open_dataset(home / "data/roses")
    run = RunFolder(home / "runs/roses-fixed-0-smoke")
    write_run(run, PosePriorLearner(one.config), run.open(one.config, data))
    copy = shutil.copytree(home, tmp_path_factory.mktemp("elsewhere") / "copy")
    monkeypatch.setenv("PPLKIT_HOME", str(copy))
    (one,), run = small(copy, **given).combinations, RunFolder(copy / "runs/roses-fixed-0-smoke")
    run.open(one.config, data)
    assert read_config(run).predefined == one.config.predefined == str(run.path / "predefined.json")
    with pytest.raises(PplkitError, match=r"other settings \(predefined\)"):
        run.open(one.config.replace(predefined=str(copy / "other.json")), data)


def test_one_plan_runs_once_at_a_time(home: Path) -> None:
    plan = small(home)
    with locked(plan.folder, "held"):
        with pytest.raises(PplkitError, match="another process runs this plan"):
            run_batch(plan, prepare)
        assert not (home / "runs/roses-ppl-0").exists()
    with locked(plan.folder, "held"):
        pass


@pytest.mark.usefixtures("in_this_process")
def test_a_run_that_another_process_works_on_is_left_alone(home: Path) -> None:
    plan = small(home)
    with locked(home / "runs/roses-ppl-0", "held"), pytest.raises(PplkitError, match="1 of 1 run failed"):
        run_batch(plan, prepare)
    assert "another process works in" in rows(home)[0]["reason"]


@pytest.mark.notebooks
def test_trainings_on_two_data_sets(home: Path) -> None:
    """Training and evaluation as they are, but that a cell kills the worker of one run after its first training."""
    for name in ("02_training", "04_evaluation"):
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        if name == "02_training":
            code = "if run == 'puppets-few-1' and not (folder / 'killed').exists():\n    (folder / 'killed').touch()\n"
            notebook.cells += [
                nbformat.v4.new_code_cell(f"{code}    __import__('os').kill(__import__('os').getppid(), 9)")
            ]
        nbformat.write(notebook, home / "notebooks" / f"{name}.ipynb")
    plan = write_plan(
        home, datasets=["puppets", "puppets-hand"], variants={"few": {"vectors": 4}}, seeds=[1], scale="smoke",
        notebooks=["02_training", "04_evaluation"], preset=None, steps=20,
    )  # fmt: skip
    assert cli.main(["batch", str(plan)]) == 2
    assert [row["run"] for row in rows(home, "try-smoke") if row["status"] == "failed"] == ["puppets-few-1-smoke"]
    assert cli.main(["batch", str(plan)]) == 0
    before = state(home)
    assert cli.main(["batch", str(plan)]) == 0
    assert state(home) == before
    assert len(rows(home, "try-smoke")) == 2 and {row["status"] for row in rows(home, "try-smoke")} == {"finished"}
    assert all(float(row["evaluation.relative_error"]) > 0 for row in rows(home, "try-smoke"))
    assert {row["training.steps"] for row in rows(home, "try-smoke")} == {"20"}
    config = RunFolder(home / "runs/puppets-hand-few-1-smoke").read("config.json")["config"]
    assert (config["vectors"], config["seed"], config["steps"]) == (4, 1, 20)
    assert (home / "runs/batches/try-smoke/index.html").read_text(encoding="utf8").count("data:image/") == 4
