"""Checkpoints in the run folder: whatever happens to the disk or to a file, one that is whole is left and taken."""

import errno
import os
from pathlib import Path

import pytest
import torch
from conftest import stepped
from faults import faulty
from safetensors.torch import save_file

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_anywhere_leaves_a_checkpoint(run: RunFolder, tiny: Config, error: int) -> None:
    """At each change of a file on the way: nothing half-written is left, and what is taken is whole."""
    model, optimiser = stepped(tiny)
    run.save(1, model, optimiser, {})
    run.save(2, model, optimiser, {})
    called: list[str] = []
    for at in range(1, 100):
        with faulty(at, error) as fault:
            try:
                run.save(3, model, optimiser, {})
                break
            except PplkitError as failed:
                assert os.strerror(error) in str(failed)
        called.append(fault.called)
        assert run.restore(model, optimiser) in (2, 3) and len(run.checkpoints()) >= 2
        assert not list(run.path.rglob("*.partial"))
        (run.path / "checkpoints" / "step-00000003.safetensors").unlink(missing_ok=True)
        run.save(2, model, optimiser, {})
    assert called[:4] == ["open", "write", "open", "fsync"] and {"replace", "unlink"} <= set(called)
    assert called.count("fsync") >= 2  # of the file and, after the renaming, of its folder
    assert [path.name[12:13] for path in run.checkpoints()] == ["2", "3"]


@pytest.fixture
def two(run: RunFolder, tiny: Config) -> list[Path]:
    """The checkpoints of steps 1 and 2."""
    model, optimiser = stepped(tiny)
    return [run.save(step, model, optimiser, {}) for step in (1, 2)]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_torn_or_altered_checkpoint_is_named_and_the_one_before_is_taken(
    run: RunFolder, tiny: Config, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    content = two[1].read_bytes()
    for torn in (b"", content[:100], content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1])):
        two[1].write_bytes(torn)
        assert run.restore(PosePriorLearner(tiny)) == 1 and load(run.path).made_by["step"] == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 2 and "step-00000002.safetensors cannot be read" in said
        assert "the one before it will be taken" in said


def test_without_a_checkpoint_that_can_be_read_one_sentence_says_so(
    run: RunFolder, tiny: Config, two: list[Path]
) -> None:
    for path in two:
        damage(path)
    with pytest.raises(
        PplkitError, match="no checkpoint in .*one/checkpoints can be read, neither .* bring back"
    ) as error:
        run.restore(PosePriorLearner(tiny))
    assert "\n" not in str(error.value)


def test_a_damaged_checkpoint_does_not_count_when_old_ones_are_dropped(
    run: RunFolder, tiny: Config, two: list[Path]
) -> None:
    damage(two[1])
    model, optimiser = stepped(tiny)
    for step, kept in ((1, [1]), (2, [1, 2]), (3, [2, 3])):  # as after going on from step 1
        run.save(step, model, optimiser, {})
        assert [int(path.name[5:13]) for path in run.checkpoints()] == kept
    assert run.restore(model) == 3


def test_the_last_good_one_is_kept_while_none_is_good(run: RunFolder, tiny: Config) -> None:
    model, optimiser = stepped(tiny)
    run.save(1, model, optimiser, {}, {"good": True})
    for step in (2, 3, 4):
        run.save(step, model, optimiser, {}, {"good": False})
    last, good = run.last(), run.last(good=True)
    assert last and good and (last.step, good.step) == (4, 1)
    run.save(5, model, optimiser, {}, {"good": True})
    assert [int(path.name[5:13]) for path in run.checkpoints()] == [4, 5]


def test_what_a_killed_process_left_is_removed(run: RunFolder, tiny: Config, puppets: Dataset, two: list[Path]) -> None:
    left = ["checkpoints/step-00000003.safetensors.partial", "prior.json.partial", "metrics.jsonl.partial"]
    for name in left:
        (run.path / name).write_bytes(b"half")
    (run.path / "notes.txt.partial").write_text("not ours")
    run.open(tiny, puppets)
    assert [path.name for path in run.path.rglob("*.partial")] == ["notes.txt.partial"]
    assert run.checkpoints() == two


def test_a_checkpoint_of_another_version_is_named(run: RunFolder, two: list[Path]) -> None:
    """It is not passed over, as there is nothing wrong with it."""
    save_file({"a": torch.zeros(2)}, two[1], {"schema": "pplkit-checkpoint-0"})
    with pytest.raises(PplkitError, match="is of another version"):
        run.last()
