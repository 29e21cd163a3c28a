"""A shipped ONNX file → the network of its recipe, ready to be trained on. The way back from `export`.

Where the exporter has folded batch normalisation into a convolution, the convolution gets the folded weights and its
normalisation does nothing but add the bias. `fix_statistics` keeps it so in training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
IN_ONNX = ("Conv", "ConvTranspose")


def load_onnx(network: Network, path: Path, *, size: tuple[int, int] = (64, 64), channels: int = 3) -> Network:
    """`network` with the weights of the ONNX file `path`, in evaluation mode.

    Convolutions are matched in the order in which they compute, which one pass over an empty picture of `size` shows.
    Ends the program when the file is that of another network.
    """
    model = onnx.load(path)
    stored = convolutions(model)
    layers = _in_order(network, size, channels)
    shapes = [tuple(layer.weight.shape) for layer, _ in layers]
    if shapes != [weight.shape for weight, _ in stored]:
        raise SystemExit(
            f"{path}: {len(stored)} convolutions, not the {len(layers)} of this recipe; name the file of its network"
        )
    with torch.no_grad():
        for (layer, normalisation), (weight, bias) in zip(layers, stored, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            shift = torch.from_numpy(bias)
            if layer.bias is not None:
                layer.bias.copy_(shift)
            elif normalisation is not None:
                _only_add(normalisation, shift)
    return network.eval()


def convolutions(model: ModelProto) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weight and bias of every convolution of the graph, in its order; zeros where there is no bias."""
    values = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    for node in model.graph.node:  # weights that are stored as float16 are cast back
        if node.op_type == "Cast" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].astype(np.float32)
    found = []
    for node in model.graph.node:
        if node.op_type in IN_ONNX:
            weight = values[node.input[1]].astype(np.float32)
            outputs = weight.shape[0 if node.op_type == "Conv" else 1]
            bias = values[node.input[2]] if len(node.input) > 2 else _added(model, node, values, outputs)
            found.append((weight, bias.astype(np.float32).reshape(-1)))
    return found


def fix_statistics(network: nn.Module) -> None:
    """From now on batch normalisation keeps the mean and variance it has, in training too."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda norm, _: norm.eval() and None)


def _added(
    model: ModelProto, convolution: NodeProto, values: dict[str, NDArray[np.float32]], outputs: int
) -> NDArray[np.float32]:
    """The constant that the next node adds to every channel: a fixed depthwise kernel is exported with it apart."""
    for node in model.graph.node:
        if node.op_type == "Add" and convolution.output[0] in node.input:
            other = next(name for name in node.input if name != convolution.output[0])
            if other in values and values[other].size == outputs:
                return values[other]
    return np.zeros(outputs, np.float32)


def _in_order(
    network: nn.Module, size: tuple[int, int], channels: int
) -> list[tuple[nn.Conv2d | nn.ConvTranspose2d, nn.BatchNorm2d | None]]:
    """The convolutions of `network` as they compute, each with the batch normalisation that follows it."""
    order: list[nn.Module] = []

    def note(layer: nn.Module, _inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        order.append(layer)

    kinds = (*CONVOLUTIONS, nn.BatchNorm2d)
    hooks = [layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        network.eval()(torch.zeros(1, channels, size[1], size[0]))
    for hook in hooks:
        hook.remove()
    after = [*order[1:], None]
    return [
        (layer, follower if isinstance(follower, nn.BatchNorm2d) else None)
        for layer, follower in zip(order, after, strict=True)
        if isinstance(layer, CONVOLUTIONS)
    ]


def _only_add(normalisation: nn.BatchNorm2d, shift: Tensor) -> None:
    normalisation.running_mean.zero_()
    normalisation.running_var.fill_(1 - normalisation.eps)
    normalisation.weight.fill_(1)
    normalisation.bias.copy_(shift)
