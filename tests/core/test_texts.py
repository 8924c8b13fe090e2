"""Text and JSON read within limits: what is within is read, what is beyond is refused."""

import json
from pathlib import Path

import pytest

from pplkit.core import texts
from pplkit.core.errors import PplkitError
from pplkit.core.texts import parse_json, read_json, read_text


def nested(levels: int) -> str:
    """Objects in objects."""
    return '{"a": ' * levels + "1" + "}" * levels


def test_json_is_read_to_a_depth(tmp_path: Path) -> None:
    """Beyond it no reader runs out of stack, which depends on who called it."""
    file = tmp_path / "a.json"
    for levels in (texts.DEPTH, texts.DEPTH + 1, 500, 100_000):
        file.write_text(nested(levels))
        if levels <= texts.DEPTH:
            assert read_json(file, "mend it") == json.loads(nested(levels))
            continue
        with pytest.raises(PplkitError, match=r"a.json is not readable JSON .*more than 64 levels deep.*: mend it"):
            read_json(file, "mend it")


def test_a_file_is_read_to_a_length(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("12345")
    assert read_text(file, "mend it", most=5) == "12345"
    with pytest.raises(PplkitError, match="a.txt is longer than 4 bytes, which it never should be: mend it"):
        read_text(file, "mend it", most=4)
    with file.open("r+b") as stream:
        stream.truncate(10**11)
    with pytest.raises(PplkitError, match="a.txt is longer than 67,108,864 bytes"):
        read_json(file, "mend it")


@pytest.mark.parametrize(
    ("limit", "text"), [("PARTS", "[[], {}, []]"), ("PARTS", '["a", 1, "b", []]'), ("VALUES", "[1, 2, 3, 4, 5]")]
)
def test_json_is_read_to_a_number_of_values(limit: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, limit, 4)
    assert parse_json(text) == json.loads(text)
    monkeypatch.setattr(texts, limit, 3)
    with pytest.raises(ValueError, match="it has more than"):
        parse_json(text)
