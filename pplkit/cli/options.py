"""How commands are added, options that several of them share, and checks before anything is computed."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import check_writable, parse_json
from pplkit.data.dataset import Dataset
from pplkit.models.prior.config import Config
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import read_config

Commands = Any  # what `ArgumentParser.add_subparsers` returns, a private class of argparse
BEST = "auto, cpu, cuda, cuda:1 or mps (default: the best one present)"
SEEN = "part of an image that the model sees: center (the largest square there), pad (all), object (a square around it)"


def name_and_value(text: str) -> tuple[str, Any]:
    """The type of NAME=VALUE options. A value is JSON, or True or False, else text; commas make a list (also "1,")."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    parsed = _json_or_text(value)
    if isinstance(parsed, str) and "," in value:
        return name, [_json_or_text(item) for item in value.removesuffix(",").split(",")]
    return name, parsed


def _json_or_text(text: str) -> Any:
    try:
        return parse_json(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text


class _Pairs(argparse.Action):
    """NAME=VALUE options, also given several times; values without a name go on with the list before them."""

    def __call__(self, _: Any, namespace: argparse.Namespace, values: Any, __: Any = None) -> None:
        texts: list[str] = []
        for text in values:
            if texts and not text.partition("=")[0].isidentifier():
                texts[-1] = f"{texts[-1].removesuffix(',')},{text}"
            else:
                texts.append(text)
        try:
            pairs = [name_and_value(text) for text in texts]
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), *pairs])


PAIRS: dict[str, Any] = {"metavar": "NAME=VALUE", "action": _Pairs, "nargs": "+", "default": []}
OPTIONS: dict[str, dict[str, Any]] = {
    "run": {"type": Path, "metavar": "RUN", "help": "run folder of a trained model"},
    "--preset": {"help": "named settings (default: those of the data set's name or kind)"},
    "--steps": {"type": int, "help": "training steps"},
    "--seed": {"type": int, "help": "seed of everything random"},
    "--devices": {"type": int, "help": "processes that train together, one on each GPU (default: 1)"},
    "--device": {"help": BEST},
    "--threads": {"type": int, "help": "threads of a CPU (default: one for each core that is free now)"},
    "--iterations": {"type": int, "default": 0, "help": "rounds through the memory (default: 0; paper: 4)"},
    "--procedure": {"help": "completed or published (default: completed, where there is a completer and no rounds)"},
    "--set": {
        **PAIRS,
        "help": "settings other than the preset's, such as keypoints=10 flip=false; docs/presets.md explains them",
    },
    "--named": {"action": "store_true", "help": "write the landmarks of the run instead of its keypoints"},
    "--crop": {"help": f"{SEEN}; default: as in training, else center"},
    "--batch-size": {"type": int, "default": 64, "help": "images at a time through the model (default: 64)"},
    "--quiet": {"action": "store_true", "help": "no progress"},
}
TRAINING = ("--preset", "--set", "--steps", "--seed", "--device", "--devices", "--threads")


def add_command(
    commands: Commands, handler: Callable[[argparse.Namespace], None], *options: str
) -> argparse.ArgumentParser:
    """Add the command that `handler` carries out, called and described as that function is, with shared `options`."""
    about = str(handler.__doc__).strip()
    name, summary = handler.__name__.replace("_", "-"), about[0].lower() + about[1:].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=about)
    parser.set_defaults(handler=handler)
    for option in options:
        parser.add_argument(option, **OPTIONS[option])
    return parser


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options `names` that were given."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def settings_of(arguments: argparse.Namespace, *options: str) -> dict[str, Any]:
    """The settings of --set, and those of the given `options`, which go first."""
    settings = dict(arguments.set)
    if "name" in settings:
        raise PplkitError("--set name=... is no setting of a model: take the settings of a preset by --preset.")
    return Config.new_names(settings) | given(arguments, *options)


def check_output(option: str, path: Path, *suffixes: str) -> None:
    """Raise PplkitError for a file whose folder is missing, that cannot be written, or ends in none of `suffixes`."""
    if not path.parent.is_dir():
        raise PplkitError(f"the folder {path.parent} of {option} does not exist: create it, or name another file.")
    if suffixes and path.suffix.lower() not in suffixes:
        raise PplkitError(f"{option} {path} does not end in {' or '.join(suffixes)}: choose such a name.")
    check_writable(path)


def warn_about(data: Dataset) -> None:
    """Print on stderr what may spoil a training on these images."""
    from pplkit.evaluation.diagnosis.report import diagnose_images, warning_lines

    for line in warning_lines(diagnose_images(data)):
        print(f"pplkit: {line}", file=sys.stderr, flush=True)


def warn_if_unfinished(run: Path) -> None:
    """Print on stderr that the training of a run has not come to its end."""
    folder = RunFolder(run)
    if (done := folder.last_step()) and done < (steps := read_config(folder).steps):
        sentence = f"{run} is unfinished, at step {done} of {steps}: its keypoints will change when it is continued."
        print(f"pplkit: {sentence}", file=sys.stderr, flush=True)


def estimator_of(arguments: argparse.Namespace, *options: str, device: str = "auto") -> Any:
    """The `Estimator` of the run, on --device or else `device`, with the given ones of `options`."""
    from pplkit import training
    from pplkit.inference.estimate import Estimator
    from pplkit.inference.landmarks import fitting
    from pplkit.inference.landmarks.landmark_head import head_file, load_head

    model = training.load(arguments.run, arguments.device or device)
    warn_if_unfinished(arguments.run)
    named: dict[str, Any] = {}
    if arguments.named:
        named["landmarks"] = fitting.load_landmarks(arguments.run, model)
        named["head"] = load_head(head_file(arguments.run / fitting.MAP), named["landmarks"], model)
    return Estimator(model, crop=arguments.crop or model.crop, **named, **given(arguments, *options))
