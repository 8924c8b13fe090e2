"""The engine trains any method: a line fitted to points, resumed after a kill, in two processes."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from linear_task import LinearSettings, LinearTask
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.training import Progress, RunFolder, fit
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.task import Rank, split_batch


def weights(run: Path) -> dict[str, Tensor]:
    return read_checkpoint(RunFolder(run).checkpoints()[-1]).tensors


def killed_fit(run: Path) -> None:
    fit(LinearTask(LinearSettings(), kill_before=33), run, device="cpu", bar=False, save_every=10)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "line"
    fit(LinearTask(LinearSettings()), run, device="cpu", bar=False)
    return run


def test_a_line_is_fitted(line: Path) -> None:
    model = weights(line)
    torch.testing.assert_close(model["model.weight"], torch.tensor([[2.0, -1.0]]), atol=0.05, rtol=0)
    torch.testing.assert_close(model["model.bias"], torch.tensor([0.5]), atol=0.05, rtol=0)
    assert [row["step"] for row in RunFolder(line).rows("metrics.jsonl")] == [20, 40, 60]
    assert {path.name for path in line.iterdir()} == {
        ".training.lock", "checkpoints", "config.json", "metrics.jsonl", "training.json",
    }  # fmt: skip
    assert read_checkpoint(RunFolder(line).checkpoints()[-1]).method == "linear"


def test_killed_it_continues_to_the_same_bits(line: Path, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=killed_fit, args=(tmp_path / "one",))
    process.start()
    process.join()
    assert process.exitcode == -9 and RunFolder(tmp_path / "one").checkpoints()[-1].name == "step-00000030.safetensors"
    assert fit(LinearTask(LinearSettings()), tmp_path / "one", device="cpu", bar=False).steps == 60
    ours, theirs = weights(tmp_path / "one"), weights(line)
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert (tmp_path / "one" / "metrics.jsonl").read_bytes() == (line / "metrics.jsonl").read_bytes()


def test_two_processes_give_what_one_gives(line: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    fit(LinearTask(LinearSettings()), tmp_path / "two", device="cpu", devices=2, bar=False, callback=seen.append)
    for name, value in weights(line).items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], value, atol=1e-5, rtol=1e-5)
    assert [progress.step for progress in seen] == [20, 40, 60] and seen[0].output.shape == (4, 1)


def test_other_settings_and_a_callback_that_stops(line: Path, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"holds a run with other settings \(batch_size\)"):
        fit(LinearTask(LinearSettings(batch_size=4)), line, device="cpu", bar=False)
    result = fit(LinearTask(LinearSettings()), tmp_path / "one", device="cpu", bar=False, callback=lambda it: "stop")
    assert result.steps == 20


def test_a_restart_gives_the_first_weights() -> None:
    task = LinearTask(LinearSettings())
    task.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    first = task.model.weight.detach().clone()  # type: ignore[operator]
    task.model.weight.data.fill_(9)  # type: ignore[union-attr, operator]
    task.restart()
    assert torch.equal(task.model.weight, first)  # type: ignore[arg-type]


def test_batches_of_all_kinds_are_split() -> None:
    x = torch.arange(5)
    assert [len(part) for part in split_batch(x, 2)] == [3, 2]
    (first, kept), (second, _) = split_batch((x, "as it is"), 2)
    assert first.tolist() == [0, 1, 2] and second.tolist() == [3, 4] and kept == "as it is"
    assert [part["x"].tolist() for part in split_batch({"x": x}, 2)] == [[0, 1, 2], [3, 4]]
