"""The run folder: nothing half-written, a checkpoint gives back all that it was given, wrong files are named."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import stepped
from faults import faulty

import pplkit
from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.core.project import home
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.tasks.prior import build


def test_json_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"one": 1})
    with pytest.raises(TypeError):
        write_json(path, {"one": object()})
    assert json.loads(path.read_text()) == {"one": 1} and list(tmp_path.iterdir()) == [path]


def test_opening_makes_the_folder_and_says_what_made_it(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    assert {path.name for path in run.path.iterdir()} == {"config.json", "checkpoints"}
    content = run.read("config.json")
    assert Config.from_dict(content["config"]) == tiny
    made_by = content["made_by"]
    assert made_by["version"] == pplkit.__version__ and made_by["data_sha256"] == puppets.sha256
    assert (run.path / made_by["data_path"]).resolve() == puppets.path.resolve()


def test_a_run_may_be_opened_again_and_prolonged(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    run.save(1, *stepped(tiny), {})
    run.open(tiny, puppets)
    run.open(tiny.replace(steps=9, name="longer"), puppets)
    assert run.read("config.json")["config"]["steps"] == 9


def test_before_the_first_checkpoint_settings_may_be_put_right(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    """Settings that turn out not to fit the data, or features that cannot be had, must not block the run's name."""
    run.open(tiny.replace(seed=3), puppets)
    assert run.read("config.json")["config"]["seed"] == 3


