"""The test split by a hash of the files' names, so that files added later change nothing."""

import hashlib
import unicodedata
from collections.abc import Sequence

from pplkit.core.errors import PplkitError


def hash_fraction(name: str) -> float:
    """A number in [0, 1) that follows from the name alone, on every system."""
    name = unicodedata.normalize("NFC", name)  # one system stores ü as one letter, another as two
    digest = hashlib.sha256(name.encode("utf8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def held_out(names: Sequence[str], share: float) -> set[str]:
    """The names whose `hash_fraction` is below `share`; none if that would leave nothing to train on.

    Raises PplkitError for a share that is not in [0, 1).
    """
    check_share(share)
    chosen = {name for name in names if hash_fraction(name) < share}
    return chosen if len(chosen) < len(set(names)) else set()


def check_share(share: float) -> None:
    """Raise PplkitError for a share of the test split that is not in [0, 1)."""
    if not 0 <= share < 1:
        raise PplkitError(f"test_share is {share}; give the share of the test split, 0 or more and below 1")
