"""The training step as the paper writes it computes what the kit's step does."""

import torch
from bench_step import some_batch

from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.config import Config
from pplkit.models.prior.reference import ReferenceStep
from pplkit.training.distributed import fabric_for
from pplkit.training.loop import build
from pplkit.training.step import Step


def test_reference_and_kit_agree_in_loss_weights_and_memory(tiny: Config) -> None:
    """After one step: Adam would make the smallest difference of a gradient near zero a step of its own later."""
    config = tiny.replace(weight_links=0.3, perceptual="random", perceptual_size=48, learning_rate=1e-4)
    features = perceptual_features("random", 48)
    assert features is not None
    batch = some_batch(config, torch.device("cpu"))
    model, optimiser = build(config)
    plain = ReferenceStep(model, features)
    fabric = fabric_for("cpu", "32-true")
    wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
    taken = Step(fabric, config, wrapped, wrapped_optimiser, features)(batch)
    torch.testing.assert_close(plain(batch), taken.values["loss"], rtol=1e-5, atol=1e-6)
    for name in ("codebook", "counts", "sums"):
        torch.testing.assert_close(getattr(plain.model.memory, name), getattr(model.memory, name), rtol=1e-5, atol=1e-6)
