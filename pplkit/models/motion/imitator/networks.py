"""The published networks of the imitator: what comes in the reference, the policy, and the value."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

LOG_DEVIATION = -2.3  # of the actions, fixed
OBSERVED, CONTEXT, ACTIONS = 292, 128, 58
MARGIN = 10  # frames that the context loses at both ends


class _NormedConvolution(nn.Module):
    """A convolution whose weights have a direction and a length apart (weight norm), under their released names."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        convolution = nn.Conv1d(inputs, outputs, 3)
        self.dilation = dilation
        self.weight_g = nn.Parameter(convolution.weight.detach().norm(dim=(1, 2), keepdim=True))
        self.weight_v, self.bias = convolution.weight, convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(1, 2), keepdim=True))
        return nn.functional.conv1d(x, weight, self.bias, padding=self.dilation, dilation=self.dilation)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _NormedConvolution(inputs, outputs, dilation)
        self.conv2 = _NormedConvolution(outputs, outputs, dilation)
        self.downsample = nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(self.conv1(x).relu()).relu()
        return (inner + self.downsample(x)).relu()


class ContextNetwork(nn.Module):
    """128 numbers for each frame from ± 6 frames of the reference.

    Args:
        inputs: 59 for positions (round 1), 117 for positions and speeds (later).
    """

    def __init__(self, inputs: int = 117) -> None:
        super().__init__()
        self.network = nn.ModuleList([_Block(inputs, 64, 1), _Block(64, CONTEXT, 2)])

    def forward(self, reference: Tensor) -> Tensor:
        """Context (T - 20, 128) of a reference (T, inputs); ten frames are lost at both ends."""
        x = reference.mT[None]
        for block in self.network:
            x = block(x)
        return x[0].mT[MARGIN:-MARGIN]

    def load_released(self, state: Mapping[str, Tensor]) -> None:
        """Take over a released state dict, in which each convolution stands twice; the names `net.…` count."""
        names = {"net.0.": "conv1.", "net.3.": "conv2.", "downsample.": "downsample."}
        found = {}
        for name, value in state.items():
            for theirs, ours in names.items():
                if f".{theirs}" in name:
                    found[name.removeprefix("v_net.").replace(theirs, ours)] = value
        self.load_state_dict(found)


class _Layers(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.affine_layers = nn.ModuleList([nn.Linear(inputs, 300), nn.Linear(300, 200)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.affine_layers:
            x = layer(x).relu()
        return x


class Policy(nn.Module):
    """Means of Gaussian actions (B, 58) with a fixed deviation."""

    def __init__(self, inputs: int = OBSERVED + CONTEXT, actions: int = ACTIONS) -> None:
        super().__init__()
        self.action_log_std = nn.Parameter(torch.full((1, actions), LOG_DEVIATION), requires_grad=False)
        self.net = _Layers(inputs)
        self.action_mean = nn.Linear(200, actions)

    def forward(self, observed: Tensor) -> Tensor:
        """The means for observation and context (B, 420)."""
        return self.action_mean(self.net(observed))  # type: ignore[no-any-return]

    def log_probability(self, observed: Tensor, actions: Tensor) -> Tensor:
        """Of actions (B, 58), as (B, 1)."""
        deviation = self.action_log_std.exp()
        squares = ((actions - self(observed)) / deviation).square()
        return (-squares / 2 - self.action_log_std - math.log(2 * math.pi) / 2).sum(1, keepdim=True)


class Value(nn.Module):
    """What is to come, (B, 1)."""

    def __init__(self, inputs: int = OBSERVED + CONTEXT) -> None:
        super().__init__()
        self.net = _Layers(inputs)
        self.value_head = nn.Linear(200, 1)

    def forward(self, observed: Tensor) -> Tensor:
        """The values for observation and context (B, 420)."""
        return self.value_head(self.net(observed))  # type: ignore[no-any-return]
