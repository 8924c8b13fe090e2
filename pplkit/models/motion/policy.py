"""A policy that imitates, its value network, and how both learn (PPO, Schulman et al. 2017)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

LARGEST_INPUT = 5.0  # standard deviations, to which observations are clipped
SMALLEST_NOISE = 0.03  # standard deviation of an action


class TrackingPolicy(nn.Module):
    """Actions and values from observations (N, O), which are normalized by the mean and spread of all seen so far."""

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, observations: int, actions: int, widths: Sequence[int], noise: float) -> None:
        super().__init__()
        self.actor = _network(observations, widths, actions, 0.01)
        self.critic = _network(observations, widths, 1, 1.0)
        self.log_noise = nn.Parameter(torch.full((actions,), math.log(noise)))
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(observations))
        self.register_buffer("square", torch.ones(observations))

    def observe(self, observations: Tensor) -> None:
        """Add observations to the mean and spread."""
        mean, square = observations.mean(0), (observations**2).mean(0)
        share = len(observations) / (self.count + len(observations))
        self.mean += share * (mean - self.mean)
        self.square += share * (square - self.square)
        self.count += len(observations)

    def normalized(self, observations: Tensor) -> Tensor:
        """Observations with mean 0 and spread 1, clipped."""
        spread = (self.square - self.mean**2).clamp_min(1e-4).sqrt()
        return ((observations - self.mean) / spread).clamp(-LARGEST_INPUT, LARGEST_INPUT)

    def noise(self) -> Tensor:
        """Standard deviation of each action."""
        return self.log_noise.exp().clamp_min(SMALLEST_NOISE)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Means of the actions (N, A) and values (N,) for normalized observations."""
        return self.actor(observations), self.critic(observations)[:, 0]

    @torch.no_grad()
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (N, A) without noise."""
        return np.asarray(self.actor(self.normalized(torch.from_numpy(observations))).numpy())


def _network(inputs: int, widths: Sequence[int], outputs: int, last: float) -> nn.Sequential:
    """ReLU layers; the weights of the last are scaled, so that a policy starts near actions of 0."""
    sizes = [inputs, *widths]
    layers: list[nn.Module] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    end = nn.Linear(sizes[-1], outputs)
    with torch.no_grad():
        end.weight *= last
        end.bias.zero_()
    return nn.Sequential(*layers, end)


def log_probability(actions: Tensor, mean: Tensor, noise: Tensor) -> Tensor:
    """Of actions (N, A) under independent normal distributions, without the constant: (N,)."""
    return -(((actions - mean) / noise) ** 2 / 2 + noise.log()).sum(-1)


def policy_loss(probability: Tensor, before: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The clipped surrogate objective, negated (equation 7 of the paper); log probabilities (N,), advantages (N,)."""
    ratio = (probability - before).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def advantages(
    rewards: np.ndarray, values: np.ndarray, next_values: np.ndarray, ended: np.ndarray, discount: float, decay: float
) -> np.ndarray:
    """Generalized advantage estimates (T, N), equation 16 of Schulman et al. (2016).

    Args:
        rewards: (T, N).
        values: (T, N) of the states before each step.
        next_values: (T, N) of the states after it, 0 where the body has fallen.
        ended: (T, N) whether an episode ended with the step, by a fall or by its length.
        discount: γ.
        decay: λ.
    """
    result = np.zeros_like(rewards)
    later = np.zeros(rewards.shape[1], rewards.dtype)
    for step in range(len(rewards) - 1, -1, -1):
        surprise = rewards[step] + discount * next_values[step] - values[step]
        later = surprise + discount * decay * np.where(ended[step], 0, later)
        result[step] = later
    return result
