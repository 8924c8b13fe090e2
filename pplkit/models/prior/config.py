"""All settings of a model and its training in one frozen dataclass. Imports nothing heavy."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pplkit.core.errors import PplkitError
from pplkit.core.project import same_prior
from pplkit.core.settings import Settings
from pplkit.core.words import choice
from pplkit.models.prior.presets import PRESETS

CHOICES = {
    "reference": ("masked", "frame"),
    "perceptual": ("vgg19", "vgg16", "random", "none"),
    "distance": ("l1", "l2"),
    "prior_from": ("all", "used"),
    "affine_init": ("random", "identity", "place", "moved"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
    "regression": ("affine", "free", "attention"),
    "prior_keypoints": ("memory", "random", "predefined"),
    "prior_links": ("random", "predefined"),
    "equivariance": ("relative", "absolute"),
}

INTEGERS = {  # the least and the largest that a setting may be
    "image_size": (32, 8192), "paint_size": (0, 8192), "mask_grid": (1, 8192), "perceptual_size": (0, 8192),
    "keypoints": (2, 1000), "tta_views": (1, 10_000), "banks": (1, 4096), "vectors": (1, 65_536),
    "dimension": (1, 8192), "encoder_layers": (0, 64), "token_hidden": (1, 8192), "decoder_dimension": (1, 8192),
    "regressor_channels": (1, 8192), "regressor_features": (1, 8192), "decoder_channels": (1, 8192),
    "backbone_trainable": (0, 1000), "backbone_views": (2, 10_000), "batch_size": (2, 10**6), "steps": (1, 10**9),
    "seed": (0, 2**62),
}  # fmt: skip
RESOLUTIONS = {"regressor_channels": 4, "decoder_channels": 5}
POSITIVE = ("thickness", "learning_rate", "connectivity_scale", "separation_radius")
NOT_NEGATIVE = (
    "convolution_learning_rate",
    "backbone_learning_rate",
    "position_weight",
    "max_rotation",
    "brightness",
    "final_learning_rate",
    "thickness_start",
    "connectivity_learning_rate",
    "connectivity_growth",
)  # and all weights
BELOW_ONE = ("mask_ratio", "max_shift", "decay")  # at 1 no pixel would be left, or a scale would be 0
OF_STEPS = ("coarse_fraction", "separation_share", "lr_hold")
NEED_BACKBONE = (
    "weight_parts", "weight_contrast", "weight_concentration", "weight_presence", "weight_background", "brightness",
    "backbone_trainable", "position_weight",
)  # fmt: skip
OLD_SETTINGS = {  # names of version 0.1.0, which are still read
    "forgetting": "adam_beta2", "hold": "lr_hold", "coarse": "coarse_fraction", "missing": "mask_ratio",
    "block": "mask_grid", "turn": "max_rotation", "warp": "max_shift", "start": "affine_init", "distil": "prior_from",
    "revive": "reinit_weak_links", "restart": "reset_dead_codes", "views": "tta_views",
}  # fmt: skip


def _check_number(name: str, value: Any) -> None:
    """Raise PplkitError for a setting that is no finite number in its range; for texts and switches nothing."""
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) != (count := RESOLUTIONS.get(name, 1)):
        raise PplkitError(f"{name}={value!r} must have {count} numbers, one for each resolution.")
    least, most = INTEGERS.get(name, (0, 0))
    for number in numbers:
        if name in INTEGERS and type(number) is not int:
            raise PplkitError(f"{name}={value!r} must be made of whole numbers.")
        if name in INTEGERS and not least <= number <= most:
            size = f"small: give at least {least}" if number < least else f"large: give at most {most:,}"
            raise PplkitError(f"{name}={value!r} is too {size}.")
        if isinstance(number, float) and not math.isfinite(number):
            raise PplkitError(f"{name}={value!r} must be a finite number.")
    if name in POSITIVE and not value > 0:
        raise PplkitError(f"{name}={value} must be positive.")
    if (name.startswith("weight_") or name in NOT_NEGATIVE) and not value >= 0:
        raise PplkitError(f"{name}={value} must be 0 (switched off) or more.")
    if name == "adam_beta2" and not 0 < value < 1:
        raise PplkitError(f"adam_beta2={value} must lie between 0 and 1.")
    if name in BELOW_ONE and not 0 <= value < 1:
        raise PplkitError(f"{name}={value} must be a fraction from 0 up to, but not including, 1.")
    if name in OF_STEPS and not 0 <= value <= 1:
        raise PplkitError(f"{name}={value} must be a fraction of the steps, from 0 to 1.")


@dataclass(frozen=True, repr=False)
class Config(Settings):
    """Settings of the Pose Prior Learner. The defaults are the published ones (preset `paper`).

    Sections in the comments are those of the paper (arXiv 2410.03858); "released" is the authors' code.
    Raises PplkitError for values that no model can have (checked at construction).

    >>> pplkit.Config.preset("puppets").replace(steps=500, keypoints=12).keypoints
    12

    Settings, with their defaults and what they may be::
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    OLD_NAMES: ClassVar[Mapping[str, str]] = OLD_SETTINGS

    name: str = "paper"  # of the preset that the settings come from
    # images
    image_size: int = 128  # side in pixels, a multiple of 16
    flip: bool = True  # random horizontal flips
    max_rotation: float = 0.0  # random rotations up to this, in radians
    max_shift: float = 0.0  # random changes of scale, and shifts in [-1, 1] units, each up to this
    brightness: float = 0.0  # random changes of brightness, by factors from e^-this to e^this; with a backbone
    reference: str = "masked"  # where the decoder sees the appearance: "masked" blocks, or another "frame" of the video
    mask_grid: int = 16  # masked reference: blocks per side (8 for hands)
    mask_ratio: float = 0.8  # masked reference: fraction of the blocks hidden (0.9 hands and flowers)
    paint_size: int = 0  # side of the reconstruction, a divisor of image_size; 0 = image_size
    background: bool = True  # whether it is reconstructed; False leaves out what the backbone takes for no object
    # pretrained features as the regressor's input; not in the paper
    backbone: str = "none"  # "efficientnet-lite0" (or 1, 2), "random", or a name of timm's
    backbone_trainable: int = 0  # number of its last stages that learn; 0 = it is frozen, and its features are cached
    backbone_learning_rate: float = 1e-4  # of these stages
    position_weight: float = 0.0  # of positions beside features when parts are clustered; for aligned images
    backbone_views: int = 12  # of each image, whose features are cached
    # pose
    keypoints: int = 16  # N, the number of points that are learned
    thickness: float = 5e-4  # link width σ in squared [-1, 1] units (paper); 1e-3 is the released default
    thickness_start: float = 0.0  # if set, σ falls from here to `thickness` over the first half of the steps
    connectivity_scale: float = 512.0  # s in W = softplus(s θ): multiplies the links' learning rate
    connectivity_mean: float = -4.0  # s θ starts as N(mean, std²); released: N(-4, 1), AutoLink: N(0, 51.2²)
    connectivity_std: float = 1.0  # see connectivity_mean
    tta_views: int = 1  # at test, poses are the mean over this many views of an image, drawn as in training
    # where pose and prior come from; the published method unless an ablation or a baseline says otherwise
    regression: str = "affine"  # P' = Θ [P; 1]; "free": any point; "attention": the map's mean, as AutoLink
    prior_keypoints: str = "memory"  # T distilled from the memory, or "random", or "predefined"
    prior_keypoints_trainable: bool = True  # whether a T that is not from the memory learns
    prior_links: str = "random"  # how W starts: "random" or "predefined"
    prior_links_trainable: bool = True  # whether W learns
    predefined: str = ""  # file of a PosePrior (prior.json) with the predefined parts
    # hierarchical memory
    banks: int = 34  # m, the number of banks
    vectors: int = 16  # k, of each bank
    dimension: int = 512  # d of a vector
    decay: float = 0.9  # of the moving averages
    encoder_layers: int = 4  # MLP-Mixer layers of the encoder
    token_hidden: int = 64  # hidden units of their token MLPs
    decoder_dimension: int = 32  # channels of the decoder's mixer layer
    reset_dead_codes: bool = False  # now and then, vectors that hardly any token takes are set to tokens of the batch
    prior_from: str = "all"  # T from the mean over "all" vectors of a bank (published) or over the "used" ones
    # networks
    regressor_channels: tuple[int, ...] = (64, 128, 256, 512)  # at 1/2 to 1/16 of the resolution
    regressor_features: int = 128  # channels of the attended features and of the coordinate embedding
    affine_init: str = "random"  # the first affine maps: "random" (published), "identity", "place", "moved"
    sharpness: float = 1.0  # factor of the first weights of the attention maps; more makes them peaked from the start
    decoder_channels: tuple[int, ...] = (64, 128, 256, 512, 512)  # at full to 1/16 of the resolution
    # losses
    perceptual: str = "vgg19"  # feature network; "random" needs no download, "none" compares pixels
    perceptual_size: int = 224  # both images are resized to this side first; 0 = as they are
    distance: str = "l1"  # between features: "l1" (published) or "l2", which weighs many small errors less
    weight_reconstruction: float = 1.0  # features of image and reconstruction
    weight_boundary: float = 1.0  # keypoints stay inside the image
    weight_links: float = 1.0  # link regularisation
    weight_separation: float = 0.0  # keypoints keep apart; not in the paper
    separation_radius: float = 0.2  # in [-1, 1] units: closer keypoints repel each other
    separation_share: float = 0.5  # fraction of the steps over which the separation fades to nothing; 0 = it stays
    weight_length: float = 0.0  # links are short, after the coarse steps; not in the paper
    weight_equivariance: float = 0.0  # keypoints follow the object into another view of the image; not in the paper
    equivariance: str = "relative"  # squared distances relative to the pose's extent; "absolute": as they are
    equivariance_flip: bool = True  # whether they follow into the mirror; False where left and right look alike
    weight_parts: float = 0.0  # part maps follow clusters of features; with a backbone, not in the paper, as the next
    weight_contrast: float = 0.0  # a part looks like itself in other images, and unlike other parts
    weight_concentration: float = 0.0  # a part is in one place
    weight_presence: float = 0.0  # every part is somewhere
    weight_background: float = 0.0  # parts lie on the object, as found without labels
    weight_pose: float = 1.0  # ‖T'_recon - T'‖², mean over coordinates
    weight_tokens: float = 1.0  # ‖G - G'‖², mean over token elements
    # optimisation
    steps: int = 20_000  # of the whole training
    coarse_fraction: float = 0.0  # fraction of the steps, from the first, at half the resolution of reconstruction
    batch_size: int = 64  # images in a step, of all processes together
    learning_rate: float = 1e-3  # of everything without a rate of its own
    connectivity_learning_rate: float = 1e-3  # of θ, before the scale s
    convolution_learning_rate: float = 0.0  # of convolutions by Muon, which falls as learning_rate does; 0 = by Adam
    adam_beta2: float = 0.999  # Adam's β₂: how slowly it forgets the size of earlier gradients
    weight_decay: float = 0.0  # as AdamW does it; AutoLink: 1e-3
    lr_hold: float = 0.0  # fraction of the steps, from the first, before the learning rate falls (half a cosine down)
    final_learning_rate: float = 1.0  # fraction of the learning rate left at the last step; 1 = constant
    connectivity_growth: float = 1.0  # of the links' learning rate, over the steps after the coarse ones; 1 = constant
    reinit_weak_links: bool = False  # now and then, keypoints that have only weak links get strong ones
    precision: str = "32-true"  # "32-true", "bf16-mixed" or "16-mixed"
    seed: int = 0  # of everything random

    def __post_init__(self) -> None:
        settings = self.to_dict()
        for name, allowed in CHOICES.items():
            if settings[name] not in allowed:
                raise PplkitError(f"{name}={settings[name]!r} is unknown: {choice(settings[name], allowed)}.")
        for name, value in settings.items():
            _check_number(name, value)
        self._check_sides()
        self._check_parts()

    def _check_sides(self) -> None:
        if self.image_size % 16:
            raise PplkitError(
                f"image_size={self.image_size} does not fit the decoder, which halves it four times: use a multiple "
                "of 16 from 32 upwards."
            )
        if self.paint_size and (self.image_size % self.paint_size or self.paint_size % 16 or self.paint_size < 32):
            raise PplkitError(
                f"paint_size={self.paint_size} does not fit: use a divisor of image_size={self.image_size} that is a "
                "multiple of 16 from 32 upwards, or 0."
            )
        side = self.reconstruction_size
        if self.coarse_fraction and side % 32:
            raise PplkitError(
                f"image_size={side} cannot start at half the resolution: use a multiple of 32, or coarse_fraction=0."
            )
        if self.reference == "masked" and side % self.mask_grid:
            raise PplkitError(f"mask_grid={self.mask_grid} does not divide image_size={side}: choose a divisor.")

    def _check_parts(self) -> None:
        if "predefined" in (self.prior_keypoints, self.prior_links) and not self.predefined:
            raise PplkitError("predefined='' names no file: give the prior.json that a predefined prior is read from.")
        if self.backbone == "none":
            for name in NEED_BACKBONE:
                if getattr(self, name):
                    raise PplkitError(f"{name}={getattr(self, name)} needs a backbone: choose one, or set it to 0.")
            if not self.background:  # it would not know where the object of another frame is
                raise PplkitError("background=False needs a backbone, which finds the object: choose one.")
        if not self.background and self.reference != "masked":
            raise PplkitError("background=False is for reference='masked': choose that, or keep the background.")

    @property
    def reconstruction_size(self) -> int:
        """Side of the reference image and the reconstruction in pixels."""
        return self.paint_size or self.image_size

    def smoke(self) -> "Config":
        """The same method with networks and images so small that 40 steps take seconds; it learns nothing useful."""
        return self.replace(
            image_size=32, banks=4, vectors=8, dimension=16, encoder_layers=1, token_hidden=16, decoder_dimension=8,
            regressor_channels=(8, 8, 16, 16), regressor_features=16, decoder_channels=(8, 8, 16, 16, 16),
            perceptual="random", perceptual_size=32, batch_size=4, steps=40, precision="32-true",
            paint_size=0, backbone_views=2, backbone="none" if self.backbone == "none" else "random",
        )  # fmt: skip

    def differences(self, old: Mapping[str, Any], folder: Path) -> dict[str, tuple[Any, Any]]:
        """As `Settings.differences`; two paths of one prior are not a difference."""
        differences = super().differences(old, folder)
        if "predefined" in differences and same_prior(*differences["predefined"], folder):
            del differences["predefined"]
        return differences


def _allowed(name: str, default: object) -> str:
    """What a setting may be, in a few letters."""
    if name in CHOICES:
        return ", ".join(CHOICES[name])
    if name in INTEGERS:
        least, most = INTEGERS[name]
        return f"{least} to {most}" + f", for each of {RESOLUTIONS.get(name)} resolutions" * (name in RESOLUTIONS)
    if name in POSITIVE:
        return "above 0"
    if name in NOT_NEGATIVE or name.startswith("weight_"):
        return "0 or more"
    if name == "adam_beta2" or name in BELOW_ONE or name in OF_STEPS:
        return "0 to 1" if name in OF_STEPS else "0 to below 1" if name in BELOW_ONE else "between 0 and 1"
    return {bool: "True or False", str: "text"}.get(type(default), "a number")


with suppress(OSError):  # where there is no source, help says less
    for _, _name, _text in Config.explanations():
        _default = getattr(Config, _name)
        Config.__doc__ = f"{Config.__doc__}\n        {_name} = {_default!r} ({_allowed(_name, _default)}): {_text}"
