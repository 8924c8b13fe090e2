"""Key poses inside joint limits, and the smooth curves between them. Angles are in degrees here, in radians outside."""

import numpy as np

# Upper arm: elevation, direction (0 sideways, 90 forward, more across the body), turn about itself; bend of the elbow.
ARM_POSES = np.array(
    [
        (8, 20, 0, 15), (15, 0, 0, 10), (20, 90, 0, 30), (10, -60, 0, 10), (45, 10, -50, 100),  # hanging, on the hip
        (85, 90, 0, 10), (85, 0, 0, 8), (165, 45, 0, 12), (140, 20, 0, 40), (85, 0, -80, 90),  # out, up, surrender
        (40, 90, -20, 95), (60, 115, -45, 85), (50, 100, -30, 130), (100, 110, -10, 60), (70, 70, 30, 60),  # in front
        (35, -70, 0, 15), (60, -30, 0, 70), (110, 60, 0, 100), (30, 70, -60, 90), (90, 60, -70, 120),  # back, face
    ],
    np.float32,
)  # fmt: skip
ARM_LOW, ARM_HIGH = np.array([0, -70, -90, 2], np.float32), np.array([175, 130, 60, 145], np.float32)
# Bend forward, twist, bend to the left; nod, turn and tilt of the head.
TRUNK_POSES = np.array(
    [
        (5, 0, 0, 0, 0, 0), (12, 0, 0, 10, 0, 0), (0, 15, 0, 0, 30, 0), (25, 0, 0, -10, 0, 0),
        (3, 5, 0, 5, 0, 0), (55, 0, 0, 10, 0, 0), (20, 25, 5, 0, 15, 0), (10, 0, 20, 0, 0, 10),
        (0, -5, 5, 0, 10, 5), (-15, 0, 0, -15, 0, 0), (35, 30, 10, 0, 20, 0), (5, 0, 0, 25, 0, 0),
    ],
    np.float32,
)  # fmt: skip
TRUNK_LOW = np.array([-25, -45, -30, -40, -65, -25], np.float32)
TRUNK_HIGH = np.array([75, 45, 30, 45, 65, 25], np.float32)
# Forward, outward and turn of the thigh, bend of the knee: of legs that leave the floor.
LEG_POSES = np.array(
    [
        (85, 8, 0, 8), (95, 10, 0, 105), (60, 15, 15, 80), (-25, 5, 0, 20), (-15, 5, 0, 100),
        (25, 60, 0, 10), (70, 45, 30, 90), (110, 10, 0, 20), (40, 5, 0, 60), (75, 60, 0, 100),
    ],
    np.float32,
)  # fmt: skip
LEG_LOW, LEG_HIGH = np.array([-35, -12, -30, 2], np.float32), np.array([125, 70, 40, 145], np.float32)


def curves(rng: np.random.Generator, keys: np.ndarray, seconds: np.ndarray, interval: np.ndarray) -> np.ndarray:
    """Smooth curves (B, F, D) through or near keys (B, K, D), within their extremes.

    Half of the curves rest at each key, the others (cubic B-splines) pass by. `seconds` are the times (F,) of the
    frames, `interval` (B, 1) the seconds between keys; the first frame lies at a random place between two keys.
    """
    batch = np.arange(len(keys))[:, None]
    time = seconds[None] / interval + rng.uniform(0, 1, (len(keys), 1))
    index = np.minimum(time.astype(int), keys.shape[1] - 4)
    u = np.minimum(time - index, 1.0)
    rest = u**3 * (10 - 15 * u + 6 * u**2)
    splines = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 1 + 3 * u * (1 + u - u**2), u**3]) / 6
    rests = np.stack([0 * u, 1 - rest, rest, 0 * u])
    weights = np.where(rng.random((len(keys), 1)) < 0.5, rests, splines).astype(np.float32)
    return sum(weights[n][..., None] * keys[batch, index + n] for n in range(4))


def key_count(seconds: np.ndarray, interval: np.ndarray) -> int:
    """How many keys the longest curve needs."""
    return int(seconds[-1] / interval.min()) + 5


def sampled_keys(
    rng: np.random.Generator,
    poses: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    shape: tuple[int, ...],
    spread: float,
) -> np.ndarray:
    """Keys (*shape, D) in radians: poses varied by `spread` degrees, every seventh free within the limits."""
    keys = poses[rng.integers(len(poses), size=shape)] + rng.normal(0, spread, (*shape, poses.shape[1]))
    free = rng.random((*shape, 1)) < 1 / 7
    keys = np.where(free, rng.uniform(low, high, keys.shape), keys)
    return np.radians(np.clip(keys, low, high)).astype(np.float32)


def arm_curves(rng: np.random.Generator, seconds: np.ndarray, interval: np.ndarray, held_out: bool) -> np.ndarray:
    """Angles (B, F, 2, 4) of both arms. Half of the time both do the same, and some windows keep their pose."""
    count, keys = len(interval), key_count(seconds, interval)
    poses = ARM_POSES[held_out_rows(ARM_POSES, held_out)]
    both = sampled_keys(rng, poses, ARM_LOW, ARM_HIGH, (count, keys, 2), 12)
    same = rng.random((count, 1, 1)) < 0.5
    both[:, :, 1] = np.where(same, both[:, :, 0] + rng.normal(0, 0.08, both[:, :, 0].shape), both[:, :, 1])
    still = rng.random((count, 1, 1, 1)) < 0.25
    both = np.where(still, both[:, :1] + rng.normal(0, 0.06, both.shape), both)
    both[..., 3] = np.clip(both[..., 3], 0.03, 2.55)
    return curves(rng, both.reshape(count, keys, 8), seconds, interval).reshape(count, len(seconds), 2, 4)


def trunk_curves(rng: np.random.Generator, seconds: np.ndarray, interval: np.ndarray, held_out: bool) -> np.ndarray:
    """Angles (B, F, 6) of trunk and head; to both sides alike."""
    count, keys = len(interval), key_count(seconds, interval)
    poses = TRUNK_POSES[held_out_rows(TRUNK_POSES, held_out)]
    angles = sampled_keys(rng, poses, TRUNK_LOW, TRUNK_HIGH, (count, keys), 7)
    angles[..., [1, 2, 4, 5]] *= np.where(rng.random((count, keys, 1)) < 0.5, -1, 1)
    return curves(rng, angles, seconds, interval)


def leg_curves(rng: np.random.Generator, seconds: np.ndarray, interval: np.ndarray, held_out: bool) -> np.ndarray:
    """Angles (B, F, 2, 4) of legs in the air."""
    count, keys = len(interval), key_count(seconds, interval)
    poses = LEG_POSES[held_out_rows(LEG_POSES, held_out)]
    angles = sampled_keys(rng, poses, LEG_LOW, LEG_HIGH, (count, keys, 2), 10)
    return curves(rng, angles.reshape(count, keys, 8), seconds, interval).reshape(count, len(seconds), 2, 4)


def held_out_rows(poses: np.ndarray, held_out: bool) -> np.ndarray:
    """Rows of a table of poses: every fourth is for held-out motion, which also has the first."""
    rows = np.arange(len(poses))
    return rows[(rows % 4 == 3) | (rows == 0)] if held_out else rows[rows % 4 != 3]