def test_other_settings_are_refused_and_named(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    run.save(1, *stepped(tiny), {})
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(PplkitError, match=r"one holds a run with other settings \(keypoints, seed\): choose another"):
        run.open(tiny.replace(seed=1, keypoints=5), puppets)
    assert (run.path / "config.json").read_bytes() == before


def test_fewer_steps_than_are_done_are_refused(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    run.save(5, *stepped(tiny), {})
    run.open(tiny.replace(steps=5), puppets)
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(PplkitError, match="one has done 5 steps already: give as many steps, or another run name"):
        run.open(tiny.replace(steps=4), puppets)
    assert (run.path / "config.json").read_bytes() == before


def test_other_data_are_refused(run: RunFolder, tiny: Config, tmp_path: Path) -> None:
    run.save(1, *stepped(tiny), {})
    with DatasetWriter(tmp_path / "other", name="other", size=32) as writer:
        writer.add("train", np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(PplkitError, match="was trained on other data than other: choose another run name"):
        run.open(tiny, open_dataset(tmp_path / "other"))


def test_a_folder_that_cannot_be_written_is_named(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PplkitError, match="the run folder .*file/one cannot be written"):
        RunFolder(tmp_path / "file" / "one").open(tiny, puppets)


def test_reading_names_missing_and_torn_files(run: RunFolder) -> None:
    with pytest.raises(PplkitError, match="evaluation.json does not exist: run the step"):
        run.read("evaluation.json")
    (run.path / "evaluation.json").write_text('{"error": 0.')
    with pytest.raises(PplkitError, match="evaluation.json is not valid JSON"):
        run.read("evaluation.json")


def test_lines_are_added_read_and_cut(run: RunFolder) -> None:
    assert run.rows("metrics.jsonl") == []
    for step in (2, 4, 6, 8):
        run.append("metrics.jsonl", {"step": step, "loss": step / 3})
    before = (run.path / "metrics.jsonl").read_text().splitlines(keepends=True)
    run.cut("metrics.jsonl", 5)
    assert (run.path / "metrics.jsonl").read_text() == "".join(before[:2])  # what stays is not changed by a bit
    assert run.rows("metrics.jsonl") == [{"step": 2, "loss": 2 / 3}, {"step": 4, "loss": 4 / 3}]


def test_a_line_cut_short_by_a_crash_is_left_out(run: RunFolder) -> None:
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert run.rows("metrics.jsonl") == [{"step": 1}, {"step": 2}]
    run.cut("metrics.jsonl", 2)
    run.append("metrics.jsonl", {"step": 3})
    assert [row["step"] for row in run.rows("metrics.jsonl")] == [1, 2, 3]


def test_a_checkpoint_gives_back_every_bit(run: RunFolder, tiny: Config) -> None:
    model, optimiser = stepped(tiny)
    run.save(7, model, optimiser, {})
    other, other_optimiser = build(tiny.replace(seed=5))
    assert not torch.equal(other.links, model.links)
    assert run.restore(other, other_optimiser) == 7
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    pairs = zip(model.named_parameters(), other.named_parameters(), strict=True)
    for (name, parameter), (_, restored) in pairs:
        before, after = optimiser.state[parameter], other_optimiser.state[restored]
        assert set(before) == set(after), name
        assert all(torch.equal(before[part], after[part]) for part in before), name
    assert any(state["exp_avg"].abs().max() > 0 for state in other_optimiser.state.values())


def test_after_restoring_both_take_the_same_step(run: RunFolder, tiny: Config) -> None:
    model, optimiser = stepped(tiny)
    run.save(2, model, optimiser, {})
    other, other_optimiser = build(tiny)
    run.restore(other, other_optimiser)
    for network, adam in ((model, optimiser), (other, other_optimiser)):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        adam.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_two_checkpoints_are_kept_and_the_last_is_taken(run: RunFolder, tiny: Config) -> None:
    model, optimiser = stepped(tiny)
    for step in (1, 2, 10):
        model.alpha.data.fill_(step)
        run.save(step, model, optimiser, {})
    assert [path.name for path in run.checkpoints()] == ["step-00000002.safetensors", "step-00000010.safetensors"]
    assert run.restore(model) == 10 and model.alpha == 10


def test_nothing_saved_starts_at_zero(run: RunFolder, tiny: Config) -> None:
    assert run.restore(*build(tiny)) == 0


def test_what_is_no_row_ends_the_rows(run: RunFolder) -> None:
    for garbage in (b"\xff\xfe\n", b"7\n", b'{"step": "a"}\n', b"[" * 100_000 + b"\n", b"\0\0\0\n"):
        (run.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + garbage + b'{"step": 2}\n')
        assert run.rows("metrics.jsonl") == [{"step": 1}]
        run.cut("metrics.jsonl", 9)
        assert (run.path / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_a_full_disk_spares_the_lines_before(run: RunFolder) -> None:
    run.append("metrics.jsonl", {"step": 1})
    for at in (1, 2):  # opening, and half of the line
        with faulty(at), pytest.raises(PplkitError, match="metrics.jsonl cannot be written .No space left"):
            run.append("metrics.jsonl", {"step": 2})
    assert run.rows("metrics.jsonl") == [{"step": 1}]


def test_a_checkpoint_that_does_not_fit_is_named(run: RunFolder, tiny: Config) -> None:
    run.save(1, *stepped(tiny), {})
    with pytest.raises(PplkitError, match="step-00000001.safetensors does not fit the config beside it"):
        run.restore(PosePriorLearner(tiny.replace(keypoints=5)))


def test_loading_gives_a_frozen_model_that_knows_its_origin(run: RunFolder, tiny: Config, puppets: Dataset) -> None:
    model, optimiser = stepped(tiny)
    run.save(3, model, optimiser, {})
    loaded = load(run.path)
    assert not loaded.training and loaded.config == tiny and loaded.alpha.device.type == "cpu"
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert loaded.made_by["run"] == "one" and loaded.made_by["step"] == 3
    assert loaded.made_by["data_sha256"] == puppets.sha256
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert torch.equal(loaded.estimate(images).keypoints, load(run.path).estimate(images).keypoints)


def test_a_folder_without_a_model_is_named(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="one holds no checkpoint yet: train it first"):
        load(run.path)
    with pytest.raises(PplkitError, match="there is no run folder"):
        load(tmp_path / "nowhere")


def test_home_is_the_project_above_or_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PPLKIT_HOME", raising=False)
    (tmp_path / "project" / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path / "project" / "notebooks" / "deep")
    assert home() == tmp_path / "project"
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"
