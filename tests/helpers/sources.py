"""Tiny copies of the data sets in the layouts of their publishers; those of Human3.6M are in `h36m_source`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

PARTS = (
    "back beak belly breast crown forehead left_eye left_leg left_wing nape right_eye right_leg right_wing tail throat"
)
GREY = {"cat": 40, "dog": 120, "wild": 200}
FLOWERS = {"trnid": [2, 5], "valid": [4], "tstid": [6, 1, 3]}
HANDS = "id,age,gender,skinColor,accessories,nailPolish,aspectOfHand,imageName,irregularities"
JOINT = {"train": (100.0, 31.0), "test": (200.0, 60.0)}  # (row, column) of the neck, where a frame of Tai Chi is red
FPS = 10
SPOT = (20, 30)
TABLE = "file,name,x,y,visible"


def lines(file: Path, rows: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{row}\n" for row in rows))


def make_cub(folder: Path) -> Path:
    """Three images of 64 x 48 of two classes; the third is grey. The beak is the only visible part, on a red pixel."""
    lines(folder / "images.txt", [f"{i} {c}/{i}.png" for i, c in ((1, "001.A"), (2, "002.B"), (3, "002.B"))])
    lines(folder / "image_class_labels.txt", ["1 1", "2 2", "3 2"])
    lines(folder / "train_test_split.txt", ["1 1", "2 0", "3 1"])
    lines(folder / "classes.txt", ["1 001.A", "2 002.B"])
    lines(folder / "bounding_boxes.txt", [f"{i} 16.0 8.0 32.0 24.0" for i in (1, 2, 3)])
    lines(folder / "parts/parts.txt", [f"{i} {n.replace('_', ' ')}" for i, n in enumerate(PARTS.split(), 1)])
    locations = [f"{i} {p} {'20.0 30.0 1' if p == 2 else '0.0 0.0 0'}" for i in (1, 2, 3) for p in range(1, 16)]
    lines(folder / "parts/part_locs.txt", locations)
    for number, name in ((1, "001.A"), (2, "002.B"), (3, "002.B")):
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[30, 20] = (255, 0, 0)
        image = Image.fromarray(picture)
        (image.convert("L") if number == 3 else image).save(folder / "images" / name / f"{number}.png")
    return folder


def cleaned(source: Path, **splits: list[str]) -> None:
    """CUB's lists of the aligned variant as MATLAB writes them: arrays of structures with their boxes and parts."""
    folder = source / "cachedir/cub/data"
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [("rel_path", object), ("bbox", object), ("parts", object)]
    box = {"x1": 16.0, "y1": 8.0, "x2": 47.0, "y2": 31.0}
    for split, names in splits.items():
        images = np.array([(name, box, np.zeros((3, 15))) for name in names], dtype=kinds)
        savemat(folder / f"{split}_cub_cleaned.mat", {"images": images})


def make_hands(folder: Path) -> Path:
    """Twelve people with a palmar right hand each and, for the first two, a dorsal left one with a ring."""
    (folder / "Hands").mkdir(parents=True)
    rows = [f"{person:07d},20,female,fair,0,0,palmar right,p{person}.jpg,0" for person in range(12)]
    rows += [f"{person:07d},20,female,fair,1,0,dorsal left,d{person}.jpg,0" for person in range(2)]
    (folder / "HandInfo.csv").write_text("\n".join([HANDS, *rows]))
    for row in rows:
        Image.new("RGB", (8, 6), "white").save(folder / "Hands" / row.split(",")[7])
    return folder


def make_afhq(folder: Path, testing: str = "val") -> Path:
    """Two images of each category to train on and one to test on, each as bright as its category."""
    for part, count in (("train", 2), (testing, 1)):
        for name, grey in GREY.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (16, 16), (grey,) * 3).save(folder / part / name / f"{number}.png")
    return folder


def write_sets(source: Path, **sets: list[int]) -> None:
    savemat(source / "setid.mat", {key: np.array([value], np.uint16) for key, value in sets.items()})


def make_flowers(folder: Path) -> Path:
    """Six pictures of 12 x 8, each as bright as twenty times its number; classes 1, 1, 2, 2, 3, 3."""
    (folder / "jpg").mkdir(parents=True)
    for number in range(1, 7):
        Image.new("RGB", (12, 8), (20 * number,) * 3).save(folder / f"jpg/image_{number:05d}.jpg", quality=100)
    write_sets(folder, **FLOWERS)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 1, 2, 2, 3, 3]], np.uint8)})
    return folder


