"""Normalised RGB in, alpha out: a U-Net shaped for int8 on a small CPU.

Convolutions with batch normalisation and ReLU fold into single int8 operators, so the whole network stays one XNNPACK
partition. There is no hard-swish (it splits the partition) and no squeeze-and-excite (its global mean is slow and
quantises badly). Plain 3×3 convolutions lose least in int8 and are what a network trained from nothing consists of;
depthwise ones come in with the encoder that brings ImageNet's knowledge (`lite_encoder.py`). Most of the weights sit at
one sixteenth and one thirty-second of the resolution, where a convolution sees the whole person and costs little; at
high resolution memory traffic, not arithmetic, is what an int8 network pays for, so skips are added, not concatenated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lite_encoder import CHANNELS, lite_levels

INPUT_MEAN = (
    128.0  # one scalar for all channels and a power of two: the uint8 input tensor carries it as its zero point …
)
INPUT_STD = 128.0  # … and its scale, exactly and at no cost


@dataclass(frozen=True)
class UNetShape:
    """How wide and deep a `UNet` is."""

    encoder: tuple[int, ...]  # channels per level; every level halves the resolution
    residuals: tuple[int, ...]  # residual blocks per level, after the convolution with stride 2
    decoder_residuals: tuple[int, ...] = ()  # blocks per level of the decoder, outermost first; none when empty
    lite: bool = False  # the encoder is EfficientNet-Lite2's, started from ImageNet; `residuals` is empty then

    @property
    def stride(self) -> int:
        """Input sizes must be multiples of this."""
        return 2 ** len(self.encoder)


FOLLOW = UNetShape(encoder=(16, 24, 48, 96, 160), residuals=(0, 0, 1, 2, 2))
PHOTO = UNetShape(encoder=CHANNELS, residuals=(), decoder_residuals=(0, 1, 1, 0), lite=True)


def convolution(inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: one int8 operator after conversion."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is added (He et al. 2016, section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))
        nn.init.zeros_(self.second[1].weight)  # starts as the identity, so that depth costs no early training

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` → the same shape."""
        return torch.relu(x + self.second(self.first(x)))


class UNet(nn.Module):
    """Encoder, decoder (Ronneberger et al. 2015, section 2), skips added (LinkNet, Chaurasia and Culurciello 2017).

    The first convolution already halves the resolution; a 2×2 transposed convolution at the end doubles it again, which
    costs 16 multiplications per output pixel instead of a full-resolution level. Before it is enlarged, a level is
    brought to its skip's channels by a 1×1 convolution at the smaller size.
    """

    def __init__(self, shape: UNetShape, *, inputs: int = 3) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = lite_levels() if shape.lite else _plain_levels(shape, inputs)
        self.narrow, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = shape.encoder[-1]
        decoder_residuals = shape.decoder_residuals or (0,) * (len(shape.encoder) - 1)
        for skip, residuals in zip(shape.encoder[-2::-1], decoder_residuals[::-1], strict=True):
            self.narrow.append(convolution(inputs, skip, kernel=1))
            self.decoder.append(nn.Sequential(*convolution(skip, skip), *(Residual(skip) for _ in range(residuals))))
            inputs = skip
        self.head = nn.ConvTranspose2d(inputs, 1, 2, 2)

    def logits(self, x: Tensor) -> Tensor:
        """`(N, 3, H, W)` normalised RGB → `(N, 1, H, W)` logits of alpha."""
        levels: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            levels.append(x)
        for narrow, level, skip in zip(self.narrow, self.decoder, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = level(x + skip)
        return self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, 3, H, W)` normalised RGB → `(N, 1, H, W)` alpha, 0…1."""
        return torch.sigmoid(self.logits(x))


def _plain_levels(shape: UNetShape, inputs: int) -> nn.ModuleList:
    levels = nn.ModuleList()
    for outputs, residuals in zip(shape.encoder, shape.residuals, strict=True):
        levels.append(
            nn.Sequential(convolution(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(residuals)))
        )
        inputs = outputs
    return levels


def parameter_count(network: nn.Module) -> int:
    """Trainable numbers in the network."""
    return sum(p.numel() for p in network.parameters())


def multiply_accumulates(network: nn.Module, size: Sequence[int], *, channels: int = 3) -> int:
    """Multiply-accumulates of one `(H, W)` picture, convolutions only (the rest is under 2 %)."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        grid = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += sum(p.numel() for p in layer.parameters() if p.ndim == 4) * grid[0, 0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, channels, *size))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total
