"""Text and JSON of files that nobody vouches for, read within limits: bytes, depth, and number of values."""

import json
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError

BYTES = 2**26  # of a file, unless it may be longer
DEPTH = 64  # of JSON: what the kit writes is 6 deep
PARTS = 12_000_000  # lists, objects and texts in JSON: each takes about a hundred bytes, and two or more in the file
VALUES = 50_000_000  # of any kind: a number takes up to forty bytes, and four in the file


def check_file(path: Path, remedy: str) -> None:
    """Raise PplkitError, with `remedy`, where there is no file of bytes: a pipe would keep its reader waiting."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return
    except FileNotFoundError:
        raise PplkitError(f"{path} does not exist: {remedy}.") from None
    except (OSError, ValueError) as error:  # a circle of links, a folder that must not be entered, no possible name
        raise PplkitError(f"{path} cannot be read ({error}): {remedy}.") from None
    raise PplkitError(f"{path} is no file: {remedy}.")


def read_text(path: Path, remedy: str, most: int = BYTES, errors: str = "strict") -> str:
    """A text file in UTF-8, with or without a mark in front, as spreadsheets put one there.

    Raises PplkitError, naming the file and `remedy`, if it is missing, longer than `most` bytes, or no such text,
    unless `errors` is "replace".
    """
    check_file(path, remedy)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise PplkitError(f"{path} is longer than {most:,} bytes, which it never should be: {remedy}.")
        return content.decode("utf-8-sig", errors)
    except OSError as error:
        raise PplkitError(f"{path} cannot be read ({error}): {remedy}.") from None
    except UnicodeDecodeError as error:
        raise PplkitError(f"{path} is no text in UTF-8 ({error}): {remedy}.") from None


def read_json(path: Path, remedy: str, most: int = BYTES) -> dict[str, Any]:
    """The JSON object in a file; raises PplkitError as `read_text` does, and for what `parse_json` refuses."""
    text = read_text(path, remedy, most)
    try:
        content = parse_json(text)
    except ValueError as error:
        raise PplkitError(f"{path} is not readable JSON ({error}): {remedy}.") from None
    if not isinstance(content, dict):
        raise PplkitError(f"{path} holds JSON that is no object with names, as it should be: {remedy}.")
    return content


def parse_json(text: str) -> Any:
    """What a JSON text says; raises ValueError for any other text, and for JSON beyond DEPTH, PARTS or VALUES."""
    if text.count("[") + text.count("{") + text.count('"') // 2 > PARTS or text.count(",") > VALUES:
        raise ValueError(f"it has more than {PARTS:,} lists, objects and texts, or {VALUES:,} values")
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is more than {DEPTH} levels deep") from None
    except MemoryError:
        raise ValueError("it takes more memory than there is") from None
    level = _parts([content])
    for _ in range(DEPTH):
        level = _parts(child for part in level for child in (part.values() if isinstance(part, dict) else part))
    if level:
        raise ValueError(f"it is more than {DEPTH} levels deep")
    return content


def _parts(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]
