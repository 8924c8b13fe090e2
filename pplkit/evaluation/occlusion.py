"""The occlusion experiment (section 4.3): errors of hidden and of seen points, by both procedures, and why, as JSON."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata, spearmanr

from pplkit.data.dataset import Dataset
from pplkit.data.occlusion import Covered, Occluders, at, cover
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation.memory_analysis import taken
from pplkit.evaluation.report import Scorer
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Iteration, concatenate_rounds

AMOUNTS: dict[str, tuple[float, ...]] = {"center": (4, 6, 8, 10, 12), "random": (0.1, 0.2, 0.3, 0.4)}  # section 4.3
DRAWS = 1000  # of the bootstrap
BINS = 8  # of the calibration
BATCH = 50


@dataclass(frozen=True, eq=False)
class Setting:
    """One kind and amount of occlusion: the images, and what each procedure makes of them."""

    kind: str
    amount: float
    covered: Covered
    rounds: dict[str, list[Iteration]]  # by procedure; all images of a round together


def occlusion_report(
    model: PosePriorLearner,
    data: Dataset,
    *,
    amounts: Mapping[str, Sequence[float]] = AMOUNTS,
    iterations: int = 4,
    limit: int = 100,
    occluders: Occluders | None = None,
    watch: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Errors after 0 to `iterations` rounds for every kind and amount of occlusion, on `limit` test images.

    `unoccluded`, `occluded`: mean error of the first answers with nothing hidden, and over all other settings.
    `rows`: one for each kind ("none" first), amount, procedure and iteration, with the protocol's `error`, its linear
    map fitted on complete training images, and mean distances of all, hidden and visible labels as [mean, low, high],
    in image sides: 95 % of 1,000 bootstrap draws over the images lie between low and high; null where there are none.
    Without labels, distances and errors are those from the model's own pose of the complete image.
    `confidence` and `analysis`: see `confidences` and `analysis`. The completed procedure is told what is hidden from
    iteration 1 on, not in its first answer.
    """
    test = data["test"]
    index = evenly_spaced(test, limit)
    images = np.asarray(test.images[index])
    procedures = procedures_of(model)
    judges = {name: _Judge(model, data, index, name) for name in procedures}
    wanted = [("none", 0.0), *((kind, amount) for kind, many in amounts.items() for amount in many)]
    rows, settings = [], []
    for kind, amount in wanted:
        covered = cover(images, "center" if kind == "none" else kind, amount, occluders=occluders)
        paint = iterations == 0  # of the last round's painting nothing is reported, unless it is the first one's
        rounds = {name: rounds_of(model, covered, iterations, name, decode_last=paint) for name in procedures}
        for name, made in rounds.items():
            for number, one in enumerate(made):
                place = {"kind": kind, "amount": amount, "procedure": name, "iteration": number}
                rows.append({**place, **judges[name](one.poses.keypoints.numpy(), covered.hidden)})
        settings.append(Setting(kind, amount, covered, rounds))
        if watch:
            watch(f"{kind} {amount:g}")
    complete = settings[0].rounds["published"][0].poses.keypoints.numpy()
    return {
        "measure": judges["published"].measure, "test_images": len(index), "iterations": iterations,
        "made_by": model.made_by, "unoccluded": {name: _first(rows, name, True) for name in procedures},
        "occluded": {name: _first(rows, name, False) for name in procedures}, "rows": rows,
        "confidence": {name: confidences(settings, name, complete) for name in procedures},
        "analysis": analysis(model, settings, images),
    }  # fmt: skip


def _first(rows: Sequence[Mapping[str, Any]], procedure: str, nothing: bool) -> float | None:
    """Mean error of a procedure's first answers, over the settings that hide nothing or over the others."""
    errors = [row["error"] for row in rows if row["procedure"] == procedure and row["iteration"] == 0]
    chosen = errors[:1] if nothing else errors[1:]
    return float(np.mean(chosen)) if chosen else None


def rounds_of(
    model: PosePriorLearner, covered: Covered, iterations: int, procedure: str, *, decode_last: bool = True
) -> list[Iteration]:
    """All rounds of all images, on the CPU; `decode_last` as in `PosePriorLearner.iterate`."""
    parts = []
    for start in range(0, len(covered.images), BATCH):
        hidden = torch.from_numpy(covered.hidden[start : start + BATCH]).to(model.alpha.device)
        batch = model.prepare(covered.images[start : start + BATCH])
        parts.append(model.iterate(batch, iterations, procedure=procedure, hidden=hidden, decode_last=decode_last))
    return [concatenate_rounds([part[number] for part in parts]) for number in range(iterations + 1)]


