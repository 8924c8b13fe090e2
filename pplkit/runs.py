"""The run folder: configuration, metrics, checkpoints, and a model loaded from them. JSON and safetensors only."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pplkit.config import Config
from pplkit.dataset import Dataset
from pplkit.errors import PplkitError
from pplkit.model import PosePriorLearner
from pplkit.networks import Completer
from pplkit.version import __version__

SCHEMA = "pplkit-checkpoint-1"
COMPLETER = "completer.safetensors"
COMPLETER_SCHEMA = "pplkit-completer-1"
KEPT = 2  # checkpoints: the last one and the one before it
FREE = ("steps", "name")  # settings that a continued run may change


def home() -> Path:
    """Where `data/` and `runs/` lie: $PPLKIT_HOME, else the project root above the working folder, else that folder."""
    if given := os.environ.get("PPLKIT_HOME"):
        return Path(given)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return here


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file to write into, piece by piece: afterwards it is complete, and on an error it is as it was before."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf8", newline="") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: it is complete, or as it was before."""
    with writing(path) as file:
        file.write(text)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically: the file is complete, or as it was before."""
    write_text(path, json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class RunFolder:
    """`runs/<name>`: where one training run keeps everything."""

    path: Path

    def open(self, config: Config, data: Dataset) -> dict[str, Any]:
        """Create the folder for `config` and `data`, or check that it was made for them; returns what made it.

        Raises PplkitError when the folder belongs to a run with other settings or other data.
        """
        made_by = {"version": __version__, "data": data.name, "data_sha256": data.sha256, "torch": torch.__version__}
        made_by["data_path"] = os.path.relpath(data.path, self.path)
        try:
            if self.checkpoints():  # before the first there is nothing to lose, and wrong settings may be put right
                self._check(config, made_by)
            for folder in ("checkpoints", "figures", "notebooks"):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
            write_json(self.path / "config.json", {"config": config.to_dict(), "made_by": made_by})
        except OSError as error:
            raise PplkitError(f"the run folder {self.path} cannot be written ({error}): choose another.") from None
        return made_by

    def _check(self, config: Config, made_by: dict[str, Any]) -> None:
        before = self.read("config.json")
        old, new = before["config"], config.to_dict()
        changed = [name for name in new if name not in FREE and old.get(name) != json.loads(json.dumps(new[name]))]
        if changed:
            raise PplkitError(
                f"{self.path} holds a run with other settings ({', '.join(changed)}): choose another run name, or "
                "delete the folder to start again."
            )
        if before["made_by"]["data_sha256"] != made_by["data_sha256"]:
            raise PplkitError(
                f"{self.path} was trained on other data than {made_by['data']}: choose another run name, or delete "
                "the folder to start again."
            )

    def read(self, name: str) -> Any:
        """A JSON file of the run; raises PplkitError if it is missing or torn."""
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf8"))
        except FileNotFoundError:
            raise PplkitError(f"{path} does not exist: run the step that writes it (training comes first).") from None
        except ValueError as error:
            raise PplkitError(f"{path} is not readable JSON ({error}): run the step that writes it again.") from None

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add one line to a .jsonl file of the run."""
        with (self.path / name).open("a", encoding="utf8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a .jsonl file; a last line cut short by a crash is left out."""
        path = self.path / name
        found = []
        for line in path.read_text(encoding="utf8").splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    def cut(self, name: str, step: int) -> None:
        """Drop the lines of a .jsonl file that came after `step`, so that a continued run writes them again."""
        rows = [row for row in self.rows(name) if row["step"] <= step]
        write_text(self.path / name, "".join(json.dumps(row) + "\n" for row in rows))

    def checkpoints(self) -> list[Path]:
        """Paths of the checkpoints, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"))

    def write(self, model: PosePriorLearner, made_by: dict[str, Any]) -> None:
        """A folder for a model that was trained elsewhere: its config, its weights as step 0 and its prior."""
        (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.save(0, model, None, made_by)
        model.made_by = {**made_by, "run": self.path.name, "step": 0}
        model.prior().save(self.path / "prior.json")
        write_json(self.path / "config.json", {"config": model.config.to_dict(), "made_by": made_by})

    def save(
        self, step: int, model: nn.Module, optimiser: torch.optim.Optimizer | None, made_by: dict[str, Any]
    ) -> Path:
        """Write the checkpoint of `step` atomically and drop all but the last two."""
        tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            for part, value in optimiser.state[parameter].items() if optimiser else ():
                tensors[f"optimiser.{part}.{name}"] = value.contiguous()
        path = self.path / "checkpoints" / f"step-{step:08d}.safetensors"
        partial = path.with_suffix(".partial")
        save_file(tensors, partial, {"schema": SCHEMA, "step": str(step), "made_by": json.dumps(made_by)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        for old in self.checkpoints()[:-KEPT]:
            old.unlink()
        return path

    def last(self) -> tuple[Path, int, dict[str, Tensor]] | None:
        """The last checkpoint: its file, step and tensors; None if there is none."""
        paths = self.checkpoints()
        return (paths[-1], *read_checkpoint(paths[-1])) if paths else None

    def restore(self, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> int:
        """Load the last checkpoint into model and optimiser (parameters on their device); returns its step, else 0."""
        return restore(self.last(), model, optimiser)

    def save_completer(self, model: PosePriorLearner, steps: int) -> None:
        """Write the model's completer atomically, with the steps it learned for and the weights it learned from."""
        assert model.completer is not None
        tensors = {name: value.contiguous() for name, value in model.completer.state_dict().items()}
        partial = self.path / f"{COMPLETER}.partial"
        try:
            save_file(tensors, partial, {"schema": COMPLETER_SCHEMA, "steps": str(steps), "of": fingerprint(model)})
            partial.replace(self.path / COMPLETER)
        except OSError as error:
            raise PplkitError(
                f"{self.path / COMPLETER} cannot be written ({error}): make room or choose another run."
            ) from None

    def restore_completer(self, model: PosePriorLearner) -> int:
        """Give the model its completer, if there is one made from its weights; the steps it learned for, else 0.

        Raises PplkitError if the file is torn or of another version.
        """
        path = self.path / COMPLETER
        if not path.exists():
            return 0
        remedy = "delete it, and run `pplkit complete` again"
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                if about.get("schema") != COMPLETER_SCHEMA:
                    raise PplkitError(f"{path} is of another version ({about.get('schema')!r}): {remedy}.")
                if about["of"] != fingerprint(model):  # the run went on, or was made anew
                    return 0
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                completer = Completer(model.regressor)
                completer.load_state_dict(tensors)
                model.completer = completer
                return int(about["steps"])
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise PplkitError(f"{path} cannot be read ({str(error).splitlines()[0]}): {remedy}.") from None


def fingerprint(model: PosePriorLearner) -> str:
    """The sha256 of the regressor's weights and the prior, from which a completer learns."""
    found = hashlib.sha256(model.keypoint_prior().detach().cpu().numpy().tobytes())
    for value in model.regressor.state_dict().values():
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def restore(
    found: tuple[Path, int, dict[str, Tensor]] | None, model: nn.Module, optimiser: torch.optim.Optimizer | None
) -> int:
    """Load what `RunFolder.last` found into model and optimiser (parameters on their device); its step, else 0."""
    if found is None:
        return 0
    path, step, tensors = found
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise PplkitError(f"{path} does not fit the config beside it ({reason}): train again.") from None
    if optimiser is not None:
        _restore_optimiser(model, optimiser, tensors)
    return step


def _restore_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        for key, value in tensors.items():
            if key.startswith("optimiser.") and key.endswith(f".{name}") and key.count(".") == name.count(".") + 2:
                part = key.split(".")[1]
                if part != "step":  # fused Adam goes through memory: its state must lie as the parameter does
                    value = torch.empty_like(parameter, requires_grad=False).copy_(value)
                optimiser.state[parameter][part] = value


def read_checkpoint(path: Path) -> tuple[int, dict[str, Tensor]]:
    """Step and tensors of a checkpoint; raises PplkitError naming the file if it is torn or of another version."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("schema") != SCHEMA:
                raise PplkitError(
                    f"{path} is a checkpoint of another version ({metadata.get('schema')!r}, this one reads "
                    f"{SCHEMA!r}): train again, or use the version that wrote it."
                )
            return int(metadata["step"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError) as error:
        raise PplkitError(f"{path} cannot be read ({error}): delete it, the one before it will be taken.") from None


def load(run: str | os.PathLike[str], device: str = "cpu") -> PosePriorLearner:
    """The trained model of a run folder, in eval mode on `device`; "auto" takes the best one present.

    Raises PplkitError if the folder holds no finished checkpoint, or one of another version.
    """
    folder = RunFolder(Path(run))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    content = folder.read("config.json")
    model = PosePriorLearner(Config.from_dict(content["config"]))
    if not folder.checkpoints():
        raise PplkitError(f"{folder.path} holds no checkpoint yet: train it first.")
    step = folder.restore(model)
    folder.restore_completer(model)
    model.made_by = {**content["made_by"], "run": folder.path.name, "step": step}
    try:
        return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise PplkitError(f"device={device!r} is not to be had here ({reason}): choose cpu, cuda or mps.") from None
