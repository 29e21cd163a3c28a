"""Refined, coarse and true alpha of tiles → how much worse than perfect, and than doing nothing, the refining was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FLOOR = 0.02  # mean error of a coarse tile that counts as one; easier tiles must not weigh without bound
NEIGHBOURHOOD_PX = 16  # no neighbourhood of this size may become worse than it was
WORSE = 2.0  # weight of making it worse
GRADIENT = 0.5  # weight of the L1 of gradients: it decides whether hair is strands or a haze
LAPLACIAN_LEVELS = 2


def edge_loss(residual: Tensor, coarse: Tensor, alpha: Tensor) -> Tensor:
    """What to add to `coarse`, coarse and true alpha, `(N, 1, H, W)` float 0…1 each → a number to make small.

    Every tile counts by its own coarse error, as the published ratio does: L1, L1 of gradients (Xu et al. 2017), L1 of
    two coarser levels (Laplacian pyramid loss, Niklaus and Liu 2018), and what any neighbourhood lost against doing
    nothing. Beyond 0 and 1, where the output is cut off, nothing is counted.
    """
    refined = coarse + residual
    error = refined - alpha
    error = torch.where(alpha <= 0, error.clamp(min=0), torch.where(alpha >= 1, error.clamp(max=0), error))
    before = (coarse - alpha).abs()
    weight = 1 / (before.mean((1, 2, 3), keepdim=True) + FLOOR)
    absolute = error.abs()
    gradient = sum(error.diff(dim=axis).abs().mul(weight).mean() for axis in (2, 3))
    laplacian, level = 0.0, error
    for scale in range(1, LAPLACIAN_LEVELS + 1):
        level = functional.avg_pool2d(level, 2)
        laplacian = laplacian + (level.abs() * weight).mean() / 2**scale
    after_near, before_near = (functional.avg_pool2d(e, NEIGHBOURHOOD_PX) for e in (absolute, before))
    worse = (functional.relu(after_near - before_near) * weight).mean()
    return (absolute * weight).mean() + GRADIENT * gradient + laplacian + WORSE * worse
