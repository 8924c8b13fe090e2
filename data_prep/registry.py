"""The data sets known by name: how each is prepared, and the settings that it is trained with."""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.common.object_crops import AUTO
from data_prep.common.origin import check_origin, origin_of, record_origin
from data_prep.user_media import check_name, kind_of_source
from pplkit.core.errors import PplkitError
from pplkit.core.project import data_folder, home
from pplkit.core.words import choice, nearest
from pplkit.data.crops import current_name
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.models.prior.presets import PRESETS

PUPPETS = {f"puppets-{name}": name for name in ("quadruped", "hand", "textured", "wide")}
KINDS = ("puppets", "cub", "hands", "h36m", "taichi", "flowers", "horses", "afhq", "dogs", "folder", "video")
"""The modules of data_prep. A data set called <kind>-<anything> is of that kind, so several can lie side by side."""
VIDEO_KINDS = ("puppets", "h36m", "taichi", "dogs", "video")  # another frame can be the reference
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
"""Options at scale "smoke", with which a preparation takes seconds."""
COMMON_PARAMETERS = ("source", "out", "size", "overwrite")  # of every `prepare`; the others are options
FAULT_OPTIONS = ("strict", "limit", "download")  # options that change nothing if the source has no faults


@dataclass(frozen=True)
class DataSource:
    """A data set by its name."""

    name: str
    kind: str | None
    """The module of data_prep that prepares it; None if it must be prepared already"""

    @property
    def preset(self) -> str:
        """The settings that it is trained with unless others are named: those of its name or of its kind.

        Kinds without settings of their own have `videos`, or `photographs` for single images. Raises PplkitError for a
        name of no kind.
        """
        for name in (self.name, self.kind):
            if name in PRESETS:
                return str(name)
        if self.kind is None:
            raise PplkitError(
                f"no settings are named after the data set {self.name!r}: correct its name"
                f"{f' ({close}?)' if (close := self.nearest) else ''}, or name a preset, such as videos or photographs."
            )
        return "videos" if self.kind in VIDEO_KINDS else "photographs"

    @property
    def nearest(self) -> str:
        """The known name that was probably meant; "" if none is near."""
        return nearest(
            self.name, (*KINDS, *PUPPETS, *(path.parent.name for path in home().glob("data/*/dataset.json")))
        )

    def _unknown(self, out: Path, source: str) -> PplkitError:
        check_name(self.name, None, source)
        advice = f"perhaps {close!r} is meant; else " if (close := self.nearest) else ""
        return PplkitError(
            f"dataset={self.name!r} is not known by name and {out} is absent: {advice}prepare it there with "
            f"pplkit.data.writer.DatasetWriter, or choose a name that begins with {', '.join(KINDS)}."
        )

    def preparation(
        self,
        source: str = "",
        size: int | None = None,
        options: Mapping[str, Any] | None = None,
        scale: str = "default",
        refresh: bool = False,
    ) -> Callable[[], Dataset]:
        """A function that prepares the data set in <home>/data, or just opens it if it is there.

        Args:
            source: the folder as downloaded; for puppets, which need none, another category.
            size: side of the images in pixels.
            options: options of the data set's module.
            scale: "default", or "smoke" for few images of 32 pixels.
            refresh: prepare a folder that exists again, with the size and options that it had where none are given.

        Otherwise a folder that exists is only compared with `source`, `size` and `options`, if given. Raises
        PplkitError for a missing source, an unknown option, and a folder that was prepared otherwise or whose source
        has changed since; all that can be checked without reading the images.
        """
        out, options = data_folder(self.name, scale), options or None
        exists = (out / "dataset.json").exists()
        if self.kind is None:
            if not exists:
                raise self._unknown(out, source)
            return lambda: open_dataset(out)
        # Imported here, so that `python -m data_prep.cub` does not find its own module loaded already.
        prepare: Callable[..., Path] = importlib.import_module(f"data_prep.{self.kind}").prepare
        defaults = _parameters(prepare, (*COMMON_PARAMETERS, *FAULT_OPTIONS))
        known = _parameters(prepare, COMMON_PARAMETERS)
        if unknown := [name for name in options or {} if name not in known]:
            raise PplkitError(
                f"option {unknown[0]!r} is unknown for dataset={self.name!r}: {choice(unknown[0], known)}."
            )
        arguments = {**defaults, **(SMOKE.get(self.kind, {}) if scale == "smoke" else {}), **(options or {})}
        arguments["size"] = SMOKE_SIZE if scale == "smoke" else size or DEFAULT_SIZE
        category = source or PUPPETS.get(self.name, "humanoid") if self.kind == "puppets" else ""
        if exists:
            data = open_dataset(out)
            if not refresh:
                for option, value in (options or {}).items():
                    if option in defaults and value != AUTO:  # whatever that chose is right
                        _check_same(data, option, data.options.get(option), value)
                _check_same(data, "size", data.size, arguments["size"] if size else data.size)
                if category and (source or options is not None):
                    _check_same(data, "source", data.name.removeprefix("puppets-"), category)
                elif source and not category:
                    check_origin(data, source)
                return lambda: data
            recorded = {name: data.options[name] for name in defaults if name in data.options}
            arguments |= recorded | dict(options or {}) | {"overwrite": True}
            arguments["size"] = arguments["size"] if size or scale == "smoke" else data.size
            source = source or data.origin.get("path", "")
        if not (category or source):
            how = "--source FOLDER, in Python pplkit.prepare(FOLDER, NAME)"
            raise PplkitError(f"source is empty, but dataset={self.name!r} is made of files: name their folder: {how}.")
        check_name(self.name, self.kind, source)
        return lambda: _prepare(prepare, category or source, out, arguments, None if category else options or {})