class _Judge:
    """Errors of the poses that one procedure gives."""

    def __init__(self, model: PosePriorLearner, data: Dataset, index: np.ndarray, procedure: str) -> None:
        test = data["test"]
        self.index, self.sides = index, sides_per_unit(data.size)
        self.scorer = None
        if data.protocol != "pictures" and test.keypoints is not None:
            self.scorer = Scorer(model, data, procedure=procedure)
            self.measure = f"error of protocol {data.protocol}"
        else:
            found = model.estimate(np.asarray(test.images[index]), procedure="published")
            self.complete = found.keypoints.numpy()
            self.measure = "distance to the pose of the complete image"

    def __call__(self, keypoints: np.ndarray, hidden: np.ndarray) -> dict[str, Any]:
        if self.scorer is not None:
            score = self.scorer(keypoints, self.index)
            distances, places, error = 2 * self.sides * score.distances, score.labels, score.error
        else:
            distances, places = np.linalg.norm(keypoints - self.complete, axis=-1) * self.sides, self.complete
            error = float(distances.mean())
        there = at(hidden, places)
        parts = {"all": np.ones_like(there), "hidden": there, "visible": ~there}
        return {"error": error, **{name: interval(distances, which) for name, which in parts.items()}}


def interval(distances: np.ndarray, which: np.ndarray) -> list[float] | None:
    """Mean of those distances (n, J) that are numbers and chosen by `which`, and the bootstrap's 2.5 and 97.5 %."""
    known = which & np.isfinite(distances)
    if not known.any():
        return None
    sums, counts = np.where(known, distances, 0).sum(1), known.sum(1)
    drawn = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
    totals, numbers = sums[drawn].sum(1), counts[drawn].sum(1)
    low, high = np.quantile(totals[numbers > 0] / numbers[numbers > 0], (0.025, 0.975))
    return [float(sums.sum() / counts.sum()), float(low), float(high)]


def confidences(settings: Sequence[Setting], procedure: str, complete: np.ndarray) -> dict[str, Any]:
    """What the confidence of a procedure's first answers is worth, over all keypoints of all settings that hide some.

    A keypoint's truth is its place (n, N, 2) in the `complete` image, as the model finds it there. `auroc`: how often
    a visible keypoint has more confidence than a hidden one (0.5 = chance); `rank_correlation` of confidence and
    distance from the truth (Spearman); null where there is nothing to compare; the same for each kind; `calibration`:
    for eighths of the keypoints by confidence, the mean confidence, the mean distance in image sides, the share hidden,
    and, completed, the distance expected.
    """
    table: dict[str, list[np.ndarray]] = {}
    kinds = []
    for setting in settings:
        if setting.kind != "none":
            poses = setting.rounds[procedure][0].poses
            away = np.linalg.norm(poses.keypoints.numpy() - complete, axis=-1)
            found = {
                "sure": poses.confidence, "away": away * sides_per_unit(setting.covered.hidden.shape[-1]),
                "hidden": at(setting.covered.hidden, complete), "expected": poses.distance,
            }  # fmt: skip
            for name, values in found.items():
                if values is not None:
                    table.setdefault(name, []).append(np.asarray(values).ravel())
            kinds += [setting.kind] * away.size
    if not kinds:
        return {}
    all_of, kind_of = {name: np.concatenate(values) for name, values in table.items()}, np.array(kinds)
    order = np.array_split(np.argsort(all_of["sure"], kind="stable"), BINS)
    return {
        **_worth(all_of, np.ones(len(kind_of), bool)),
        "kinds": {str(kind): _worth(all_of, kind_of == kind) for kind in np.unique(kind_of)},
        "calibration": [{name: float(values[part].mean()) for name, values in all_of.items()} for part in order],
    }


def _worth(table: Mapping[str, np.ndarray], which: np.ndarray) -> dict[str, float | None]:
    sure, away, hidden = (table[name][which] for name in ("sure", "away", "hidden"))
    ranked = np.ptp(sure) > 0 and np.ptp(away) > 0  # without an order of both there is no correlation
    return {
        "auroc": auroc(sure, ~hidden),
        "rank_correlation": float(spearmanr(sure, away)[0]) if ranked else None,
    }


def auroc(values: np.ndarray, positive: np.ndarray) -> float | None:
    """How often a positive (n,) has a larger value (n,) than a negative; equal ones count half; None without both."""
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return None
    ranks = rankdata(values)
    return float((ranks[positive].sum() - many * (many + 1) / 2) / (many * few))


