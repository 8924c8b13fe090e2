"""Puppets in patterned clothes before cluttered backgrounds: the same puppets otherwise."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_prep.puppets
from data_prep.synthetic import cloth, lighting, puppets
from data_prep.synthetic.cloth import DRAWS, KINDS, TILE, dressed, tile
from data_prep.synthetic.clutter import clutter, noise, photograph
from data_prep.synthetic.posing import capsules, figures
from data_prep.synthetic.puppets import BODIES, CATEGORIES, Puppets, generate
from data_prep.synthetic.rendering import uniform
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset

LINE = np.linspace(-1, 1, 64)


@pytest.fixture(scope="module")
def made() -> Puppets:
    return generate("humanoid", videos=12, frames=6, textured=True)


@pytest.mark.parametrize("category", CATEGORIES)
def test_only_the_look_is_another(category: str) -> None:
    plain, rich = generate(category, 3, 2, 32, seed=5), generate(category, 3, 2, 32, seed=5, textured=True)
    for name in ("keypoints", "visible", "videos"):
        np.testing.assert_array_equal(getattr(rich, name), getattr(plain, name))
    np.testing.assert_array_equal(rich.masks, plain.masks)
    assert (rich.images != plain.images).mean() > 0.9


def test_a_video_depends_on_seed_and_index_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    many = generate("humanoid", 3, 5, 32, seed=3, textured=True)
    monkeypatch.setattr(puppets, "CHUNK", 1)
    other = generate("humanoid", 1, 3, 32, seed=3, first_video=2, textured=True)
    np.testing.assert_array_equal(other.images, many.images[10:13])
    films = generate("humanoid", 1, 9, 32, seed=3, first_video=2, every=1, textured=True)
    np.testing.assert_array_equal(films.images[::4], many.images[10:13])
    assert (generate("humanoid", 1, 1, 32, seed=4, first_video=2, textured=True).images != many.images[10]).any()


def test_every_machine_makes_the_same_bytes() -> None:
    results = {c: zlib.crc32(generate(c, 3, 2, 32, seed=7, textured=True).images.tobytes()) for c in CATEGORIES}
    assert results == {"humanoid": 0x351E740C, "quadruped": 0xB26A76B4, "hand": 0xE8D66234}


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_go_on_without_a_seam(kind: str) -> None:
    draws = uniform((4,), DRAWS)
    draws[4] = (KINDS.index(kind) + 0.5) / len(KINDS)
    result = tile(draws)
    assert result.shape == (TILE, TILE) and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1 and np.ptp(result) > 0.5
    for axis in (0, 1):
        steps = np.abs(result - np.roll(result, 1, axis)).max(axis=1 - axis)
        assert steps[0] <= steps[1:].max() + 1e-6


def test_clothes_stay_the_same_in_every_pose() -> None:
    body = BODIES["humanoid"]
    figure = figures(body, (0, 0), np.zeros(9, int), np.arange(9) * 5, 12)
    shapes, order = capsules(body, figure)
    assert len({tuple(row) for row in order.tolist()}) > 1  # limbs pass each other
    plain, worn = dressed(body, (0, 0), figure, shapes, order)
    back = np.argsort(order, axis=1)
    for field in (worn.which, worn.colours, worn.cells, plain.colours):
        by_part = np.stack([row[places] for row, places in zip(field, back, strict=True)])
        assert (by_part == by_part[:1]).all()
    assert len(worn.tiles) == len(body.colours)  # of one video


def test_strength_of_a_pattern_keeps_to_the_body() -> None:
    body = BODIES["humanoid"]
    figure = figures(body, (0, 0), np.arange(20), np.zeros(20, int), 12)
    _, worn = dressed(body, (0, 0), figure, *capsules(body, figure))
    strongest = worn.tiles.reshape(20, len(body.colours), -1).max(axis=2)
    assert (strongest <= np.array(body.patterned) + 1e-6).all()
    assert strongest[:, 1].mean() > 0.6  # shirts


def test_clutter_is_in_range_and_another_for_each_key() -> None:
    result = np.stack([clutter((0, 0, v), LINE, LINE) for v in range(30)])
    assert result.shape == (30, 3, 64, 64) and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1
    assert (np.ptp(result, axis=(2, 3)).max(axis=1) > 0.15).all()
    assert len({one.tobytes() for one in result}) == 30


def test_clutter_has_the_statistics_of_photographs() -> None:
    """Power falls with a power of the frequency near 2 to 3, and differences have heavy tails; a ramp has neither."""
    line = np.linspace(-1, 1, 128)
    window = np.hanning(128)[:, None] * np.hanning(128)
    frequency = np.hypot(np.fft.fftfreq(128, 1 / 128)[:, None], np.fft.fftfreq(128, 1 / 128))
    slopes, tails = [], []
    for v in range(12):
        grey = clutter((0, 1, v), line, line).mean(axis=0)
        power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
        rings = np.arange(3, 40)
        mean = [power[np.abs(frequency - ring) < 0.5].mean() for ring in rings]
        slopes.append(np.polyfit(np.log(rings), np.log(mean), 1)[0])
        steps = np.diff(grey, axis=1)
        tails.append((steps**4).mean() / (steps**2).mean() ** 2)
    assert -3.3 < np.mean(slopes) < -2
    assert min(tails) > 5  # a normal distribution has 3


def test_clutter_is_the_same_at_every_size() -> None:
    large = np.linspace(-1, 1, 127)
    for v in range(4):
        difference = clutter((0, 0, v), large, large)[:, ::2, ::2] - clutter((0, 0, v), LINE, LINE)
        assert np.abs(difference).mean() < 0.02


def test_noise_goes_on_beyond_the_picture() -> None:
    left, right = (noise((1,), np.linspace(-1, 1, 65) + shift, LINE, 4) for shift in (0, 2))
    np.testing.assert_array_equal(left[:, -1], right[:, 0])
    np.testing.assert_array_equal(left, noise((1,), np.linspace(-1, 1, 65) + 4, LINE, 4))  # repeats after its lattice
    assert abs(left.mean()) < 0.3 and 0.2 < left.std() < 1


def test_light_differs_between_videos_and_hardly_within_one(made: Puppets) -> None:
    images, masks = made.images.reshape(12, 6, 64, 64, 3).astype(float), made.masks.reshape(12, 6, 64, 64)
    for video, mask in zip(images, masks, strict=True):
        empty = ~(mask > 0).any(axis=0)
        empty &= np.roll(empty, 1, 0) & np.roll(empty, -1, 0) & np.roll(empty, 1, 1) & np.roll(empty, -1, 1)
        grey = video[:, empty].mean(axis=(1, 2))
        assert np.abs(grey / grey.mean() - 1).max() < 1.1 * lighting.FLICKER
        assert np.abs(video[0] - video[1])[empty].mean() < 12
    draws = lighting.draws_of((0, 0), np.arange(40))
    assert np.ptp(lighting.cast(draws), axis=0).min() > 0.4
    directions = lighting.directions(draws)
    assert (directions[:, 1] < 0).mean() > 0.6 and (directions[:, 0] < 0).any() and (directions[:, 0] > 0).any()
    for field in (lighting.shadow, lighting.vignette):
        result = field(draws, LINE, LINE)
        assert result.shape == (40, 64, 64) and result.min() > 0.35 and result.max() <= 1
        assert np.ptp(result, axis=(1, 2)).max() > 0.3


def test_flicker_and_grain_are_those_of_the_frame() -> None:
    draws = np.full(lighting.DRAWS, 0.9)
    generated = []
    for frame in (0, 1, 0):
        planes = np.full((3, 32, 32), 0.5, np.float32)
        lighting.expose(planes, np.ones((32, 32), np.float32), draws, (0, 0, 5), frame)
        generated.append(planes)
    np.testing.assert_array_equal(generated[0], generated[2])
    expected = 0.5 * lighting.cast(draws[None])[0]
    for planes in generated[:2]:
        assert planes.mean(axis=(1, 2)) == pytest.approx(expected, rel=1.1 * lighting.FLICKER)
        assert 0 < np.ptp(planes[0]) <= 2 * lighting.GRAIN
    assert (generated[0] != generated[1]).mean() > 0.9


def photographs(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of one colour each, with a darker left half."""
    folder.mkdir()
    files = []
    for number in range(count):
        pixels = np.zeros((90, 160, 3), np.uint8)
        pixels[..., number % 3] = 200
        pixels[:, :80] //= 2
        files.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


