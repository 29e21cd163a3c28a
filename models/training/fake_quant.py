"""A trained network → the same one fine-tuned as int8 will compute it (Jacob et al. 2018, section 3).

Weights are rounded to 255 symmetric steps per output channel and what layers pass on to 256 steps of its range, as
TFLite's int8 scheme does; gradients pass through the rounding unchanged ("straight through", Bengio et al. 2013).
Batch normalisation keeps the statistics it has: after it is folded, it is a factor per channel, by which the steps of
that channel's weights grow as the weights do, so that rounding before folding is rounding after it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .lite_encoder import Bottleneck
from .unet import Residual

WEIGHT_STEPS = 127  # to either side of zero
ACTIVATION_STEPS = 255
PASSED_ON = (nn.ReLU, nn.ReLU6, Bottleneck, Residual)  # what becomes the output tensor of an int8 operator
PACE = 0.05  # of how far a range moves towards that of a batch


def fake_quantise(network: nn.Module) -> None:
    """From now on `network` computes with rounded weights and activations, and its batch statistics stand still."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer._conv_forward = _with_rounded_weight(layer._conv_forward)
            if not layer.weight.requires_grad:  # a fixed kernel is rounded once
                layer.weight.data = rounded_weight(layer.weight.data)
        elif isinstance(layer, PASSED_ON):
            layer.register_forward_hook(Range())
        elif isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda norm, _: norm.eval() and None)


class Range:
    """A forward hook: follows the range of what a layer passes on, and rounds it to the steps of that range."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 0.0  # zero is always a step, as padding must be exact
        self.batches = 0

    def __call__(self, layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """`(N, C, H, W)` → the same, rounded."""
        if layer.training:
            self.batches += 1
            pace = max(PACE, 1 / self.batches)
            self.low += pace * (min(0.0, float(output.detach().min())) - self.low)
            self.high += pace * (max(0.0, float(output.detach().max())) - self.high)
        step = max(self.high - self.low, 1e-6) / ACTIVATION_STEPS
        clipped = output.clamp(self.low, self.high)
        return clipped + (torch.round(clipped / step) * step - clipped).detach()


def rounded_weight(weight: Tensor) -> Tensor:
    """`(O, I, H, W)` → the same on symmetric steps per output channel; the gradient is that of `weight`."""
    step = weight.detach().abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12) / WEIGHT_STEPS
    return weight + (torch.round(weight / step) * step - weight).detach()


def _with_rounded_weight(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rounded(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(x, rounded_weight(weight), bias)

    return rounded
