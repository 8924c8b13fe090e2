"""Kill trainings, preparations and completers at any moment, again and again, and compare what they come to.

    python tests/helpers/kills.py 100 # 100 trainings killed once or more, and a tenth of the others
    python tests/helpers/kills.py 0 --faults 999 # a disk that fails, or a death, at each file change

A process that has imported all forks those that work, so that one costs less than a second. Ends with status 1 if an
end differs from the undisturbed one, or something unreadable is left.
"""

import argparse
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.fabric  # noqa: F401  # now, and not in each process
import numpy as np
import torch
from faults import CODE, DIES, faulty

from data_prep.synthetic.puppets import generate
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.models.prior.config import Config
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint, verify
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import COMPLETER
from pplkit.training.tasks.completer import complete

CONFIG = Config(
    name="tiny", image_size=32, reference="frame", mask_grid=8, keypoints=4, thickness=5e-3, thickness_start=0.02,
    banks=3, vectors=4, dimension=8, encoder_layers=1, token_hidden=8, decoder_dimension=8, regressor_channels=(8, 8,
    8, 8), regressor_features=8, decoder_channels=(8, 8, 8, 8, 8), perceptual="random", perceptual_size=32, steps=60,
    batch_size=4, final_learning_rate=0.1, coarse_fraction=0.3, reinit_weak_links=True, weight_length=0.1,
)  # fmt: skip
REFUSED = 3  # exit code of a process that ends with a PplkitError
LINES = ("metrics.jsonl", "prior_history.jsonl")


def started(function: Callable[[], object], log: Path) -> int:
    """The id of a new process that does it, with all that it says in a file."""
    sys.stdout.flush()
    if process := os.fork():
        return process
    code = 1
    try:
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1), os.dup2(said, 2)
        function()
        code = 0
    except PplkitError as error:
        print(error, file=sys.stderr, flush=True)
        code = REFUSED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Its exit code, once it has ended; that of a killed one is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(function: Callable[[], object], seconds: float, aim: Callable[[], bool], log: Path) -> bool:
    """Whether a process that does it was killed after so long, or as soon as `aim` says; else it ended well before."""
    process = started(function, log)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not aim():
        time.sleep(0.0002)
    os.kill(process, signal.SIGKILL)
    code = ended(process)
    if code not in (0, -signal.SIGKILL):
        raise AssertionError(f"exit code {code}:\n{log.read_text()[-3000:]}")
    return code != 0


def prepare(out: Path) -> None:
    """Puppets of 32 pixels."""
    with DatasetWriter(out, name="puppets", size=32, shard_bytes=2**15) as writer:
        for split, videos, seed in (("train", 10, 0), ("test", 3, 1)):
            made = generate("humanoid", videos, 4, size=32, seed=seed)
            writer.add(split, made.images, masks=made.masks, videos=made.videos)


def train(data: Path, run: Path, config: Config = CONFIG, every: int = 10) -> None:
    """From the last checkpoint to the end."""
    training.train(config, open_dataset(data), run, device="cpu", bar=False, save_every=every)


