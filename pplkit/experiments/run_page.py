"""index.html of a run folder: whether the run went well, on one page that a browser opens without a server."""

import io
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing
from html import escape
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_text
from pplkit.core.progress import duration
from pplkit.data.crops import CROPS, current_name, from_crop
from pplkit.data.dataset import Dataset, Split
from pplkit.data.reader import OBJECT
from pplkit.data.sampling import evenly_spaced
from pplkit.experiments.html_page import data_address, html_page
from pplkit.experiments.run_readme import write_readme
from pplkit.experiments.run_summary import next_commands, path_to_type, read_results, summary_lines, verdict
from pplkit.inference.estimate import Estimator
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.run_folder import RunFolder, data_of
from pplkit.training.saved_model import load
from pplkit.viz.drawing import COLORS, image_bytes, strong_links, subplots
from pplkit.viz.overlay import draw_pose
from pplkit.viz.prior import prior_evolution, prior_figure
from pplkit.viz.training import LOSS_NAMES, draw_curve

IMAGES, IMAGE_SIDE = 8, 720  # images with poses, and the longer side of one in pixels, at most
FRAMES, FRAME_SIDE, FRAME_MS = 60, 320, 80  # of the video
LEAST_SIDE = 320  # smaller images are enlarged
QUALITY = 80  # of JPEG and WebP
STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --soft: #5b6470; --page: #ffffff; --card: #f5f6f8; --line: #d9dce1;
  --good: #00705a; --bad: #b34700; --link: #0072B2 }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --soft: #a3abb5; --page: #15181c; --card: #20242a;
  --line: #363c45; --good: #4cc9a4; --bad: #ff9d5c; --link: #6ab8ea } }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto;
  max-width: 76rem; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.6rem; margin: 0 0 .8rem; overflow-wrap: anywhere } h2 { font-size: 1.2rem; margin: 2.6rem 0 .4rem }
