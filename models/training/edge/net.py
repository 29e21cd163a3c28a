"""RGB and coarse alpha of a tile in, fine alpha out: a small U-Net that corrects what it is given.

The network computes a residual, so that doing nothing is the easiest thing to learn: zero times everything leaves the
coarse alpha as it is. Skips are added, not concatenated: it halves the multiplications of the decoder, and an int8 ADD
takes its two inputs at two scales. The stem halves the resolution and keeps more numbers per pixel than it was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..unet import convolution

COARSE = 3  # the input channel that holds the coarse alpha, after R, G and B


@dataclass(frozen=True)
class EdgeShape:
    """How wide and deep an `EdgeNet` is."""

    levels: tuple[int, ...]  # channels per level; every level halves the resolution
    extra: tuple[int, ...]  # 3×3 convolutions per level after the one with stride 2

    @property
    def stride(self) -> int:
        """Tile sizes must be multiples of this."""
        return 2 ** len(self.levels)


EDGE = EdgeShape(levels=(16, 32, 48, 64), extra=(1, 1, 1, 2))


class EdgeNet(nn.Module):
    """`(N, 4, H, W)` RGB and coarse alpha, 0…1 → `(N, 1, H, W)` alpha, 0…1."""

    def __init__(self, shape: EdgeShape) -> None:
        super().__init__()
        self.encoder, self.narrowing, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = COARSE + 1
        for outputs, extra in zip(shape.levels, shape.extra, strict=True):
            steps = [convolution(inputs, outputs, stride=2)] + [convolution(outputs, outputs) for _ in range(extra)]
            self.encoder.append(nn.Sequential(*steps))
            inputs = outputs
        for outputs in reversed(shape.levels[:-1]):
            # Narrowed before it is enlarged, at a quarter of the cost.
            self.narrowing.append(nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)))
            self.decoder.append(convolution(outputs, outputs))
            inputs = outputs
        # Each pixel reads 2×2 cells of the half-size grid, so that no checkerboard shows.
        self.head = nn.ConvTranspose2d(inputs, 1, 4, 2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def residual(self, x: Tensor) -> Tensor:
        """`(N, 4, H, W)` → what to add to the coarse alpha, `(N, 1, H, W)`."""
        levels: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            levels.append(x)
        for narrow, level, skip in zip(self.narrowing, self.decoder, reversed(levels[:-1]), strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = level(x + skip)
        return self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """The fine alpha, 0…1."""
        return torch.clamp(x[:, COARSE:] + self.residual(x), 0, 1)
