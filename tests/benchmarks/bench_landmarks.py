"""Named landmarks from few labelled images, beside the linear map fitted to the labels of the whole training set.

python tests/benchmarks/bench_landmarks.py RUN ...      also written to bench_landmarks.json; minutes on one core

Each RUN is the folder of a model trained on puppets, whose data set has exact labels. `--draws` times, `--labels`
training images are chosen of 3,000 random ones (by the draw itself, or by a way to choose among them), landmarks are
fitted to their labels, and scored on the test images: the mean distance from the true joints over that of the linear
map that the protocol fits to all training images (1 = as good). Estimators:

least squares  on all coordinates with a constant; of the many exact solutions the smallest
ridge          towards the mean pose, the strength by images left out
whitened       the same on keypoints whitened by their covariance over all training images, which needs no labels
guess          the mean of the keypoints that keep their distance, and nothing else
one strength   the kit's ridge towards that guess, with the one strength that is best on images left out
no mirror      the kit's, the mean over strengths, without mirrored copies of the labelled images
kit            all of it
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.cluster.vq import kmeans2

import pplkit
from pplkit.evaluation.protocols import evaluate
from pplkit.geometry.coordinates import mirror
from pplkit.inference.landmarks import ridge
from pplkit.inference.landmarks.fitting import most_informative
from pplkit.inference.landmarks.left_right import side_pairs
from pplkit.training.run_folder import RunFolder, data_of

POOL = 3000
STRENGTHS = 10.0 ** np.arange(-4, 1.1, 0.5)
Chosen = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


class Seen:
    """A run's answers to its data set, and the labels."""

    def __init__(self, run: Path, limit: int | None) -> None:
        model, data = pplkit.load(run, "auto"), data_of(RunFolder(run))
        images, test = np.asarray(data["train"].images[:limit]), np.asarray(data["test"].images)
        labels = [np.asarray(split.keypoints) for split in (data["train"], data["test"])]
        self.names, self.labels, self.truth = data.keypoint_names, labels[0][:limit], labels[1]
        results = [model.estimate(some, procedure="published") for some in (images, images[:, :, ::-1], test)]
        self.keypoints, self.mirrored, self.test = (poses.keypoints.numpy().astype(float) for poses in results)
        score = evaluate("h36m", self.keypoints, self.labels, self.test, self.truth)
        self.full = self.error(score.predictions)
        flat = self.keypoints.reshape(len(images), -1)
        self.whitening = np.linalg.inv(np.linalg.cholesky(np.cov(flat.T))).T

    def error(self, points: np.ndarray) -> float:
        """Mean distance from the true joints of the test images, in [-1, 1] units."""
        return float(np.linalg.norm(points - self.truth, axis=-1).mean())


def linear(keypoints: np.ndarray, labels: np.ndarray, test: np.ndarray, change: np.ndarray | None) -> np.ndarray:
    """Ridge on all coordinates towards the mean, the strength by images left out; `change` of the coordinates first."""
    flat, seen = (part.reshape(len(part), -1) for part in (keypoints, test))
    middle = flat.mean(0)
    flat, seen = flat - middle, seen - middle
    if change is not None:
        flat, seen = flat @ change, seen @ change
    products = flat @ flat.T / np.trace(flat @ flat.T) * len(flat)
    wanted, best = labels.reshape(len(labels), -1), (np.inf, labels)
    for strength in STRENGTHS:
        inverse = np.linalg.inv(products + strength * np.eye(len(flat)))
        inverse -= inverse.sum(0)[:, None] * inverse.sum(0) / inverse.sum()  # the constant is free
        numbers = inverse @ wanted
        missed = np.linalg.norm((numbers / np.diag(inverse)[:, None]).reshape(labels.shape), axis=-1).mean()
        constant = (wanted - products @ numbers).mean(0)
        made = seen @ flat.T / np.trace(flat @ flat.T) * len(flat) @ numbers + constant
        best = min(best, (float(missed), made.reshape(-1, *labels.shape[1:])), key=lambda one: one[0])
    return best[1]


