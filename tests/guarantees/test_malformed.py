"""Some of the cases of `malformed.py`, a few for each reader, without a process and limits of their own."""

import warnings
from collections import defaultdict

import pytest
from malformed import SOURCES, Case, Ground, cases

EACH = 10  # cases of a reader
HEAVY = ("longer than the disk", "as long as", "giga", "million", "tera", "much", "log of", "giants", "billion", "bomb")


def some() -> list[Case]:
    """Evenly over what there is for each reader, the same each time."""
    found = defaultdict(list)
    for case in cases():
        if not any(word in case.name for word in HEAVY):
            found[case.reader].append(case)
    return [every[k * len(every) // EACH] for every in found.values() for k in range(EACH)]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("malformed"))


@pytest.mark.parametrize("reader", SOURCES)
def test_what_is_malformed_ends_in_one_sentence(reader: str, ground: Ground) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries think of such files
        wrong = {case.name: ground.run(case) for case in some() if case.reader == reader}
    assert len(wrong) == EACH
    assert {name: said for name, said in wrong.items() if said not in ("refused", "loaded")} == {}
    assert "refused" in wrong.values()
