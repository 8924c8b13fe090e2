"""Pictures that are there twice: found in another size or compression, and no others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import smooth

from data_prep import folder
from data_prep.common.duplicates import BLOCK, alike, groups, near_pairs, superfluous
from pplkit.data.dataset import open_dataset


def test_pairs_by_hand() -> None:
    assert groups([(1, 2), (2, 5), (3, 4)]) == [[1, 2, 5], [3, 4]]
    assert superfluous([(1, 2), (2, 5), (3, 4)]) == {2: 1, 4: 3}  # 5 stays: what it is like is gone


def test_only_the_same_picture_is_near(tmp_path: Path) -> None:
    pictures = {
        "0.png": smooth(0),
        "1.jpg": smooth(0).resize((80, 60)),
        "2.png": smooth(1),
        "3.png": smooth(0).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "4.png": Image.new("RGB", (64, 48), "red"),
        "5.png": Image.new("RGB", (64, 48), "blue"),  # as plain, yet of another colour
        "6.bmp": Image.new("RGB", (9, 9), (250, 0, 0)),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    (tmp_path / "7.png").write_bytes(b"text")
    assert near_pairs([*(tmp_path / name for name in pictures), tmp_path / "7.png"]) == ([(0, 1), (4, 6)], {7})
    assert near_pairs([tmp_path / "7.png"]) == ([], {0})


def planted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random hashes and colours of pictures, each followed by one that lies about as far from it as is still near."""
    rng = np.random.default_rng(seed)
    bits = np.where(rng.random((count, 64)) < 0.5, 1, -1).astype(np.float32)
    colours = rng.integers(100, 110, (count, 8, 9, 3)).astype(np.uint8)  # all about as bright, or no two would be
    for row in range(0, count, 2):
        bits[row + 1] = bits[row]
        bits[row + 1, rng.choice(64, rng.integers(3, 6), replace=False)] *= -1
        change = np.full(8 * 9 * 3, 8, np.uint8)  # 8 in the mean, which is still near
        change[0] += rng.integers(0, 2)
        colours[row + 1] = colours[row] + change.reshape(8, 9, 3)
    order = rng.permutation(count)
    return bits[order], colours[order]


@pytest.mark.parametrize(("count", "seed"), [(2, 0), (BLOCK, 1), (BLOCK + 2, 2), (6 * BLOCK + 10, 3)])
def test_the_pairs_are_those_of_the_definition(count: int, seed: int) -> None:
    bits, colours = planted(count, seed)
    expected = [
        [i, j]
        for i in range(count)
        for j in np.flatnonzero((bits[i] != bits).sum(1) <= 4).tolist()
        if i < j and np.abs(colours[i].astype(float) - colours[j]).mean() <= 8
    ]
    assert alike(bits, colours).tolist() == expected
    assert count < BLOCK or 0.1 * count < len(expected) < 0.4 * count  # some of the planted ones are too far


def test_pictures_that_are_all_the_same() -> None:
    bits, colours = np.ones((BLOCK + 3, 64), np.float32), np.zeros((BLOCK + 3, 8, 9, 3), np.uint8)
    assert alike(bits, colours).tolist() == [[i, j] for i in range(BLOCK + 3) for j in range(i + 1, BLOCK + 3)]


def test_a_folder_may_do_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        smooth(0).save(tmp_path / "in" / name)
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 16, test_share=0.4, duplicates="ignore"))
    assert data.options["duplicates"] == "ignore" and data.options["duplicate_groups"] == []
    assert sum(map(len, data.splits.values())) == 3 and "duplicates" not in capsys.readouterr().err
