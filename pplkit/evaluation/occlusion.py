"""The occlusion experiment (section 4.3): errors of hidden and visible points, by both procedures, and why, as JSON."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import mannwhitneyu, spearmanr

from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity
from pplkit.data.dataset import Dataset
from pplkit.data.occlusion import Covered, Occluders, cover, points_in_mask
from pplkit.data.sampling import evenly_spaced
from pplkit.evaluation.memory_analysis import assign
from pplkit.evaluation.report import Scorer
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import Iteration, concatenate_rounds

AMOUNTS: dict[str, tuple[float, ...]] = {"center": (4, 6, 8, 10, 12), "random": (0.1, 0.2, 0.3, 0.4)}  # section 4.3
BOOTSTRAP_DRAWS = 1000
CALIBRATION_BINS = 8
BATCH_SIZE = 50


@dataclass(frozen=True, eq=False)
class Setting:
    """One kind and amount of occlusion: the images, and each procedure's answers."""

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
    callback: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Errors after 0 to `iterations` rounds for every kind and amount of occlusion, on `limit` test images.

    `unoccluded`, `occluded`: mean error of the first answers with nothing hidden, and over all other settings.
    `rows`: one for each kind ("none" first), amount, procedure and iteration, with the protocol's `error`, its linear
    map fitted on complete training images, and mean distances of all, hidden and visible labels as [mean, low, high],
    in image sides: 95 % of 1,000 bootstrap draws over the images lie between low and high; null where there are none.
    Without labels, distances and errors are those from the model's own pose of the complete image.
    `confidence` and `analysis`: see `confidence_report` and `analyze_rounds`. The completed procedure learns what is
    hidden from iteration 1 on, not in its first answer. `callback` is called with the name of each setting when done.
    Raises PplkitError if `amounts` hides nothing.
    """
    if not any(amounts.values()):
        raise PplkitError(f"nothing is hidden: give at least one amount of {', '.join(amounts) or 'some kind'}.")
    test = data["test"]
    index = evenly_spaced(test, limit)
    images = np.asarray(test.images[index])
    judges = {name: _Judge(model, data, index, name) for name in procedures(model)}
    rows, settings = [], []
    for kind, amount in [("none", 0.0), *((kind, amount) for kind, many in amounts.items() for amount in many)]:
        covered = cover(images, "center" if kind == "none" else kind, amount, occluders=occluders)
        decode_last = iterations == 0  # the last round's reconstruction is reported only if it is the first one's
        rounds = {name: iterate(model, covered, iterations, name, decode_last=decode_last) for name in judges}
        for name, answers in rounds.items():
            for number, answer in enumerate(answers):
                row = {"kind": kind, "amount": amount, "procedure": name, "iteration": number}
                rows.append(row | judges[name](answer.poses.keypoints.numpy(), covered.hidden))
        settings.append(Setting(kind, amount, covered, rounds))
        if callback:
            callback(f"{kind} {amount:g}")
    complete = settings[0].rounds["published"][0].poses.keypoints.numpy()
    return {
        "measure": judges["published"].measure, "test_images": len(index), "iterations": iterations,
        "made_by": model.made_by, "unoccluded": {name: _first_error(rows, name, slice(1)) for name in judges},
        "occluded": {name: _first_error(rows, name, slice(1, None)) for name in judges}, "rows": rows,
        "confidence": {name: confidence_report(settings, name, complete) for name in judges},
        "analysis": analyze_rounds(model, settings, images),
    }  # fmt: skip


def procedures(model: PosePriorLearner) -> tuple[str, ...]:
    """Names of the procedures that the model can follow."""
    return ("published", "completed") if model.completer else ("published",)


def _first_error(rows: Sequence[Mapping[str, Any]], procedure: str, settings: slice) -> float | None:
    """Mean error of a procedure's first answers over some of the settings; None without any."""
    errors = [row["error"] for row in rows if row["procedure"] == procedure and row["iteration"] == 0][settings]
    return float(np.mean(errors)) if errors else None


def iterate(
    model: PosePriorLearner, covered: Covered, iterations: int, procedure: str, *, decode_last: bool = True
) -> list[Iteration]:
    """All rounds of all images, on the CPU; `decode_last` as in `PosePriorLearner.iterate`."""
    parts = []
    for start in range(0, len(covered.images), BATCH_SIZE):
        hidden = torch.from_numpy(covered.hidden[start : start + BATCH_SIZE]).to(model.alpha.device)
        batch = model.prepare(covered.images[start : start + BATCH_SIZE])
        parts.append(model.iterate(batch, iterations, procedure=procedure, hidden=hidden, decode_last=decode_last))
    return [concatenate_rounds([part[number] for part in parts]) for number in range(iterations + 1)]


