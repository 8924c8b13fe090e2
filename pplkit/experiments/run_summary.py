"""Whether a run went well, in a few sentences, from the files in its folder; and the commands that come next."""

import shlex
from pathlib import Path
from typing import Any

from pplkit.core.words import quantity
from pplkit.data.schema import error_unit
from pplkit.evaluation.diagnosis.advice import made_by_notebooks, run_name, training_command
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.presets import PRESETS
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import read_config

MAX_RELATIVE_ERROR = 0.9  # of the mean pose's error, above which keypoints say next to nothing about the pose


def read_results(run: Path) -> dict[str, dict[str, Any]]:
    """The contents of training.json, doctor.json, evaluation.json and occlusion.json, as far as the run has them."""
    names = ("training", "doctor", "evaluation", "occlusion")
    return {name: RunFolder(run).read(f"{name}.json") for name in names if (run / f"{name}.json").is_file()}


def verdict(run: Path) -> tuple[str, str]:
    """("good", "doubtful", "bad" or "open") and a sentence: what the doctor says, and whether labels agree with it."""
    results = read_results(run)
    if "doctor" not in results:
        return "open", f"Not judged yet: `pplkit doctor {path_to_type(run)}` does."
    if findings := results["doctor"]["findings"]:
        more = f" (and {quantity(len(findings) - 1, 'other finding')})" if len(findings) > 1 else ""
        return "bad", f"Not good yet: {findings[0]['name']}{more}. {findings[0].get('means', '')}".rstrip()
    if results.get("evaluation", {}).get("relative_error", 0.0) > MAX_RELATIVE_ERROR:
        return (
            "doubtful",
            "Doubtful: the doctor finds nothing wrong, but the mean pose predicts the labels nearly as well.",
        )
    return "good", "Good: the doctor finds nothing wrong."


def summary_lines(run: Path) -> list[str]:
    """At most five sentences: verdict, where keypoints lie, error, skeleton, what occlusion does."""
    results = read_results(run)
    evaluation, occlusion = results.get("evaluation", {}), results.get("occlusion")
    numbers = results.get("doctor", {}).get("numbers", {})
    lines = [verdict(run)[1]]
    if "keypoints_on_object" in evaluation:
        lines.append(f"{_percent(evaluation['keypoints_on_object'])} of the keypoints lie on the object.")
    elif "on_foreground" in numbers:
        share = _percent(numbers["on_foreground"])
        lines.append(f"{share} of the keypoints lie on what stands out as object (estimated without labels).")
    if "error" in evaluation:
        error, mean = _error_texts(evaluation["protocol"], evaluation["error"], evaluation["mean_pose_error"])
        lines.append(f"Labelled points are predicted with an error of {error}; that of the mean pose is {mean}.")
    if (run / "prior.json").is_file():
        prior = PosePrior.load(run / "prior.json")
        joined = len({point for link in prior.links() for point in link})
        covered = evaluation.get("skeleton_covered")
        ending = "." if covered is None else f" and cover {_percent(covered)} of the true skeleton."
        lines.append(
            f"Skeleton: {len(prior.links())} strong links join {joined} of {len(prior.keypoints)} keypoints{ending}"
        )
    if occlusion:
        _, measured, protocol = str(occlusion["measure"]).partition("error of protocol ")
        protocol = protocol if measured else "h36m"  # distances are in image sides as well
        alone, completed = _error_texts(protocol, *(occlusion["occluded"][name] for name in ("published", "completed")))
        lines.append(f"With parts hidden, the error is {alone} in a single pass and {completed} when completed.")
    elif command := occlusion_command(run):
        lines.append(f"With parts hidden: not measured; `{command}` does.")
    return lines


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _error_texts(protocol: str, *errors: float) -> list[str]:
    """Errors with their unit; what the unit is a part of is said with the first alone."""
    factor, label = error_unit(protocol)
    unit, whole = {
        "error (% of the image side)": (" %", " of the image side"),
        "error (pixels)": (" pixels", ""),
    }.get(label, ("", f" ({label})"))
    texts = [f"{factor * error:.1f}{unit}" for error in errors]
    return [texts[0] + whole, *texts[1:]]


def path_to_type(run: Path) -> str:
    """The run folder as it is typed in a shell, from the folder that holds runs/."""
    return shlex.quote(f"runs/{run.name}" if run.parent.name == "runs" else str(run))


def run_command(run: Path, name: str = "", **changes: Any) -> str | None:
    """The `pplkit run` that continues this run, or makes one called `name` with other settings; None if that cannot be.

    A run that notebooks did not make, or whose preset is not known, has no such command.
    """
    folder = RunFolder(run)
    made_by, config = folder.read("config.json", "made_by")["made_by"], read_config(folder)
    if not made_by_notebooks(run) or config.name not in PRESETS or "data_path" not in made_by:
        return None
    return training_command(config.replace(**changes), run / made_by["data_path"], run, name or run_name(run))


def next_commands(run: Path) -> dict[str, str]:
    """Commands that work as they are, from the folder that holds runs/, and what each does."""
    folder, name, commands = path_to_type(run), run_name(run), dict[str, str]()
    if verdict(run)[0] in ("bad", "open"):
        commands[f"pplkit doctor {folder}"] = "See what is wrong and what to try; this page is renewed"
    if occlusion := occlusion_command(run):
        commands[occlusion] = "Measure how well poses are found where parts of the image are hidden"
    seed = read_config(RunFolder(run)).seed + 1
    if other := run_command(run, f"{name}-seed-{seed}", seed=seed):
        commands[other] = "Train again with another seed: what both agree on is not chance"
    commands[f"pplkit landmarks {folder} --suggest 10"] = "See which ten images to label so that points get names"
    commands[f"pplkit export {folder} --model {shlex.quote(name)}-model"] = (
        "Write weights, prior and a model card to hand on"
    )
    return commands


def occlusion_command(run: Path) -> str | None:
    """The command that runs notebook 05 as well; None if that was done, or the run was not made by `pplkit run`."""
    again = None if (run / "occlusion.json").is_file() else run_command(run)
    return f"{again} --occlusion" if again else None