p { margin: .3rem 0 } .note { color: var(--soft); font-size: .9rem; max-width: 46rem }
.verdict { border-left: .35rem solid var(--soft); background: var(--card); padding: .8rem 1.1rem; border-radius: .4rem }
.verdict p:first-child { font-size: 1.15rem; font-weight: 600 }
.verdict.good { border-color: var(--good) } .verdict.bad, .verdict.doubtful { border-color: var(--bad) }
img { display: block; width: 100%; height: auto; border-radius: .4rem } .figure img { background: #fff; padding: .3rem }
figure { margin: 0; min-width: 0 } figcaption { color: var(--soft); font-size: .78rem; overflow-wrap: anywhere }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 2rem }
.pair figure { max-width: 27rem } .images { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(46%, 15rem), 1fr)); align-items: start }
.curves { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)) }
.finding { background: var(--card); border-radius: .4rem; padding: .7rem 1.1rem; margin: .7rem 0 }
code { font: .88rem/1.5 ui-monospace, monospace } pre { background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; padding: .6rem .8rem; margin: .2rem 0 1rem; white-space: pre-wrap; overflow-wrap: anywhere }
"""


def write_run_page(run: Path) -> Path:
    """Write index.html and README.txt from what the run folder holds by now; returns the page.

    Poses are estimated anew, in some seconds. Raises PplkitError if `run` is no run folder or cannot be written.
    """
    write_text(run / "index.html", html_page(run.resolve().name, STYLE, _parts(run.resolve())))
    write_readme(run)
    return run / "index.html"


def _parts(run: Path) -> Iterator[str]:
    kind, *_ = verdict(run)
    lines = "".join(f"<p>{escape(line)}</p>" for line in summary_lines(run)).replace(" %", "&nbsp;%")
    lines = re.sub("`(.+?)`", r"<code>\1</code>", lines)
    yield f'<h1>{escape(run.name)}</h1><div class="verdict {kind}">{lines}</div><main>'
    yield '<div class="pair">'
    if (run / "prior.json").is_file():
        yield _prior(PosePrior.load(run / "prior.json"))
    data, model = _data_and_model(run)
    if data and model:
        videos = [data[name] for name in ("films", "test") if name in data and data[name].videos is not None]
        yield _video(model, videos[0]) if videos else _evolution(run)
        yield "</div>" + _poses(model, data)
    else:
        yield "</div><p class='note'>Without checkpoint or data set there are no poses to show.</p>"
    yield from _curves(run)
    yield from _findings(run)
    yield from _commands(run, data)
    yield _about(run) + "</main>"


def _data_and_model(run: Path) -> tuple[Dataset | None, PosePriorLearner | None]:
    folder = RunFolder(run)
    try:
        data = data_of(folder)
    except PplkitError:  # the page says so
        data = None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return data, load(run, device) if folder.checkpoints() else None


def _prior(prior: PosePrior) -> str:
    links = len(prior.links())
    text = f"The learned prior: {len(prior.keypoints)} numbered keypoints and {links} strong links"
    figure = prior_figure(prior, weights=False)
    figure.axes[0].set_title("")
    address = data_address(image_bytes(figure, "svg"), "svg")
    return (
        f'<section><h2>The prior</h2><figure class="figure"><img alt="{text}" src="{address}"></figure>'
        '<p class="note">The typical pose, learned without labels. The wider a line, the stronger the link.</p>'
        "</section>"
    )


def _evolution(run: Path) -> str:
    if not (rows := RunFolder(run).rows("prior_history.jsonl")):
        return ""
    address = data_address(image_bytes(prior_evolution(rows, 9, columns=3), "svg"), "svg")
    return (
        '<section><h2>How it came about</h2><figure class="figure">'
        f'<img alt="The prior at several steps of the training" src="{address}"></figure>'
        '<p class="note">The prior at several steps of the training.</p></section>'
    )


def _video(model: PosePriorLearner, split: Split) -> str:
    """The longest video of a split, as an animation; a still for those who prefer reduced motion."""
    assert split.videos is not None
    numbers, counts = np.unique(split.videos, return_counts=True)
    index = np.flatnonzero(split.videos == numbers[counts.argmax()])[:FRAMES]
    frames = [Image.fromarray(image) for image in _drawn(model, np.asarray(split.images[index]), FRAME_SIDE)]
    still, moving = io.BytesIO(), io.BytesIO()
    frames[0].save(still, "webp", quality=QUALITY)
    options = {"append_images": frames[1:], "duration": FRAME_MS, "loop": 0}
    frames[0].save(moving, "webp", save_all=True, quality=QUALITY, **options)
    text = f"Keypoints and links drawn over {len(frames)} frames of a video that training has not seen"
    return (
        '<section><h2>A video</h2><figure><picture><source media="(prefers-reduced-motion: reduce)" '
        f'srcset="{data_address(still.getvalue(), "webp")}"><img alt="{text}" '
        f'src="{data_address(moving.getvalue(), "webp")}"></picture></figure>'
        f'<p class="note">{text}. A keypoint has one color throughout.</p></section>'
    )


def _poses(model: PosePriorLearner, data: Dataset) -> str:
    """Images of the test split with their poses: the original files where they are, else the prepared images."""
    split = data["test"] if "test" in data else data["train"]
    index = evenly_spaced(split, IMAGES)
    names = [split.sources[number] for number in index]
    files = original_files(data, names)
    if files:
        images = list(_drawn_files(Estimator(model, crop=model.crop), files))
    else:
        images = list(_drawn(model, np.asarray(split.images[index]), LEAST_SIDE))
    seen = "that training has not seen" if split.name == "test" else "of the training"
    figures = []
    for name, image in zip(names, images, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "jpeg", quality=QUALITY)
        alt = f"Keypoints and links on {escape(name)}"
        address = data_address(file.getvalue(), "jpeg")
        figures.append(f'<figure><img alt="{alt}" src="{address}"><figcaption>{escape(name)}</figcaption></figure>')
    return f'<h2>Poses</h2><p class="note">Images {seen}.</p><div class="images">{"".join(figures)}</div>'


def original_files(data: Dataset, names: Sequence[str]) -> list[Path]:
    """The files that images of a data set were made from; [] where they are not there, or were cropped by labels."""
    files = [file for name in names if (file := Path(data.origin.get("path", ""), name)).is_file()]
    return files if data.origin and cropped_without_labels(data) and len(files) == len(names) else []


def cropped_without_labels(data: Dataset) -> bool:
    """Whether other images can be cropped as those of the data set were."""
    return current_name(str(data.options.get("crop"))) in (*CROPS, OBJECT)


def _drawn(model: PosePriorLearner, images: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Images (n, S, S, 3) with their poses, enlarged to `side` pixels if they are smaller."""
    skeleton, size = strong_links(model.prior()), images.shape[1]
    side = max(side, size)
    points = model.estimate(images).keypoints.numpy()
    for image, pose in zip(images, from_crop(points, (0, 0, side, side), size), strict=True):
        yield draw_pose(np.asarray(Image.fromarray(image).resize((side, side))), pose, *skeleton)


