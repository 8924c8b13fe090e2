"""A YAML file, safely loaded, and checks of what stands in it that name the file and the place."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pplkit.errors import PplkitError


def read_yaml(file: Path) -> Any:
    """The content of a YAML file: text, finite numbers, booleans, lists and mappings, nothing else.

    Nothing in it is executed (`yaml.safe_load`). Raises PplkitError, naming file and line, for what is no YAML, for
    two equal keys of a mapping, of which the loader would take the last without a word, and for any other content.
    """
    try:
        text = file.read_text(encoding="utf8")
        content = yaml.safe_load(text)
        _no_key_twice(At(file), yaml.compose(text, yaml.SafeLoader), set())
        json.dumps(content, allow_nan=False)
    except OSError as error:
        raise PplkitError(f"{file} cannot be read ({error.strerror}): name a YAML file.") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise PplkitError(f"{file}{line}: {error.problem or error.context}: correct the YAML there.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PplkitError(f"{file} is no text in YAML ({str(error).splitlines()[0]}): name a YAML file.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise PplkitError(
            f"{file} holds more than text, finite numbers, lists and mappings ({error}): put dates in quotes, say."
        ) from None
    return content


def _no_key_twice(at: "At", node: yaml.Node | None, seen: set[int]) -> None:
    """`seen`: nodes that aliases come back to."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        at.distinct([key.value for key, _ in node.value if key.value != "<<"], "two entries are called")
        for key, value in node.value:
            _no_key_twice(at.to(key.value), value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _no_key_twice(at, value, seen)


class At(NamedTuple):
    """A place in a file. Its checks return the value, or raise PplkitError naming file, place and remedy."""

    file: Path
    place: str = ""

    def to(self, key: Any) -> "At":
        """A place inside this one."""
        return At(self.file, f"{self.place}.{key}" if self.place else str(key))

    def refuse(self, said: object) -> PplkitError:
        """The error to raise: file, place and what is said."""
        return PplkitError(f"{self.file}, {self.place}: {said}" if self.place else f"{self.file}: {said}")

    def mapping(self, value: Any, keys: Sequence[str] = ()) -> dict[str, Any]:
        """A mapping by text, with no other keys than `keys` if there are any; nothing at all is an empty one."""
        value = {} if value is None else value
        if not isinstance(value, Mapping):
            raise self.refuse(f"{value!r} must be a mapping: write entries such as 'name: value'.")
        for key in value:
            if not isinstance(key, str):
                raise self.refuse(f"the key {key!r} is no text: put it in quotes.")
            if keys and key not in keys:
                raise self.refuse(f"the key {key!r} is unknown: choose from {', '.join(keys)}.")
        return dict(value)

    def items(self, value: Any) -> list[Any]:
        """A list with something in it, and nothing twice."""
        if not isinstance(value, list) or not value:
            raise self.refuse(f"{value!r} must be a list of one or more, such as [a, b].")
        self.distinct(value, "two entries are")
        return value

    def named(self, value: Any) -> dict[str, Any]:
        """What each name holds: a mapping with something in it, or a list of names that hold nothing."""
        if isinstance(value, list):
            return {self.text(name): None for name in self.items(value)}
        found = self.mapping(value)
        if not found:
            raise self.refuse("it is empty: name at least one.")
        return found

    def text(self, value: Any) -> str:
        """Text with something in it."""
        if not isinstance(value, str) or not value:
            raise self.refuse(f"{value!r} must be text: put it in quotes.")
        return value

    def whole(self, value: Any, least: int, most: int = 2**31) -> int:
        """A whole number of at least `least`, and below `most`."""
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < most:
            raise self.refuse(f"{value!r} must be a whole number from {least} upwards.")
        return value

    def choice(self, value: Any, known: Sequence[str]) -> str:
        """One of `known`."""
        if value not in known:
            raise self.refuse(f"{value!r} is unknown: choose one of {', '.join(known)}.")
        return str(value)

    def distinct(self, names: Sequence[Any], said: str) -> None:
        """No two alike, not even but for upper and lower case, which some file systems do not tell apart."""
        seen: set[str] = set()
        for name in names:
            if str(name).casefold() in seen:
                raise self.refuse(f"{said} {name!r}, upper and lower case being alike: rename or remove one.")
            seen.add(str(name).casefold())

    def path(self, value: Any) -> Path:
        """A path; one that is not absolute starts at the folder of the file."""
        return (self.file.resolve().parent / Path(self.text(value)).expanduser()).resolve()


def like(value: Any, default: Any) -> Any:
    """A number where `default` is one and YAML, which wants 1.0e-4, reads 1e-4 as text; else the value as it is."""
    if isinstance(default, float) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
