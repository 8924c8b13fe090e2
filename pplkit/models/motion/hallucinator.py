"""The published hallucinator: a recurrent network that walks from one frame to a target, as PoseTriplet uses it.

Harvey et al., "Robust motion in-betweening" (SIGGRAPH 2020), in the released port: 22 joints, centimeters, y up, 30
frames a second. Departures of that port from the paper are kept: one past frame, and quaternions that are added to and
fed back without being made length 1 again. `inbetweening` is the kit's own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pplkit.geometry.quaternions import global_rotations, normalized

JOINTS, FEET = 22, (3, 4, 7, 8)  # ankle and toe, right and left
PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 12, 11, 14, 15, 16, 11, 18, 19, 20)
ROTATIONS = 4 * JOINTS
CODE, HIDDEN = 256, 512
FRAMES = 50  # of a window
TARGET_NOISE = 0.5
CLOSE, FAR = 5, 30  # frames to go up to which noise is absent, from which it is full
LOSS_WEIGHTS = {"position": 1.0, "quaternion": 1.0, "root": 0.5, "contact": 0.1, "slide": 0.1, "adversarial": 0.01}
DISCRIMINATED = 0.01  # what the discriminators scale centimeters by
MAX_JUMP = 100.0  # cm in x and z to the next target of a generated clip


class Frame(NamedTuple):
    """One frame of B motions."""

    rotations: Tensor  # (B, 88) local quaternions
    root: Tensor  # (B, 3) cm
    step: Tensor  # (B, 3) cm, of the root; of a real frame that to the next one
    contacts: Tensor  # (B, 4) from 0 to 1


class Motion(NamedTuple):
    """T frames of B motions."""

    positions: Tensor  # (B, T, 22, 3) cm
    rotations: Tensor  # (B, T, 88) local quaternions, not of length 1
    roots: Tensor  # (B, T, 3) cm
    contacts: Tensor  # (B, T, 4) from 0 to 1


def plu(x: Tensor) -> Tensor:
    """The piecewise linear unit: slope 1 between -1 and 1, 0.1 beyond (Nicolae 2018)."""
    return torch.maximum(0.1 * (x + 1) - 1, torch.minimum(0.1 * (x - 1) + 1, x))


def time_to_arrival(to_go: int | Tensor) -> Tensor:
    """What is added to codes (..., 256) when so many frames are left: sines at even, cosines at odd entries."""
    entries = torch.arange(CODE)
    angle = torch.as_tensor(to_go)[..., None] / 10000 ** (entries / CODE)
    return torch.where(entries % 2 == 0, angle.sin(), angle.cos())


def noise_scale(to_go: int) -> float:
    """Share of the target noise when so many frames are left: 0 below 5, 1 from 30."""
    return min(max((to_go - CLOSE) / (FAR - CLOSE), 0.0), 1.0)


class Encoder(nn.Module):
    """Codes (B, 256) of numbers."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.fc0, self.fc1 = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, CODE)

    def forward(self, x: Tensor) -> Tensor:
        """The codes."""
        return plu(self.fc1(plu(self.fc0(x))))


class Memory(nn.Module):
    """The recurrent layer, under its released name."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3 * CODE, 6 * CODE)

    def forward(self, codes: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Outputs (B, 1536) of one frame, and the state for the next."""
        output, state = self.rnn(codes[None], state)
        return output[0], state


class Decoder(nn.Module):
    """Increments (B, 91), quaternions before the root, and contacts (B, 4) from the memory's output."""

    def __init__(self) -> None:
        super().__init__()
        self.fc0, self.fc1 = nn.Linear(6 * CODE, HIDDEN), nn.Linear(HIDDEN, CODE)
        self.fc2, self.fc_conct = nn.Linear(CODE, ROTATIONS + 3), nn.Linear(CODE, len(FEET))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        x = plu(self.fc1(plu(self.fc0(x))))
        return self.fc2(x), self.fc_conct(x).sigmoid()


