"""Films of bodies in three dimensions, such as somebody might make, and beside them the truth.

python -m data_prep.films3d OUT [--films 10] [--seconds 5] [--seed 0]

writes into OUT

clips/film_00.mp4 ...     the films, which are all that the kit gets to learn from
labeled/labels.csv        ten labeled frames of them, one of each of ten films, and their images
character.obj, .json      the body at rest, in centimeters, and its joints
truth/film_00.npz ...     for each frame the joints in the world, the cameras, the vertices, and joints on the image
"""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_prep.common.command_line import run_sequences
from data_prep.synthetic.bodies3d import body_landmarks
from data_prep.synthetic.films3d import FPS, Film, film
from pplkit.core.errors import PplkitError
from pplkit.core.files import atomic_path, write_json, write_text
from pplkit.data.mesh_writers import write_obj
from pplkit.data.video_writer import write_video

SIZE = 256  # pixels
LABELED = 10  # frames
UNITS = 100.0  # of the character's file in a meter
CODING = {"crf": "16", "preset": "veryfast"}


def prepare(
    out: Path | str, films: int = 10, seconds: float = 5.0, seed: int = 0, size: int = SIZE, first: int = 0
) -> Path:
    """Write films number `first` and on with their truth into `out`, and return it; see the module.

    Raises WriteError, and PplkitError where PyAV is missing.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise PplkitError(f"{out} is a file: name a folder to write to.")
    for folder in ("clips", "truth", "labeled"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = []
    for place in range(films):
        shot = film(first + place, seconds, seed=seed)
        name = f"film_{first + place:02d}"
        images = list(shot.images(size))
        write_video(out / "clips" / f"{name}.mp4", images, FPS, coding=CODING)
        write_truth(out / "truth" / f"{name}.npz", shot, size)
        for number in range(place, LABELED, films):
            frame = (2 * number + 1) * len(images) // (2 * LABELED)
            rows += label(out / "labeled", f"{name}_{frame:03d}.png", images[frame], shot, frame)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "name", "x", "y", "visible"), *rows])
    write_text(out / "labeled" / "labels.csv", text.getvalue())
    write_character(out / "character.obj", shot)
    return out


def label(folder: Path, name: str, image: np.ndarray, shot: Film, frame: int) -> list[tuple[str, ...]]:
    """Write a frame as an image; returns the rows of its labels."""
    with atomic_path(folder / name) as partial:
        Image.fromarray(image).save(partial, format="PNG")
    names = [shot.body.joints[number] for number in shot.body.keypoints]
    points = shot.on_image(shot.posed()[1][:, shot.body.keypoints], len(image))[frame]
    return [(name, joint, f"{x:.2f}", f"{y:.2f}", "1") for joint, (x, y) in zip(names, points, strict=True)]


def write_truth(path: Path, shot: Film, size: int) -> None:
    """All that is known of a film."""
    vertices, joints = shot.posed()
    keypoints = joints[:, shot.body.keypoints]
    arrays: dict[str, Any] = {
        "names": np.array([shot.body.joints[number] for number in shot.body.keypoints]),
        "keypoints": shot.on_image(keypoints, size), "keypoints_world": keypoints,
        "joints_world": shot.motion().points, "joints_camera": shot.in_camera(shot.motion().points.astype(float)),
        "vertices_world": vertices.astype(np.float32), "fps": np.array(FPS),
        "orientation": np.stack([camera.orientation for camera in shot.cameras]),
        "translation": np.stack([camera.translation for camera in shot.cameras]),
        "intrinsic": shot.cameras[0].intrinsic,
    }  # fmt: skip
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def write_character(path: Path, shot: Film) -> None:
    """The body at rest as an OBJ file in centimeters, and its joints beside it."""
    marks = body_landmarks(shot.body)
    write_obj(path, shot.body.vertices * UNITS, shot.body.faces)
    points = {
        name: [round(UNITS * value, 4) for value in point]
        for name, point in zip(marks.names, marks.points.tolist(), strict=True)
    }
    write_json(path.with_suffix(".json"), {"points": points})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("out", type=Path, help="the folder to write to")
    command.add_argument("--films", type=int, default=10, help="how many (default: %(default)s)")
    command.add_argument("--seconds", type=float, default=5.0, help="length of each (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="decides what is made (default: %(default)s)")
    command.add_argument("--first", type=int, default=0, help="number of the first film (default: %(default)s)")
    return run_sequences(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
