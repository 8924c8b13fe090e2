"""What the published policy learns from: advantages, normalized observations, paths of round 0."""

import numpy as np

DISCOUNT, TRACE = 0.95, 0.95
CLIP = 5.0  # deviations that observations are cut to
ROUNDNESS = 0.5  # handle of a path's curve for the distance of its two points
SEGMENT_FRAMES = 100


def advantages(
    rewards: np.ndarray, going_on: np.ndarray, values: np.ndarray, discount: float = DISCOUNT, trace: float = TRACE
) -> tuple[np.ndarray, np.ndarray]:
    """Generalized advantages (T,) (Schulman et al. 2016), of mean 0 and deviation 1, and returns (T,).

    `going_on` (T,) is 0 where an episode ends, otherwise 1.
    """
    raw = np.zeros(len(rewards))
    next_value = next_advantage = 0.0
    for t in reversed(range(len(rewards))):
        surprise = rewards[t] + discount * next_value * going_on[t] - values[t]
        raw[t] = surprise + discount * trace * next_advantage * going_on[t]
        next_value, next_advantage = float(values[t]), float(raw[t])
    return (raw - raw.mean()) / raw.std(ddof=1), raw + values


class RunningNorm:
    """Observations less their mean so far, over their deviation so far, cut to ± 5."""

    def __init__(self, size: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(size), np.zeros(size)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Normalize values (size,) after they have been counted."""
        self.count += 1
        step = values - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (values - self.mean)
        variance = self.squares / (self.count - 1) if self.count > 1 else self.mean**2
        return np.clip((values - self.mean) / (np.sqrt(variance) + 1e-8), -CLIP, CLIP)


def root_path(points: np.ndarray) -> np.ndarray:
    """A closed smooth path (100 N, 2) through points (N, 2) in meters, which round 0 follows.

    A cubic Bézier curve from point to point, in the mean direction of the lines before and after each; the ends of the
    curves are there twice.
    """
    lines = np.roll(points, -1, 0) - points
    after = np.arctan2(lines[:, 1], lines[:, 0]) % (2 * np.pi)
    before = np.roll(after, 1)
    angles = (after + before) / 2 + np.where(np.abs(after - before) > np.pi, np.pi, 0)
    handles = ROUNDNESS * np.stack([np.cos(angles), np.sin(angles)], 1)
    t = np.linspace(0, 1, SEGMENT_FRAMES)[:, None]
    parts = []
    for number, line in enumerate(lines):
        start, end, length = points[number], points[number] + line, np.linalg.norm(line)
        first, second = start + length * handles[number], end - length * handles[(number + 1) % len(points)]
        parts.append((1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3 * end)
    return np.concatenate(parts)
