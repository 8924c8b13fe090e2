"""What a prior explorer shows: a pose made of the memory's vectors or by hand, and what the memory makes of it."""

import numpy as np
import torch
from matplotlib.figure import Figure

from pplkit.evaluation import memory_analysis as prototypes
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.geometry.coordinates import sides_per_unit
from pplkit.geometry.link_map import link_map
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import STRONG
from pplkit.viz import prior as posters
from pplkit.viz.drawing import ORANGE, page, picture, plane, skeleton

MEAN = -1  # in the place of a vector: the mean of its bank


class Exploration:
    """A pose, the vectors that it stands for, and the share of the strongest link's weight from which links are shown.

    pose: float64 (N, 2) in [-1, 1], at first the prior T. chosen: int64 (banks,), the vector of each bank, or MEAN.
    `kept` are the prototypes that poses are compared with, `usage` (banks, vectors) how often each vector is taken, as
    `prototypes.usage` counts it.
    """

    def __init__(self, model: PosePriorLearner, kept: Prototypes, usage: np.ndarray) -> None:
        self.model, self.kept, self.usage = model, kept, usage
        self.prior = model.prior()
        self.share = STRONG
        self.reset()

    def reset(self) -> None:
        """Back to the prior: the mean of every bank."""
        self.pose = self.prior.keypoints.astype(np.float64)
        self.chosen = np.full(self.model.config.banks, MEAN)

    @torch.no_grad()
    def take(self, bank: int, vector: int) -> None:
        """Take another vector of a bank, or MEAN; the pose becomes what the memory decodes from all that are chosen."""
        self.chosen[bank] = vector
        memory = self.model.memory
        tokens = memory.means().clone()
        for number in np.flatnonzero(self.chosen != MEAN):
            tokens[number] = memory.codebook[number, int(self.chosen[number])]
        self.pose = memory.decode(tokens[None])[0].double().cpu().numpy()

    def drag(self, pose: np.ndarray) -> None:
        """Put the keypoints where they are wanted (N, 2); the vectors become those that the memory takes for them."""
        self.pose = np.array(pose, np.float64)
        self.chosen = prototypes.taken(self.model, self._pose())[0]

    def recalled(self) -> np.ndarray:
        """What the memory makes of the pose: (N, 2)."""
        return prototypes.recalled(self.model, self._pose())[0]

    def nearest(self) -> int:
        """Which of the prototypes is nearest to the pose."""
        return int(prototypes.nearest_to(self.kept, self._pose())[0])

    def away(self, other: np.ndarray) -> float:
        """How far the pose is from another (N, 2): root mean square over the keypoints, in image sides."""
        distance = float(np.sqrt(np.square(self.pose - other).sum(-1).mean()))
        return distance * sides_per_unit(self.model.config.image_size)

    def farthest_bank(self) -> int:
        """The bank whose vectors, each as often as it is taken, move the prior the most."""
        reach = [
            prototypes.bank_reach(prototypes.bank_poses(self.model, bank), shares)
            for bank, shares in enumerate(self.usage)
        ]
        return int(np.argmax(reach))

    def links(self) -> tuple[list[tuple[int, int]], list[float]]:
        """The links shown, strongest first, and the strength of each in [0, 1]."""
        links = self.prior.links(self.share)
        return links, [self.prior.strength(link) for link in links]

    @torch.no_grad()
    def link_map(self) -> np.ndarray:
        """The link map of the pose from the links shown: uint8 (S, S), the brightest pixel white."""
        weights = self.prior.connectivity * (self.prior.connectivity >= self.share * self.prior.connectivity.max())
        size, thickness = self.model.config.image_size, self.model.config.thickness
        heat = link_map(torch.from_numpy(self._pose()), torch.from_numpy(weights), size, thickness)[0, 0]
        return (255 * heat / heat.max().clamp_min(1e-9)).round().byte().numpy()

    def said(self) -> tuple[str, str]:
        """Two lines: how far the memory's pose is from the pose, and which prototype is the nearest, and how far."""
        number, kept = self.nearest(), self.kept
        name = f"{number + 1} of {len(kept.shares)} ({100 * kept.shares[number]:.0f} % of the images)"
        return (
            f"what the memory makes of it is {100 * self.away(self.recalled()):.1f} % of the image side away",
            f"nearest prototype: {name}, {100 * self.away(kept.keypoints[number]):.1f} % away",
        )

    def figure(self) -> Figure:
        """The pose with what the memory makes of it in orange, its link map, the nearest prototype, and W."""
        figure, axes = page(1, 4, 3.0, 3.1, width_ratios=(1, 1, 1, 1.2))
        links, strengths = self.links()
        recalled, nearest = self.said()
        plane(axes[0, 0], "pose (orange: from memory)", ticks=False)
        skeleton(axes[0, 0], self.pose, links, strengths, size=24, width=3)
        skeleton(axes[0, 0], self.recalled(), links, strengths, colour=ORANGE, size=0, width=1.5)
        picture(axes[0, 1], self.link_map(), "link map")
        plane(axes[0, 2], "nearest prototype", ticks=False)
        skeleton(axes[0, 2], self.kept.keypoints[self.nearest()], links, strengths, size=24, width=3)
        axes[0, 0].set_xlabel(recalled.replace(" is ", "\nis "), fontsize=8)
        axes[0, 2].set_xlabel(nearest.split(": ")[1].replace(", ", ",\n"), fontsize=8)
        posters.connectivity(figure, axes[0, 3], self.prior, self.share)
        return figure

    def weights(self) -> Figure:
        """W alone, with the threshold of the links shown."""
        figure, axes = page(1, 1, 3.4, 3.2)
        posters.connectivity(figure, axes[0, 0], self.prior, self.share)
        return figure

    def _pose(self) -> np.ndarray:
        return self.pose[None].astype(np.float32)
