"""A camera that learns where to look from, and the discriminator that teaches it (PoseTriplet, as released)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pplkit.geometry.cameras import rotate
from pplkit.geometry.quaternions import from_rotation_vectors
from pplkit.models.motion.cameras import FOCAL_LENGTH

WIDTH, NOISE = 64, 64  # channels of the encoder; random numbers
REACH = (3.0, 1.5)  # meters to the sides
NEAREST = 2.0  # meters
REAL_SCALE = (0.5, 1.4)  # of real 2D poses, drawn for each window
DISCRIMINATOR_STEPS = 3  # the discriminator learns from every third batch
LEARNING_RATE = 1e-4  # of Adam, camera and discriminator


class View(NamedTuple):
    """Windows as learned cameras see them."""

    positions: Tensor  # (B, T, 16, 3) meters, camera space
    keypoints: Tensor  # (B, T, 16, 2) screen units
    turns: Tensor  # (B, 3) rotation vectors
    places: Tensor  # (B, 3) meters, of the world's origin


class _Encoder(nn.Module):
    """For the released names."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        sizes = zip((3 * joints, WIDTH, WIDTH, WIDTH), (3, 1, 3, 1), strict=True)
        self.affine_layers = nn.ModuleList(nn.Conv1d(size, WIDTH, kernel) for size, kernel in sizes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.affine_layers:
            x = nn.functional.leaky_relu(layer(x), 0.2)
        return x.mean(2)


class _Head(nn.Module):
    """Two linear layers with batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1, self.batch_norm1 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.w2, self.batch_norm2 = nn.Linear(width, width), nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.batch_norm1(self.w1(x)))
        return nn.functional.leaky_relu(self.batch_norm2(self.w2(x)))


class LearnedCamera(nn.Module):
    """Turn and place of a camera for each window.

    Args:
        wide: The second published setting: any turn about x, and 2 to 6 m away instead of 2 to 5 m.
        joints: Of a pose.
    """

    def __init__(self, wide: bool = False, joints: int = 16) -> None:
        super().__init__()
        self.max_turn, self.range = (3.14, 4.0) if wide else (0.5, 3.0)
        self.conv1 = _Encoder(joints)
        self.wr, self.wt = (nn.Sequential(_Head(WIDTH + NOISE), nn.Linear(WIDTH + NOISE, 3)) for _ in range(2))

    def forward(self, windows: Tensor, noise: tuple[Tensor, Tensor] | None = None) -> View:
        """Windows (B, T, 16, 3) in meters whose first hips are the origin; T is at least 5.

        `noise`, for turn and place (B, 64), is drawn unless it is given. The camera turns about x alone.
        """
        code = self.conv1(windows.flatten(2).mT)
        first, second = noise or (torch.randn(2, len(code), NOISE, device=code.device).unbind(0))
        turn, place = self.wr(torch.cat([code, first], 1)), self.wt(torch.cat([code, second], 1))
        turns = torch.zeros_like(turn)
        turns[:, 0] = turn[:, 0].tanh() * self.max_turn
        sides = place[:, :2].tanh() * place.new_tensor(REACH)
        places = torch.cat([sides, NEAREST + self.range * place[:, 2:].sigmoid()], 1)
        positions = rotate(windows, from_rotation_vectors(turns)[:, None, None]) + places[:, None, None]
        return View(positions, FOCAL_LENGTH * positions[..., :2] / positions[..., 2:], turns, places)


class PairDiscriminator(nn.Module):
    """A score (B, 1) of the first and the last frame of 2D windows (B, T, 16, 2): 1 for real, 0 for made ones.

    The third layer is among the released weights and in no computation.
    """

    def __init__(self, joints: int = 16) -> None:
        super().__init__()
        self.pose_layer_1 = nn.Linear(4 * joints, WIDTH)
        self.pose_layer_2, self.pose_layer_3, self.layer_last = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.layer_pred = nn.Linear(WIDTH, 1)

    def forward(self, keypoints: Tensor) -> Tensor:
        """The scores."""
        x = keypoints[:, [0, -1]].flatten(1)
        for layer in (self.pose_layer_1, self.pose_layer_2, self.layer_last):
            x = nn.functional.leaky_relu(layer(x))
        return self.layer_pred(x)  # type: ignore[no-any-return]


def camera_loss(real_scores: Tensor, made_scores: Tensor) -> Tensor:
    """What the camera minimizes: the mean squared difference of scores (B, 1) of real and made windows."""
    return (real_scores - made_scores).square().mean()


def discriminator_loss(real_scores: Tensor, made_scores: Tensor) -> Tensor:
    """What the discriminator minimizes (least squares): real scores off 1, made ones off 0."""
    return (real_scores - 1).square().mean() + made_scores.square().mean()


def random_scale(keypoints: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Real windows (B, T, 16, 2), each scaled by 0.5 to 1.4, as the discriminator sees them."""
    low, high = REAL_SCALE
    draws = torch.rand(len(keypoints), 1, 1, 1, generator=generator, device=keypoints.device)
    return keypoints * (low + (high - low) * draws)
