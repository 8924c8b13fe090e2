"""Training: the same from the same seed, the same again after any interruption, and clear when it cannot go on."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.logger import Progress, Result
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.tasks.prior import build, rates, renewals, thickness, train

ROOT = Path(__file__).resolve().parents[2]
STOP = 6  # between the checkpoints of steps 4 and 8


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOG_EVERY_STEPS", 2)
    monkeypatch.setattr(training, "SAVE_EVERY_STEPS", 4)


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    """Everything that changes while training is switched on."""
    own = {
        "weight_separation": 0.1,
        "weight_length": 0.1,
        "weight_equivariance": 0.5,
        "max_rotation": 0.5,
        "max_shift": 0.1,
    }
    own |= {"connectivity_growth": 10.0, "convolution_learning_rate": 0.02}
    return tiny.replace(
        steps=10, final_learning_rate=0.1, thickness_start=0.02, coarse_fraction=0.3, reinit_weak_links=True, **own
    )


@pytest.fixture(scope="module")
def undisturbed(config: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOG_EVERY_STEPS", 2)
        patch.setattr(training, "SAVE_EVERY_STEPS", 4)
        train(config, puppets, run, device="cpu", bar=False)
    return run


def assert_equal_runs(run: Path, other: Path) -> None:
    """The same to the last bit."""
    for name in ("metrics.jsonl", "prior_history.jsonl"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    ours, theirs_ = RunFolder(run).checkpoints(), RunFolder(other).checkpoints()
    assert [path.name for path in ours] == [path.name for path in theirs_]
    for path, there in zip(ours, theirs_, strict=True):
        (_, step, tensors, *_), (_, other_step, others, *_) = read_checkpoint(path), read_checkpoint(there)
        assert step == other_step and tensors.keys() == others.keys()
        different = [name for name in tensors if not torch.equal(tensors[name], others[name])]
        assert different == []
    prior, other_prior = (PosePrior.load(folder / "prior.json") for folder in (run, other))
    assert (prior.keypoints == other_prior.keypoints).all()


def test_a_run_leaves_what_it_promises(undisturbed: Path, config: Config, puppets: Dataset) -> None:
    run = RunFolder(undisturbed)
    rows = run.rows("metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10]
    always = {"step", "loss", "reconstruction", "boundary", "links", "equivariance", "pose", "tokens"}
    early, both, late = {"separation"}, {"separation", "length"}, {"length"}  # a row is the mean since the one before
    assert [set(row) - always for row in rows] == [early, both, both, late, late]
    assert all(always <= set(row) for row in rows)
    weights = {name: getattr(config, f"weight_{name}") for name in (always | late) - {"step", "loss"}}
    assert rows[-1]["loss"] == pytest.approx(sum(weight * rows[-1][name] for name, weight in weights.items()))
    assert [path.name[5:13] for path in run.checkpoints()] == ["00000008", "00000010"]
    history = run.rows("prior_history.jsonl")
    assert history[-1]["step"] == 10 and len(history) > 1
    prior = PosePrior.load(undisturbed / "prior.json")
    assert prior.made_by["step"] == 10 and prior.made_by["data_sha256"] == puppets.sha256
    model = load(undisturbed)
    assert model.prior().keypoints == pytest.approx(prior.keypoints, abs=1e-6)
    assert history[-1]["keypoints"] == pytest.approx(model.prior().keypoints)
    assert Result(**run.read("training.json")).loss == rows[-1]["loss"]


def test_training_changes_every_part(undisturbed: Path, config: Config) -> None:
    start, _ = build(config)
    end = load(undisturbed)
    same = [name for name, value in end.state_dict().items() if torch.equal(value, start.state_dict()[name])]
    assert same == []


def test_the_same_seed_gives_the_same_run(undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path) -> None:
    train(config, puppets, tmp_path / "one", device="cpu", bar=False)
    assert_equal_runs(tmp_path / "one", undisturbed)


def test_another_seed_gives_another(undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path) -> None:
    train(config.replace(seed=1, steps=2), puppets, tmp_path / "one", device="cpu", bar=False)
    first = RunFolder(undisturbed).rows("metrics.jsonl")[0]
    assert RunFolder(tmp_path / "one").rows("metrics.jsonl")[0] != first


def test_stopped_by_an_error_and_continued(undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == STOP:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, puppets, tmp_path / "one", device="cpu", bar=False, watch=stop)
    run = RunFolder(tmp_path / "one")
    assert run.rows("metrics.jsonl")[-1]["step"] == STOP and not (run.path / "prior.json").exists()
    steps: list[int] = []
    train(config, puppets, run.path, device="cpu", bar=False, watch=lambda progress: steps.append(progress.step))
    assert steps == [6, 8, 10]  # step 6 again: the last checkpoint was of step 4
    assert_equal_runs(run.path, undisturbed)


def test_a_callback_may_save_and_stop(undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "one")
    wishes = {2: "save", 6: "stop"}

    def watch(progress: Progress) -> str | None:
        if progress.step == 4:
            assert [path.name for path in run.checkpoints()] == [f"step-{step:08d}.safetensors" for step in (2, 4)]
        return wishes.get(progress.step)

    result = train(config, puppets, run.path, device="cpu", bar=False, watch=watch)
    assert result == Result(**run.read("training.json")) and result.steps == 6
    assert PosePrior.load(run.path / "prior.json").made_by["step"] == load(run.path).made_by["step"] == 6
    steps: list[int] = []
    assert train(config, puppets, run.path, device="cpu", bar=False, watch=lambda it: steps.append(it.step)).steps == 10
    assert steps == [8, 10]
    assert_equal_runs(run.path, undisturbed)


def test_a_wish_that_nobody_knows_is_named(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="the callback returned 'halt': let it return 'save', 'stop' or None"):
        train(tiny, puppets, tmp_path / "one", device="cpu", bar=False, watch=lambda progress: "halt")


KILLED = """
import json, os, signal, sys
import torch
from pplkit.training import loop as training
from pplkit.training.tasks.prior import train
from pplkit.models.prior.config import Config
from pplkit.data.dataset import open_dataset

