"""Motion between key poses, as a correction to spherical interpolation: zero output is interpolation.

Unlike the published hallucinator (`hallucinator`), the network sees past, target and length of the gap at once, in both
directions of time, and need not learn what interpolation knows. Motion is joints in meters, y up, of bodies whose
bones are rigid: a pose is its root and the directions of its bones.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import Skeleton, plain_name
from pplkit.geometry.cameras import rotate
from pplkit.geometry.coordinates import mirror
from pplkit.geometry.kinematics import bend_limb
from pplkit.geometry.quaternions import from_matrices, from_rotation_vectors, rotation_vectors
from pplkit.models.motion.inbetweening_config import InBetweeningConfig

FULL_GAP = 30  # frames from which corrections have their full size
ROOT_SCALE = 0.3  # meters of a correction by 1
MAX_SPEED, MAX_HEIGHT = 0.3, 0.05  # of feet on the ground: m/s, meters above the lowest one
DOUBT = 8.0  # how fast doubt reduces corrections; 1 would be the least squared error if doubt were all error
BLEND_FRAMES = 4  # over which a pinned foot comes loose


class Poses(NamedTuple):
    """Rigid poses; leading axes are any."""

    root: Tensor  # (..., 3) meters
    directions: Tensor  # (..., J - 1, 3) from parent to joint, of length 1, in the order of `Skeleton.bones`
    lengths: Tensor  # (..., J - 1) meters


class InBetween(NamedTuple):
    """What the network makes of gaps."""

    positions: Tensor  # (B, gap, J, 3) meters
    contacts: Tensor  # (B, gap, feet) logits of the feet's contact with the ground


def feet_of(skeleton: Skeleton) -> list[int]:
    """The joints called ankle."""
    return [number for number, name in enumerate(skeleton.joints) if plain_name(name).endswith("ankle")]


def poses_of(joints: Tensor, skeleton: Skeleton) -> Poses:
    """Poses of joints (..., J, 3)."""
    parents, children = zip(*skeleton.bones, strict=True)
    bones = joints[..., list(children), :] - joints[..., list(parents), :]
    lengths = bones.norm(dim=-1)
    return Poses(joints[..., skeleton.root, :], bones / lengths.clamp(min=1e-9)[..., None], lengths)


def joints_of(poses: Poses, skeleton: Skeleton) -> Tensor:
    """Joints (..., J, 3) of poses."""
    number = {child: bone for bone, (_, child) in enumerate(skeleton.bones)}
    steps = poses.directions * poses.lengths[..., None]
    joints: list[Tensor] = [poses.root] * len(skeleton.joints)
    for joint in skeleton.order[1:]:
        joints[joint] = joints[skeleton.parents[joint]] + steps[..., number[joint], :]
    return torch.stack(joints, -2)


def interpolate(before: Tensor, after: Tensor, gap: int, skeleton: Skeleton) -> Poses:
    """Poses (B, gap) between joints `before` and `after` (B, J, 3).

    The root goes straight and turns, and within its frame each bone turns, all at constant speed on the shortest way.
    The root's turn is that of the bones that start there. Bones have the lengths of `before`.
    """
    first, last = poses_of(before, skeleton), poses_of(after, skeleton)
    share = torch.arange(1, gap + 1, device=before.device)[:, None] / (gap + 1)
    turn = _root_turn(first, last, skeleton)
    within = rotate(last.directions, from_rotation_vectors(-turn)[:, None])
    directions = _turned_between(first.directions[:, None], within[:, None], share[..., None])
    directions = rotate(directions, from_rotation_vectors(share * turn[:, None])[:, :, None])
    root = first.root[:, None] + share * (last.root - first.root)[:, None]
    return Poses(root, directions, first.lengths[:, None].expand(-1, gap, -1))


def _root_turn(first: Poses, last: Poses, skeleton: Skeleton) -> Tensor:
    """Rotation vectors (B, 3) of the root from one pose to another, in least squares (Kabsch 1976)."""
    own = [number for number, (parent, _) in enumerate(skeleton.bones) if parent == skeleton.root]
    one, other = (pose.directions[:, own] * pose.lengths[:, own, None] for pose in (first, last))
    left, _, right = torch.linalg.svd(other.mT @ one)
    sign = torch.ones_like(left[:, 0])
    sign[:, 2] = torch.linalg.det(left @ right).sign()
    turn = ((left * sign[:, None]) @ right).detach().cpu().numpy()
    return torch.from_numpy(rotation_vectors(from_matrices(turn))).to(first.root)


def _turned_between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Directions (..., 3) on the shortest way from `first` to `second` at constant speed."""
    cosine = (first * second).sum(-1, keepdim=True).clamp(-0.9999, 1)
    near = cosine > 0.9999
    angle = torch.arccos(cosine.clamp(max=0.9999))
    start = torch.where(near, 1 - share, torch.sin((1 - share) * angle) / torch.sin(angle))
    end = torch.where(near, share, torch.sin(share * angle) / torch.sin(angle))
    return nn.functional.normalize(start * first + end * second, dim=-1)


