"""Muon (Jordan et al., 2024): steps of one size in all directions of a matrix, for weights of large layers."""

import math
from collections.abc import Callable, Sequence
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


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """U Vᵀ of the singular value decompositions U S Vᵀ of matrices (m, n), roughly; all have the same shorter side.

    Singular values become about 1, between 0.7 and 1.2, unless they are below a hundredth of the matrix's norm: a
    polynomial is applied to them a few times, which takes products of matrices only (Newton and Schulz). All of it is
    done on the square matrices X Xᵀ, which are nine times smaller than X where a convolution keeps its width.
    """
    wide = [x.mT if x.shape[0] > x.shape[1] else x for x in matrices]
    square = torch.stack([x @ x.mT for x in wide])
    size = square.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].clamp_min(TINY)  # the norm, squared
    square = square / size
    done = once = _round(square)
    for _ in range(ROUNDS - 1):
        square = once @ square @ once
        once = _round(square)
        done = once @ done
    turns = [turn @ x for turn, x in zip(done / size.sqrt(), wide, strict=True)]
    return [turn.mT if x.shape[0] > x.shape[1] else turn for turn, x in zip(turns, matrices, strict=True)]


def orthogonal_blocks(matrices: Sequence[Tensor], size: int) -> list[Tensor]:
    """`orthogonal` of each `size` rows of matrices (m, n), or columns where n > m; `size` divides their number."""
    blocks = [(x.mT if x.shape[1] > x.shape[0] else x).split(size) for x in matrices]
    turns = iter(orthogonal([block for parts in blocks for block in parts]))
    whole = [torch.cat([next(turns) for _ in parts]) for parts in blocks]
    return [turn.mT if x.shape[1] > x.shape[0] else turn for turn, x in zip(whole, matrices, strict=True)]


def _round(square: Tensor) -> Tensor:
    """By what a round multiplies X, from X Xᵀ (k, m, m)."""
    first, third, fifth = QUINTIC
    once = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
    once.diagonal(dim1=1, dim2=2).add_(first)
    return once


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with `matrices` = True, which hold weights of convolutions or linear layers and go by Muon.

    Of these G, 0.05 parts of the gradient and 0.95 of its moving mean (Nesterov), a matrix U S Vᵀ of
    (outputs, inputs * rows * columns), moves the weights by -lr * sqrt(max(1, rows / columns of G)) * U Vᵀ, whatever
    the size of its singular values. In a group with `block` each `block` rows of G, or columns where it has more of
    them, are a matrix of their own, as the heads of attention are; the step is -lr U Vᵀ, for far fewer products.
    As the fused AdamW does, it leaves out a step that `found_inf`, set by the caller, marks, and divides by
    `grad_scale`.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have gradients."""
        for group in self.param_groups:
            if not group.get("matrices"):
                continue
            alike: dict[tuple[int, torch.device], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    sides = len(parameter), parameter[0].numel()
                    side = math.gcd(max(sides), group["block"]) if group.get("block") else min(sides)
                    alike.setdefault((side, parameter.device), []).append(parameter)
            for (side, _), some in alike.items():
                self._move(some, group["lr"], group["weight_decay"], side if group.get("block") else None)
                for parameter in some:
                    parameter.grad = None  # so that AdamW passes it over
        return super().step(closure)  # type: ignore[no-untyped-call]

    def _move(self, parameters: list[nn.Parameter], rate: float, decay: float, block: int | None) -> None:
        """A step of parameters that have the same shorter side, or are divided into blocks of the same size."""
        momenta = [self._momentum(parameter) for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if (scale := getattr(self, "grad_scale", None)) is not None:
            gradients = [gradient / scale for gradient in gradients]
        weight: float | Tensor = 1.0
        if (skipped := getattr(self, "found_inf", None)) is not None:
            if skipped.device.type == "cpu" and skipped:
                return
            if skipped.device.type != "cpu":  # is decided there, and not waited for
                weight = 1 - skipped
                pairs = zip(momenta, gradients, strict=True)
                gradients = [torch.where(skipped > 0, momentum, gradient) for momentum, gradient in pairs]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)
        matrices = [_matrix(gradient) for gradient in ahead]
        turns = orthogonal_blocks(matrices, block) if block else orthogonal(matrices)
        for parameter, turn in zip(parameters, turns, strict=True):
            if decay:
                parameter.mul_(1 - rate * decay * weight)
            size = rate * weight if block else rate * max(1.0, turn.shape[0] / turn.shape[1]) ** 0.5 * weight
            turn = turn if parameter.ndim == 2 else turn.unflatten(1, (*parameter.shape[2:], -1)).movedim(-1, 1)
            parameter.sub_(size * turn)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]  # type: ignore[no-any-return]


def _matrix(weights: Tensor) -> Tensor:
    """Weights of a layer as (outputs, rows * columns * inputs): a view, if they are channels-last."""
    return weights.movedim(1, -1).flatten(1)
