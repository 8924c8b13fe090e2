"""The Pose Prior Learner: prior, regressor, link map, decoder and memory wired together (section 3)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.image_inputs import NO_PIXELS, as_floats, as_mask, batch_frames, frames_of, hide, is_single, is_whole
from pplkit.data.reader import Frame
from pplkit.geometry.coordinates import apply_affine, tta_transforms, warp
from pplkit.geometry.link_map import link_map
from pplkit.models.layers.backbone import Backbone, pool, resample
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.memory import HierarchicalMemory
from pplkit.models.prior.networks import (
    INFERENCE_POWER,
    AffineRegressor,
    Completer,
    Decoder,
    PartRegressor,
    Regressor,
    part_attention,
)
from pplkit.models.prior.outputs import CompleterOutput, Iteration, Output, Poses, concatenate_poses, confidence
from pplkit.models.prior.parts import PartClusters, PartMaps
from pplkit.models.prior.pose_prior import PosePrior, origin_text

PROCEDURES = ("completed", "published")
WEAK_LINK = 0.2  # relative to the strongest; in trial runs, keypoints that took part had stronger links


class PosePriorLearner(nn.Module):
    """Learns keypoints, their links and the prior from images of one category; all sizes come from `config`.

    >>> model = pplkit.load("runs/puppets")
    >>> model.prior().keypoints.shape
    (4, 2)
    """

    def __init__(self, config: Config, *, pretrained: bool = False) -> None:
        """`pretrained` loads the backbone's published weights, from which a training starts."""
        super().__init__()
        self.config = config
        self.made_by: dict[str, object] = {}
        self.crop = "center"  # the square of an image that was seen in training: "center", "pad" or "object"
        self.thickness = config.thickness  # training may start with thicker links
        self.memory = HierarchicalMemory(
            config.keypoints, config.banks, config.vectors, config.dimension, decay=config.decay,
            encoder_layers=config.encoder_layers, token_hidden=config.token_hidden,
            decoder_dimension=config.decoder_dimension, prior_from=config.prior_from,
        )  # fmt: skip
        self.backbone: Backbone | None = None
        self.clusters: PartClusters | None = None
        self.regressor: AffineRegressor
        if config.backbone == "none":
            self.regressor = Regressor(
                config.keypoints,
                config.regressor_channels,
                config.regressor_features,
                config.affine_init,
                config.sharpness,
            )
        else:
            with torch.random.fork_rng(devices=[]):  # the layers below are the same with any backbone
                self.backbone = Backbone(
                    config.backbone, config.image_size, trainable=config.backbone_trainable, pretrained=pretrained
                )
            self.clusters = PartClusters(config.keypoints, self.backbone.channels, config.position_weight, config.flip)
            self.regressor = PartRegressor(
                config.keypoints, self.backbone.shapes, config.regressor_features, config.affine_init, config.image_size
            )
        self.decoder = Decoder(config.decoder_channels)
        self.completer: Completer | None = None  # see `training.tasks.completer`
        self.alpha = nn.Parameter(torch.ones(()))
        start = config.connectivity_mean + config.connectivity_std * torch.randn(config.keypoints, config.keypoints)
        self.links = nn.Parameter(start / config.connectivity_scale, requires_grad=config.prior_links_trainable)
        if config.prior_keypoints != "memory":
            points = torch.rand(config.keypoints, 2) * 2 - 1
            self.template = nn.Parameter(points, requires_grad=config.prior_keypoints_trainable)
        if config.regression == "free":  # without T the shared network needs something else to tell keypoints apart
            self.codes = nn.Parameter(torch.rand(config.keypoints, 2) * 2 - 1)

    def __repr__(self) -> str:
        config, weights = self.config, sum(parameter.numel() for parameter in self.parameters())
        about = f"preset {config.name}, {config.keypoints} keypoints, images of {config.image_size} pixels"
        made_by = origin_text(self.made_by, "run", "step", "data")
        return f"PosePriorLearner: {about}, {weights:,} weights\n  {made_by or 'not trained'}"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>{self.prior()._repr_html_()}"

    @torch.no_grad()
    def predefine(self, prior: PosePrior) -> None:
        """Take the predefined parts from `prior`; its strongest link gets weight 1, others at least e^-10.

        Raises PplkitError if the prior has another number of keypoints than the config.
        """
        config = self.config
        if len(prior.keypoints) != config.keypoints:
            raise PplkitError(
                f"the predefined prior has {len(prior.keypoints)} keypoints, the config {config.keypoints}: "
                "set keypoints to the prior's number."
            )
        if config.prior_keypoints == "predefined":
            self.template.copy_(torch.from_numpy(prior.keypoints))
        if config.prior_links == "predefined":
            weights = torch.from_numpy(prior.connectivity / prior.connectivity.max()).clamp_min(math.exp(-10))
            self.links.copy_(inverse_softplus(weights) / config.connectivity_scale)

    def keypoint_prior(self) -> Tensor:
        """T (N, 2): distilled from the memory, without gradient; or the template, if the config asks for one."""
        if self.config.prior_keypoints != "memory":
            return self.template
        with torch.no_grad():
            return self.memory.distil().float()

    def connectivity(self) -> Tensor:
        """W (N, N): softplus(s θ), symmetric with a zero diagonal; the upper triangle of θ is the parameter."""
        upper = F.softplus(self.config.connectivity_scale * self.links).triu(1)
        return upper + upper.T

    @torch.no_grad()
    def reinit_weak_links(self) -> None:
        """Set the links of keypoints that have only weak ones to half the weight of the strongest, unless frozen.

        Such a keypoint is hardly visible in the link map, gets hardly any gradient and would stay where it is.
        """
        if not self.config.prior_links_trainable:
            return
        weights = self.connectivity()
        weak = weights.amax(1) < WEAK_LINK * weights.max()
        half = inverse_softplus(weights.max() / 2)
        self.links[weak[:, None] | weak] = half / self.config.connectivity_scale

    def reset_dead_codes(self, images: Tensor) -> None:
        """Set dead codes of the memory to tokens of the poses in images, as `regress` takes them."""
        with torch.no_grad(), self._frozen():
            self.memory.reset_dead_codes(self.regress(images)[3])

    def regress(self, images: Tensor, prior: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images (B, 3, S, S) in [-1, 1], or a backbone's rows (B, D), to T, affine Θ, attention and keypoints T'.

        `prior` T is distilled from the memory unless given.
        """
        prior = self.keypoint_prior() if prior is None else prior
        affine, attention = self.regressor(self.regressor_input(images), self._template(prior))
        return prior, affine, attention, self._keypoints(affine, attention, prior)

    def regressor_input(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S), or with a backbone its rows (B, D), which may also be given."""
        return images if self.backbone is None or images.ndim == 2 else self.backbone(images)

    @torch.no_grad()
    def find_object(self, images: Tensor) -> Tensor:
        """Probability (B, h, h) that a cell shows the object, of images as `regress` takes them; needs a backbone."""
        assert self.backbone is not None and self.clusters is not None
        return self.clusters.objectness(self.backbone, self.regressor_input(images))

    def complete(self, images: Tensor, prior: Tensor | None = None) -> CompleterOutput:
        """The completer's output for images (B, 3, S, S) in [-1, 1]; `prior` as in `regress`."""
        assert self.completer is not None
        prior = self.keypoint_prior() if prior is None else prior
        affine, attention, distance, hidden = self.completer(self.regressor_input(images), self._template(prior))
        return CompleterOutput(self._keypoints(affine, attention, prior), distance, hidden)

    def _template(self, prior: Tensor) -> Tensor:
        return self.codes if self.config.regression == "free" else prior

    def _keypoints(self, affine: Tensor, attention: Tensor, prior: Tensor) -> Tensor:
        """T' (B, N, 2) by `config.regression`."""
        if self.config.regression == "attention":
            return self.regressor.mean_position(attention)
        return affine[..., 2] if self.config.regression == "free" else apply_affine(affine, prior)

    def decode(self, keypoints: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, N, 2) and reference (B, 3, S, S) to link map (B, 1, S, S) and reconstruction (B, 3, S, S)."""
        heat = link_map(keypoints, self.connectivity(), reference.shape[-1], self.thickness)
        return heat, self.decoder(self.alpha * reference, heat)

    def reconstruct(self, keypoints: Tensor, images: Tensor) -> Tensor:
        """Keypoints (B, N, 2) and images that show the appearance to reconstructions, both (B, 3, S, S).

        A decoder that has learned smaller images gets them smaller, and its output is enlarged.
        """
        side = self.config.reconstruction_size
        if side == self.config.image_size:
            return self.decode(keypoints, images)[1]
        small = self.decode(keypoints, resample(images, side))[1]
        return F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)

    def without_background(self, batch: Batch) -> Batch:
        """A batch whose reference and target are gray where the backbone finds no object."""
        mask = resample(self.find_object(batch.inputs)[:, None], batch.target.shape[-1])
        reference = batch.reference * resample(mask, batch.reference.shape[-1])
        return replace(batch, reference=reference, target=batch.target * mask)

    def forward(
        self, images: Tensor, reference: Tensor, second_view: Tensor | None = None, upright: Tensor | None = None
    ) -> Output:
        """A forward pass of images, references and second views of the images, all (B, 3, S, S) in [-1, 1].

        With a backbone, images and second views may be rows of its features; `upright` as in `Batch`.
        """
        both = images if second_view is None else torch.cat((images, second_view))
        prior, affine, attention, keypoints, parts = self._regress_parts(self.regressor_input(both), upright)
        count = len(images)
        affine, attention, keypoints, second = affine[:count], attention[:count], keypoints[:count], keypoints[count:]
        heat, image = self.decode(keypoints, reference)
        memory = self.memory(keypoints.detach())
        return Output(prior, affine, attention, keypoints, second, self.connectivity(), heat, image, memory, parts)

    def _regress_parts(
        self, inputs: Tensor, upright: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, PartMaps | None]:
        """As `regress`, and the part maps where there is a backbone."""
        if self.backbone is None or not isinstance(self.regressor, PartRegressor):
            return *self.regress(inputs), None
        assert self.clusters is not None
        prior = self.keypoint_prior()
        features, maps = self.regressor.part_maps(inputs)
        attention = part_attention(maps, 1 if self.training else INFERENCE_POWER)
        affine = self.regressor.affine(self.regressor.descriptors(features, attention, self._template(prior)))
        inputs = inputs.detach()
        descriptors = torch.cat([pool(features, attention) for features in self.backbone.maps(inputs)[1:]], -1)
        with torch.no_grad():
            target = self.clusters(self.backbone, inputs, upright)
        return prior, affine, attention, self._keypoints(affine, attention, prior), PartMaps(maps, descriptors, target)

    @torch.no_grad()
    def prior(self) -> PosePrior:
        """The learned pose prior as NumPy arrays."""
        keypoints = self.keypoint_prior().detach().cpu().numpy().copy()
        return PosePrior(keypoints, self.connectivity().float().cpu().numpy(), dict(self.made_by))

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """Eval mode inside; the mode before it afterwards, also on an error."""
        was_training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(was_training)

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, N, 2) and their confidence (B, N) of images (B, 3, S, S) in [-1, 1].

        The mean over `config.tta_views` views, the same for all images; see `tta_transforms`.
        """
        config = self.config
        tta_views = tta_transforms(config.tta_views, config.max_rotation, config.max_shift, config.flip)
        keypoints, confidences = [], []
        for number, view in enumerate(tta_views.to(images.device)[:, None].expand(-1, len(images), -1, -1)):
            _, _, attention, in_view = self.regress(warp(images, view) if number else images)
            keypoints.append(apply_affine(view[:, None], in_view))
            confidences.append(confidence(attention))
        return torch.stack(keypoints).mean(0), torch.stack(confidences).mean(0)

    @torch.no_grad()
    def iterate(
        self,
        images: Tensor,
        iterations: int,
        reference: Tensor | None = None,
        *,
        procedure: str | None = None,
        hidden: Tensor | None = None,
        decode_last: bool = True,
    ) -> list[Iteration]:
        """Iterative inference: rounds 0 to `iterations`, so `iterations` + 1 entries.

        images (B, 3, S, S) in [-1, 1]; the reference of every round is the original input unless given.
        "published" (section 3.5): T' from the round's input, T'_recon from the memory, the next input decoded from it.
        "completed": T' from the completer; from round 1 on what is `hidden`, bool (B, S, S), is gray, as in its
        training. Further rounds change nothing; reconstructions are for figures. Without `decode_last` the last round
        has no reconstruction.
        """
        procedure = self.procedure(procedure)
        reference = images if reference is None else reference
        first = images
        rounds: list[Iteration] = []
        with self._frozen():
            for number in range(iterations + 1):
                if procedure == "completed" and number > (hidden is not None):
                    rounds.append(rounds[-1])
                    continue
                poses = self.poses(images, procedure)
                if number == iterations and not decode_last:
                    rounds.append(Iteration(images, poses))
                    break
                decoded = poses.keypoints if procedure == "completed" else self.memory(poses.keypoints).keypoints
                reconstruction = self.reconstruct(decoded, reference)
                if procedure == "completed":
                    reconstruction = first if hidden is None else torch.where(hidden[:, None], reconstruction, first)
                rounds.append(Iteration(images, poses, decoded, reconstruction))
                images = hide(first, hidden) if procedure == "completed" else reconstruction
        return rounds

    def poses(self, images: Tensor, procedure: str) -> Poses:
        """Poses of images (B, 3, S, S) in [-1, 1], on their device, without rounds."""
        if procedure == "published":
            return Poses(*self.locate(images))
        return self.complete(images).poses(images.shape[-1])

    def procedure(self, name: str | None = None) -> str:
        """The procedure `name`; by default "completed" if the model has a completer, else "published".

        Raises PplkitError for an unknown name, or for "completed" without a completer.
        """
        if name is None:
            return "published" if self.completer is None else "completed"
        if name not in PROCEDURES:
            raise PplkitError(f"procedure={name!r} is unknown: {choice(name, PROCEDURES)}.")
        if name == "completed" and self.completer is None:
            raise PplkitError("procedure='completed' needs a completer: call pplkit.complete or `pplkit complete RUN`.")
        return name

    @torch.no_grad()
    def estimate(
        self,
        images: Any,
        iterations: int = 0,
        batch_size: int = 64,
        *,
        procedure: str | None = None,
        hidden: Tensor | np.ndarray | None = None,
        crop: str | None = None,
    ) -> Poses:
        """Poses of images: a batch of arrays, one image, a list of images, an image file, a video, or a folder of them.

        A batch is uint8 (B, H, W, 3) RGB or float (B, 3, H, W) in [-1, 1]; squares are resized as they are, unless
        a crop is given. A single image is a PIL image, an array without B, or a path; its answer has no B either. Of
        all else the model sees the square `crop`: "center", "pad" or "object"; by default that of its training images.
        Keypoints are in [-1, 1] of this square, `Poses.pixels` in pixels of the original image.

        `procedure` as in `procedure`. `iterations` is the number of published rounds after the first pose, 4 in the
        paper, see `iterate`; they mean "published" unless a procedure or `hidden` is given. This, bool (B, H, W), marks
        covered pixels of a batch for a completer. Raises PplkitError for wrong shapes, types, files and numbers.

        >>> model.estimate(data["test"].images[:3]).keypoints.shape
        torch.Size([3, 4, 2])
        >>> model.estimate("bird.jpg").pixels().shape  # (N, 2), in pixels of the file
        torch.Size([4, 2])
        """
        default = "published" if iterations else None
        procedure = self.procedure(procedure or (default if hidden is None else "completed"))
        for name, number, least in (("iterations", iterations, 0), ("batch_size", batch_size, 1)):
            if not isinstance(number, int | np.integer) or number < least:
                raise PplkitError(f"{name}={number!r} is not possible: give a whole number, {least} or more.")
        frames: list[Frame] = []
        poses = []
        with self._frozen():
            for batch, mask in self._batches(images, batch_size, crop, hidden, frames):
                if procedure == "completed":
                    poses.append(self.poses(hide(batch, mask), procedure))
                else:
                    poses.append(self.iterate(batch, iterations, procedure=procedure, decode_last=False)[-1].poses)
        estimated = concatenate_poses(poses, self.config.keypoints)
        estimated = replace(estimated, frames=frames, side=self.config.image_size, prior=self.prior)
        return estimated[0] if is_single(images) else estimated

    def _batches(
        self, images: Any, size: int, crop: str | None, hidden: Tensor | np.ndarray | None, frames: list[Frame]
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Images as `estimate` takes them, in batches as `iterate` does, with their masks; `frames` grows by theirs."""
        if crop is None and is_whole(images, hidden):
            for start in range(0, len(images), size):
                inputs = self.prepare(images[start : start + size])
                yield inputs, None if hidden is None else as_mask(hidden[start : start + size], inputs)
            frames += batch_frames(images)
            return
        if hidden is not None:
            raise PplkitError("hidden is for a batch of arrays without a crop: give uint8 (B, H, W, 3).")
        remaining = frames_of(images, self.config.image_size, crop or self.crop)
        while batch := list(islice(remaining, size)):
            frames += [frame._replace(square=NO_PIXELS) for frame in batch]
            yield self.prepare(np.stack([frame.square for frame in batch])), None

    def prepare(self, images: Tensor | np.ndarray) -> Tensor:
        """A batch as `estimate` takes it, to float (B, 3, S, S) in [-1, 1] on the model's device."""
        tensor, side = as_floats(images, self.alpha.device), self.config.image_size
        if tensor.shape[-2:] != (side, side):
            tensor = F.interpolate(tensor, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        return tensor.float().contiguous(memory_format=torch.channels_last)


def inverse_softplus(value: Tensor) -> Tensor:
    """x with softplus(x) = value, for value > 0."""
    return value + (-torch.expm1(-value)).log()
