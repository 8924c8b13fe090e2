"""Numbers and names in sentences for people."""

import io
import sys
from collections.abc import Iterable
from difflib import get_close_matches

SHORT_LIST = 12  # names that are listed although one is near


def replace_unprintable() -> None:
    """Have stdout and stderr replace what a terminal cannot show, so that it does not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def quantity(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "2 images", "1,000 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def nearest(name: object, known: Iterable[object]) -> str:
    """The known name that was probably meant; "" if none is near."""
    names = {str(entry).lower(): str(entry) for entry in known}
    return "".join(names[close] for close in get_close_matches(str(name).lower(), names, n=1))


def choice(name: object, known: Iterable[object]) -> str:
    """What to do about an unknown name: choose one of those known, perhaps the nearest."""
    names = [str(entry) for entry in known]
    known_names = f"choose one of {', '.join(names)}"
    if not (close := nearest(name, names)):
        return known_names
    return f"perhaps {close!r} is meant{'' if len(names) > SHORT_LIST else f'; else {known_names}'}"
