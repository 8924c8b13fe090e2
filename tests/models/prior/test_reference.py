"""The training step as the paper writes it computes what the kit's step does."""

import torch
from bench_step import some_batch
from trainings import prior_step

from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.config import Config
from pplkit.models.prior.reference import ReferenceStep
from pplkit.training.tasks.prior import build


def test_reference_and_kit_agree_in_loss_weights_and_memory(tiny: Config) -> None:
    """After one step: Adam would make the smallest difference of a gradient near zero a step of its own later."""
    config = tiny.replace(weight_links=0.3, perceptual="random", perceptual_size=48, learning_rate=1e-4)
    features = perceptual_features("random", 48)
    assert features is not None
    batch = some_batch(config, torch.device("cpu"))
    plain = ReferenceStep(build(config)[0], features)
    step = prior_step(config, features)
    model = step.model
    result = step(batch)
    torch.testing.assert_close(plain(batch), result.values["loss"], rtol=1e-5, atol=1e-6)
    for name in ("codebook", "counts", "sums"):
        torch.testing.assert_close(getattr(plain.model.memory, name), getattr(model.memory, name), rtol=1e-5, atol=1e-6)
