"""Muon (Jordan et al., 2024): steps of one size in all directions of a matrix, for the weights of convolutions."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ROUNDS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # of those who published it: steep at 0, so that five rounds suffice
TINY = 1e-24
NARROW = 8  # channels; what reads or writes fewer, such as colours, has no directions to speak of


def is_matrix(parameter: nn.Parameter) -> bool:
    """Whether these are weights (outputs, inputs, rows, columns) of a convolution between many channels."""
    return parameter.ndim == 4 and min(parameter.shape[:2]) >= NARROW


def orthogonal(matrices: Tensor) -> Tensor:
    """U Vᵀ of the singular value decompositions U S Vᵀ of matrices (k, m, n), roughly, as float32.

    Singular values become about 1, between 0.7 and 1.2, unless they are below a hundredth of the matrix's norm: a
    polynomial is applied to them a few times, which takes products of matrices only (Newton and Schulz). All of it is
    done on the square matrices X Xᵀ, which are nine times smaller than X where a convolution keeps its width.
    """
    x = matrices.float()
    turned = x.shape[-2] > x.shape[-1]
    x = x.mT if turned else x
    square = x @ x.mT
    size = square.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].clamp_min(TINY)  # the norm, squared
    square = square / size
    done = once = _round(square)
    for _ in range(ROUNDS - 1):
        square = once @ square @ once
        once = _round(square)
        done = once @ done
    x = (done / size.sqrt()) @ x
    return x.mT if turned else x


def _round(square: Tensor) -> Tensor:
    """By what a round multiplies X, from X Xᵀ (k, m, m)."""
    first, third, fifth = QUINTIC
    once = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
    once.diagonal(dim1=1, dim2=2).add_(first)
    return once


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with `matrices` = True, which hold weights of convolutions and go by Muon.

    Of these the gradients' moving mean G, a matrix (outputs, inputs * rows * columns), moves the weights by
    -lr * sqrt(max(1, rows / columns of G)) * U Vᵀ, whatever the size of its singular values.
    As the fused AdamW does, it leaves out a step that `found_inf`, set by the caller, marks, and divides by
    `grad_scale`.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have gradients."""
        for group in self.param_groups:
            if not group.get("matrices"):
                continue
            alike: dict[tuple[torch.Size, torch.device], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault((parameter.shape, parameter.device), []).append(parameter)
            for some in alike.values():
                self._move(some, group["lr"], group["weight_decay"])
                for parameter in some:
                    parameter.grad = None  # so that AdamW passes it over
        return super().step(closure)  # type: ignore[no-untyped-call]

    def _move(self, parameters: list[nn.Parameter], rate: float, decay: float) -> None:
        """A step of parameters of one shape."""
        gradients = torch.stack([value.grad.flatten(1).float() for value in parameters if value.grad is not None])
        if (scale := getattr(self, "grad_scale", None)) is not None:
            gradients = gradients / scale
        states = [self.state[parameter] for parameter in parameters]
        for state, parameter in zip(states, parameters, strict=True):
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
        before = torch.stack([state["momentum"].flatten(1) for state in states])
        mean = before.lerp(gradients, 1 - MOMENTUM)
        turn = orthogonal(gradients.lerp(mean, MOMENTUM))
        turn *= max(1.0, turn.shape[1] / turn.shape[2]) ** 0.5
        if (skipped := getattr(self, "found_inf", None)) is not None:  # decided on its device, which is not waited for
            mean, turn = (torch.where(skipped > 0, other, new) for other, new in ((before, mean), (0 * before, turn)))
            decay = decay * (1 - skipped)
        for parameter, state, new, change in zip(parameters, states, mean, turn, strict=True):
            state["momentum"].copy_(new.view_as(parameter))
            parameter.mul_(1 - rate * decay).sub_(change.view_as(parameter), alpha=rate)
