"""The motion loop: estimate, imitate, hallucinate, project, retrain, in rounds, from 2D sequences alone.

After PoseTriplet (Gong et al., CVPR 2022). Round 0 trains an estimator on random walks, which need no data. A round
lifts the clips, makes the estimates plausible, chains their pieces to new motion, and trains the estimator further on
what random cameras see of both. Beside this arm, others learn from the estimates as they are, or from the truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import write_json, write_text
from pplkit.core.locks import locked
from pplkit.core.project import home
from pplkit.core.settings import Settings
from pplkit.data.motion_pool import MotionPool
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.pose3d import MILLIMETERS, mpjpe, p_mpjpe
from pplkit.experiments import loop_stages
from pplkit.experiments.loop_estimators import OPTIONS, WalkPairs, load_lift, train
from pplkit.experiments.loop_plan import RULES, LoopPlan
from pplkit.experiments.loop_stages import Rules, frames_of, imitated
from pplkit.experiments.stages import Stage, stage
from pplkit.geometry.plausibility import bone_deviation
from pplkit.inference.hallucination import hallucinate
from pplkit.training.tasks.inbetweening import load_inbetweening, train_inbetweening

PUBLISHED_CORE_HOURS = 7800  # of PoseTriplet's five rounds: 1.43 G control steps, 26 a second and core
RESULT, TABLE = "loop.json", "loop.md"


def run_loop(plan: LoopPlan, rules: Rules, out: Path | None = None) -> Path:
    """Run what is missing of a plan, write loop.json and loop.md, and return their folder.

    The folder is `out`, by default <home>/runs/loops/<name of the plan's file>. Stages that are done are kept, and one
    that was killed goes on, to the same numbers. `rules` makes motion, for tests and as a source of clips. Raises
    PplkitError for clips of which none can be used, and for a folder made with other settings.
    """
    folder = home() / "runs" / "loops" / plan.file.stem if out is None else out
    if "true" in plan.arms and plan.clips.source != RULES:
        raise PplkitError(f"{plan.file}, arms: own clips have no truth: leave out 'true'.")
    with locked(folder, f"{plan.file}: another process runs a loop in {folder}"):
        rows = [row for seed in plan.seeds for row in _SeedLoop(plan, rules, folder, seed).run()]
        result = {"rounds": plan.rounds, "seeds": list(plan.seeds), "rows": rows, "cpu_seconds": _cost(rows)}
        write_json(folder / RESULT, result)
        write_text(folder / TABLE, "\n".join(table_lines(result)) + "\n")
    return folder


class _SeedLoop:
    """All arms and rounds of one seed."""

    def __init__(self, plan: LoopPlan, rules: Rules, folder: Path, seed: int) -> None:
        self.plan, self.rules, self.seed, self.folder = plan, rules, seed, folder / f"seed-{seed}"

    def run(self) -> list[dict[str, Any]]:
        """A row for the start, and one for each arm and round."""
        plan, config = self.plan, self.plan.estimator.replace(seed=self.seed)
        self.clips = self._stage("clips", {"clips": plan.clips.to_dict(), "seed": self.seed}, self._make_clips)
        config = config.replace(steps=plan.start_steps)
        inputs = {"estimator": config.to_dict(), "data": "random walks"}
        start = self._stage(
            "start", inputs, lambda folder: self._train(folder, config, WalkPairs(plan.clips.fps), None)
        )
        rows = [self._row("start", 0, start, {"train": start, "clips": self.clips})]
        for arm in plan.arms:
            current = start
            for number in range(1, plan.rounds + 1):
                current, row = self._round(arm, number, current)
                rows.append(row)
        return rows

    def _round(self, arm: str, number: int, before: Stage) -> tuple[Stage, dict[str, Any]]:
        """Retrain the estimator of `before` on what an arm makes of its estimates."""
        plan, stages = self.plan, dict[str, Stage]()
        config = plan.estimator.replace(seed=self.seed + 1000 * number)
        pools: list[Path] = []
        if arm == "true":
            pools, origin = [self.clips.folder / loop_stages.TRUTH], self.clips.fingerprint
        else:
            stages["estimate"] = self._derived(before, "estimates", {}, self._estimate(before))
            settings = {
                name: value.to_dict() if isinstance(value, Settings) else value
                for name, value in plan.method_settings.items()
            }
            options = plan.imitation.to_dict() | {"settings": settings}
            estimates, clips = stages["estimate"].folder, self.clips.folder
            if arm in ("raw", "sight"):
                placing = {"gravity": plan.imitation.gravity, "contact": plan.imitation.contact}
                views = clips if arm == "sight" else None
                work = partial(loop_stages.place_clips, estimates=estimates, settings=plan.imitation, clips=views)
                stages["place"] = self._derived(before, f"placed_{arm}", placing, work)
            else:
                work = partial(
                    loop_stages.imitate_clips, motions=estimates, settings=plan.imitation,
                    options=plan.method_settings, clips=clips,
                )  # fmt: skip
                stages["imitate"] = self._derived(before, "imitated", options, work)
            last = list(stages.values())[-1]
            pools, origin = [last.folder], last.fingerprint
            if arm == "loop":
                stages |= self._hallucinated(before, last)
                pools.append(stages["hallucinate"].folder)
                origin = stages["hallucinate"].fingerprint
        pattern = "*_world.npz" if arm == "true" else "*.npz"
        motions = [motion for pool in pools for motion in loop_stages.read_motions(pool, pattern)]
        inputs = {"estimator": config.to_dict(), "data": origin, "start": before.fingerprint, "arm": arm}

        def work_on(folder: Path) -> dict[str, Any]:
            return self._train(folder, config, MotionPool(motions), before.folder / "run")

        stages["train"] = self._stage(f"{arm}-{number}", inputs, work_on)
        return stages["train"], self._row(arm, number, stages["train"], stages)

    def _stage(self, name: str, inputs: Mapping[str, Any], work: Any) -> Stage:
        print(f"seed {self.seed}: {name}", flush=True)
        return stage(self.folder / name, inputs, work)

    def _derived(self, before: Stage, name: str, inputs: Mapping[str, Any], work: Any) -> Stage:
        """A stage from the clips and an estimator, in whose folder it lies, as arms share it."""
        inputs = {**inputs, "estimator": before.fingerprint, "clips": self.clips.fingerprint}
        return self._stage(f"{before.folder.name}/{name}", inputs, work)

    def _make_clips(self, folder: Path) -> dict[str, Any]:
        return loop_stages.make_clips(folder, self.plan.clips, self.seed, self.rules)

    def _estimate(self, before: Stage) -> Any:
        def work(folder: Path) -> dict[str, Any]:
            lift = load_lift(self.plan.estimator, before.folder / "run")
            return loop_stages.estimate_clips(folder, self.clips.folder, lift)

        return work

    def _hallucinated(self, before: Stage, imitation: Stage) -> dict[str, Stage]:
        """An in-betweening network trained on imitated motion, and new motion that it joins from pieces of that."""
        plan, seed = self.plan, self.seed
        network = plan.network.replace(seed=seed)
        inputs: dict[str, Any] = {"network": network.to_dict(), "motion": imitation.fingerprint}

        def learn(folder: Path) -> dict[str, Any]:
            pool = MotionPool(loop_stages.read_motions(imitation.folder))
            train_inbetweening(network, pool.windows, folder / "run", **OPTIONS)
            return {}

        trained = self._stage(f"{before.folder.name}/hallucinator", inputs, learn)
        settings, fps = plan.hallucination, plan.clips.fps
        inputs = {**settings.to_dict(), "network": trained.fingerprint, "imitation": plan.imitation.to_dict()}
        rule = replace(plan.imitation, method=settings.method, gravity="given")
        options = plan.method_settings if settings.method == plan.imitation.method else {}

        def make(folder: Path) -> dict[str, Any]:
            model = load_inbetweening(trained.folder / "run")
            motions = [motion.points for motion in loop_stages.read_motions(imitation.folder)]

            def work(name: str) -> tuple[PoseSequence | None, dict[str, Any]]:
                number = 100_000 * seed + int(name)
                points = hallucinate(model, motions, frames_of(settings.seconds, fps), number, fps)
                motion = PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world", source=f"new {name}")
                return imitated(motion, rule, options)

            return loop_stages.each_clip(folder, [f"{number:04d}" for number in range(settings.count)], work)

        motion = self._stage(f"{before.folder.name}/hallucinated", inputs, make)
        return {"hallucinator": trained, "hallucinate": motion}

    def _train(self, folder: Path, config: Any, source: WalkPairs | MotionPool, start: Path | None) -> dict[str, Any]:
        """Train an estimator and score it on motion that is never seen."""
        train(config, source, folder / "run", start)
        lift = load_lift(config, folder / "run")
        plan = self.plan
        batch = loop_stages.test_clips(plan.test, plan.clips, self.seed, self.rules)
        errors, aligned, bones = [], [], []
        for keypoints, confidence, truth in zip(batch.keypoints, batch.confidence, batch.positions, strict=True):
            points, true = (values - values[:, :1] for values in (lift(keypoints, confidence), truth.astype(float)))
            errors.append(mpjpe(points, true))
            aligned.append(p_mpjpe(points, true))
            bones.append(bone_deviation(points, H36M17.bones))
        names = ("mpjpe_mm", "p_mpjpe_mm", "bone_deviation_mm")
        values = (errors, aligned, bones)
        return {name: MILLIMETERS * float(np.mean(part)) for name, part in zip(names, values, strict=True)}

    def _row(self, arm: str, number: int, trained: Stage, stages: Mapping[str, Stage]) -> dict[str, Any]:
        return {
            "seed": self.seed, "arm": arm, "round": number, **trained.numbers,
            "stages": {name: {**part.numbers, "cpu_seconds": part.seconds} for name, part in stages.items()},
            "folders": {name: str(part.folder.relative_to(self.folder.parent)) for name, part in stages.items()},
        }  # fmt: skip


def _cost(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of processor time by kind of stage; a stage that rows share counts once."""
    parts = {}
    for row in rows:
        for name, folder in row["folders"].items():
            numbers = row["stages"][name]  # of a stage that was killed, what its clips took
            parts[folder] = (name, max(numbers["cpu_seconds"], numbers.get("clip_seconds", 0.0)))
    total: dict[str, float] = {}
    for name, seconds in parts.values():
        total[name] = round(total.get(name, 0.0) + seconds, 2)
    return total | {"all": round(sum(total.values()), 2)}


