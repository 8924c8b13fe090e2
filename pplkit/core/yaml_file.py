"""A YAML file, safely loaded, and checks of its values whose errors name the file and the place in it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import read_text
from pplkit.core.words import choice

MAX_YAML_BYTES = 2**17


class _Loader(yaml.SafeLoader):
    """Refuses two equal keys of a mapping, of which YAML's own loader takes the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        if twice := [key for number, key in enumerate(keys) if key in keys[:number]]:
            mark = node.start_mark
            raise yaml.constructor.ConstructorError(problem=f"two entries are called {twice[0]!r}", problem_mark=mark)
        return node


def read_yaml(file: Path) -> Any:
    """The content of a YAML file: text, finite numbers, booleans, lists and mappings.

    Nothing in the file is executed. Raises PplkitError, naming file and line, if it is not YAML or holds anything else.
    """
    text = read_text(file, "name a YAML file", MAX_YAML_BYTES)
    try:
        content = yaml.load(text, _Loader)
        json.dumps(content, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise PplkitError(f"{file}{line}: {error.problem or error.context}: correct the YAML there.") from None
    except yaml.YAMLError as error:
        raise PplkitError(f"{file} is not YAML ({reason(error)}): name a YAML file.") from None
    except (TypeError, ValueError, RecursionError) as error:  # of json, or of values that YAML makes Python objects of
        kinds = "text, finite numbers, lists and mappings"
        raise PplkitError(f"{file} holds more than {kinds} ({reason(error)}): put dates, say, in quotes.") from None
    return content


class At(NamedTuple):
    """A place in a file. Its checks return the value, or raise PplkitError naming file, place and remedy."""

    file: Path
    place: str = ""

    def to(self, key: Any) -> "At":
        """A place inside this one."""
        return At(self.file, f"{self.place}.{key}" if self.place else str(key))

    def refuse(self, problem: object) -> PplkitError:
        """The error to raise: file, place and problem."""
        return PplkitError(f"{self.file}, {self.place}: {problem}" if self.place else f"{self.file}: {problem}")

    def mapping(self, value: Any, keys: Sequence[str] = ()) -> dict[str, Any]:
        """A mapping whose keys are text and, if `keys` are given, among them; an empty one for None."""
        value = {} if value is None else value
        if not isinstance(value, Mapping):
            raise self.refuse(f"{value!r} must be a mapping: write entries such as 'name: value'.")
        for key in value:
            if not isinstance(key, str):
                raise self.refuse(f"the key {key!r} is not text: put it in quotes.")
            if keys and key not in keys:
                raise self.refuse(f"the key {key!r} is unknown: {choice(key, keys)}.")
        return dict(value)

    def items(self, value: Any) -> list[Any]:
        """A list of one or more values that differ."""
        if not isinstance(value, list) or not value:
            raise self.refuse(f"{value!r} must be a list of one or more, such as [a, b].")
        self.distinct(value, "two entries are")
        return value

    def named(self, value: Any) -> dict[str, Any]:
        """A mapping with at least one entry; a list of names stands for one from each name to None."""
        if isinstance(value, list):
            return {self.text(name): None for name in self.items(value)}
        entries = self.mapping(value)
        if not entries:
            raise self.refuse("it is empty: name at least one.")
        return entries

    def text(self, value: Any) -> str:
        """Text of one character or more."""
        if not isinstance(value, str) or not value:
            raise self.refuse(f"{value!r} must be text: put it in quotes.")
        return value

    def whole(self, value: Any, least: int) -> int:
        """A whole number of at least `least`."""
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.refuse(f"{value!r} must be a whole number from {least} upwards.")
        return value

    def choice(self, value: Any, known: Sequence[str]) -> str:
        """One of `known`."""
        if value not in known:
            raise self.refuse(f"{value!r} is unknown: {choice(value, known)}.")
        return str(value)

    def distinct(self, names: Sequence[Any], problem: str) -> None:
        """Raise `problem` where two names differ in case at most, as some file systems do not tell them apart."""
        folded = [str(name).casefold() for name in names]
        for number, name in enumerate(names):
            if folded[number] in folded[:number]:
                raise self.refuse(f"{problem} {name!r}, ignoring case: rename or remove one.")

    def path(self, value: Any) -> Path:
        """A path; one that is not absolute starts at the folder of the file."""
        return (self.file.resolve().parent / Path(self.text(value)).expanduser()).resolve()


def like(value: Any, default: Any) -> Any:
    """`value`, as a number where `default` is one: YAML, which wants 1.0e-4, reads 1e-4 as text."""
    if isinstance(default, float) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