def make_horses(folder: Path) -> Path:
    """Three horses to train on, 12 x 8 with a red middle, two to test on, and a zebra."""
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[:, 2:10, 0] = 255
    for name in ("trainA/n1_1", "trainA/n1_2", "trainA/n1_3", "testA/n2_1", "testA/n2_2", "trainB/z"):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=100, subsampling=0)
    return folder


def film(path: Path, count: int = 20, size: tuple[int, int] = (64, 48), turn: int = 0, bits: int = 4_000_000) -> Path:
    """Frame i is of grey 10 i, with a white square of 16 x 16 in the left upper corner."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mpeg4" if path.suffix in (".mp4", ".avi") else "libx264"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate, stream.gop_size = *size, "yuv420p", bits, 5
        if turn:
            stream.set_display_rotation(turn)
        for number in range(count):
            pixels = np.full((size[1], size[0], 3), 10 * (number % 22), np.uint8)
            pixels[:16, :16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def landmarks(source: Path, part: str, names: list[str], **change: Any) -> None:
    """Tai Chi's labels, converted: the neck as in JOINT, all others unlabelled, the nose in one coordinate alone."""
    value = np.full((len(names), 18, 2), -1.0)
    value[:, 0] = (5.0, -1.0)
    value[:, 1] = JOINT[part]
    (source / "landmark").mkdir(exist_ok=True)
    np.savez(source / "landmark" / f"taichi_{part}_gt.npz", **{"file_name": np.array(names), "value": value} | change)


def make_taichi(folder: Path) -> Path:
    """A video as five frames, one as a file of four, two labelled frames to fit on and one to test on."""
    (folder / "train/a.mp4").mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (16, 16), (10 * number,) * 3).save(folder / f"train/a.mp4/{number:07d}.png")
    film(folder / "train/b.mp4", 4)
    (folder / "taichi-test-masks").mkdir()
    for part, names in (("train", ["x_0.png", "x_1.png"]), ("test", ["y_0.png"])):
        row, column = (int(value) for value in JOINT[part])
        picture = np.zeros((256, 256, 3), np.uint8)
        picture[row, column] = (255, 0, 0)
        images = folder / "eval_images/taichi-256" / part
        images.mkdir(parents=True)
        for name in names:
            Image.fromarray(picture).save(images / name)
        landmarks(folder, part, names)
    mask = np.zeros((256, 256), np.uint8)
    mask[128:] = 255
    Image.fromarray(mask).save(folder / "taichi-test-masks/y_0.png")
    return folder


def patchwork(path: Path, seed: int, size: tuple[int, int] = (64, 48), spot: bool = True) -> Path:
    """A blue and green patchwork that differs for each seed, with one red pixel at SPOT."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cells[..., 0] = 0
    pixels = np.array(Image.fromarray(cells).resize(size, Image.Resampling.NEAREST))
    if spot:
        pixels[SPOT[1], SPOT[0]] = (255, 0, 0)
    Image.fromarray(pixels).save(path)
    return path


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([TABLE, *rows]) + "\n", encoding="utf8")
    return path


def coco(path: Path, **changes: Any) -> Path:
    """One image of 64 x 48 with a small and a large object; the nose is on the red pixel in both."""
    content = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 1, "keypoints": ["nose", "left ear", "right ear"], "skeleton": [[1, 2], [1, 3]]}],
        "annotations": [
            note(1, [16, 20, 8, 16], [20, 30, 2, 0, 0, 0, 0, 0, 0]),
            note(2, [8, 16, 32, 24], [20, 30, 2, 10, 18, 1, 0, 0, 0]),
        ],
    }
    path.write_text(json.dumps({**content, **changes}))
    return path


def note(number: int, bbox: list[float], keypoints: list[float]) -> dict[str, Any]:
    return {"id": number, "image_id": 7, "category_id": 1, "bbox": bbox, "keypoints": keypoints}


def numbers(split: Any) -> list[int]:
    """Which frames they are, by the grey in their middle."""
    side = split.images.shape[1] // 2
    return [round(float(value) / 10) for value in np.asarray(split.images)[:, side, side].mean(-1)]


def smooth(seed: int) -> Image.Image:
    """A picture of 64 x 48 without edges, as photographs are for the most part."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((64, 48), Image.Resampling.BICUBIC)