class Hallucinator(nn.Module):
    """Motion from a frame to a target pose."""

    def __init__(self) -> None:
        super().__init__()
        self.state_encoder = Encoder(ROTATIONS + 3 + len(FEET))
        self.offset_encoder = Encoder(3 + ROTATIONS)
        self.target_encoder = Encoder(ROTATIONS)
        self.lstm, self.decoder = Memory(), Decoder()

    def codes(self, frame: Frame, target: Frame, frames_done: int, noise: float = TARGET_NOISE) -> Tensor:
        """Codes (B, 768) of state, offset and target; the last two with noise that fades towards the target."""
        to_go = FRAMES - frames_done
        parts = (
            self.state_encoder(torch.cat([frame.rotations, frame.step, frame.contacts], 1)),
            self.offset_encoder(torch.cat([target.root - frame.root, target.rotations - frame.rotations], 1)),
            self.target_encoder(target.rotations),
        )
        codes = torch.cat([part + time_to_arrival(to_go).to(part) for part in parts], 1)
        if scale := noise * noise_scale(to_go):
            codes = torch.cat([codes[:, :CODE], codes[:, CODE:] + scale * torch.randn_like(codes[:, CODE:])], 1)
        return codes

    def forward(
        self, start: Frame, target: Frame, offsets: Tensor, steps: int = FRAMES - 1, noise: float = TARGET_NOISE
    ) -> Motion:
        """The frames after `start`, each from the one before; offsets (22, 3) in cm are the body."""
        frame, state, frames = start, None, []
        for done in range(steps):
            hidden, state = self.lstm(self.codes(frame, target, done, noise), state)
            increments, contacts = self.decoder(hidden)
            step = increments[:, ROTATIONS:]
            frame = Frame(frame.rotations + increments[:, :ROTATIONS], frame.root + step, step, contacts)
            frames.append(frame)
        rotations, roots, _, contacts = (torch.stack(parts, 1) for parts in zip(*frames, strict=True))
        local = normalized(rotations.unflatten(-1, (JOINTS, 4)))
        return Motion(global_rotations(local, offsets, roots, PARENTS)[0], rotations, roots, contacts)

    @torch.no_grad()
    def generate(
        self, start: Frame, poses: Tensor, offsets: Tensor, segments: int = 10, generator: torch.Generator | None = None
    ) -> Motion:
        """Long motion (B, segments · 49 frames) by target poses that are drawn from `poses` (N, 88).

        Each target lies up to 1 m in x and z from where the figure is; between segments the memory is cleared.
        """
        parts, frame = [], start
        for _ in range(segments):
            drawn = torch.randint(len(poses), (len(start.root),), generator=generator)
            jump = (2 * torch.rand(len(start.root), 3, generator=generator) - 1) * MAX_JUMP
            jump[:, 1] = 0
            target = frame._replace(rotations=poses[drawn], root=frame.root + jump)
            part = self(frame, target, offsets)
            step = part.roots[:, -1] - part.roots[:, -2]
            frame = Frame(part.rotations[:, -1], part.roots[:, -1], step, part.contacts[:, -1])
            parts.append(part)
        return Motion(*(torch.cat(values, 1) for values in zip(*parts, strict=True)))


class MotionDiscriminator(nn.Module):
    """Scores (B, T - span + 1) of motion, from `span` frames each: 3 or 10."""

    def __init__(self, span: int) -> None:
        super().__init__()
        self.fc0 = nn.Conv1d(6 * JOINTS, HIDDEN, span)
        self.fc1, self.fc2 = nn.Conv1d(HIDDEN, CODE, 1), nn.Conv1d(CODE, 1, 1)

    def forward(self, positions: Tensor) -> Tensor:
        """Of positions (B, T, 22, 3) in cm; it sees the steps as well, after the last frame none."""
        steps = torch.cat([positions.diff(dim=1), torch.zeros_like(positions[:, :1])], 1)
        x = DISCRIMINATED * torch.cat([positions.flatten(2), steps.flatten(2)], 2).mT
        return self.fc2(plu(self.fc1(plu(self.fc0(x)))))[:, 0]  # type: ignore[no-any-return]


def hallucinator_losses(
    made: Motion, true: Motion, first: Motion, deviation: Tensor, feet: Sequence[int] = FEET
) -> dict[str, Tensor]:
    """Losses by name, all of absolute differences; `LOSS_WEIGHTS` weighs them.

    Args:
        made: T frames of the network.
        true: The real ones.
        first: The real frame (T = 1) before them.
        deviation: (22, 3) standard deviations of the positions in the data, in cm.
        feet: Joints whose sliding counts.

    Sums over frames are divided by 50, the length of a window, whatever T is; that of sliding by T. Slides of a frame
    count where the real frame before it touches, as released.
    """
    whole = made.roots.shape[1] / FRAMES
    moved = torch.cat([first.positions, made.positions], 1).diff(dim=1)[:, :, list(feet)]
    touching = torch.cat([first.contacts, true.contacts[:, :-1]], 1)
    return {
        "position": ((made.positions - true.positions).abs() / deviation).mean() * whole,
        "quaternion": (made.rotations - true.rotations).abs().mean() * whole,
        "root": ((made.roots - true.roots).abs() / deviation[0]).mean() * whole,
        "contact": (made.contacts - true.contacts).abs().mean() * whole,
        "slide": (moved.abs() * touching[..., None]).mean(),
    }


def published_contacts(positions: Tensor, threshold: float = 0.02) -> Tensor:
    """Whether feet (B, T, 4) touch, 0 or 1: their squared step to the next frame is below 0.02 cm².

    The last frame is as the one before.
    """
    steps = positions[:, :, list(FEET)].diff(dim=1).square().sum(-1)
    touching = (steps < threshold).to(positions)
    return torch.cat([touching, touching[:, -1:]], 1)


def npss(prediction: Tensor, truth: Tensor) -> float:
    """Normalized power spectrum similarity of signals (B, T, C) (Gopalakrishnan et al. 2019), 0 for equal ones.

    The power is the square of the real part of the Fourier coefficients alone, as in public code of in-betweening. The
    number that is stored for the released code is not reproduced, as its two signals are not stored with it.
    """
    powers = [torch.fft.fft(signal.double(), dim=1).real.square() for signal in (truth, prediction)]
    totals = [power.sum(1, keepdim=True) for power in powers]
    shares = [(power / total.clamp(min=1e-30)).cumsum(1) for power, total in zip(powers, totals, strict=True)]
    distance = (shares[0] - shares[1]).abs().sum(1)
    weight = totals[0][:, 0]
    return float((distance * weight).sum() / weight.sum())
