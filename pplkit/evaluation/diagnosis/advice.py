"""What to try against a fault: in words, and as a command that does it."""

import os
import re
import shlex
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from pplkit.data.dataset import Dataset
from pplkit.evaluation.diagnosis.checks import Check
from pplkit.models.prior.config import Config
from pplkit.models.prior.presets import PRESETS

NOTHING_LEFT = "other images, or another seed; the settings that help are set already"


def changed_settings(check: Check, config: Config) -> dict[str, Any]:
    """The settings that the check advises, without those that have the advised value."""
    now = config.to_dict()
    proposed = {name: change(now[name]) for name, change in check.changes.items()}
    return {name: value for name, value in proposed.items() if value != now[name]}


def changed_options(check: Check, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the preparation, and `size`, that the check advises, without those that are so already."""
    return {
        name: value
        for name, value in check.options
        if options.get(name) != value and (name != "size" or options.get("size", 0) < value)
    }


def advice(check: Check, config: Config, options: Mapping[str, Any]) -> str:
    """What to try, in words: settings and options, each with its value now, and what else helps."""
    settings, preparation = changed_settings(check, config), changed_options(check, options)
    now = config.to_dict()
    parts = [", ".join(f"{name}={text_of(value)} (now {text_of(now[name])})" for name, value in settings.items())]
    if preparation:
        parts.append("images prepared with " + ", ".join(f"{name}={value}" for name, value in preparation.items()))
    if check.backbone and config.backbone == "none":
        parts.append("preset photographs, or films for videos, which look through a pretrained network")
    return "; ".join(filter(None, [*parts, check.remedy])) or NOTHING_LEFT


def command(check: Check, config: Config, data: Dataset, run: Path) -> str | None:
    """The command that tries the advice in a new run, or continues this one; None where no command can.

    It repeats what the run has other than its preset: as `pplkit run` if notebooks made it, else as `pplkit train`.
    """
    settings, options = changed_settings(check, config), changed_options(check, options_of(data))
    other_preset = check.backbone and config.backbone == "none"
    if config.name not in PRESETS or not (settings or options or other_preset or check.continues):
        return None
    if options or other_preset:
        return _prepare_and_run(config, data, options, other_preset)
    name = run_name(run)
    name = name if check.continues else _next_name(run.parent, name)
    return training_command(config.replace(**settings), data.path, run, name)


def made_by_notebooks(run: Path) -> bool:
    """Whether `pplkit run` made the run folder."""
    return any((run / "notebooks").glob("*.ipynb"))


def run_name(run: Path) -> str:
    """The name of a run, as --name takes it."""
    return run.name.removesuffix("-smoke") if made_by_notebooks(run) else run.name


def training_command(config: Config, data: Path, run: Path, name: str) -> str:
    """The command that trains with `config`, settings of a known preset, on the data set in a folder.

    `pplkit run --name NAME` if notebooks made the folder `run`, else `pplkit train` in the folder `name` beside it.
    """
    executed = made_by_notebooks(run)
    smoke = executed and data.name.endswith("-smoke")
    preset = Config.preset(config.name)
    preset = preset.smoke() if smoke else preset
    if executed:
        dataset = data.name.removesuffix("-smoke")
        words = ["run", dataset, *(["--name", name] if name != dataset else [])]
        words += ["--scale", "smoke"] if smoke else []
        words += ["--size", str(config.image_size)] if config.image_size != preset.image_size else []
    else:
        words = ["train", os.path.relpath(data), os.path.relpath(run.parent / name)]
    settings = _differences(config, preset)
    own = [word for name in ("steps", "seed") if name in settings for word in (f"--{name}", str(settings.pop(name)))]
    return shlex.join(["pplkit", *words, "--preset", config.name, *own, *_pairs("--set", settings)])


def options_of(data: Dataset) -> dict[str, Any]:
    """The options that a data set was prepared with, and its `size`."""
    return {**data.options, "size": data.size}


def text_of(value: Any) -> str:
    """A value as --set and --option read it."""
    if isinstance(value, list | tuple):
        return ",".join(map(text_of, value)) + "," * (len(value) == 1)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _prepare_and_run(config: Config, data: Dataset, options: dict[str, Any], other_preset: bool) -> str | None:
    """The command that makes another data set of the same files, with `options`, and trains on it."""
    if not data.origin:
        return None
    size = {name: str(options.pop(name)) for name in ("size",) if name in options}
    preset = config.name
    if other_preset:
        preset = "photographs" if data["train"].videos is None else "films"
    words = ["pplkit", "run", _next_name(data.path.parent, data.path.name), "--source", data.origin["path"]]
    words += ["--preset", preset, *([] if other_preset else [word for name in size for word in ("--size", size[name])])]
    return shlex.join([*words, *_pairs("--option", {**data.origin.get("options", {}), **options})])


def _differences(config: Config, preset: Config) -> dict[str, Any]:
    now, before = config.to_dict(), preset.to_dict()
    return {name: value for name, value in now.items() if value != before[name] and name not in ("name", "image_size")}


def _pairs(option: str, values: Mapping[str, Any]) -> list[str]:
    return [option, *(f"{name}={text_of(value)}" for name, value in values.items())] if values else []


def _next_name(folder: Path, name: str) -> str:
    """`name` with the next number that is free: cats, cats-2, cats-3."""
    stem = re.sub(r"-\d{1,3}$", "", name)
    return next(new for number in count(2) if not (folder / (new := f"{stem}-{number}")).exists())
