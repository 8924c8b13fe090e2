"""Settings of a method: a frozen dataclass that is read from and written to JSON, with its names and types checked."""

import ast
import dataclasses
import inspect
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice


@dataclass(frozen=True)
class Settings:
    """Base of the settings of a method, a frozen dataclass in which every setting has a default.

    A value has the type of the default; an integer becomes a float and a list a tuple where the default is one. What
    no model can have, `__post_init__` of the subclass refuses.
    """

    OLD_NAMES: ClassVar[Mapping[str, str]] = {}  # names in earlier versions, which are still read, to those of today
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # names to the settings that differ from the defaults

    @classmethod
    def new_names(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The same settings by their names of today."""
        return {cls.OLD_NAMES.get(name, name): value for name, value in settings.items()}

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed, by their names of today or earlier.

        Raises PplkitError for an unknown name, with the nearest known one, and for a value of the wrong type.
        """
        changes = self.new_names(changes)
        known = [field.name for field in dataclasses.fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise PplkitError(f"setting {name!r} is unknown: {choice(name, sorted(known))}.")
            changes[name] = _converted(name, value, getattr(self, name))
        return dataclasses.replace(self, **changes)

    @classmethod
    def preset(cls, name: str) -> Self:
        """The settings called `name`; raises PplkitError naming the known presets."""
        if name not in cls.PRESETS:
            raise PplkitError(f"preset {name!r} is unknown: {choice(name, sorted(cls.PRESETS))}.")
        return cls(**{**cls.PRESETS[name], "name": name})

    def check_values(
        self,
        choices: Mapping[str, Sequence[str]] | None = None,
        integers: Mapping[str, tuple[int, int]] | None = None,
        positive: Sequence[str] = (),
        fractions: Sequence[str] = (),
    ) -> None:
        """Raise PplkitError for a setting outside its choices or range; every float is to be finite and 0 or more.

        Args:
            choices: the values that a setting may have, by its name.
            integers: the least and the largest.
            positive: settings that may not be 0.
            fractions: settings below 1.
        """
        choices, integers = choices or {}, integers or {}
        for name, value in self.to_dict().items():
            if name in choices and value not in choices[name]:
                raise PplkitError(f"{name}={value!r} is unknown: {choice(value, choices[name])}.")
            if name in integers:
                least, most = integers[name]
                if type(value) is not int or not least <= value <= most:
                    raise PplkitError(f"{name}={value!r} must be a whole number from {least} to {most:,}.")
            elif isinstance(value, float):
                if name in positive and not value > 0:
                    raise PplkitError(f"{name}={value} must be positive.")
                if name in fractions and not 0 <= value < 1:
                    raise PplkitError(f"{name}={value} must be a fraction from 0 up to, but not including, 1.")
                if not 0 <= value < math.inf:
                    raise PplkitError(f"{name}={value} must be 0 or more, and finite.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; settings that are left out have their defaults. Raises as `replace` does."""
        return cls().replace(**settings)

    def differences(self, old: Mapping[str, Any], folder: Path) -> dict[str, tuple[Any, Any]]:
        """Settings that differ from `old`, those of config.json in a run folder: name to (old, new).

        A setting that has come since had its default.
        """
        before, now = type(self)().to_dict() | self.new_names(old), self.to_dict()
        before, now = json.loads(json.dumps(before)), json.loads(json.dumps(now))
        return {name: (before[name], value) for name, value in now.items() if before[name] != value}

    @classmethod
    def explanations(cls) -> Iterator[tuple[str, str, str]]:
        """Each setting in order: the comment above its group, its name, and the comment that explains it."""
        lines = inspect.getsource(cls).splitlines()
        (definition,) = ast.parse("\n".join(lines)).body
        assert isinstance(definition, ast.ClassDef)
        names, group, last = {field.name for field in dataclasses.fields(cls)}, "", definition.body[0].end_lineno or 0
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in names:
                above = [line.strip()[1:].strip() for line in lines[last : node.lineno - 1] if line.strip()[:1] == "#"]
                group, last = " ".join(above) or group, node.end_lineno or 0
                comments = [line.partition("  # ")[2] for line in lines[node.lineno - 1 : last]]
                yield group, node.target.id, " ".join(comments).strip()

    def __repr__(self) -> str:
        """What differs from the defaults, as a call that makes the same settings."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        changes = [f"{name}={value!r}" for name, value in self.to_dict().items() if value != defaults[name]]
        return textwrap.fill(f"{type(self).__name__}({', '.join(changes)})", 110, subsequent_indent="  ", max_lines=10)

    def to_json(self) -> str:
        """Readable JSON text, one setting a line."""
        return json.dumps(self.to_dict(), indent=1) + "\n"


def _converted(name: str, value: Any, current: Any) -> Any:
    """`value` in the type of `current`; raises PplkitError where it has another."""
    if isinstance(current, float) and type(value) is int:
        return float(value) if abs(value) < 2**1000 else math.inf
    if isinstance(current, tuple) and isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if type(value) is not type(current):
        raise PplkitError(f"setting {name}={value!r} must be of type {type(current).__name__}.")
    return value
