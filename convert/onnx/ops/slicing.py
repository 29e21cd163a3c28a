"""Slice, Split, Gather and Scatter with constant positions → SLICE, STRIDED_SLICE, SPLIT, GATHER."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..graph import Node
from .context import Code, Lowering, Value, lowers
from .shape import concatenated, reread, transposed


@lowers("Slice")
def slice_(lowering: Lowering, node: Node) -> None:
    """Bounds are attributes up to opset 9 and constant inputs from 10 on."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    starts = _numbers(lowering, node, 1, "starts")
    ends = _numbers(lowering, node, 2, "ends")
    axes = _numbers(lowering, node, 3, "axes") or list(range(len(starts)))
    steps = _numbers(lowering, node, 4, "steps") or [1] * len(starts)
    whole = [(0, length, 1) for length in value.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        whole[axis] = slice(start, end, step).indices(value.shape[axis])
    for axis, (start, end, step) in enumerate(whole):
        if step < 0:
            value = gathered(lowering, value, axis, np.arange(start, end, step), f"{name}/backwards{axis}")
            whole[axis] = (0, value.shape[axis], 1)
    lowering.bind(name, sliced(lowering, value, whole, name))


def _numbers(lowering: Lowering, node: Node, position: int, attribute: str) -> list[int]:
    given = lowering.optional(node, position)
    return [int(n) for n in np.ravel(given)] if given is not None else list(node.integers(attribute, ()))


def sliced(lowering: Lowering, value: Value, bounds: Sequence[tuple[int, int, int]], name: str) -> Value:
    """The part of the value between (start, end) of each ONNX axis, every step-th only; steps are positive."""
    shape = tuple(len(range(*bound)) for bound in bounds)
    if shape == value.shape:
        return value
    stored = [bounds[axis] for axis in value.order]
    begin = lowering.integers(f"{name}/begin", [start for start, _, _ in stored])
    if all(step == 1 for _, _, step in stored):
        size = lowering.integers(f"{name}/size", [end - start for start, end, _ in stored])
        return lowering.emit(Code.SLICE, [value, begin, size], name, shape, value.order, schema.SliceOptionsT())
    end = lowering.integers(f"{name}/end", [end for _, end, _ in stored])
    steps = lowering.integers(f"{name}/steps", [step for _, _, step in stored])
    options = schema.StridedSliceOptionsT()
    return lowering.emit(Code.STRIDED_SLICE, [value, begin, end, steps], name, shape, value.order, options)


@lowers("Split")
def split(lowering: Lowering, node: Node) -> None:
    """Equal parts as one SPLIT, unequal ones as SLICEs."""
    value = lowering.value(node.inputs[0])
    axis = node.integer("axis", 0) % value.rank
    lengths = [lowering.graph.shapes[name][axis] for name in node.outputs]
    shapes = [tuple(n if a == axis else m for a, m in enumerate(value.shape)) for n in lengths]
    if len(set(lengths)) == 1 and len(lengths) > 1:
        options = schema.SplitOptionsT()
        options.numSplits = len(lengths)
        where = lowering.integers(f"{node.outputs[0]}/axis", value.axis(axis))
        parts = [Value(-1, shape, value.order) for shape in shapes]
        tensors = [
            lowering.builder.tensor(name, part.stored_shape) for name, part in zip(node.outputs, parts, strict=True)
        ]
        lowering.builder.operator(Code.SPLIT, [where, value.tensor], tensors, options)
        for name, tensor, part in zip(node.outputs, tensors, parts, strict=True):
            lowering.bind(name, Value(tensor, part.shape, part.order))
        return
    start = 0
    for name, length in zip(node.outputs, lengths, strict=True):
        bounds = [(0, n, 1) for n in value.shape]
        bounds[axis] = (start, start + length, 1)
        lowering.bind(name, sliced(lowering, value, bounds, name))
        start += length


@lowers("Gather")
def gather(lowering: Lowering, node: Node) -> None:
    """Constant positions along one axis; neighbours are a SLICE."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    indices = lowering.required(node, 1, "indices")
    axis = node.integer("axis", 0) % value.rank
    flat = np.ravel(indices) % value.shape[axis]
    result = gathered(lowering, value, axis, flat, name if indices.ndim == 1 else f"{name}/flat")
    shape = (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])
    lowering.bind(name, reread(lowering, result, shape, name))


@lowers("GatherND")
def gather_nd(lowering: Lowering, node: Node) -> None:
    """Constant coordinates of the first k axes: a GATHER along those axes merged into one."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    indices = lowering.required(node, 1, "indices")
    if node.integer("batch_dims", 0):
        raise lowering.refusal(node, f"batch_dims={node.integer('batch_dims', 0)}; expected 0")
    first, rest = value.shape[: indices.shape[-1]], value.shape[indices.shape[-1] :]
    coordinates = indices.reshape(-1, indices.shape[-1]).T
    flat = np.zeros(coordinates.shape[1], np.int64)
    for coordinate, length in zip(coordinates, first, strict=True):
        flat = flat * length + coordinate % length
    merged = reread(lowering, value, (math.prod(first), *rest), f"{name}/merged")
    result = gathered(lowering, merged, 0, flat, f"{name}/flat")
    lowering.bind(name, reread(lowering, result, (*indices.shape[:-1], *rest), name))


def gathered(lowering: Lowering, value: Value, axis: int, indices: NDArray, name: str) -> Value:
    """The value at these positions of an ONNX axis, in this sequence."""
    if len(indices) and np.array_equal(indices, np.arange(indices[0], indices[0] + len(indices))):
        bounds = [(0, n, 1) for n in value.shape]
        bounds[axis] = (int(indices[0]), int(indices[-1]) + 1, 1)
        return sliced(lowering, value, bounds, name)
    options = schema.GatherOptionsT()
    options.axis = value.axis(axis)
    shape = tuple(len(indices) if a == axis else n for a, n in enumerate(value.shape))
    positions = lowering.integers(f"{name}/indices", indices)
    return lowering.emit(Code.GATHER, [value, positions], name, shape, value.order, options)


@lowers("Pad")
def pad(lowering: Lowering, node: Node) -> None:
    """constant → PAD or PADV2, reflect → MIRROR_PAD, edge and wrap → GATHER; negative pads cut off first."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    pads = _pads(lowering, node, value.rank)
    mode = node.text("mode", "constant")
    if any(n < 0 for pair in pads for n in pair):
        bounds = [(max(0, -a), n - max(0, -b), 1) for (a, b), n in zip(pads, value.shape, strict=True)]
        value = sliced(lowering, value, bounds, f"{name}/cut")
        pads = [(max(0, a), max(0, b)) for a, b in pads]
    if not any(map(any, pads)):
        lowering.bind(name, value)
        return
    fits = all(max(pair) < n for pair, n in zip(pads, value.shape, strict=True))
    shape = [n + a + b for (a, b), n in zip(pads, value.shape, strict=True)]
    if mode in ("edge", "wrap") or (mode == "reflect" and not fits):
        for axis, pair in enumerate(pads):
            if any(pair):
                positions = np.pad(np.arange(value.shape[axis]), pair, mode=mode)
                value = gathered(lowering, value, axis, positions, f"{name}/axis{axis}")
        lowering.bind(name, value)
        return
    table = lowering.integers(f"{name}/pads", [pads[axis] for axis in value.order])
    if mode == "reflect":
        options = schema.MirrorPadOptionsT()
        options.mode = schema.MirrorPadMode.REFLECT
        result = lowering.emit(Code.MIRROR_PAD, [value, table], name, shape, value.order, options)
    elif mode == "constant":
        given = lowering.optional(node, 2)
        filler = float(np.ravel(given)[0]) if given is not None and np.size(given) else node.number("value", 0.0)
        if not math.isfinite(filler):
            raise lowering.refusal(node, f"it pads with {filler}; expected a finite number")
        result = _filled(lowering, value, table, filler, shape, name)
    else:
        raise lowering.refusal(node, f"mode '{mode}'; expected constant, reflect, edge or wrap")
    lowering.bind(name, result)


def _filled(lowering: Lowering, value: Value, table: int, filler: float, shape: list[int], name: str) -> Value:
    if filler == 0:
        return lowering.emit(Code.PAD, [value, table], name, shape, value.order, schema.PadOptionsT())
    constant = lowering.floats(f"{name}/filler", [filler])
    return lowering.emit(Code.PADV2, [value, table, constant], name, shape, value.order, schema.PadV2OptionsT())


def _pads(lowering: Lowering, node: Node, rank: int) -> list[tuple[int, int]]:
    """(before, after) of every ONNX axis."""
    numbers = _numbers(lowering, node, 1, "pads")
    axes = _numbers(lowering, node, 3, "") or list(range(rank))
    pads = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        pads[axis % rank] = (numbers[position], numbers[position + len(axes)])
    return pads


@lowers("DepthToSpace")
def depth_to_space(lowering: Lowering, node: Node) -> None:
    """Split the channels, bring each block's axes beside rows and columns, merge.

    DEPTH_TO_SPACE has no int8 form in ai-edge-quantizer, and XNNPACK transposes faster than its kernel.
    """
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    block = node.integer("blocksize", 1)
    batch, channels, rows, columns = value.shape
    depth = channels // block**2
    if node.text("mode", "DCR") == "DCR":
        value = reread(lowering, value, (batch, block, block, depth, rows, columns), f"{name}/blocks")
        value = transposed(value, (0, 3, 4, 1, 5, 2))
    else:
        value = reread(lowering, value, (batch, depth, block, block, rows, columns), f"{name}/blocks")
        value = transposed(value, (0, 1, 4, 2, 5, 3))
    lowering.bind(name, reread(lowering, value, (batch, depth, rows * block, columns * block), name))


@lowers("Col2Im")
def columns_to_image(lowering: Lowering, node: Node) -> None:
    """Patches that lie side by side: the channels' block beside rows and columns, as DepthToSpace."""
    value, name = lowering.value(node.inputs[0]), node.outputs[0]
    size, block = (tuple(map(int, lowering.required(node, i, what))) for i, what in ((1, "size"), (2, "block")))
    tiles = tuple(length // side for length, side in zip(size, block, strict=True))
    whole = len(size) == 2 and tuple(count * side for count, side in zip(tiles, block, strict=True)) == size
    if node.integers("strides", (1, 1)) != block or not whole or any(node.integers("pads", ())):
        raise lowering.refusal(node, "its patches do not lie side by side in rows and columns; write ConvTranspose")
    batch, depth = value.shape[0], value.shape[1] // math.prod(block)
    value = reread(lowering, value, (batch, depth, *block, *tiles), f"{name}/blocks")
    lowering.bind(name, reread(lowering, transposed(value, (0, 1, 4, 2, 5, 3)), (batch, depth, *size), name))


@lowers("ScatterND", "ScatterElements")
def scatter(lowering: Lowering, node: Node) -> None:
    """What is written to constant places, as `x[:, 1:] = y` is exported: one GATHER from old and new numbers."""
    data, updates, name = lowering.value(node.inputs[0]), lowering.value(node.inputs[2]), node.outputs[0]
    places = lowering.required(node, 1, "indices")
    if (reduction := node.text("reduction", "none")) != "none":
        raise lowering.refusal(node, f"it takes '{reduction}' with what is there; write that of two whole tensors")
    chosen = np.arange(math.prod(data.shape)).reshape(data.shape)
    new = chosen.size + np.arange(math.prod(updates.shape)).reshape(updates.shape)
    if node.op == "ScatterND":
        chosen[tuple(np.moveaxis(places, -1, 0))] = new
    else:
        where = np.indices(places.shape)
        where[node.integer("axis", 0)] = places
        chosen[tuple(where)] = new
    rows = [reread(lowering, v, (1, math.prod(v.shape)), f"{name}/{n}") for n, v in (("old", data), ("new", updates))]
    both = concatenated(lowering, rows, 1, f"{name}/both")
    picked = gathered(lowering, both, 1, chosen.reshape(-1), f"{name}/chosen")
    lowering.bind(name, reread(lowering, picked, data.shape, name))


@lowers("SpaceToDepth")
def space_to_depth(lowering: Lowering, node: Node) -> None:
    value, name = lowering.picture(node, node.inputs[0]), node.outputs[0]
    options = schema.SpaceToDepthOptionsT()
    options.blockSize = node.integer("blocksize", 1)
    shape = lowering.graph.shapes[name]
    lowering.bind(name, lowering.emit(Code.SPACE_TO_DEPTH, [value], name, shape, value.order, options))
