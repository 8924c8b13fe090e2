import pickle
from io import BytesIO

import pytest

from pplkit.core.safe_pickle import Refused, SafeUnpickler


def half(number: int = 8) -> float:
    return number / 2


class Halves(SafeUnpickler):
    ALLOWED = {("somewhere", "half"): half, ("builtins", "set"): set}


def load(content: bytes) -> object:
    return Halves(BytesIO(content)).load()


def test_data_and_what_the_list_allows_are_read() -> None:
    content = {"a": [1, 2.5, None, "é", b"x", (True,)], "b": {3}}
    for protocol in range(3, 6):
        assert load(pickle.dumps(content, protocol)) == content
    assert load(b"csomewhere\nhalf\n(I6\ntR.") == 3


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "somewhere\nelse", "somewhere\nhalf.__globals__"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="it names"):
        load(f"c{name}\n(S'1'\ntR.".encode())


def test_a_file_cannot_change_an_allowed_function() -> None:
    """It sets the default of the function's argument, by an instruction that sets attributes."""
    load(b"csomewhere\nhalf\n(N}S'__defaults__'\n(I2\ntstb.")
    assert half() == 4
