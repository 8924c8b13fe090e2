"""Imitation by a simulated body with a policy that is trained for the clip."""

import os
import tempfile
from contextlib import ExitStack

from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.contact import SMOOTHING
from pplkit.inference.imitation.simulated import follow, follower, imitation, substeps
from pplkit.models.motion.imitation_config import ImitationConfig


def imitate_clip(
    clip: Clip,
    *,
    run: str | os.PathLike[str] | None = None,
    config: ImitationConfig = ImitationConfig(),  # noqa: B008 (frozen)
    smoothing: float = SMOOTHING,
    bar: bool = True,
) -> Imitation:
    """The clip as a body follows it that has learned to, with at most `config.force` N on its root; minutes.

    Args:
        clip: what is imitated.
        run: run folder of the training, which continues where it stopped, or is read if it is finished. By default one
            that is gone afterwards.
        config: settings of the training; those of time become the clip's.
        smoothing: seconds over which the clip is smoothed before.
        bar: show the progress of the training.

    See `simulated.imitation` for what comes of it. Raises PplkitError where MuJoCo is missing, for bones without
    length, and for a run of another motion.
    """
    from pplkit.training.tasks.imitation import train_imitator, trained_policy

    body = follower(clip, smoothing)
    config = config.replace(fps=clip.fps, substeps=substeps(clip.fps))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if run is None else run
        train_imitator(config, body.reference, folder, device="cpu", threads=1, bar=bar)
        policy = trained_policy(body.reference, folder)
        return imitation(follow(body.reference, config.force, policy.act, config.spring), body)
