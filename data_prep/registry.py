"""The data sets known by name, so that a notebook asks for one without knowing whether it is prepared already."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.common.object_crops import AUTO
from pplkit.core.errors import PplkitError
from pplkit.core.project import data_folder
from pplkit.data.crops import current_name
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.models.prior.presets import PRESETS

PUPPETS = {f"puppets-{name}": name for name in ("quadruped", "hand", "textured", "wide")}
KINDS = ("puppets", "cub", "hands", "h36m", "taichi", "flowers", "horses", "afhq", "dogs", "folder", "video")
"""The modules of data_prep. A data set called <kind>-<anything> is of that kind, so several can lie side by side."""
FILMED = ("puppets", "h36m", "taichi", "dogs", "video")  # another frame can be the reference
DEFAULT_SIZE = 64
SMOKE_SIZE = 32
SMOKE: dict[str, dict[str, Any]] = {
    "puppets": {"videos": 12, "frames": 6, "test_videos": 4, "test_frames": 4, "films": 2, "film_frames": 40},
    "cub": {"classes": [1]},
    "hands": {"aspect": "dorsal left", "accessories": 1},
    "h36m": {"subjects": [1, 11], "actions": ["Posing"], "every": 100},
    "taichi": {"every": 50},
    "afhq": {"category": "cat"},
    "dogs": {"frames": 8},
    "video": {"frames": 8},
}
"""What scale "smoke" changes in the preparation, so that it takes seconds."""
PLACES = ("source", "out", "size", "overwrite")  # parameters of every `prepare` that are no options
MANNER = ("strict", "limit", "download")  # options that change nothing in what is prepared from whole files


def kind_of(dataset: str) -> str | None:
    """The module that prepares data sets of this name, None if none does."""
    return next((kind for kind in KINDS if dataset == kind or dataset.startswith(f"{kind}-")), None)


def preset_for(dataset: str) -> str:
    """The settings that a data set of this name is trained with unless others are named.

    Those of its name or of its kind; else `videos`, or `photographs` for single pictures. Raises PplkitError for a
    name of no kind.
    """
    kind = kind_of(dataset)
    for name in (dataset, kind):
        if name in PRESETS:
            return str(name)
    if kind is None:
        raise PplkitError(
            f"no settings are named after the data set {dataset!r}: correct its name, or name a preset, such as "
            "videos or photographs."
        )
    return "videos" if kind in FILMED else "photographs"


def prepared(
    dataset: str,
    source: str = "",
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    scale: str = "default",
) -> Path:
    """The folder <home>/data/<dataset> of a prepared data set; prepared now if it is known by name and absent.

    Raises PplkitError as `preparation` does, which says what the parameters are, and where files cannot be read.
    """
    return preparation(dataset, source, size, options, scale)()


def preparation(
    dataset: str,
    source: str = "",
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    scale: str = "default",
) -> Callable[[], Path]:
    """What `prepared` has to do: a function that opens or prepares the data set and returns its folder.

    The puppets make themselves (`source` may name another category); every other kind (`KINDS`) needs `source`, the
    folder as downloaded; any other name must be prepared already. `options` go to the `prepare` of the data set's
    module. A folder that exists is opened, never rebuilt; `size` and `options` are compared with it where they are
    given. At scale "smoke" images are 32 pixels and few.
    Raises PplkitError where a source is missing, an option unknown, or the folder holds another preparation: all that
    can be told without reading the files.
    """
    out = data_folder(dataset, scale)
    exists = (out / "dataset.json").exists()
    kind = kind_of(dataset)
    if kind is None:
        if not exists:
            raise PplkitError(
                f"dataset={dataset!r} is not known by name and {out} is absent: prepare it there with "
                f"pplkit.data.writer.DatasetWriter, or choose a name that begins with {', '.join(KINDS)}."
            )
        return lambda: open_dataset(out).path
    # Imported here, so that `python -m data_prep.cub` does not find its own module loaded already.
    prepare: Callable[..., Path] = importlib.import_module(f"data_prep.{kind}").prepare
    tiny = SMOKE.get(kind, {}) if scale == "smoke" else {}
    wanted = {**_defaults(prepare), **tiny, **_known_only(dataset, prepare, options)}
    wanted["size"] = SMOKE_SIZE if scale == "smoke" else size or DEFAULT_SIZE
    category = source or PUPPETS.get(dataset, "humanoid") if kind == "puppets" else ""
    if exists:
        data = open_dataset(out)
        _check_same(data, "size", data.size, wanted["size"] if size else data.size)
        if category and (source or options is not None):
            _check_same(data, "source", data.name.removeprefix("puppets-"), category)
        for name in _defaults(prepare) if options is not None else ():
            if wanted[name] == AUTO:  # what it then chose was right
                continue
            if name in data.options or name in (options or {}):  # others have come since
                _check_same(data, name, data.options.get(name), wanted[name])
        return lambda: data.path
    if not (category or source):
        raise PplkitError(f"source is empty, but dataset={dataset!r} is made from downloaded files: name their folder.")
    return partial(prepare, category or source, out, **wanted)


def _defaults(prepare: Callable[..., Path], but: tuple[str, ...] = (*PLACES, *MANNER)) -> dict[str, Any]:
    """The options of a `prepare` that make a difference, and their defaults."""
    return {name: p.default for name, p in inspect.signature(prepare).parameters.items() if name not in but}


def _known_only(dataset: str, prepare: Callable[..., Path], options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    known = _defaults(prepare, PLACES)
    for name in options or {}:
        if name not in known:
            raise PplkitError(f"option {name!r} is unknown for dataset={dataset!r}: choose from {', '.join(known)}.")
    return options or {}


def _check_same(data: Dataset, name: str, before: Any, wanted: Any) -> None:
    def plain(value: Any) -> Any:  # a choice is the same in any order; conditions are kept as text
        if isinstance(value, Mapping):
            return {key: str(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return sorted(value, key=str)
        return current_name(str(value)) if isinstance(value, Path | str) else value

    one, other = plain(before), plain(wanted)
    if one != other:
        raise PplkitError(
            f"{data.path} was prepared with {name}={before!r}, not {wanted!r}: give that {name}, another name of the "
            f"data set such as {data.name}-2, or delete the folder to prepare it anew."
        )
