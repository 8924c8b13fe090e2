"""Draw the figures of docs/concepts.md and the animation of the README: `python docs/figures.py runs/puppets`.

It needs a trained run of the data set `puppets` with a completer (`make run`, or `pplkit complete runs/puppets`), the
data set in data/puppets, and two minutes. The people in the animation come from test videos, which no training has
seen; `pplkit track` finds and draws their keypoints.
"""

import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import pplkit
from data_prep.puppets import FIRST_TEST_VIDEO
from data_prep.synthetic.puppets import RATE, generate
from pplkit.cli.main import main
from pplkit.data.video_writer import write_video
from pplkit.viz.drawing import as_uint8, draw_image, draw_plane, draw_skeleton, strong_links, subplots

DOCS = Path(__file__).resolve().parent
PEOPLE, FRAMES, SIDE = 3, 75, 224  # of the animation: videos side by side, frames, and pixels of each


def animation(run: Path, path: Path) -> None:
    """Videos with tracks drawn over them, side by side, as an animated WebP file."""
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        video, drawn, table = (Path(folder) / name for name in ("video.mp4", "drawn.mp4", "tracks.csv"))
        for number in range(PEOPLE):
            people = generate("humanoid", 1, FRAMES, 2 * SIDE, first_video=FIRST_TEST_VIDEO + number, every=1)
            write_video(video, people.images, RATE)
            if status := main(["track", str(run), str(video), "--out", str(table), "--video", str(drawn), "--quiet"]):
                sys.exit(status)
            with av.open(str(drawn)) as file:
                columns.append([frame.to_image(width=SIDE, height=SIDE) for frame in file.decode(video=0)])
    frames = [
        Image.fromarray(np.concatenate([np.asarray(image) for image in row], axis=1))
        for row in zip(*columns, strict=True)
    ]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 // RATE, loop=0, quality=60, method=6)


def draw_pose(axis: Axes, prior: pplkit.PosePrior, points: np.ndarray) -> None:
    """Keypoints (N, 2) with the strong links of the prior."""
    draw_skeleton(axis, points, *strong_links(prior))


@torch.no_grad()
def one_pass(model: pplkit.PosePriorLearner, images: np.ndarray) -> Figure:
    """The way of an image through the model: prior, keypoints, link map, reference, reconstruction."""
    prior, batch = model.prior(), model.prepare(images)
    output = model(batch[:1], batch[1:2])
    figure, axes = subplots(1, 6, 1.6, 1.75)
    draw_image(axes[0, 0], images[0], "image")
    draw_plane(axes[0, 1], "prior V = (T, W)", ticks=False)
    draw_pose(axes[0, 1], prior, prior.keypoints)
    draw_image(axes[0, 2], images[0], "keypoints T'")
    draw_pose(axes[0, 2], prior, output.keypoints[0].numpy())
    draw_image(axes[0, 3], output.link_map[0, 0].numpy(), "link map S")
    draw_image(axes[0, 4], images[1], "reference")
    draw_image(axes[0, 5], as_uint8(output.reconstruction)[0], "reconstruction")
    return figure


@torch.no_grad()
def through_memory(model: pplkit.PosePriorLearner, images: np.ndarray) -> Figure:
    """Poses, what the memory makes of them, and the prior, which is the mean of what it holds."""
    prior = model.prior()
    poses = model.estimate(images, procedure="published").keypoints
    recalled = model.memory(poses).keypoints
    figure, axes = subplots(2, len(images) + 1, 1.6, 1.75)
    for column, image in enumerate(images):
        for row, (points, title) in enumerate(((poses, "pose T'"), (recalled, "from the memory"))):
            draw_image(axes[row, column], image // 2 + 127, title)
            draw_pose(axes[row, column], prior, points[column].numpy())
    draw_plane(axes[0, -1], "prior T, links W", ticks=False)
    draw_pose(axes[0, -1], prior, prior.keypoints)
    axes[1, -1].set_visible(False)
    return figure


def past_occlusion(model: pplkit.PosePriorLearner, images: np.ndarray) -> Figure:
    """Images with a hidden center: the pose of the regressor and that of the completer."""
    prior, hidden = model.prior(), pplkit.occlude(images, "center", 12)
    figure, axes = subplots(2, len(images), 1.6, 1.75)
    for row, (procedure, title) in enumerate((("published", "regressor"), ("completed", "completer"))):
        poses = model.estimate(hidden, procedure=procedure)
        for column, image in enumerate(hidden):
            draw_image(axes[row, column], image, title)
            draw_pose(axes[row, column], prior, poses.keypoints[column].numpy())
    return figure


if __name__ == "__main__":
    run = Path(sys.argv[1])
    model, videos = pplkit.load(run), pplkit.open_dataset("data/puppets")["films"]
    model.eval()
    people = np.asarray(videos.images[[10, 60, 110, 260, 410, 560]])
    for name, drawn in (
        ("concepts_pass", one_pass(model, people)),
        ("concepts_memory", through_memory(model, people[:5])),
        ("concepts_occlusion", past_occlusion(model, people)),
    ):
        drawn.savefig(DOCS / f"{name}.png", dpi=110)
    animation(run, DOCS / "tracks.webp")