def analysis(model: PosePriorLearner, settings: Sequence[Setting], images: np.ndarray) -> list[dict[str, Any]]:
    """Why rounds help or not, for each setting; distances in image sides.

    `recall`: how far one pass through the memory moves the pose of round 0, T' to T'_recon; with nothing hidden, the
    memory's own error. `banks`: share of the banks that take another vector than for the complete image. `grey` and
    `painted` (by procedure): mean difference from the complete image's pixels, in [0, 1], within what is hidden, before
    and after round 0 has painted. `drift`: how far each round moves the published pose.
    """
    sides = sides_per_unit(images.shape[1])
    truth = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    clean = taken(model, settings[0].rounds["published"][0].poses.keypoints.numpy())
    rows = []
    for setting in settings:
        rounds = setting.rounds["published"]
        first = rounds[0]
        assert first.decoded_pose is not None
        row: dict[str, Any] = {"kind": setting.kind, "amount": setting.amount}
        row["recall"] = float((first.decoded_pose - first.poses.keypoints).norm(dim=-1).mean()) * sides
        row["banks"] = float((taken(model, first.poses.keypoints.numpy()) != clean).mean())
        row["drift"] = [
            float((b.poses.keypoints - a.poses.keypoints).norm(dim=-1).mean()) * sides
            for a, b in zip(rounds, rounds[1:], strict=False)
        ]
        where = torch.from_numpy(setting.covered.hidden)[:, None].expand_as(truth)
        if where.any():
            row["grey"] = float((first.images / 2 + 0.5 - truth).abs()[where].mean())
            row["painted"] = {
                name: float((made[0].reconstruction.clamp(-1, 1) / 2 + 0.5 - truth).abs()[where].mean())  # type: ignore[union-attr]
                for name, made in setting.rounds.items()
            }
        rows.append(row)
    return rows


def occlusion_table(report: Mapping[str, Any]) -> list[str]:
    """Lines of text: error of all labels and, in brackets, mean distance of the hidden ones, for every setting.

    Columns are procedures with the iteration, the first and the last.
    """
    ways = [(name, number) for name in report["confidence"] for number in (0, report["iterations"])]
    lines = ["hidden       " + "".join(f"{f'{name} {number}':>20}" for name, number in ways)]
    for kind, amount in dict.fromkeys((row["kind"], row["amount"]) for row in report["rows"]):
        rows = [row for row in report["rows"] if (row["kind"], row["amount"]) == (kind, amount)]
        found = {(row["procedure"], row["iteration"]): (row["error"], row["hidden"]) for row in rows}
        name = "nothing" if kind == "none" else f"{kind} {amount:g}"
        cells = (f"{found[way][0]:.4f}" + (f" ({found[way][1][0]:.4f})" if found[way][1] else "") for way in ways)
        lines.append(f"{name:13}" + "".join(f"{cell:>20}" for cell in cells))
    return lines


def over_seeds(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of text: mean and standard deviation over several runs of what `occlusion_table` shows of one, in %.

    All reports must have the same settings; hidden labels follow in brackets.
    """
    ways = [(name, number) for name in reports[0]["confidence"] for number in (0, reports[0]["iterations"])]
    lines = [f"% of the image side, {len(reports)} runs"]
    lines.append("hidden       " + "".join(f"{f'{name} {number}':>30}" for name, number in ways))
    for kind, amount in dict.fromkeys((row["kind"], row["amount"]) for row in reports[0]["rows"]):
        cells = []
        for name, number in ways:
            place = {"kind": kind, "amount": amount, "procedure": name, "iteration": number}
            rows = [one for report in reports for one in report["rows"] if place.items() <= one.items()]
            cell = _mean([row["error"] for row in rows])
            hidden = [row["hidden"][0] for row in rows if row["hidden"]]
            cells.append(f"{cell} ({_mean(hidden)})" if hidden else cell)
        name = "nothing" if kind == "none" else f"{kind} {amount:g}"
        lines.append(f"{name:13}" + "".join(f"{cell:>30}" for cell in cells))
    for procedure in reports[0]["confidence"]:
        for name in ("auroc", "rank_correlation"):
            values = [report["confidence"][procedure].get(name) for report in reports]
            lines.append(f"{procedure} {name}: {'none' if None in values else _mean(values, 1, 2)}")
    return lines


def _mean(values: Sequence[float], scale: float = 100, digits: int = 2) -> str:
    spread = f" ± {scale * np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * np.mean(values):.{digits}f}{spread}"


def cost(model: PosePriorLearner, images: np.ndarray, iterations: int = 4) -> dict[str, list[float]]:
    """Milliseconds per image of `estimate` with 0 to `iterations` rounds, the better of two, by procedure.

    The first published one is the regressor alone, and so are all the completed ones, which need no rounds.
    """
    hidden = np.zeros(images.shape[:3], bool)
    found: dict[str, list[float]] = {}
    for procedure in procedures_of(model):
        for number in range(iterations + 1):
            times = []
            for _ in range(3):  # the first one warms up
                began = time.perf_counter()
                model.estimate(images, number, procedure=procedure, hidden=hidden)  # its answer lies on the CPU: done
                times.append(time.perf_counter() - began)
            found.setdefault(procedure, []).append(1000 * min(times[1:]) / len(images))
    return found


def procedures_of(model: PosePriorLearner) -> tuple[str, ...]:
    """Those that the model can follow."""
    return ("published", "completed") if model.completer else ("published",)
