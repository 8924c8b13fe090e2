"""Numbers and names in sentences for people."""

import io
import sys
from collections.abc import Iterable
from difflib import get_close_matches


def replace_unprintable() -> None:
    """Have stdout and stderr replace what a terminal cannot show, so that it does not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "2 images", "1,000 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def choice(name: object, known: Iterable[object]) -> str:
    """What to do about an unknown name: the nearest known one, if one is near, and all of them if they are few."""
    names = [str(one) for one in known]
    close = get_close_matches(str(name), names, n=1)
    if close:
        return f"perhaps {close[0]!r} is meant"
    return f"choose one of {', '.join(names)}"