def _drawn_files(estimator: Estimator, files: list[Path]) -> Iterator[np.ndarray]:
    """Image files with their poses, the longer side at most IMAGE_SIDE pixels."""
    skeleton = strong_links(estimator.model.prior())
    with closing(estimator.file_poses(estimator.frames(files, whole=True))) as poses:
        for frame, points, _ in poses:
            assert frame.image is not None
            image = Image.fromarray(frame.image)
            image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
            scale = np.array(image.size) / frame.size
            yield draw_pose(np.asarray(image), (points + 0.5) * scale - 0.5, *skeleton)


def _curves(run: Path) -> Iterator[str]:
    rows = RunFolder(run).rows("metrics.jsonl")
    names = [name for name in LOSS_NAMES if rows and name in rows[0]]
    if not names:
        return
    yield (
        '<h2>Training</h2><p class="note">Losses against the step, without unit. The reconstruction drives the '
        "keypoints: it should fall and then level off. Where the full resolution sets in, it jumps.</p>"
        '<div class="curves">'
    )
    for number, name in enumerate(names):
        figure, axes = subplots(1, 1, 3.6, 2.1)
        draw_curve(axes[0, 0], rows, name, color=COLORS[number % len(COLORS)])
        last = next((row[name] for row in reversed(rows) if name in row), float("nan"))
        alt = f"{LOSS_NAMES[name]}: from {rows[0][name]:.3g} to {last:.3g}"
        address = data_address(image_bytes(figure, "svg"), "svg")
        yield f'<figure class="figure"><img alt="{escape(alt)}" src="{address}"></figure>'
    yield "</div>"


def _findings(run: Path) -> Iterator[str]:
    report = read_results(run).get("doctor")
    if report is None:
        return
    yield "<h2>The doctor</h2>"
    if not report["findings"]:
        yield f"<p>No findings: {len(report['numbers'])} numbers are as in runs that went well.</p>"
    for finding in report["findings"]:
        name, means, says, remedy = (escape(str(finding[key])) for key in ("name", "means", "says", "try"))
        bound = "most" if "most" in finding else "least"
        number, limit = (f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}" for x in (finding["number"], finding[bound]))
        measured = f"{says}: {number} (at {bound} {limit})"
        text = f"<strong>{name}</strong><p>{means}</p><p>Try: {remedy}.</p>"
        text += f"<pre><code>{escape(finding['command'])}</code></pre>" if "command" in finding else ""
        yield f'<div class="finding">{text}<p class="note">{measured}</p></div>'


def _commands(run: Path, data: Dataset | None) -> Iterator[str]:
    folder, commands = path_to_type(run), next_commands(run)
    if data and data.origin and cropped_without_labels(data) and Path(data.origin["path"]).exists():
        source = shlex.quote(data.origin["path"])
        commands[f"pplkit estimate {folder} {source} --out {data.path.name}.json"] = "Write the poses in all your files"
    others = {
        f"pplkit estimate {folder} photos --out poses.json": "Write the poses in all images and videos of a folder",
        f"pplkit track {folder} clip.mp4 --out tracks.csv --video drawn.mp4": "Write smooth tracks of a video",
    }
    yield '<h2>What next</h2><p class="note">In a terminal, in the folder that holds runs/:</p>' + _listed(commands)
    yield '<p class="note">With other files in place of photos and clip.mp4:</p>' + _listed(others)


def _listed(commands: dict[str, str]) -> str:
    return "".join(f"<p>{escape(text)}</p><pre><code>{escape(line)}</code></pre>" for line, text in commands.items())


def _about(run: Path) -> str:
    """A line on what was trained, and on what."""
    folder, training = RunFolder(run), read_results(run).get("training", {})
    content = folder.read("config.json", "config", "made_by")
    made_by, config = content["made_by"], content["config"]
    facts = [f"preset {config.get('name')}", f"seed {config.get('seed')}"]
    if training:
        facts = [f"{training['steps']} steps in {duration(training['seconds'])} on {training['device']}", *facts]
    facts += [f"pplkit {made_by.get('version')}", f"data {str(made_by.get('data_sha256'))[:12]}"]
    text = escape(", ".join(facts))
    return f'<h2>This run</h2><p class="note">{text}. README.txt beside this page says what each file is.</p>'
