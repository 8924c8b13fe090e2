"""From videos without labels to named points, motion in three dimensions, and a character that moves like it.

Stages, each with its folder, done once and continued after a kill: names for the keypoints of a trained prior from a
handful of labeled frames, and for each video keypoints, lifted motion, plausible motion, and the character.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json
from pplkit.core.locks import locked
from pplkit.data.bvh import write_bvh
from pplkit.data.dataset import Dataset
from pplkit.data.reader import is_video
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17, Skeleton, h36m17_sources, plain_name
from pplkit.experiments.stages import Stage, stage
from pplkit.inference.character import move_character
from pplkit.inference.imitation.methods import imitate
from pplkit.inference.landmarks.fitting import MAP, labeled_images, name_landmarks
from pplkit.inference.landmarks.landmark_head import fit_head, head_file
from pplkit.inference.lifting.lift import lift
from pplkit.inference.lifting.video_keypoints import video_keypoints
from pplkit.training.saved_model import load
from pplkit.viz.scene import Scene

KEYPOINTS, LIFTED, MOTION, BVH, CHARACTER, VIEW = (
    "keypoints.npz", "lifted.npz", "motion.npz", "motion.bvh", "character.glb", "view.html",
)  # fmt: skip


@dataclass(frozen=True)
class Road:
    """What is needed for it.

    Attributes:
        videos: the files.
        prior: run folder of a pose prior that was trained on them.
        labels: table or file of labeled frames.
        lifter: run folder of a lifter.
        character: mesh file, or None.
        joints: its joints at rest, by default the JSON file beside it.
        out: folder of the results.
        method: of `pplkit.imitate`.
    """

    videos: tuple[Path, ...]
    prior: Path
    labels: Path
    lifter: Path
    out: Path
    character: Path | None = None
    joints: Path | None = None
    method: str = "fit"


def videos_in(source: Path) -> tuple[Path, ...]:
    """The videos of a folder, or the one that is given. Raises PplkitError where there is none."""
    files = sorted(path for path in (source.rglob("*") if source.is_dir() else [source]) if is_video(path))
    if not files:
        raise PplkitError(f"{source} holds no video: give a video, or a folder of them.")
    return tuple(files)


def travel(road: Road, data: Dataset, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Carry out what is missing for all videos; returns a row of numbers for each, which road.json has as well.

    Raises PplkitError for labels, a lifter or a character that cannot be used, and where another process is at it.
    """
    road.out.mkdir(parents=True, exist_ok=True)
    with locked(road.out, f"another process works in {road.out}"):
        names = stage(
            road.out / "landmarks", _inputs(road.prior, road.labels), lambda folder: _named(road, data, folder)
        )
        rows = [_video(road, path, names, say) for path in road.videos]
        write_json(road.out / "road.json", {"landmarks": names.numbers, "videos": rows})
    return rows


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows of `travel` as a table in Markdown."""
    names = list(rows[0])
    lines = [f"| {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * len(names) + "|"]
    return [*lines, *(f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows)]


def _inputs(*paths: Path | None) -> dict[str, Any]:
    """What decides the result of a stage: the content of files, and the last checkpoint of run folders."""
    known = {}
    for path in paths:
        if path is not None:
            content = max(path.glob("checkpoints/*"), default=path / "config.json") if path.is_dir() else path
            known[path.name] = hashlib.sha256(content.read_bytes()).hexdigest()[:16]
    return known


def _named(road: Road, data: Dataset, folder: Path) -> Mapping[str, Any]:
    model = load(road.prior)
    landmarks = name_landmarks(model, data, road.labels)
    landmarks.save(folder / MAP)
    fit = fit_head(model, labeled_images(data, road.labels), landmarks)
    if fit.head is not None:
        fit.head.save(head_file(folder / MAP), landmarks)
    percent = {"map": 100 * fit.map_error, "head": 100 * fit.head_error}
    known = {f"{name}_percent": round(value, 2) for name, value in percent.items() if np.isfinite(value)}
    return {"names": list(landmarks.names), **known}


def skeleton_of(names: Sequence[str]) -> Skeleton:
    """A skeleton of named points: the bones of people where the names are theirs, else all hang on the first."""
    parents = [-1, *[0] * (len(names) - 1)]
    try:
        sources = h36m17_sources(Skeleton("of the landmarks", tuple(names), tuple(parents)), partial=True)
    except PplkitError:
        return Skeleton("of the landmarks", tuple(names), tuple(parents))
    number = {plain_name(name): place for place, name in enumerate(names)}
    ours = {H36M17.joints.index(joint): number[source] for joint, source in sources.items()}
    first = ours[min(ours)]
    parents = [-1 if place == first else first for place in range(len(names))]
    for joint, place in ours.items():
        above = H36M17.parents[joint]
        while above >= 0 and above not in ours:
            above = H36M17.parents[above]
        if above >= 0:
            parents[place] = ours[above]
    return Skeleton("of the landmarks", tuple(names), tuple(parents))


def _video(road: Road, path: Path, names: Stage, say: Callable[[str], None]) -> dict[str, Any]:
    """All stages of one video."""
    folder = road.out / path.stem
    before = {"landmarks": names.fingerprint}

    def next_stage(name: str, inputs: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
        nonlocal before
        fresh = not (folder / name / "stage.json").exists()
        done = stage(folder / name, {**before, **inputs}, work)
        before = {"before": done.fingerprint}
        if fresh:
            say(f"{path.name}: {name}")
        return done

    stages = [
        next_stage("keypoints", _inputs(path), lambda out: _keypoints(road, path, names, out)),
        next_stage("lifted", _inputs(road.lifter), lambda out: _lifted(road, folder, out)),
        next_stage("motion", {"method": road.method}, lambda out: _plausible(road, folder, out)),
        next_stage("character", _inputs(road.character, road.joints), lambda out: _shown(road, path, folder, out)),
    ]
    numbers = {name: value for done in stages for name, value in done.numbers.items()}
    return {"video": path.name, **numbers, "cpu_seconds": round(sum(done.seconds for done in stages), 1)}


def _keypoints(road: Road, path: Path, names: Stage, out: Path) -> Mapping[str, Any]:
    points = video_keypoints(path, road.prior, names.folder / MAP)
    PoseSequence(
        points=points.points, fps=points.fps or 30.0, skeleton=skeleton_of(points.names or ()), space="image",
        confidence=points.confidence, size=points.size, source=str(path),
    ).write(out / KEYPOINTS)  # fmt: skip
    return {"frames": len(points.points), "seen": round(float((points.confidence > 0).mean()), 3)}


def _lifted(road: Road, folder: Path, out: Path) -> Mapping[str, Any]:
    lift(read_sequence(folder / "keypoints" / KEYPOINTS), model=road.lifter).write(out / LIFTED)
    return {}


def _plausible(road: Road, folder: Path, out: Path) -> Mapping[str, Any]:
    motion, report = imitate(read_sequence(folder / "lifted" / LIFTED), road.method)
    motion.write(out / MOTION)
    write_bvh(out / BVH, motion)
    return {"skate_cm_s": round(report.after["skate_cm_s"], 2)}


def _shown(road: Road, path: Path, folder: Path, out: Path) -> Mapping[str, Any]:
    motion = read_sequence(folder / "motion" / MOTION)
    panels: dict[str, Any] = {"motion": motion}
    if road.character is not None:
        moving = move_character(motion, road.character, road.joints)
        moving.save(out / CHARACTER)
        panels["character"] = (moving.meters * moving.poses, moving.mesh.faces)
    keypoints = read_sequence(folder / "keypoints" / KEYPOINTS)
    Scene(panels, motion.fps).with_video(path, keypoints).to_html(out / VIEW, title=path.stem, memory=load(road.prior))
    return {"height_m": round(float(np.ptp(motion.points[..., 1])), 2)}
