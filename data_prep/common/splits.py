"""Which files make up the test split: a hash of their names decides, so that files added later change nothing."""

import hashlib
import unicodedata
from collections.abc import Sequence

from pplkit.core.errors import PplkitError


def place(name: str) -> float:
    """A number in [0, 1) that follows from the name alone, on every system."""
    name = unicodedata.normalize("NFC", name)  # one system stores ü as one letter, another as two
    digest = hashlib.sha256(name.encode("utf8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def held_out(names: Sequence[str], share: float) -> set[str]:
    """The names whose place is below `share`; none where that would leave nothing to train on.

    Raises PplkitError for a share that is not in [0, 1).
    """
    check_share(share)
    found = {name for name in names if place(name) < share}
    return found if len(found) < len(set(names)) else set()


def check_share(share: float) -> None:
    """Raises PplkitError for a share of the test split that is not in [0, 1)."""
    if not 0 <= share < 1:
        raise PplkitError(f"test_share is {share}; give the share of the test split, 0 or more and below 1")
