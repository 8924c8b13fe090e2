"""What all tests share: one thread for arithmetic, no windows, and the folders of outside data."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start

import pytest
import torch
from hypothesis import HealthCheck, settings

if not torch.cuda.is_available():
    os.environ.setdefault(
        "TRITON_INTERPRET", "1"
    )  # kernels run on the CPU; read when Triton is imported, here or later

from data_prep.synthetic.puppets import generate, layout
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import write_run
from pplkit.training.tasks import prior as prior_task
from pplkit.training.tasks.prior import build

SHARED = Path(__file__).resolve().parents[2] / "shared"

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
torch.set_num_threads(1)  # the models of the tests are too small to gain from more
os.environ.setdefault("MPLBACKEND", "Agg")
# The same examples each time, few enough for a test of a second, and none saved.
settings.register_profile(
    "kit", max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("kit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that at the end no process works alone on one for minutes."""
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("notebooks", "slow")))}
    items.sort(key=lambda item: item.path not in slow)


def _folder(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"{what} not found at {path}")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with CUB_200_2011 and 11k_hands; skips where it is absent."""
    return _folder(Path(os.environ.get("PPLKIT_REAL_DATA", SHARED / "data")), "real data")


@pytest.fixture(scope="session")
def parity() -> Path:
    """The folder with outputs of the released code; skips where it is absent."""
    return _folder(SHARED / "parity", "outputs of the released code")


@pytest.fixture(scope="session")
def tiny() -> Config:
    """All of the method with networks that take milliseconds."""
    return Config(
        name="tiny", image_size=32, flip=True, reference="frame", mask_grid=8, keypoints=4, thickness=5e-3,
        banks=3, vectors=4, dimension=8, encoder_layers=1, token_hidden=8, decoder_dimension=8,
        regressor_channels=(8, 8, 8, 8), regressor_features=8, decoder_channels=(8, 8, 8, 8, 8),
        perceptual="random", perceptual_size=32, steps=6, batch_size=4,
    )  # fmt: skip


@pytest.fixture(scope="session")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A prepared set of 32-pixel humanoids: 5 videos of 4 frames to train on, 3 of 3 to test on."""
    shape = layout("humanoid")
    out = tmp_path_factory.mktemp("data") / "puppets"
    writer = DatasetWriter(
        out, name="puppets", size=32, keypoint_names=shape.keypoint_names, skeleton=shape.skeleton,
        flip_pairs=shape.flip_pairs, groups=shape.groups, protocol="cub",
    )  # fmt: skip
    with writer:
        for split, videos, frames, seed in (("train", 5, 4, 0), ("test", 3, 3, 1)):
            made = generate("humanoid", videos, frames, size=32, seed=seed)
            arrays = {"keypoints": made.keypoints, "visible": made.visible, "videos": made.videos, "masks": made.masks}
            writer.add(split, made.images, **arrays)
    return open_dataset(out)


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    """A model that has learned nothing, in eval mode."""
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


@pytest.fixture(scope="session")
def untrained_run(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose model has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("runs") / "first"
    write_run(RunFolder(path), PosePriorLearner(tiny), {"version": "0", "data": "mice"})
    return path


def with_completer(model: PosePriorLearner) -> PosePriorLearner:
    """The same model, in eval mode, with a completer that answers differently."""
    model.completer = Completer(model.regressor)
    last = model.completer.regressor.predict[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias.add_(0.3)
    return model.eval()


@pytest.fixture
def run(tmp_path: Path, tiny: Config, puppets: Dataset) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.open(tiny, puppets)
    return folder


def stepped(config: Config, steps: int = 2) -> tuple[PosePriorLearner, torch.optim.Optimizer]:
    """A model after some steps of the optimiser on numbers that mean nothing."""
    model, optimiser = build(config)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for _ in range(steps):
        out = model(images, images)
        parts = (out.reconstruction, out.memory.tokens, out.memory.keypoints)
        torch.stack([part.square().mean() for part in parts]).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    return model, optimiser


@pytest.fixture
def before_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Have a training do something once before the step of a number, from 0."""
    plans: dict[int, Callable[[], object]] = {}
    given = prior_task.thickness

    def thickness(config: Config, step: int) -> float:
        plans.pop(step, lambda: None)()
        return given(config, step)

    monkeypatch.setattr(prior_task, "thickness", thickness)
    return plans.__setitem__