class InBetweening(nn.Module):
    """A two-way recurrent network that corrects the interpolation of a gap.

    Raises PplkitError for a skeleton without sides (`flip_pairs`) or ankles.
    """

    def __init__(self, config: InBetweeningConfig) -> None:
        super().__init__()
        self.config, self.skeleton = config, config.skeleton
        self.feet = feet_of(self.skeleton)
        if not self.skeleton.flip_pairs or not self.feet:
            raise PplkitError(f"skeleton {self.skeleton.name} has no pairs of sides or no ankles: name its joints so.")
        joints, bones, width = len(self.skeleton.joints), len(self.skeleton.bones), config.width
        self.enter = nn.Linear(3 + 3 * bones + joints + 3 + 5, width)
        self.recurrent = nn.GRU(width, width, config.layers, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(2 * width, 3 + 3 * bones + len(self.feet))
        # Before training, the output is interpolation.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, past: Tensor, future: Tensor, gap: int) -> InBetween:
        """`gap` frames between past (B, P, J, 3) and future (B, F, J, 3), in meters, y up.

        Raises PplkitError for other numbers of frames than the config's `past` and `future`.
        """
        wanted = (self.config.past, self.config.future)
        if (past.shape[1], future.shape[1]) != wanted or gap < 1:
            raise PplkitError(f"give {wanted[0]} frames before the gap, {wanted[1]} after it, and a gap of at least 1.")
        turn, origin = heading(past[:, -1], self.skeleton), past[:, -1, self.skeleton.root] * past.new_tensor([1, 0, 1])
        before, after = ((part - origin[:, None, None]) @ turn[:, None].mT for part in (past, future))
        between = interpolate(before[:, -1], after[:, 0], gap, self.skeleton)
        known = torch.cat([before, joints_of(between, self.skeleton), after], 1)
        hidden, _ = self.recurrent(self.enter(self._features(known, gap)).relu())
        output = self.leave(hidden[:, self.config.past : self.config.past + gap])
        share = torch.arange(1, gap + 1, device=past.device)[:, None] / (gap + 1)
        # A correction grows with the distance from known frames, as the error of interpolation does.
        size = 4 * share * (1 - share) * min(1.0, gap / FULL_GAP)
        root = between.root + ROOT_SCALE * size * output[..., :3]
        bones = size[..., None] * output[..., 3 : -len(self.feet)].unflatten(-1, (-1, 3))
        directions = nn.functional.normalize(between.directions + bones, dim=-1)
        joints = joints_of(between._replace(root=root, directions=directions), self.skeleton)
        return InBetween(joints @ turn[:, None] + origin[:, None, None], output[..., -len(self.feet) :])

    def _features(self, joints: Tensor, gap: int) -> Tensor:
        """Of windows (B, P + gap + F, J, 3) in the frame of the last known pose."""
        poses = poses_of(joints, self.skeleton)
        frame = torch.arange(joints.shape[1], device=joints.device) - self.config.past + 1.0  # 0: the last known one
        share = (frame / (gap + 1)).clamp(0, 1)
        unknown = ((share > 0) & (share < 1)).float()
        times = torch.stack(
            [unknown, share, frame / FULL_GAP, (gap + 1 - frame) / FULL_GAP, 0 * frame + gap / FULL_GAP]
        )
        goal = joints[:, self.config.past + gap, None, self.skeleton.root] - poses.root
        parts = (poses.root, poses.directions.flatten(2), joints[..., 1], goal, times.T.expand(len(joints), -1, -1))
        return torch.cat(parts, -1)


def fill(model: InBetweening, past: Tensor, future: Tensor, gap: int) -> InBetween:
    """What `model` makes of gaps and of their mirror images, as a mean; corrections that the two doubt are reduced.

    The network is equally right about motion and its mirror image where it knows the motion. With r, the square of half
    the difference of its two corrections over that of their mean, in a window, the mean is multiplied by 1 - 8 r, at
    least 0: unknown motion is interpolated. Inputs and output are those of the model.
    """
    pairs, feet = model.skeleton.flip_pairs, [model.skeleton.joints[foot] for foot in model.feet]
    other_feet = [feet.index(model.skeleton.joints[model.skeleton.mirror[foot]]) for foot in model.feet]
    with torch.no_grad():
        made = model(past, future, gap)
        image = model(mirror(past, pairs), mirror(future, pairs), gap)
    other = mirror(image.positions, pairs)
    plain = joints_of(interpolate(past[:, -1], future[:, 0], gap, model.skeleton), model.skeleton)
    correction, doubt = (made.positions + other) / 2 - plain, (made.positions - other) / 2
    squares = (part.square().sum((1, 2, 3), keepdim=True) for part in (doubt, correction))
    trust = (1 - DOUBT * next(squares) / next(squares).clamp(min=1e-12)).clamp(min=0)
    # The mean of two rigid poses is shorter than either: bones get their lengths back.
    poses = poses_of(plain + trust * correction, model.skeleton)
    lengths = poses_of(past[:, -1:], model.skeleton).lengths.expand_as(poses.lengths)
    contacts = (made.contacts + image.contacts[..., other_feet]) / 2
    return InBetween(joints_of(poses._replace(lengths=lengths), model.skeleton), contacts)


def heading(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Rotations (B, 3, 3) about y that bring the mean direction from right to left joints (B, J, 3) to x."""
    left, right = (joints[:, [pair[side] for pair in skeleton.flip_pairs]].mean(1) for side in (0, 1))
    side = nn.functional.normalize((left - right)[:, [0, 2]] + joints.new_tensor([1e-6, 0]), dim=-1)
    cos, sin = side.unbind(-1)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    return torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).unflatten(-1, (3, 3))


def losses(output: InBetween, truth: Tensor, before: Tensor, contact: Tensor, feet: list[int]) -> dict[str, Tensor]:
    """Mean distance of joints in meters, of their steps, slide of feet that truly touch, and how well that is known.

    Args:
        output: Of the gap.
        truth: (B, gap, J, 3) the true joints.
        before: (B, J, 3) those of the frame before the gap.
        contact: (B, gap, feet) whether the feet truly touch, 0 or 1.
        feet: Their joints.
    """
    made, true = (torch.cat([before[:, None], joints], 1).diff(dim=1) for joints in (output.positions, truth))
    slide = made[:, :, feet][..., [0, 2]].norm(dim=-1)
    return {
        "position": (output.positions - truth).norm(dim=-1).mean(),
        "velocity": (made - true).norm(dim=-1).mean(),
        "slide": (slide * contact).sum() / contact.sum().clamp(min=1),
        "contact": nn.functional.binary_cross_entropy_with_logits(output.contacts, contact),
    }


def foot_contacts(joints: Tensor, feet: list[int], fps: float = 30.0) -> Tensor:
    """Whether feet (..., T, feet) of joints (..., T, J, 3) touch the ground, 0 or 1: slow, and low for the clip.

    Slow is below 0.3 m/s to the frame before and the one after, low up to 5 cm above the lowest place of any foot.
    """
    points = joints[..., feet, :]
    speed = points.diff(dim=-3).norm(dim=-1) * fps
    slow = torch.cat([speed[..., :1, :], torch.maximum(speed[..., 1:, :], speed[..., :-1, :]), speed[..., -1:, :]], -2)
    low = points[..., 1] < points[..., 1].amin((-2, -1), keepdim=True) + MAX_HEIGHT
    return ((slow < MAX_SPEED) & low).float()


def pinned(past: Tensor, made: InBetween, future: Tensor, skeleton: Skeleton) -> Tensor:
    """Joints (B, gap, J, 3) whose feet stay in place while the network says that they touch.

    A foot that touches since before the gap, or until after it, keeps its place there; otherwise its mean place. It
    comes loose over 4 frames. Hip and bone lengths stay, the knee bends (`geometry.kinematics.bend_limb`).
    """
    joints = made.positions.detach().numpy().astype(np.float64).copy()
    touching = made.contacts.detach().numpy() > 0
    for item in range(len(joints)):
        for number, ankle in enumerate(feet_of(skeleton)):
            ends = past[item, -1, ankle].numpy(), future[item, 0, ankle].numpy()
            shift = _pin_shifts(joints[item, :, ankle], touching[item, :, number], ends)
            _move_foot(joints[item], shift, ankle, skeleton)
    return torch.from_numpy(joints).to(made.positions)


def _pin_shifts(feet: np.ndarray, touching: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """How far (gap, 3) along the ground a foot (gap, 3) has to move."""
    frames = len(feet)
    shift, weight = np.zeros_like(feet), np.zeros((frames, 1))
    edges = np.flatnonzero(np.diff(np.r_[0, touching.astype(int), 0]))
    for start, end in edges.reshape(-1, 2):
        place = ends[0] if start == 0 else ends[1] if end == frames else feet[start:end].mean(0)
        for frame in range(max(start - BLEND_FRAMES, 0), min(end + BLEND_FRAMES, frames)):
            away = max(start - frame, frame - end + 1, 0)
            share = 1 - away / (BLEND_FRAMES + 1)
            near = min(max(frame, start), end - 1)
            if share > weight[frame]:
                weight[frame], shift[frame] = share, share * (place - feet[near])
    shift[:, 1] = 0
    return shift


def _move_foot(joints: np.ndarray, shift: np.ndarray, ankle: int, skeleton: Skeleton) -> None:
    """Move an ankle of joints (T, J, 3) by a shift (T, 3), with all below it."""
    knee = skeleton.parents[ankle]
    hip = skeleton.parents[knee]
    moved = np.abs(shift).max(-1) > 1e-9
    if knee < 0 or hip < 0 or not moved.any():
        return
    start, middle, end = (joints[moved, joint] for joint in (hip, knee, ankle))
    upper, lower = (np.linalg.norm(b - a, axis=-1, keepdims=True) for a, b in ((start, middle), (middle, end)))
    bent, reached = bend_limb(start, end + shift[moved], upper, lower, np.cross(middle - start, end - start))
    step = reached - end
    joints[moved, knee] = bent
    below = [ankle]
    for joint in skeleton.order:
        if skeleton.parents[joint] in below:
            below.append(joint)
    joints[np.ix_(moved, below)] += step[:, None]
