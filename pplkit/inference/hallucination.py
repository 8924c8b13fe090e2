"""New motion from pieces of known motion: an in-betweening network fills the gaps between them.

The hallucinator of PoseTriplet (Gong et al., CVPR 2022) chains key poses drawn from all motion, each at a random place
around the last one; here pieces are drawn so that pose and speed go on as far as they can.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.models.motion.inbetweening import InBetweening, fill, heading, joints_of, pinned, poses_of

PIECE = (14, 40)  # frames of a piece
GAP = (8, 24)  # frames between two
DRAWS = 4  # pieces of which the one whose pose is nearest follows
TURN, PLACE = 0.5, 0.1  # deviations in radians and meters of where a piece goes on


def hallucinate(
    model: InBetweening, motions: Sequence[np.ndarray], frames: int, seed: int, fps: float = 30.0
) -> np.ndarray:
    """Motion (frames, J, 3) that chains pieces of `motions` (T, J, 3), in meters, y up, the floor at 0, float32.

    It is one body's, that of the first piece; the same seed gives the same. Raises PplkitError without a motion as long
    as what the network has to know before a gap.
    """
    least = max(model.config.past, PIECE[0])
    usable = [np.asarray(motion, np.float32) for motion in motions if len(motion) >= least]
    if not usable:
        raise PplkitError(f"no motion has {least} frames, the least that new motion starts from: give longer ones.")
    rng = np.random.default_rng([seed, frames, 7])
    chain = _piece(rng, usable, least)
    while len(chain) < frames:
        gap = int(rng.integers(*GAP, endpoint=True))
        options = [_piece(rng, usable, least) for _ in range(DRAWS)]
        options = [_continued(rng, model, chain, option, gap, fps) for option in options]
        following = min(options, key=lambda option: _difference(chain, option, model))
        past, future = chain[-model.config.past :][None], following[: model.config.future][None]
        between = fill(model, past, future, gap)
        chain = torch.cat([chain, pinned(past, between, future, model.skeleton)[0].to(chain), following])
    return chain[:frames].numpy()


def _piece(rng: np.random.Generator, motions: Sequence[np.ndarray], least: int) -> Tensor:
    """A part (T, J, 3) of one of the motions."""
    motion = motions[int(rng.integers(len(motions)))]
    length = min(int(rng.integers(least, max(PIECE[1], least), endpoint=True)), len(motion))
    start = int(rng.integers(len(motion) - length + 1))
    return torch.from_numpy(motion[start : start + length].copy())


def _continued(
    rng: np.random.Generator, model: InBetweening, before: Tensor, piece: Tensor, gap: int, fps: float
) -> Tensor:
    """A piece on the body of `before`, turned and moved to where that would be after the gap."""
    skeleton = model.skeleton
    lengths, poses = poses_of(before[-1], skeleton).lengths, poses_of(piece, skeleton)
    scale = lengths.sum() / poses.lengths[0].sum()
    piece = joints_of(poses._replace(root=poses.root * scale, lengths=lengths.expand_as(poses.lengths)), skeleton)
    angle = torch.tensor(rng.normal(0, TURN), dtype=piece.dtype)
    zero, one = torch.zeros(()), torch.ones(())
    extra = torch.stack([angle.cos(), zero, angle.sin(), zero, one, zero, -angle.sin(), zero, angle.cos()]).view(3, 3)
    # `heading` brings the left side to x, from where the last pose's own inverse leads.
    turn = extra @ heading(before[-1:], skeleton)[0].mT @ heading(piece[:1], skeleton)[0]
    piece = piece @ turn.mT
    root = skeleton.root
    speed = (before[-1, root] - before[-3, root] + piece[2, root] - piece[0, root]) / 4 * (gap + 1)
    place = before[-1, root] + speed + torch.from_numpy(rng.normal(0, PLACE, 3)).to(piece)
    shift = (place - piece[0, root]) * torch.tensor([1.0, 0, 1])
    return piece + shift


def _difference(before: Tensor, piece: Tensor, model: InBetweening) -> float:
    """How far the first pose of a piece is from the last one before it, in directions of bones."""
    one, other = (poses_of(pose, model.skeleton).directions for pose in (before[-1], piece[0]))
    return float((one - other).square().sum())
