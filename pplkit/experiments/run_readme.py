"""README.txt of a run folder: what each of its files is."""

from pathlib import Path

from pplkit.core.files import write_text

FILES = {
    "index.html": "begin here: verdict, prior, poses, curves and next commands; one file that any browser opens",
    "prior.json": "the prior: keypoints (x, y) in [-1, 1], y down, and the weights of the links",
    "training.json": "steps, last loss, seconds and device of the training",
    "doctor.json": "what the doctor measured, and its findings with what to try",
    "MODEL_CARD.md": "what the model is worth and where it ends, for others",
    "evaluation.json": "errors on test images beside the mean pose's, and where keypoints and links lie",
    "occlusion.json": "errors with parts of the images hidden",
    "config.json": "all settings, with the data, versions and machine that the result depends on",
    "metrics.jsonl": "the losses, a line every 20 steps",
    "prior_history.jsonl": "the prior as it changed during the training",
    "notes.json": "what happened during the training that a reader should know",
    "checkpoints": "the last two states of the training, from which it continues",
    "completer.safetensors": "weights of the completer, which sees past what hides the object",
    "completer": "the training of the completer",
    "baselines": "runs that were trained for comparison",
    "landmarks.csv": "labels of named points",
    "landmarks.json": "the map from keypoints to named points",
    "notebooks": "the notebooks as they were executed, with all figures",
    "overlay": "poses drawn over your images or videos",
    "tracks.csv": "the keypoints of every frame of a video",
    "figures/prior.png": "the typical pose with its strong links, and the weights of all links",
    "figures/poses.png": "keypoints and links on test images; pale where the model is less sure",
    "figures/prior_evolution.png": "the prior at six moments of the training",
    "figures/training_batch.png": "images of the first step, and the reference of each",
    "figures/training_curves.png": "every loss against the step",
    "figures/reconstructions.png": "test images, references, link maps, and what is painted from both",
    "figures/bank_usage.png": "how often the vectors of each memory bank are used",
    "figures/bank_effects.png": "what the vectors of the five most influential banks do to the prior",
    "figures/prototypes.png": "poses of the memory that stand for most images",
    "figures/prior_explorer.png": "the widget of notebook 03, which in JupyterLab can be moved",
    "figures/error_vs_mean_pose.png": "the error beside that of the mean pose",
    "figures/keypoint_errors.png": "the error of each labelled point beside the mean pose's",
    "figures/best_and_worst_images.png": "the test images with the smallest and the largest errors",
    "figures/object_coverage.png": "how much of keypoints and links lies on the object, and of the skeleton on links",
    "figures/tracks_vs_truth.png": "tracks of some joints over time, beside the truth",
    "figures/landmarks.png": "named points on test images",
    "figures/landmark_errors.png": "the expected error of each named point",
    "figures/occluded_images.png": "the ways in which parts of an image are hidden",
    "figures/occlusion_error_by_round.png": "the error after each round through the memory",
    "figures/occlusion_error_by_amount.png": "the error against the amount hidden",
    "figures/rounds_hidden_center.png": "poses round by round, the center hidden",
    "figures/rounds_hidden_patches.png": "poses round by round, patches hidden",
    "figures/completed_poses.png": "completed poses, and what the decoder paints",
    "figures/confidence_vs_error.png": "what the confidence says about the distance and about being hidden",
    "figures/poses_by_confidence.png": "completed poses; pale where the model is less sure",
    "figures/nearest_prototypes.png": "completed poses beside the nearest prototypes of the memory",
    "figures/tracks_over_time.png": "three keypoints of a video over time, raw and smooth",
    "figures/jitter.png": "the jitter of each keypoint before and after smoothing",
    "figures/ablations.png": "the variants compared",
    "figures/priors.png": "the priors of the variants",
}


def write_readme(run: Path) -> None:
    """Write README.txt: a line for each known file that is there. Raises PplkitError if it cannot be written."""
    names = [name for name in FILES if (run / name).exists() or name == "index.html"]
    width = max(map(len, names))
    lines = [f"{name:{width}}  {FILES[name]}\n" for name in names]
    write_text(run / "README.txt", f"{run.name}: a run of pplkit\n\n" + "".join(lines))