def teach(data: Path, run: Path) -> None:
    """The completer."""
    complete(run, open_dataset(data), steps=20, device="cpu", bar=False)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Of a checkpoint or completer that is whole."""
    from safetensors.torch import load_file

    with path.open("rb") as file:
        verify(file)
    return load_file(path)


def readable(run: Path) -> None:
    """All that lies in a run folder can be read, but for what is being written; raises otherwise."""
    for path in run.rglob("*"):
        if path.suffix == ".safetensors":
            tensors(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
    RunFolder(run).last()


def differences(run: Path, other: Path) -> list[str]:
    """What is not the same, to the last bit, in two folders of trainings that have ended."""
    found = [name for name in LINES if (run / name).read_bytes() != (other / name).read_bytes()]
    ours, theirs = RunFolder(run).checkpoints(), RunFolder(other).checkpoints()
    if ours[-1].name != theirs[-1].name:
        return [*found, f"{ours[-1].name} and {theirs[-1].name}"]
    one, two = read_checkpoint(ours[-1]), read_checkpoint(theirs[-1])
    found += [name for name in two.tensors if not torch.equal(one.tensors[name], two.tensors[name])]
    for name in ("keypoints", "connectivity"):
        if json.loads((run / "prior.json").read_text())[name] != json.loads((other / "prior.json").read_text())[name]:
            found.append(name)
    found += [str(path.name) for path in run.rglob("*partial*")]
    return found + [path.name for path in (run / "notes.json",) if path.exists()]


class Trials:
    """Kills in a folder of its own; `moments` counts what they met."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.log, self.rng = folder, folder / "log", random.Random(seed)
        self.data, self.right = folder / "data", folder / "undisturbed"
        self.moments: Counter[str] = Counter()
        begun = time.monotonic()
        self.must(partial(prepare, self.data))
        self.preparing = time.monotonic() - begun
        begun = time.monotonic()
        self.must(partial(train, self.data, self.right))
        self.training = time.monotonic() - begun
        begun = time.monotonic()
        self.must(partial(teach, self.data, self.right))
        self.teaching = time.monotonic() - begun

    def must(self, function: Callable[[], object]) -> None:
        """Do it in another process, undisturbed."""
        if code := ended(started(function, self.log)):
            raise AssertionError(f"exit code {code}:\n{self.log.read_text()[-3000:]}")

    def train(self) -> list[str]:
        """Kill a training once or more and let it go on to its end; how that differs from the undisturbed one."""
        run, kills = self.folder / "run", 0
        while not kills or self.rng.random() < 0.4:
            aimed = self.rng.random() < 0.3  # at a file that is being written
            skipped = self.rng.randrange(12)
            aim = partial(self.writing, run, [skipped]) if aimed else lambda: False
            if not killed(partial(train, self.data, run), self.rng.uniform(0, self.training), aim, self.log):
                if not kills:
                    shutil.rmtree(run)
                    continue
                break
            kills += 1
            readable(run)
            self.moments[self.moment(run)] += 1
        self.must(partial(train, self.data, run))
        readable(run)
        found = differences(run, self.right)
        shutil.rmtree(run)
        return found

    def writing(self, run: Path, left: list[int]) -> bool:
        """Whether something is being written, after so many looks at which something was."""
        for folder in (run / "checkpoints", run):
            if folder.is_dir() and any(name.endswith(".partial") for name in os.listdir(folder)):
                left[0] -= 1
        return left[0] < 0

    def moment(self, run: Path) -> str:
        """What a kill met."""
        if any(run.rglob("*.partial")):
            return "while a file was written"
        if not run.exists() or not RunFolder(run).checkpoints():
            return "before the first checkpoint"
        return (
            "after the last step" if RunFolder(run).checkpoints()[-1].name == "step-00000060.safetensors" else "between"
        )

    def prepare(self) -> list[str]:
        """Kill a preparation, and prepare again."""
        out, right = self.folder / "again", open_dataset(self.data).sha256
        if killed(partial(prepare, out), self.rng.uniform(0, self.preparing), lambda: False, self.log):
            self.moments["while data were prepared"] += 1
        if not out.exists():
            self.must(partial(prepare, out))
        found = [] if open_dataset(out).sha256 == right else ["the data"]
        found += [path.name for path in self.folder.glob(".again.partial*")]
        shutil.rmtree(out)
        return found

    def teach(self) -> list[str]:
        """Kill the teaching of a completer, and teach it again."""
        run = self.folder / "taught"
        shutil.copytree(self.right, run, ignore=lambda _, names: [name for name in names if name == COMPLETER])
        if killed(partial(teach, self.data, run), self.rng.uniform(0, self.teaching), lambda: False, self.log):
            self.moments["while a completer was taught"] += 1
        readable(run)
        self.must(partial(teach, self.data, run))
        ours, right = tensors(run / COMPLETER), tensors(self.right / COMPLETER)
        found = [name for name in right if not torch.equal(ours[name], right[name])]
        found += [path.name for path in run.rglob("*.partial")]
        shutil.rmtree(run)
        return found

    def faults(self, most: int) -> list[str]:
        """Let a short training fail, or die, at each change of a file, at most so many, and go on undisturbed."""
        config, wrong, run, right = CONFIG.replace(steps=3), [], self.folder / "run", self.folder / "right"
        self.must(partial(train, self.data, right, config, 1))
        with faulty(0) as counting:
            process = started(partial(self.count, run, config, counting), self.log)
            assert ended(process) == 0
        count = int((self.folder / "count").read_text())
        shutil.rmtree(run)
        for error in (errno.ENOSPC, errno.EIO, DIES):
            for at in np.unique(np.linspace(1, count, min(count, most)).round().astype(int)):
                with faulty(int(at), error):
                    code = ended(started(partial(train, self.data, run, config, 1), self.log))
                what = f"change {at} of {count}, {errno.errorcode.get(error, 'death')}"
                if code != (CODE if error == DIES else REFUSED):
                    wrong.append(f"{what}: exit code {code}: {self.log.read_text()[-2000:]}")
                if error != DIES and any(run.rglob("*.partial")):
                    wrong.append(f"{what}: something half-written is left")
                readable(run)
                self.must(partial(train, self.data, run, config, 1))
                wrong += [f"{what}: {name}" for name in differences(run, right)]
                self.moments[f"at a change of a file, {errno.errorcode.get(error, 'death')}"] += 1
                shutil.rmtree(run)
        return wrong

    def count(self, run: Path, config: Config, counting: Any) -> None:
        """Note how many changes of files a training makes."""
        train(self.data, run, config, 1)
        (self.folder / "count").write_text(str(counting.count))


def main() -> int:
    """Say how many of the ends were those of undisturbed runs, and what the kills met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=100, help="trainings to kill")
    parser.add_argument("--faults", type=int, default=0, metavar="N", help="changes of files at which to fail")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun, wrong = time.monotonic(), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), options.seed)
        tenth = -(-options.count // 10)
        for what, times in ((trials.train, options.count), (trials.prepare, tenth), (trials.teach, tenth)):
            ends = [what() for _ in range(times)]
            wrong += [f"{what.__name__}: {', '.join(found)}" for found in ends if found]
            print(f"{what.__name__}: {ends.count([])} of {times} ends are that of the undisturbed one", flush=True)
        if options.faults:
            kills = sum(trials.moments.values())
            found = trials.faults(options.faults)
            wrong += found
            times = sum(trials.moments.values()) - kills
            print(f"faults: {len(found)} of {times} ends differ, or the fault was not refused", flush=True)
    print(f"{sum(trials.moments.values())} kills and faults in {time.monotonic() - begun:.0f} s:")
    for moment, times in sorted(trials.moments.items()):
        print(f"  {times:4} {moment}")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
