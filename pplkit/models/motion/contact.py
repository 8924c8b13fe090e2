"""Whether feet touch the floor, by a small network that looks at a lifted pose and its path over a second."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from pplkit.core.errors import PplkitError, reason
from pplkit.core.settings import Settings
from pplkit.data.skeletons import H36M17, LEG, SIDES

WEIGHTS = "contact.safetensors"  # beside this file; `pplkit train motion_synthetic RUN --preset contact` makes it
LEGS = np.array([[H36M17.joints.index(f"{side} {part}") for part in LEG] for side in SIDES])
LOW_QUANTILE = 0.1  # of a foot's heights in a clip, from which its height counts
FEATURES = 3 * (len(H36M17.joints) - 1) + 2 + 6 + 3
KERNEL = 5
DILATIONS = (1, 2, 4)  # so that a frame sees 14 before and after it


@dataclass(frozen=True)
class ContactConfig(Settings):
    """Settings of the network and its training."""

    name: str = "contact"
    fps: float = 30.0  # frames a second
    width: int = 40  # channels
    frames: int = 60  # of a window
    noise_min: float = 0.3  # errors of the windows, in those of a usual lifter
    noise_max: float = 1.5
    # training
    steps: int = 800  # of the training
    batch_size: int = 32  # windows
    learning_rate: float = 3e-3  # at the start; falls to 0 by half a cosine
    weight_decay: float = 1e-3
    precision: str = "32-true"  # as Lightning Fabric names it
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.width) < 1 or self.frames < 2 or not self.fps > 0:
            raise PplkitError("steps, batch_size and width must be at least 1, frames at least 2, fps above 0.")


class ContactNetwork(nn.Module):
    """Three convolutions over time; about 30,000 parameters."""

    def __init__(self, width: int = ContactConfig.width) -> None:
        super().__init__()
        sizes = [FEATURES, *[width] * len(DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL, padding="same", padding_mode="replicate", dilation=dilation)
            for before, after, dilation in zip(sizes, sizes[1:], DILATIONS, strict=False)
        )
        self.last = nn.Conv1d(width, 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, F, 2) of contact of the left and right foot, from `contact_features` (B, F, C)."""
        values = features.transpose(1, 2)
        for number, layer in enumerate(self.layers):
            new = nn.functional.gelu(layer(values))
            values = new if number == 0 else values + new
        return self.last(values).transpose(1, 2)  # type: ignore[no-any-return]


def contact_features(points: np.ndarray, fps: float) -> np.ndarray:
    """What the network sees of joints (..., F, 17, 3) in the order of h36m17, y up, any floor: (..., F, C), float32.

    Joints relative to the root, heights of the ankles above their low places, velocities of ankles and root; all in
    lengths of the leg, so that bodies of any size look alike.
    """
    points = np.asarray(points, float)
    leg = np.linalg.norm(np.diff(points[..., LEGS, :], axis=-2), axis=-1).sum(-1).mean(-1)
    points = points / np.median(leg, axis=-1)[..., None, None, None]
    root, ankles = points[..., :1, :], points[..., LEGS[:, 2], :]
    heights = ankles[..., 1]
    low = np.quantile(heights, LOW_QUANTILE, axis=(-2, -1), keepdims=True)
    speed = np.gradient(np.concatenate((ankles, root), axis=-2), axis=-3) * fps / 3
    parts = [(points - root)[..., 1:, :], speed]
    flat = [part.reshape(*part.shape[:-2], -1) for part in parts]
    return np.concatenate([*flat, 5 * (heights - low)], axis=-1).astype(np.float32)


def read_contact(path: Path | str | None = None) -> ContactNetwork:
    """The network with the weights of a contact.safetensors, by default those that the package brings.

    Raises PplkitError for a file that is missing or holds other weights.
    """
    try:
        content = Path(path).read_bytes() if path is not None else (files(__package__) / WEIGHTS).read_bytes()
        weights = load(content)
        network = ContactNetwork(len(weights["last.weight"][0]))
        network.load_state_dict(weights)
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise PplkitError(
            f"{path or WEIGHTS} holds no network of contact ({reason(error)}): make it by `pplkit train "
            "motion_synthetic RUN --preset contact`, which writes RUN/contact.safetensors."
        ) from None
    return network.eval()


@torch.no_grad()
def contact_of(network: ContactNetwork, points: np.ndarray, fps: float) -> np.ndarray:
    """How likely the left and right foot of joints (F, 17, 3) touch the floor, (F, 2) from 0 to 1.

    At another frame rate than the network's, joints and contact are interpolated linearly in time.
    """
    seconds = np.arange(len(points)) / fps
    own = np.arange(max(round(seconds[-1] * ContactConfig.fps) + 1, 2)) / ContactConfig.fps
    if fps != ContactConfig.fps:
        flat = points.reshape(len(points), -1)
        flat = np.stack([np.interp(own, seconds, column) for column in flat.T], axis=1)
        points = flat.reshape(-1, *points.shape[1:])
    features = torch.from_numpy(contact_features(points, ContactConfig.fps))
    contact = network(features[None])[0].sigmoid().numpy().astype(float)
    if fps != ContactConfig.fps:
        contact = np.stack([np.interp(seconds, own, column) for column in contact.T], axis=1)
    return contact
