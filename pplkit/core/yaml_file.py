"""A YAML file, safely loaded, and checks of what stands in it that name the file and the place."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pplkit.core.errors import PplkitError, reason
from pplkit.core.texts import read_text

BYTES = 2**15  # of a file; PyYAML takes seconds for as many
BRACKETS = 1000  # one in the other, they take PyYAML the square of their number
DEPTH = 20  # of lists and mappings
PARTS = 20_000  # values, aliases written out


def read_yaml(file: Path) -> Any:
    """The content of a YAML file: text, finite numbers, booleans, lists and mappings, nothing else.

    Nothing in it is executed: it is made by YAML's safe loader. Raises PplkitError, naming file and line, for what is
    no YAML, for two equal keys of a mapping, of which the loader would take the last without a word, and for any other
    content; and for more of it than people write.
    """
    text = read_text(file, "name a YAML file", BYTES)
    if text.count("[") + text.count("{") > BRACKETS:
        raise PplkitError(f"{file} has more than {BRACKETS:,} opening brackets: write fewer of them.")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _check_size(file, node)
        _no_key_twice(At(file), node, set())
        content = None if node is None else loader.construct_document(node)
        json.dumps(content, allow_nan=False)
    except PplkitError:
        raise
    except RecursionError:
        raise PplkitError(f"{file} is more than {DEPTH} levels deep: write it in fewer.") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise PplkitError(f"{file}{line}: {error.problem or error.context}: correct the YAML there.") from None
    except yaml.YAMLError as error:
        raise PplkitError(f"{file} is no text in YAML ({reason(error)}): name a YAML file.") from None
    except Exception as error:  # the loader stumbles over values of the wrong kind anywhere, as over an empty !!int
        raise PplkitError(
            f"{file} holds more than text, finite numbers, lists and mappings ({reason(error)}): put dates in quotes, "
            "say."
        ) from None
    return content


def _check_size(file: Path, node: yaml.Node | None) -> None:
    """Raise PplkitError where the content, with every alias written out, is larger or deeper than any that is meant.

    Ten lists that each name the one before ten times are ten billion values.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEPTH:
            raise RecursionError
        if id(node) not in sizes:
            sizes[id(node)] = PARTS + 1  # of a list that holds itself
            children = node.value if isinstance(node, yaml.CollectionNode) else ()
            pairs = (child if isinstance(child, tuple) else (child,) for child in children)
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for pair in pairs for part in pair)
        return sizes[id(node)]

    if node is not None and size(node, 0) > PARTS:
        raise PplkitError(f"{file} holds more than {PARTS:,} values, aliases written out, or itself: write fewer.")


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
