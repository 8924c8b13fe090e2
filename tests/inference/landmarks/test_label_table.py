"""Tables of labels: written and read back, and refused with the line that is wrong."""

from pathlib import Path

import pytest

from pplkit.core.errors import PplkitError
from pplkit.inference.landmarks.label_table import read_points, write_points


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    points = {("7", "left, hand"): (1.5, 2.0), ("walks/3.png", "nose"): (0.0, -3.25)}
    assert read_points(tmp_path / "a.csv") == {}
    write_points(tmp_path / "a.csv", points)
    assert read_points(tmp_path / "a.csv") == points and list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin"),
        ("picture,name\n", "must begin with the line image,landmark,x,y"),
        ("image,landmark,x,y\n1,nose,2\n", "line 2, is not image,landmark,x,y"),
        ("image,landmark,x,y\n1,nose,1,2,3\n", "line 2, is not image,landmark,x,y"),
        ("image,landmark,x,y\n1,nose,1,1\n\n2,nose,one,1\n", "line 4, is not image,landmark,x,y"),
        ("image,landmark,x,y\n1,,2,3\n", "line 2, gives no point"),
        ("image,landmark,x,y\n1,nose,nan,3\n", "line 2, gives no point"),
        ("image,landmark,x,y\n1,nose,640,1\n", "line 2, puts .nose. at .*begins with file,name,x,y,visible"),
        ("image,landmark,x,y\n1,nose,2,3\n1,nose,2,3\n", "line 3, labels 'nose' on '1' a second time"),
        ("image,landmark,x,y\n1,\xff,2,3\n", "is not text in UTF-8 .*save it as CSV"),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "landmarks.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(PplkitError, match=f"landmarks.csv,? .*{message}"):
        read_points(path, 32)
