"""Contact as a task of the engine: it learns, continues, and leaves the file that the package reads."""

from pathlib import Path

import torch

from data_prep.motion_synthetic import motion_windows
from pplkit import cli
from pplkit.models.motion.contact import ContactConfig, read_contact
from pplkit.training.task import Rank
from pplkit.training.tasks.contact import ContactTask, train_contact

TINY = ContactConfig(steps=3, batch_size=4, frames=12, width=8)


def task(**changes: float) -> ContactTask:
    made = ContactTask(TINY.replace(**changes), motion_windows)
    made.setup(Rank(torch.device("cpu"), 0, 1, "32-true"))
    return made


def test_batches_follow_from_seed_and_step() -> None:
    first, again, next_one = task().batch(1), task().batch(1), task().batch(2)
    assert torch.equal(first.features, again.features) and not torch.equal(first.features, next_one.features)
    assert set(first.contact.unique().tolist()) <= {0.0, 1.0} and first.contact.shape == (4, 12, 2)
    assert not torch.equal(task(seed=1).batch(1).features, first.features)


def test_the_loss_falls() -> None:
    learner = task(batch_size=8, learning_rate=1e-2, width=16)
    optimizer, batch = learner.optimizer(), learner.batch(0)
    losses = []
    for _ in range(30):
        loss = learner.losses(learner.model, batch, 0.0)[0]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert task().learning_rates(0) == [TINY.learning_rate] and task(steps=4).learning_rates(4)[0] < 1e-9


def test_a_run_leaves_the_file_that_the_package_reads(tmp_path: Path) -> None:
    train_contact(TINY, motion_windows, tmp_path / "run", device="cpu", bar=False)
    network = read_contact(tmp_path / "run" / "contact.safetensors")
    assert len(network.layers[0].weight) == 8 and all(p.isfinite().all() for p in network.parameters())


def test_the_command_names_its_data(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert cli.main(["train", "elsewhere", str(tmp_path / "run"), "--preset", "contact"]) == 2
    assert "give motion_synthetic" in capsys.readouterr().err
