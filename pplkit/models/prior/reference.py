"""The training step as the method is written down (section 3): the same model and losses without the kit's short cuts.

Read this first: it is the paper in code. float32, ordinary memory layout, every link's map held at once, convolution
and resampling one after the other, both images through the features with the same call, one bank of the memory after
the other, Adam parameter by parameter. The fast step gives the same numbers (tests/models/prior/test_reference.py);
the benchmark compares time and memory. As the released code, it also draws the link maps of the prior and of the
recalled pose, which no loss uses.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.geometry.coordinates import apply_affine
from pplkit.geometry.link_map import link_map_reference
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.layers.resampled_conv import DoubledConv, Halve, HalvedConv
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import boundary_loss, link_loss
from pplkit.models.prior.memory import EPSILON, HierarchicalMemory
from pplkit.models.prior.model import PosePriorLearner


class _Resized(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


def unfolded(module: nn.Module) -> nn.Module:
    """A copy in which a convolution and the halving after it, or the doubling before it, are two layers."""
    module = copy.deepcopy(module)
    for name, child in list(module.named_children()):
        if isinstance(child, HalvedConv | DoubledConv):
            conv = nn.Conv2d(child.in_channels, child.out_channels, 3, padding=1)
            conv.load_state_dict(child.state_dict())
            layers = (conv, _Resized(0.5)) if isinstance(child, HalvedConv) else (_Resized(2.0), conv)
            setattr(module, name, nn.Sequential(*layers))
        else:
            setattr(module, name, _Resized(0.5) if isinstance(child, Halve) else unfolded(child))
    return module


class ReferenceStep:
    """The step of `model`, which is copied, on its device."""

    def __init__(self, model: PosePriorLearner, features: PerceptualFeatures) -> None:
        """`features` of the reconstruction loss (section 3.4)."""
        self.config: Config = model.config
        self.model = unfolded(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.features = copy.deepcopy(features).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        rate = self.config.learning_rate
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, foreach=False, fused=False)

    def __call__(self, batch: Batch) -> Tensor:
        """One step; the loss."""
        total = self.loss(batch)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total.detach()

    def loss(self, batch: Batch) -> Tensor:
        """The published losses of a batch, weighted and summed."""
        model, config = self.model, self.config
        assert isinstance(model, nn.Module)
        images, reference = batch.images.contiguous(), batch.reference.contiguous()
        memory: HierarchicalMemory = model.memory  # type: ignore[assignment]
        with torch.no_grad():
            prior = memory.decode(memory.codebook.mean(1)[None])[0]
        affine, _ = model.regressor(images, prior)  # type: ignore[operator]
        keypoints = apply_affine(affine, prior)
        connectivity = model.connectivity()  # type: ignore[operator]
        recalled, tokens, quantized = self._recall(memory, keypoints.detach())
        poses = (keypoints, prior[None], recalled)
        heat, *_ = (link_map_reference(pose, connectivity, config.image_size, config.thickness) for pose in poses)
        reconstruction = model.decoder(model.alpha * reference, heat)  # type: ignore[operator]
        pairs = zip(self.features(reconstruction), self.features(batch.target.contiguous()), strict=True)
        return (
            config.weight_reconstruction * torch.stack([F.l1_loss(a, b) for a, b in pairs]).sum()
            + config.weight_boundary * boundary_loss(keypoints)
            + config.weight_links * link_loss(prior, keypoints, connectivity)
            + config.weight_pose * F.mse_loss(recalled, keypoints.detach())
            + config.weight_tokens * F.mse_loss(tokens, quantized)
        )

    def _recall(self, memory: HierarchicalMemory, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T'_recon, G and G' by one bank after the other, with the moving averages."""
        tokens = memory.encode(keypoints)
        assigned = []
        for bank in range(tokens.shape[1]):
            token, vectors = tokens[:, bank].detach(), memory.codebook[bank]
            index = torch.cdist(token, vectors).argmin(-1)
            assigned.append(vectors[index].clone())
            chosen = F.one_hot(index, len(vectors)).to(token)
            counts = memory.decay * memory.counts[bank] + (1 - memory.decay) * chosen.sum(0)
            total = counts.sum()
            memory.counts[bank] = (counts + EPSILON) / (total + len(vectors) * EPSILON) * total
            memory.sums[bank] = memory.decay * memory.sums[bank] + (1 - memory.decay) * chosen.T @ token
            memory.codebook[bank] = memory.sums[bank] / memory.counts[bank][:, None]
        quantized = torch.stack(assigned, dim=1)
        return memory.decode(tokens + (quantized - tokens).detach()), tokens, quantized
