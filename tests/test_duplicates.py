"""Pictures that are there twice: found in another size or compression, and no others."""

from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.duplicates import groups, near_pairs, superfluous


def smooth(seed: int) -> Image.Image:
    """A picture of 64 x 48 without edges, as photographs are for the most part."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((64, 48), Image.Resampling.BICUBIC)


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