def least_squares(keypoints: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The smallest exact map."""
    rows = [np.hstack((part.reshape(len(part), -1), np.ones((len(part), 1)))) for part in (keypoints, test)]
    numbers = np.linalg.lstsq(rows[0], labels.reshape(len(labels), -1), rcond=None)[0]
    return np.asarray((rows[1] @ numbers).reshape(-1, *labels.shape[1:]))


def estimators(seen: Seen, index: np.ndarray) -> dict[str, float]:
    """Error of each on the test images, over that of the map fitted to all."""
    keypoints, labels = seen.keypoints[index], seen.labels[index]
    copies = mirror(labels, side_pairs(seen.names))
    twice = np.stack((keypoints, seen.mirrored[index]), 1), np.stack((labels, copies), 1)
    alone = [[ridge._Ridge(twice[0], twice[1][:, :, j]) for j in range(labels.shape[1])]][0]
    choices = [(strength, coupling) for strength in ridge.STRENGTHS for coupling in ridge.COUPLING]
    best = min(choices, key=lambda choice: sum(one.score(*choice) for one in alone))

    def mapped(maps: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return np.stack([np.einsum("ckd,bkd->bc", weights, seen.test) + offset for weights, offset in maps], 1)

    results = {
        "least squares": least_squares(keypoints, labels, seen.test),
        "ridge": linear(keypoints, labels, seen.test, None),
        "whitened": linear(keypoints, labels, seen.test, seen.whitening),
        "guess": mapped([one.map(1e9, 0.0) for one in alone]),
        "one strength": mapped([one.map(*best) for one in alone]),
    }
    for name, parts in {"no mirror": (keypoints[:, None], labels[:, None]), "kit": twice}.items():
        fit = ridge.fit(*parts)
        results[name] = mapped(list(zip(fit.weights, fit.offsets, strict=True)))
    return {name: seen.error(points) / seen.full for name, points in results.items()}


def medoids(keypoints: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The images nearest to the middles of `count` clusters."""
    flat = keypoints.reshape(len(keypoints), -1)
    middles = kmeans2(flat, count, iter=30, minit="++", rng=rng)[0]
    return np.array([np.square(flat - middle).sum(1).argmin() for middle in middles])


def farthest(keypoints: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """One image, and again and again that which is farthest from all before."""
    flat = keypoints.reshape(len(keypoints), -1)
    chosen = [int(rng.integers(len(flat)))]
    distance = np.square(flat - flat[chosen[0]]).sum(1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(flat - flat[chosen[-1]]).sum(1))
    return np.array(chosen)


WAYS: dict[str, Chosen] = {
    "random": lambda keypoints, count, rng: np.arange(count),
    "suggested": lambda keypoints, count, rng: np.array(most_informative(keypoints, count)),
    "medoids": medoids,
    "farthest": farthest,
}


def compare(run: Path, labels: int, draws: int, limit: int | None) -> dict[str, Any]:
    """Of each way to choose and each estimator the ratios of all draws."""
    seen = Seen(run, limit)
    rows: dict[str, dict[str, list[float]]] = {}
    for way, choose in WAYS.items():
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            pool = rng.permutation(len(seen.labels))[:POOL]
            for name, ratio in estimators(seen, pool[choose(seen.keypoints[pool], labels, rng)]).items():
                rows.setdefault(way, {}).setdefault(name, []).append(ratio)
    return {"run": run.name, "labels": labels, "full": seen.full, "ratios": rows}


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--limit", type=int, help="training images (default: all)")
    parser.add_argument("--out", type=Path, default=Path("bench_landmarks.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = [compare(run, options.labels, options.draws, options.limit) for run in options.runs]
    for one in results:
        print(f"{one['run']}, {one['labels']} labelled images, {options.draws} draws: mean ± sd (largest)")
        print(f"{'':14}" + "".join(f"{way:>22}" for way in one["ratios"]))
        for name in one["ratios"]["random"]:
            cells = [np.array(rows[name]) for rows in one["ratios"].values()]
            text = [f"{cell.mean():.3f} ± {cell.std():.3f} ({cell.max():.3f})" for cell in cells]
            print(f"{name:14}" + "".join(f"{cell:>22}" for cell in text))
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
