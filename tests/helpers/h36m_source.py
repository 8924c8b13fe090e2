"""Tiny copies of Human3.6M in both layouts, made by the libraries that own the formats: a bright spot that moves."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from data_prep.h36m import NAMES
from pplkit.data.dataset import Dataset, Split

WIDTH, HEIGHT, FRAMES = 112, 96, 12
JOINT = 27  # the right wrist lies on the spot
PELVIS, TOP = (28.0, 34.0), (60.0, 58.0)  # all others lie on the pelvis but the top of the head
BOX = (30, 16, 70, 80)  # left, top, right, bottom: 40 wide, 64 high, so the square is (18, 16, 82, 80)
A, B, C = "Directions 1.54138969", "Walking.60457274", "Posing.55011271"
RAW = {"S1": [A], "S9": [B], "S11": [C]}
FOLDERS = {
    "official": ("MyPoseFeatures/D2_Positions", "MySegmentsMat/ground_truth_bb", "MySegmentsMat/ground_truth_bs"),
    "flat": ("Poses_D2_Positions", "Segments_mat_gt_bb", "Segments_mat_gt_bs"),
}


def spot_at(frame: int) -> tuple[int, int]:
    """Centre (x, y) of the bright spot, which moves by 2 pixels a frame."""
    return 32 + 2 * frame, 40 + frame


def drawn(frame: int) -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x, y = spot_at(frame)
    picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    return picture


def write_film(path: Path, frames: int = FRAMES) -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=50)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 4_000_000
        for frame in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(frame), format="rgb24")))
        container.mux(stream.encode())


def write_poses(path: Path, poses: np.ndarray) -> None:
    from cdflib import cdfwrite

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    file = cdfwrite.CDF(path)
    values = np.asarray(poses, np.float32)[None]
    kind = {"Data_Type": file.CDF_REAL4, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(values.shape[1:])}
    file.write_var({"Variable": "Pose", **kind}, var_data=values)
    file.close()


def poses_of(frames: int = FRAMES) -> np.ndarray:
    poses = np.full((frames, 32, 2), PELVIS)
    poses[:, NAMES.index("head top")] = TOP
    poses[:, JOINT] = [spot_at(frame) for frame in range(frames)]
    return poses.reshape(frames, 64)


def write_masks(path: Path, masks: list[np.ndarray | None]) -> None:
    """A MATLAB 7.3 cell array: references to arrays stored columns first; an empty cell is stored as its sizes."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        cells = file.create_dataset("Masks", (len(masks), 1), h5py.ref_dtype)
        for number, mask in enumerate(masks):
            stored = np.zeros(2, np.uint64) if mask is None else mask.T.astype(np.uint8)
            cells[number, 0] = file.create_dataset(f"#refs#/{number}", data=stored).ref


def boxed() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return mask


def make_raw(folder: Path, naming: str = "official") -> Path:
    """S1 with boxes, S9 without, S11 for the test; a film of another action and the one of all actions besides."""
    poses, boxes, masks = FOLDERS[naming]
    for subject, names in RAW.items():
        for name in names:
            write_film(folder / subject / "Videos" / f"{name}.mp4")
            write_poses(folder / subject / poses / f"{name}.cdf", poses_of())
            write_masks(folder / subject / masks / f"{name}.mat", [drawn(f)[..., 0] > 0 for f in range(FRAMES)])
    write_masks(folder / "S1" / boxes / f"{A}.mat", [boxed()] * FRAMES)
    for other in ("WalkingDog 1.54138969", "_ALL.54138969"):
        (folder / "S1/Videos" / f"{other}.mp4").write_bytes(b"not opened")
    return folder


def make_simplified(folder: Path) -> Path:
    """Frames 1 to 12, not filled up with zeros, of 128 pixels; the spot is 9 pixels wide."""
    for subject, names in RAW.items():
        for name in (*names, "WalkingDog.54138969"):
            places = [folder / subject / kind / name for kind in ("WithBackground", "Landmarks", "BackgroudMask")]
            for place in places:
                place.mkdir(parents=True)
            for frame in range(FRAMES):
                x, y = spot_at(frame)
                picture = np.zeros((128, 128), np.uint8)
                picture[y - 4 : y + 5, x - 4 : x + 5] = 255
                Image.fromarray(picture).convert("RGB").save(places[0] / f"{frame + 1}.jpg", quality=95)
                # The spot's middle is 4.5 pixels after its edge, 0.5 after the pixel's own edge.
                labels = np.full((32, 2), 0.5)
                labels[JOINT] = (y + 0.5) / 128, (x + 0.5) / 128
                savemat(places[1] / f"{frame + 1}.mat", {"keypoints_2d": labels})
                Image.fromarray(picture > 0).save(places[2] / f"{frame + 1}.png")  # one bit a pixel
    return folder


def middle(picture: np.ndarray) -> np.ndarray:
    """Centre (x, y) of what is bright, in pixels."""
    bright = picture.astype(float) * (picture > 60)
    y, x = np.indices(bright.shape)
    return np.array([(x * bright).sum(), (y * bright).sum()]) / bright.sum()


def check_spots(split: Split, size: int) -> None:
    assert split.keypoints is not None and split.keypoints.shape == (len(split), 32, 2)
    for row in range(len(split)):
        expected = (split.keypoints[row, JOINT] + 1) / 2 * (size - 1)
        np.testing.assert_allclose(middle(np.asarray(split.images)[row, ..., 0]), expected, atol=0.5)


def kept(data: Dataset) -> dict[str, list[str]]:
    return {name: split.sources for name, split in data.splits.items()}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])