def test_a_photograph_gives_a_part_of_itself(tmp_path: Path) -> None:
    files = photographs(tmp_path / "photographs")
    results = [photograph(files, (0, 0, v), 40, 30) for v in range(24)]
    assert {one.shape for one in results} == {(3, 30, 40)} and results[0].dtype == np.float32
    assert {int(one.max(axis=(1, 2)).argmax()) for one in results} == {0, 1, 2}
    assert {round(255 * float(one.max())) for one in results} <= {100, 200}
    borders = {int(np.abs(np.diff(one.max(axis=0)[0])).argmax()) for one in results}
    assert len(borders) > 5  # cut at other places
    (tmp_path / "torn.png").write_bytes(b"")
    with pytest.raises(PplkitError, match=r"torn\.png"):
        photograph([tmp_path / "torn.png"], (0, 0, 0), 40, 30)


def test_prepared_with_photographs_some_of_which_only_the_test_has(tmp_path: Path) -> None:
    files = photographs(tmp_path / "photographs")
    small = {"size": 32, "videos": 6, "frames": 1, "test_videos": 6, "test_frames": 1, "films": 0}
    folder = data_prep.puppets.prepare("textured", tmp_path / "set", backgrounds=tmp_path / "photographs", **small)
    data = open_dataset(folder)
    assert data.name == "puppets-textured" and "photographs" in data.licence
    assert data.options["backgrounds"] == str(tmp_path / "photographs") and "crop" not in data.options
    train, test = data_prep.puppets._photographs(tmp_path / "photographs")
    assert sorted(train + test) == files and train and test
    colours = {
        name: {int(i[m == 0].mean(axis=0).argmax()) for i, m in zip(split.images, split.masks, strict=True)}
        for name, split in data.splits.items()
    }
    assert not colours["train"] & colours["test"]
    files[0].rename(tmp_path / "one.png")
    for file in files[1:]:
        file.unlink()
    (tmp_path / "one.png").rename(files[0])
    assert data_prep.puppets._photographs(tmp_path / "photographs") == ([files[0]], [files[0]])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"source": "textured-dog"},
            "source 'textured-dog' is unknown; .*one of humanoid, .*textured-quadruped",
        ),
        ({"source": "humanoid", "backgrounds": "here"}, "backgrounds is 'here'; give a folder, and textured"),
        ({"source": "textured", "backgrounds": 3}, "backgrounds is 3; give a folder"),
        ({"source": "textured", "backgrounds": "absent"}, "there is no folder absent"),
        ({"source": "textured", "crop": "truth"}, "crop is 'truth', but images of textured are not cut"),
        ({"source": "textured", "crop": "left"}, "crop is 'left'; choose one of object, truth, center"),
    ],
)
def test_wrong_options_are_named(given: dict, said: str, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=said):
        data_prep.puppets.prepare(**{"out": tmp_path / "set", "videos": 1, "films": 0, **given})
    assert not (tmp_path / "set").exists()


def test_a_category_can_be_textured(tmp_path: Path) -> None:
    small = {"size": 16, "videos": 1, "frames": 1, "test_videos": 1, "test_frames": 1, "films": 0}
    data = open_dataset(data_prep.puppets.prepare("textured-quadruped", tmp_path / "set", **small))
    assert data.name == "puppets-textured-quadruped" and "poll" in data.keypoint_names
    np.testing.assert_array_equal(data["train"].images, generate("quadruped", 1, 1, 16, textured=True).images)
    assert cloth.KINDS and data.options["backgrounds"] is None