class _Judge:
    """Errors of the poses of one procedure."""

    def __init__(self, model: PosePriorLearner, data: Dataset, index: np.ndarray, procedure: str) -> None:
        test = data["test"]
        self.index, self.sides = index, sides_per_unit(data.size)
        self.scorer = None
        if data.protocol != "pictures" and test.keypoints is not None:
            self.scorer = Scorer(model, data, procedure=procedure)
            self.measure = f"error of protocol {data.protocol}"
        else:
            self.complete = model.estimate(np.asarray(test.images[index]), procedure="published").keypoints.numpy()
            self.measure = "distance to the pose of the complete image"

    def __call__(self, keypoints: np.ndarray, hidden: np.ndarray) -> dict[str, Any]:
        if self.scorer is not None:
            score = self.scorer(keypoints, self.index)
            distances, truth, error = 2 * self.sides * score.distances, score.labels, score.error
        else:
            distances, truth = np.linalg.norm(keypoints - self.complete, axis=-1) * self.sides, self.complete
            error = float(distances.mean())
        covered = points_in_mask(hidden, truth)
        parts = {"all": np.ones_like(covered), "hidden": covered, "visible": ~covered}
        return {"error": error, **{name: bootstrap_interval(distances, part) for name, part in parts.items()}}


def bootstrap_interval(distances: np.ndarray, chosen: np.ndarray) -> list[float] | None:
    """Mean of the finite distances (n, J) that are `chosen` (n, J), and the bootstrap's 2.5 and 97.5 % quantiles."""
    known = chosen & np.isfinite(distances)
    if not known.any():
        return None
    sums, counts = np.where(known, distances, 0).sum(1), known.sum(1)
    drawn = np.random.default_rng(0).integers(len(sums), size=(BOOTSTRAP_DRAWS, len(sums)))
    totals, numbers = sums[drawn].sum(1), counts[drawn].sum(1)
    low, high = np.quantile(totals[numbers > 0] / numbers[numbers > 0], (0.025, 0.975))
    return [float(sums.sum() / counts.sum()), float(low), float(high)]


def confidence_report(settings: Sequence[Setting], procedure: str, complete: np.ndarray) -> dict[str, Any]:
    """How well the confidence of a procedure's first answers finds hidden and wrong keypoints, over all settings.

    The true place of a keypoint is where the model finds it in the `complete` image (n, N, 2). `auroc`: how often a
    visible keypoint has more confidence than a hidden one (0.5 = chance); `rank_correlation` of confidence and
    distance from the truth (Spearman); null where there is nothing to compare; the same for each kind of occlusion;
    `calibration`: for eighths of the keypoints by confidence, the mean confidence (`sure`), the mean distance in image
    sides (`away`), the fraction hidden, and, completed, the expected distance.
    """
    columns: dict[str, list[np.ndarray]] = {}
    kinds: list[str] = []
    for setting in settings:
        if setting.kind == "none":
            continue
        poses, hidden = setting.rounds[procedure][0].poses, setting.covered.hidden
        distances = np.linalg.norm(poses.keypoints.numpy() - complete, axis=-1) * sides_per_unit(hidden.shape[-1])
        values = {"sure": poses.confidence, "away": distances, "hidden": points_in_mask(hidden, complete)}
        values |= {} if poses.distance is None else {"expected": poses.distance}
        for name, value in values.items():
            columns.setdefault(name, []).append(np.asarray(value).ravel())
        kinds += [setting.kind] * distances.size
    if not kinds:
        return {}
    table, kind_of = {name: np.concatenate(parts) for name, parts in columns.items()}, np.array(kinds)
    order = np.array_split(np.argsort(table["sure"], kind="stable"), CALIBRATION_BINS)
    return {
        **_confidence_scores(table, np.ones(len(kind_of), bool)),
        "kinds": {str(kind): _confidence_scores(table, kind_of == kind) for kind in np.unique(kind_of)},
        "calibration": [{name: float(values[part].mean()) for name, values in table.items()} for part in order],
    }


def _confidence_scores(table: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, float | None]:
    confidence, distances, hidden = (table[name][rows] for name in ("sure", "away", "hidden"))
    varied = np.ptp(confidence) > 0 and np.ptp(distances) > 0  # otherwise there is no correlation
    correlation = float(spearmanr(confidence, distances)[0]) if varied else None
    return {"auroc": auroc(confidence, ~hidden), "rank_correlation": correlation}


def auroc(values: np.ndarray, positive: np.ndarray) -> float | None:
    """How often a positive (n,) has a larger value (n,) than a negative; equal ones count half; None without both."""
    if positive.all() or not positive.any():
        return None
    above, below = values[positive], values[~positive]
    return float(mannwhitneyu(above, below, method="asymptotic").statistic / (len(above) * len(below)))