def table_lines(result: Mapping[str, Any]) -> list[str]:
    """The result as a Markdown table: mean ± deviation (n - 1) over the seeds, and what it cost."""
    lines = ["| round | retrained on | MPJPE mm | P-MPJPE mm | bones mm | clips in | dropped | skate cm/s |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|")
    keys = dict.fromkeys((row["round"], row["arm"]) for row in result["rows"])
    for number, arm in sorted(keys, key=lambda key: key[0]):
        rows = [row for row in result["rows"] if (row["round"], row["arm"]) == (number, arm)]
        cells = [_cell([row[name] for row in rows]) for name in ("mpjpe_mm", "p_mpjpe_mm", "bone_deviation_mm")]
        stages = [part for row in rows for name, part in row["stages"].items() if name in ("imitate", "hallucinate")]
        skate = [part["means"].get("skate_cm_s") for part in stages if part["means"].get("skate_cm_s") is not None]
        cells.append(f"{sum(part['clips'] for part in stages) / len(rows):.0f}" if stages else "")
        cells.append(f"{sum(sum(part['dropped'].values()) for part in stages) / len(rows):.1f}" if stages else "")
        cells.append(f"{np.mean(skate):.1f}" if skate else "")
        lines.append(f"| {number} | {arm} | {' | '.join(cells)} |")
    hours = result["cpu_seconds"]["all"] / 3600
    lines += ["", f"Processor time: {hours:.2f} hours (published: {PUBLISHED_CORE_HOURS:,} core-hours)."]
    return lines


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"