def resolve(name: str) -> DataSource:
    """The data set of a name; those of no known kind must be prepared already."""
    return DataSource(name, next((kind for kind in KINDS if name == kind or name.startswith(f"{kind}-")), None))


def preset_for(dataset: str) -> str:
    """The settings that a data set of this name is trained with; see `DataSource.preset`."""
    return resolve(dataset).preset


def prepare_source(
    source: str | Path, name: str, size: int | None, options: Mapping[str, Any], scale: str, refresh: bool
) -> Dataset:
    """See `pplkit.prepare`."""
    path = Path(source).expanduser()
    if not name and path.exists():
        name = f"{kind_of_source(path)}-{re.sub(r'[^a-z0-9]+', '-', path.resolve().stem.lower()).strip('-') or 'mine'}"
    elif not name:
        name, source = str(source), ""
        if resolve(name).kind is None and not (data_folder(name, scale) / "dataset.json").exists():
            close = resolve(name).nearest
            advice = f" Perhaps the data set {close!r} is meant." if close else ""
            raise PplkitError(f"there is no file or folder {name}, and no data set of that name: correct it.{advice}")
    data = resolve(name)
    if size is None and not (data_folder(name, scale) / "dataset.json").exists():
        size = PRESETS[data.preset].get("image_size", DEFAULT_SIZE)
    return data.preparation(str(path.resolve()) if path.exists() else str(source), size, options, scale, refresh)()


def prepared(
    dataset: str,
    source: str = "",
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    scale: str = "default",
) -> Path:
    """The folder of a data set, which is prepared now if it is absent; see `DataSource.preparation`."""
    return resolve(dataset).preparation(source, size, options, scale)().path


def _parameters(prepare: Callable[..., Path], without: tuple[str, ...]) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(prepare).parameters.items() if name not in without}


def _prepare(
    prepare: Callable[..., Path], raw: str, out: Path, arguments: Mapping[str, Any], options: Mapping[str, Any] | None
) -> Dataset:
    """The data set made from `raw`, with its origin and the given `options` recorded; None for what has no files."""
    # The origin is looked at before, as files may come while the preparation works.
    origin = {} if options is None else {**origin_of(raw, arguments), "options": dict(options)}
    try:
        record_origin(prepare(raw, out, **arguments), origin)
    except TypeError as error:
        if not options:
            raise
        values = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise PplkitError(f"an option has a value of a wrong type ({error}): correct {values}.") from error
    return open_dataset(out)


def _check_same(data: Dataset, name: str, before: Any, requested: Any) -> None:
    def comparable(value: Any) -> Any:  # lists in any order; conditions are kept as text
        if isinstance(value, Mapping):
            return {key: str(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return sorted(value, key=str)
        return current_name(str(value)) if isinstance(value, Path | str) else value

    if comparable(before) != comparable(requested):
        raise PplkitError(
            f"{data.path} was prepared with {name}={before!r}, not {requested!r}: give that {name}, another name of "
            f"the data set such as {data.path.name}-2, or --refresh (in Python refresh=True) to prepare it anew."
        )