def analyze_rounds(model: PosePriorLearner, settings: Sequence[Setting], images: np.ndarray) -> list[dict[str, Any]]:
    """Why rounds help or not, for each setting; distances in image sides.

    `recall`: how far one pass through the memory moves the pose of round 0, T' to T'_recon; with nothing hidden, the
    memory's own error. `banks`: fraction of the banks whose assigned vector differs from the complete image's. `grey`
    and `painted` (by procedure): mean difference from the complete image's pixels, in [0, 1], in the hidden part,
    before and after round 0 has reconstructed it. `drift`: how far each round moves the published pose.
    """
    sides = sides_per_unit(images.shape[1])
    truth = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    complete = assign(model, settings[0].rounds["published"][0].poses.keypoints.numpy())
    rows = []
    for setting in settings:
        rounds = setting.rounds["published"]
        first, poses = rounds[0], [answer.poses.keypoints for answer in rounds]
        assert first.decoded_pose is not None
        row: dict[str, Any] = {"kind": setting.kind, "amount": setting.amount}
        row["recall"] = float((first.decoded_pose - poses[0]).norm(dim=-1).mean()) * sides
        row["banks"] = float((assign(model, poses[0].numpy()) != complete).mean())
        row["drift"] = [
            float((after - before).norm(dim=-1).mean()) * sides for before, after in zip(poses, poses[1:], strict=False)
        ]
        hidden = torch.from_numpy(setting.covered.hidden)[:, None].expand_as(truth)
        if hidden.any():
            row["grey"] = float((first.images / 2 + 0.5 - truth).abs()[hidden].mean())
            row["painted"] = {}
            for name, (answer, *_) in setting.rounds.items():
                assert answer.reconstruction is not None
                difference = (answer.reconstruction.clamp(-1, 1) / 2 + 0.5 - truth).abs()
                row["painted"][name] = float(difference[hidden].mean())
        rows.append(row)
    return rows


def occlusion_table(report: Mapping[str, Any]) -> list[str]:
    """Lines of text: error of all labels and, in brackets, mean distance of the hidden ones, for every setting.

    Columns are procedures with the iteration, the first and the last.
    """
    return _table([report], 20, lambda values: f"{values[0]:.4f}")


def seed_table(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of text: mean and standard deviation over several runs of the numbers of `occlusion_table`, in %.

    All reports must have the same settings; hidden labels follow in brackets.
    """
    lines = [f"% of the image side, {quantity(len(reports), 'run')}", *_table(reports, 30, _mean_and_deviation)]
    for procedure in reports[0]["confidence"]:
        for name in ("auroc", "rank_correlation"):
            values = [report["confidence"][procedure].get(name) for report in reports]
            text = "none" if None in values else _mean_and_deviation(values, 1)
            lines.append(f"{procedure} {name}: {text}")
    return lines


def _table(reports: Sequence[Mapping[str, Any]], width: int, text: Callable[[list[float]], str]) -> list[str]:
    """A line for each setting, a column for each procedure's first and last iteration: `text` of the errors."""
    columns = [(name, number) for name in reports[0]["confidence"] for number in (0, reports[0]["iterations"])]
    lines = ["hidden       " + "".join(f"{f'{name} {number}':>{width}}" for name, number in columns)]
    keys = ("kind", "amount", "procedure", "iteration")
    for kind, amount in dict.fromkeys((row["kind"], row["amount"]) for row in reports[0]["rows"]):
        line = f"{'nothing' if kind == 'none' else f'{kind} {amount:g}':13}"
        for column in columns:
            wanted = (kind, amount, *column)
            rows = [row for report in reports for row in report["rows"] if tuple(row[key] for key in keys) == wanted]
            hidden = [row["hidden"][0] for row in rows if row["hidden"]]
            cell = text([row["error"] for row in rows]) + (f" ({text(hidden)})" if hidden else "")
            line += f"{cell:>{width}}"
        lines.append(line)
    return lines


def _mean_and_deviation(values: Sequence[float], scale: float = 100) -> str:
    deviation = f" ± {scale * np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{scale * np.mean(values):.2f}{deviation}"


def inference_cost(model: PosePriorLearner, images: np.ndarray, iterations: int = 4) -> dict[str, list[float]]:
    """Milliseconds per image of `estimate` with 0 to `iterations` rounds, the better of two, by procedure.

    The first published number is the regressor alone, and so are all completed ones, which need no rounds.
    """
    hidden = np.zeros(images.shape[:3], bool)

    def seconds(procedure: str, number: int) -> float:
        began = time.perf_counter()
        model.estimate(images, number, procedure=procedure, hidden=hidden)  # its answer lies on the CPU: done
        return time.perf_counter() - began

    costs: dict[str, list[float]] = {}
    for procedure in procedures(model):
        for number in range(iterations + 1):
            seconds(procedure, number)  # warms up
            best = min(seconds(procedure, number), seconds(procedure, number))
            costs.setdefault(procedure, []).append(1000 * best / len(images))
    return costs
