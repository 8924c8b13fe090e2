"""All settings of a lifting model and its training, and their presets."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings
from pplkit.data.skeletons import H36M17, Skeleton

# Published: one target frame of a window; 200 epochs of 6,093 batches, every example plain and mirrored.
_POSEFORMER: dict[str, Any] = {
    "network": "poseformer", "width": 32, "depth": 4, "heads": 8, "mlp_ratio": 2.0, "drop_path": 0.1,
    "steps": 1_218_600, "batch_size": 512, "learning_rate_decay": 0.99, "final_learning_rate": 1.0, "warmup_steps": 0,
    "matrix_learning_rate": 0.0, "weight_decay": 0.1, "weight_velocity": 0.0, "hidden_joints": 0.0, "fps": 50.0,
    "precision": "32-true",
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "poseformer-27": {**_POSEFORMER, "frames": 27, "learning_rate": 4e-5},  # for detected keypoints (CPN)
    "poseformer-81": {**_POSEFORMER, "frames": 81, "learning_rate": 4e-4},  # for true keypoints
    "lift": {},
    "lift-small": {
        "frames": 27, "frames_per_token": 3, "width": 192, "depth": 3, "heads": 6, "steps": 6900, "batch_size": 64,
        "learning_rate": 2e-3, "matrix_learning_rate": 0.04, "warmup_steps": 100, "weight_velocity": 0.3,
        "hidden_joints": 0.1, "precision": "32-true",
    },
    "lift-2d": {
        "labels": "2d", "frames": 27, "frames_per_token": 3, "width": 192, "depth": 3, "heads": 6, "steps": 5000,
        "batch_size": 64, "learning_rate": 1e-3, "matrix_learning_rate": 0.02, "warmup_steps": 100,
        "hidden_joints": 0.05, "weight_bone_variance": 1.0, "weight_symmetry": 1.0, "precision": "32-true",
    },
    "frame-mlp": {  # the baseline: each frame by itself, as Martinez et al. (2017) do
        "network": "mlp", "frames": 1, "width": 512, "depth": 2, "steps": 11_500, "batch_size": 512,
        "learning_rate": 1e-3, "matrix_learning_rate": 0.02, "warmup_steps": 100, "weight_velocity": 0.0,
        "hidden_joints": 0.0, "precision": "32-true",
    },
}  # fmt: skip
CHOICES = {
    "network": ("frames", "poseformer", "mlp"), "labels": ("3d", "2d"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
}  # fmt: skip
INTEGERS = {  # the least and the largest that a setting may be
    "frames": (1, 10_000), "frames_per_token": (1, 1000), "width": (2, 8192), "depth": (1, 64),
    "heads": (1, 1024), "frequency_tokens": (0, 1000), "batch_size": (1, 10**6), "steps": (1, 10**9),
    "warmup_steps": (0, 10**9), "seed": (0, 2**62),
}  # fmt: skip
FRACTIONS = ("drop_path", "hidden_joints")
POSITIVE = ("learning_rate", "learning_rate_decay", "mlp_ratio", "fps")
FOR_FRAMES = ("frequency_tokens", "causal", "uncertainty", "hidden_joints", "weight_velocity")  # not for PoseFormer


@dataclass(frozen=True)
class LiftingConfig(Settings):
    """Settings of lifting; the defaults are those of the preset `lift`.

    Raises PplkitError for values that no model can have (checked at construction).
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = PRESETS

    name: str = "lift"  # of the preset that the settings come from
    # skeleton and motion
    joint_names: tuple[str, ...] = H36M17.joints  # J joints, in the order of the keypoints
    parents: tuple[int, ...] = H36M17.parents  # of each joint; -1 for the root, which positions are relative to
    flip_pairs: tuple[tuple[int, int], ...] = H36M17.flip_pairs  # (left, right), which a mirror exchanges
    fps: float = 30.0  # frames a second
    # network
    network: str = "frames"  # pose of every frame: "frames"; of the center: "poseformer"; frame by frame: "mlp"
    frames: int = 81  # F, length of a window; at test the network "frames" also takes shorter ones
    frames_per_token: int = 1  # neighboring frames that share a token of the network "frames"
    width: int = 256  # channels of a token of frames; of a joint's token for "poseformer"
    depth: int = 4  # transformer blocks; for "poseformer" of each of its two parts
    heads: int = 8  # of attention
    mlp_ratio: float = 2.0  # hidden units of a block's MLP for each channel
    drop_path: float = 0.0  # rate of the last block at which paths are left out in training; published: 0.1
    frequency_tokens: int = 0  # the lowest coefficients of the window's cosine transform as further tokens; 0 = none
    causal: bool = False  # whether a frame sees only itself and those before
    uncertainty: bool = False  # whether the expected error of each joint is learned and put out as well
    # examples
    flip: bool = True  # whether examples also come mirrored
    flip_test: bool = True  # whether poses are the mean over the input and its mirror image
    hidden_joints: float = 0.1  # fraction of joints that are hidden in training, so that gaps are learned
    labels: str = "3d"  # "2d": from keypoints alone, whose poses lack a known scale
    # losses
    weight_position: float = 1.0  # mean distance of the joints in meters (MPJPE)
    weight_velocity: float = 1.0  # the same of their movement from frame to frame
    weight_bone_length: float = 0.0  # difference of a bone's length from the true one, in meters
    weight_bone_variance: float = 0.0  # variance of a bone's length within a window, in square meters
    weight_symmetry: float = 0.0  # difference of a bone's length from that of the other side, in meters
    weight_uncertainty: float = 0.1  # Laplace likelihood of the error; with `uncertainty`
    # losses of labels="2d", see `models.lifting.unlabelled`
    weight_reprojection: float = 1.0  # distance of the projected joints from the keypoints, in sizes of the pose
    weight_scale: float = 1.0  # squared deviation of the sum of all bones from the one assumed
    weight_cycle: float = 1.0  # distance in meters of a turned pose from what is lifted from its projection
    weight_critic: float = 0.1  # how well turned poses are told from keypoints
    weight_bone_ratio: float = 0.5  # squared deviation of a bone's share of all from its mean over the batch
    weight_hinge: float = 1.0  # knees and elbows that bend the wrong way
    # optimization
    steps: int = 60_000  # of the whole training
    batch_size: int = 128  # windows in a step, of all processes together
    learning_rate: float = 5e-4  # of AdamW
    matrix_learning_rate: float = 0.01  # of Muon, for the weights of the transformer's blocks; 0 = AdamW for all
    warmup_steps: int = 200  # over which the learning rate rises to its value
    learning_rate_decay: float = 1.0  # factor after each epoch; published: 0.99
    final_learning_rate: float = 0.02  # fraction of the learning rate left at the last step (a cosine); 1 = constant
    weight_decay: float = 0.01  # of AdamW; published: 0.1
    compile: bool = False  # whether PyTorch compiles the network first, which pays on GPUs
    precision: str = "bf16-mixed"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        self.check_values(CHOICES, INTEGERS, POSITIVE, FRACTIONS)
        if self.width % self.heads or (self.network == "frames" and self.width % 2):
            raise PplkitError(f"width={self.width} does not fit: use an even multiple of heads={self.heads}.")
        if not self.skeleton.bones:
            raise PplkitError("joint_names has a single joint: give at least two.")
        if self.frames % self.frames_per_token or (self.frames_per_token > 1 and self.network != "frames"):
            raise PplkitError(
                f"frames_per_token={self.frames_per_token} does not divide frames={self.frames}, or network is not "
                "'frames': set it to 1."
            )
        if self.causal and self.frames_per_token > 1:
            raise PplkitError(
                "frames that share a token see each other, which causal=True forbids: set frames_per_token=1."
            )
        if self.causal and self.frequency_tokens:
            raise PplkitError("frequency_tokens see the whole window, which causal=True forbids: set one of them to 0.")
        self._check_network()

    def _check_network(self) -> None:
        if self.labels == "2d" and self.network != "frames":
            raise PplkitError(f"labels='2d' is not for network={self.network!r}: use network='frames'.")
        if self.network == "poseformer" and self.frames % 2 == 0:
            raise PplkitError(f"frames={self.frames} has no center frame, which poseformer needs: use an odd number.")
        if self.network == "mlp" and self.frames > 1:
            raise PplkitError(f"frames={self.frames} is not for network='mlp', which sees one frame: set it to 1.")
        for name in FOR_FRAMES if self.network != "frames" else ():
            if getattr(self, name):
                value = getattr(self, name)
                raise PplkitError(f"{name}={value} is not for network={self.network!r}: set it to 0 or False.")

    @property
    def skeleton(self) -> Skeleton:
        """The joints, their parents and pairs."""
        name = H36M17.name if self.joint_names == H36M17.joints else "own"
        pairs = tuple((left, right) for left, right in self.flip_pairs)
        return Skeleton(name, tuple(self.joint_names), tuple(self.parents), pairs)

    @property
    def joints(self) -> int:
        """J, their number."""
        return len(self.joint_names)

    @property
    def root(self) -> int:
        """The joint that positions are relative to."""
        return self.parents.index(-1)

    def for_skeleton(self, skeleton: Skeleton, fps: float) -> "LiftingConfig":
        """The same settings for other joints and another frame rate."""
        parts = {"joint_names": skeleton.joints, "parents": skeleton.parents, "flip_pairs": skeleton.flip_pairs}
        return self.replace(**parts, fps=float(fps))
