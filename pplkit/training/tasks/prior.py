"""What changes from step to step of a training, by its config alone."""

import math

from pplkit.models.prior.config import Config


def rates(config: Config, step: int) -> tuple[float, ...]:
    """Learning rates at `step`: of the networks, held and then half a cosine down; of the links, growing after the
    coarse part; of convolutions that have one of their own, and of a backbone's stages, falling as the first does.
    """
    share, low = step / config.steps, config.final_learning_rate
    left = low + (1 - low) * (1 + math.cos(math.pi * _since(config.lr_hold, share))) / 2
    links = config.connectivity_learning_rate * config.connectivity_growth ** _since(config.coarse_fraction, share)
    own = config.learning_rate, config.convolution_learning_rate, config.backbone_learning_rate
    networks, convolutions, backbone = (left * rate for rate in own)
    return networks, links, convolutions, backbone


def _since(start: float, share: float) -> float:
    """How much of the way from `start` to the end, 1, is done when `share` of all is."""
    return max(0.0, share - start) / (1 - start) if start < 1 else 0.0


def renewals(config: Config) -> set[int]:
    """Steps before which `reinit_weak_links` and `reset_dead_codes` renew what has been lost: at 20, 30, … 80 %."""
    return {config.steps * tenth // 10 for tenth in range(2, 9)}


def thickness(config: Config, step: int) -> float:
    """Link width σ at `step`: from thickness_start, if set, in equal ratios to thickness at half of the steps."""
    share = min(1.0, 2 * step / config.steps)
    return (config.thickness_start or config.thickness) ** (1 - share) * config.thickness**share