torch.set_num_threads(1)
training.LOG_EVERY_STEPS, training.SAVE_EVERY_STEPS = 2, 4


def watch(progress):
    if progress.step == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)


config = Config.from_dict(json.loads(sys.argv[1]))
train(config, open_dataset(sys.argv[2]), sys.argv[3], device="cpu", bar=False, watch=watch)
"""


@pytest.mark.parametrize("step", [STOP, 10])
def test_killed_and_continued(undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path, step: int) -> None:
    """Step 10 is the last: its checkpoint is written, but neither the prior nor the summary."""
    run = tmp_path / "one"
    command = [sys.executable, "-c", KILLED, config.to_json(), str(puppets.path), str(run), str(step)]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert not (run / "prior.json").exists()
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # what a kill in the middle of a write leaves
    result = train(config, puppets, run, device="cpu", bar=False)
    assert_equal_runs(run, undisturbed)
    assert result.loss == RunFolder(undisturbed).rows("metrics.jsonl")[-1]["loss"]


def test_a_finished_run_is_left_as_it_is(undisturbed: Path, config: Config, puppets: Dataset) -> None:
    before = {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()}
    result = train(config, puppets, undisturbed, device="cpu", bar=False)
    assert result == Result(**RunFolder(undisturbed).read("training.json"))
    assert {path: path.read_bytes() for path in undisturbed.rglob("*") if path.is_file()} == before


def test_a_run_can_be_prolonged(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    train(tiny.replace(steps=4), puppets, tmp_path / "one", device="cpu", bar=False)
    result = train(tiny.replace(steps=6), puppets, tmp_path / "one", device="cpu", bar=False)
    rows = RunFolder(tmp_path / "one").rows("metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 6] and result.steps == 6
    assert PosePrior.load(tmp_path / "one" / "prior.json").made_by["step"] == 6


def test_a_run_with_other_settings_is_refused(undisturbed: Path, config: Config, puppets: Dataset) -> None:
    before = (undisturbed / "config.json").read_bytes()
    with pytest.raises(PplkitError, match=r"holds a run with other settings \(batch_size\): choose another run name"):
        train(config.replace(batch_size=2), puppets, undisturbed, device="cpu", bar=False)
    assert (undisturbed / "config.json").read_bytes() == before


def test_a_run_that_knows_less_settings_goes_on(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    """One that was begun before a setting came to be, which is off by default."""
    train(tiny.replace(steps=4), puppets, tmp_path / "one", device="cpu", bar=False)
    file = tmp_path / "one" / "config.json"
    content = json.loads(file.read_text(encoding="utf8"))
    del content["config"]["lr_hold"], content["config"]["convolution_learning_rate"]
    file.write_text(json.dumps(content), encoding="utf8")
    with pytest.raises(PplkitError, match=r"other settings \(lr_hold\)"):
        train(tiny.replace(steps=6, lr_hold=0.5), puppets, tmp_path / "one", device="cpu", bar=False)
    assert train(tiny.replace(steps=6), puppets, tmp_path / "one", device="cpu", bar=False).steps == 6


def test_settings_that_do_not_fit_can_be_put_right(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="image_size=64"):
        train(tiny.replace(image_size=64), puppets, tmp_path / "one", device="cpu", bar=False)
    assert train(tiny.replace(steps=1), puppets, tmp_path / "one", device="cpu", bar=False).steps == 1


def test_data_without_a_training_split_are_refused(tiny: Config, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", name="tests only", size=32) as writer:
        writer.add("test", torch.zeros(2, 32, 32, 3, dtype=torch.uint8).numpy())
    with pytest.raises(PplkitError, match="has no split 'train'"):
        train(tiny, open_dataset(tmp_path / "data"), tmp_path / "one", device="cpu", bar=False)
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("device", ["cuda", "abacus"])
def test_a_device_that_is_not_there_is_named(tiny: Config, puppets: Dataset, tmp_path: Path, device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(PplkitError, match=f"device='{device}' .* is not available here"):
        train(tiny, puppets, tmp_path / "one", device=device, bar=False)


def test_the_callback_sees_the_step_as_it_was(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(tiny.replace(steps=5), puppets, tmp_path / "one", device="cpu", bar=False, watch=seen.append)
    assert [progress.step for progress in seen] == [2, 4, 5] and seen[0].steps == 5
    assert seen[0].batch.images.shape == seen[0].output.reconstruction.shape == (4, 3, 32, 32)
    assert {"step": 4, **seen[1].row} == RunFolder(tmp_path / "one").rows("metrics.jsonl")[1]
    assert all(progress.images_per_second > 0 for progress in seen)


def test_looking_while_training_changes_nothing(
    undisturbed: Path, config: Config, puppets: Dataset, tmp_path: Path
) -> None:
    def look(progress: Progress) -> None:
        progress.model.estimate(puppets["test"].images[:3], iterations=1)
        progress.model.iterate(progress.batch.images, 1)
        progress.model.prior()

    train(config, puppets, tmp_path / "one", device="cpu", bar=False, watch=look)
    assert_equal_runs(tmp_path / "one", undisturbed)


def test_learning_rates_by_hand() -> None:
    constant = Config(steps=100, learning_rate=4e-3, connectivity_learning_rate=5e-5)
    assert all(rates(constant, step) == pytest.approx((4e-3, 5e-5, 0, 1e-4)) for step in (0, 50, 99))
    falling = constant.replace(final_learning_rate=0.1)
    assert [rates(falling, step)[0] / 4e-3 for step in (0, 50, 100)] == pytest.approx([1, 0.55, 0.1])
    assert rates(falling, 25)[0] / 4e-3 == pytest.approx(0.1 + 0.9 * (1 + 0.5**0.5) / 2)
    held = falling.replace(lr_hold=0.6)
    assert [rates(held, step)[0] / 4e-3 for step in (0, 60, 80, 100)] == pytest.approx([1, 1, 0.55, 0.1])
    assert rates(falling.replace(lr_hold=1.0), 100)[0] == 4e-3
    assert rates(falling.replace(convolution_learning_rate=0.02), 50)[2] / 0.02 == pytest.approx(0.55)


def test_the_rate_of_the_links_grows_after_the_coarse_part() -> None:
    config = Config(steps=100, connectivity_learning_rate=5e-5, connectivity_growth=16.0, coarse_fraction=0.6)
    assert [rates(config, step)[1] / 5e-5 for step in (0, 60, 70, 80, 100)] == pytest.approx([1, 1, 2, 4, 16])
    assert rates(config.replace(coarse_fraction=0.0), 50)[1] / 5e-5 == pytest.approx(4)
    assert rates(config.replace(coarse_fraction=1.0), 99)[1] / 5e-5 == pytest.approx(1)


def test_what_is_lost_is_renewed_at_20_to_80_per_cent() -> None:
    assert renewals(Config(steps=3600)) == {720, 1080, 1440, 1800, 2160, 2520, 2880}
    assert renewals(Config(steps=5)) == {1, 2, 3, 4}


def test_thickness_by_hand() -> None:
    config = Config(steps=100, thickness=1e-3, thickness_start=16e-3)
    results = [thickness(config, step) for step in (0, 25, 50, 75, 99)]
    assert results == pytest.approx([16e-3, 4e-3, 1e-3, 1e-3, 1e-3])
    assert thickness(config.replace(thickness_start=0.0), 0) == pytest.approx(1e-3)
