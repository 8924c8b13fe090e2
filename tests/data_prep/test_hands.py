"""11k Hands: padding by hand, choice and split by person, every fault, and the real images where they are."""

from pathlib import Path
from typing import Any

import pytest
from sources import HANDS, make_hands

from data_prep.hands import main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_hands(tmp_path / "raw")


def test_every_tenth_person_is_tested(source: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(source, tmp_path / "out", size=8))
    assert data["test"].sources == ["p9.jpg"] and len(data["train"]) == 13
    assert data.protocol == "pictures" and data["train"].keypoints is None


def test_hands_are_chosen_by_aspect_and_accessories(source: Path, tmp_path: Path) -> None:
    dorsal = open_dataset(prepare(source, tmp_path / "dorsal", size=8, aspect="dorsal"))
    assert dorsal["train"].sources == ["d0.jpg", "d1.jpg"] and "test" not in dorsal
    bare = open_dataset(prepare(source, tmp_path / "bare", size=8, accessories=0))
    assert len(bare["train"]) + len(bare["test"]) == 12 and bare.options["accessories"] == 0
    with pytest.raises(PplkitError, match="no hand has aspect 'dorsal' and accessories 0"):
        prepare(source, tmp_path / "none", size=8, aspect="dorsal", accessories=0)


def test_hands_are_chosen_by_any_column(source: Path, tmp_path: Path) -> None:
    table = source / "HandInfo.csv"
    table.write_text(table.read_text().replace("0000003,20,female", "0000003,31,male"))
    data = open_dataset(prepare(source, tmp_path / "men", size=8, where={"gender": "male", "nailPolish": 0}))
    assert data["train"].sources == ["p3.jpg"] and "test" not in data
    assert data.options == {"aspect": None, "accessories": None, "where": {"gender": "male", "nailPolish": "0"}}
    arguments = [str(source), str(tmp_path / "more"), "--size", "8", "--where", "age=20", "accessories=1"]
    assert main(arguments) == 0
    assert open_dataset(tmp_path / "more")["train"].sources == ["d0.jpg", "d1.jpg"]
    with pytest.raises(PplkitError, match=r"where names column 'sex'; HandInfo.csv has id, age, gender"):
        prepare(source, tmp_path / "none", size=8, where={"sex": "male"})
    with pytest.raises(PplkitError, match=r"no hand has .* and gender male and age 20; see"):
        prepare(source, tmp_path / "none", size=8, where={"gender": "male", "age": 20})
    with pytest.raises(SystemExit):
        main([*arguments[:-1], "accessories"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: (s / "HandInfo.csv").unlink(), r"HandInfo\.csv is missing"),
        (lambda s: (s / "HandInfo.csv").write_text(HANDS), r"HandInfo\.csv is empty"),
        (lambda s: (s / "HandInfo.csv").write_text("id,imageName\n1,a.jpg\n"), r"HandInfo\.csv lacks .* in line 2"),
        (lambda s: (s / "Hands/p3.jpg").unlink(), r"p3\.jpg is missing"),
        (lambda s: (s / "Hands/p3.jpg").write_bytes(b"no picture"), r"p3\.jpg cannot be read as an image"),
    ],
)
def test_a_fault_is_one_sentence_and_leaves_nothing(source: Path, tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(source)
    with pytest.raises(PplkitError, match=message):
        prepare(source, tmp_path / "out", size=8, strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_a_torn_picture_is_left_out_and_named(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "Hands/p3.jpg").write_bytes(b"no picture")
    assert main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    data = open_dataset(tmp_path / "out")
    assert len(data["train"]) == 12 and [name for name, _ in data.dropped] == ["p3.jpg"]
    assert "1 left out; the first: p3.jpg:" in capsys.readouterr().out
    assert main([str(source), str(tmp_path / "out2"), "--size", "8", "--limit", "0"]) == 2


def test_the_command_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), str(tmp_path / "out"), "--size", "8", "--aspect", "palmar", "--accessories", "0"]) == 0
    assert "11 train, 1 test images of 8 pixels" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "out2")]) == 2
    assert capsys.readouterr().err.startswith("data_prep: there is no folder")


def test_the_real_hands(real_data: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(real_data / "11k_hands", tmp_path / "hands", size=32, aspect="dorsal", accessories=0))
    assert len(data["train"]) + len(data["test"]) == 93 and data["train"].images.shape[1:] == (32, 32, 3)


def test_the_real_hands_by_column(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "11k_hands"
    data = open_dataset(prepare(source, tmp_path / "women", size=16, where={"gender": "female", "accessories": 0}))
    rows = [line.split(",") for line in (source / "HandInfo.csv").read_text().splitlines()[1:]]
    wanted = {row[7] for row in rows if row[2] == "female" and row[4] == "0"}
    assert {name for split in data.splits.values() for name in split.sources} == wanted and len(wanted) > 50
