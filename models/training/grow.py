"""A trained U-Net → a deeper one for larger pictures that starts from what the first has learned.

The larger network gets one more level outside (twice the resolution) and more residual blocks inside. Blocks start as
the identity and the new first level starts as a reduction of the picture to half its size, so that inside the grown
network the trained one goes on seeing what it knows (Chen et al. 2016, "Net2Net", section 2).
"""

from __future__ import annotations

import torch
from torch import nn

from .unet import Residual, UNet

PIXEL_MEAN, PIXEL_SPREAD = -0.1, 0.55  # of normalised photos: with these, batch normalisation changes little at first


def grow(trained: UNet, larger: UNet) -> None:
    """Copy `trained` into the inner levels of `larger`, which has one more level and at least as many blocks in each.

    Raises ValueError when the inner levels differ in width.
    """
    if larger.shape.encoder[1:] != trained.shape.encoder:
        raise ValueError(f"levels {larger.shape.encoder} do not end in the trained {trained.shape.encoder}")
    _start_as_reduction(larger.encoder[0][0], larger.encoder[1][0], trained.encoder[0][0])
    for index, (old, new) in enumerate(zip(trained.encoder, larger.encoder[1:], strict=True)):
        if index:
            new[0].load_state_dict(old[0].state_dict())
        blocks = [block for block in new if isinstance(block, Residual)]
        for old_block, new_block in zip([b for b in old if isinstance(b, Residual)], blocks, strict=False):
            new_block.load_state_dict(old_block.state_dict())
    for old_part, new_part in ((trained.narrow, larger.narrow), (trained.decoder, larger.decoder)):
        for old, new in zip(old_part, new_part, strict=False):  # the outermost level of `larger` is new
            new.load_state_dict(old.state_dict())


def _start_as_reduction(first: nn.Sequential, second: nn.Sequential, trained: nn.Sequential) -> None:
    """Make `first` halve the picture, each colour's bright and dark half apart because ReLU cuts; `second` uses it."""
    with torch.no_grad():
        convolution, normalisation = first[0], first[1]
        for colour in range(3):
            for sign, channel in ((1.0, colour), (-1.0, colour + 3)):
                convolution.weight[channel].zero_()
                convolution.weight[channel, colour, 1:, 1:] = sign / 4  # the mean of two by two pixels
                normalisation.weight[channel] = PIXEL_SPREAD
                normalisation.bias[channel] = sign * PIXEL_MEAN
                normalisation.running_mean[channel] = sign * PIXEL_MEAN
                normalisation.running_var[channel] = PIXEL_SPREAD**2
        second.load_state_dict({**second.state_dict(), **_without_weight(trained)})
        second[0].weight.zero_()
        second[0].weight[:, :3] = trained[0].weight
        second[0].weight[:, 3:6] = -trained[0].weight


def _without_weight(layers: nn.Sequential) -> dict[str, torch.Tensor]:
    return {name: value for name, value in layers.state_dict().items() if name != "0.weight"}
