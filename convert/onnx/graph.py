""".onnx file in, a checked graph out: one image input, one output, static shapes, everything constant folded away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from ...runtime.device.files import sha256
from ...runtime.errors import ConversionError, ModelError
from ...runtime.picture.images import Size
from . import fold
from .ends import Ending, Frozen, channels_last, dtype_of, ending, freeze, image_input
from .qdq import Level, before_stored, keep_scales

OLDEST_OPSET = 7  # broadcasting as numpy does it; new ones are read by their operators
MASKED = np.float32(-30)  # of its exponential hardly anything is left, and int8 keeps levels for all else
LARGEST_BYTES = 2**31 - 1  # a protobuf message, and a TFLite flatbuffer, cannot be larger
LARGEST_SIDE = 8192  # pixels; a wrong --imgsz must not fill the memory
# First bytes of a file in ONNX's format: the tags of its model's fields, nearly always the first, its version.
FIRST_BYTES = b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca\xd2"
# Input channels of a network that cuts out, and of one that follows: RGB, the last matte, likeness to the subject.
RGB, RGB_AND_REMEMBERED = 3, 5

Attribute = int | float | str | list[int] | list[float] | list[str] | NDArray


@dataclass(frozen=True)
class Node:
    """One ONNX operator; names are the tensors', '' stands for an input left out."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def integers(self, name: str, default: Iterable[int]) -> tuple[int, ...]:
        """A list attribute such as strides or pads."""
        value = self.attributes.get(name)
        return tuple(int(v) for v in value) if isinstance(value, list) else tuple(default)

    def integer(self, name: str, default: int) -> int:
        value = self.attributes.get(name, default)
        return int(value) if isinstance(value, int | float) else default

    def number(self, name: str, default: float) -> float:
        value = self.attributes.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default


@dataclass(frozen=True)
class Graph:
    """A network ready for lowering; nodes are in execution order and none of them is constant."""

    nodes: tuple[Node, ...]
    input: str  # the image's tensor
    output: str  # the matte's, or the logits'
    constants: Mapping[str, NDArray]
    shapes: Mapping[str, tuple[int, ...]]  # of every tensor
    opset: int
    # Pinned, static and in single precision, with this input and output only: where layers are looked into. What a
    # conversion is compared with is the file itself (`original`).
    model: ModelProto
    sha256: str  # of the source file
    name: str
    path: Path
    dtype: np.dtype  # of the file's image input
    ending: Ending  # how the file goes on after `output`
    frozen: Frozen  # the file's other inputs, as they were said
    feeds: Mapping[str, NDArray]  # and what they hold
    half: bool  # the file computes in half precision
    levels: Mapping[str, Level]  # of a network that was quantised already: activation → what its int8 numbers mean

    @property
    def channels_last(self) -> bool:
        """Whether the picture's channels come after its columns."""
        return _channels_last(self.shapes[self.input])

    @property
    def channels(self) -> int:
        """Of the input: 3 for a picture, 4 for a picture and its coarse alpha."""
        return self.shapes[self.input][3 if self.channels_last else 1]

    @property
    def size(self) -> Size:
        """(width, height) of the input."""
        shape = self.shapes[self.input]
        rows, columns = shape[1:3] if self.channels_last else shape[2:]
        return columns, rows

    def consumers(self, tensor: str) -> list[Node]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.inputs]

    def producer(self, tensor: str) -> Node | None:
        """The node that computes a tensor."""
        return next((node for node in self.nodes if tensor in node.outputs), None)


def load(path: Path, *, size: Size | None = None, output: str | None = None, frozen: Frozen | None = None) -> Graph:
    """Read, check, pin to batch 1 and `size` (width, height), infer shapes and fold constants.

    `output`: the tensor that holds the matte, where the network has several outputs. `frozen`: what its other inputs
    hold. Raises `ModelError` for a file that is not an intact ONNX network, `UsageError` for names that it does not
    have, and `ConversionError` for a network that is intact but not one image in, one matte out, with known shapes.
    """
    path = Path(path)
    try:
        return _loaded(path, size, output, frozen or {})
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, StopIteration) as error:
        raise ModelError(f"{path}: not an intact ONNX network ({error!r}); export or copy it again") from error


def _loaded(path: Path, size: Size | None, output: str | None, frozen: Frozen, *, alone: bool = False) -> Graph:
    """A frozen input's named axes are as long as the picture's of the same name, or, where that does not fit, 1
    (`alone`): the states of a recurrent network are called after the picture's axes, and begin as a single nought."""
    model = _read(path)
    opset = _opset(model, path)
    model = inliner.inline_local_functions(model) if model.functions else model
    types, half = _single_precision(model)
    _make_masks_finite(model)
    output = before_stored(model, output)
    levels = keep_scales(model, path.name)
    end = ending(model, path.name, output)
    _sort(model, end.tensor, path)
    read = {name for node in model.graph.node for name in _inputs(node)}
    entry = image_input(model, path.name, read, frozen)
    image = entry.name
    dtype = types.get(image, dtype_of(entry, path.name))
    feeds = _pin(model, image, end.tensor, size, path, frozen, alone=alone)
    feeds = {name: values.astype(types.get(name, values.dtype)) for name, values in feeds.items()}
    try:
        folded = fold.fold(model, path.name)
    except (ConversionError, ModelError) as error:
        numbers = [name for name, value in frozen.items() if not isinstance(value, Path)]
        if not numbers:
            raise
        if not alone:
            return _loaded(path, size, output, frozen, alone=True)
        hint = f"If an input's shape is the reason, give it as a file: --input {numbers[0]}=FILE.npy"
        raise type(error)(f"{error}. {hint}") from error
    _check_numbers(folded.nodes, folded.constants)
    nodes = tuple(_node(proto, position) for position, proto in enumerate(folded.nodes))
    if not nodes:
        raise ConversionError(f"{path.name}: the output does not depend on the image; nothing is left to convert")
    used = {name for node in nodes for name in node.inputs}
    constants = {name: array for name, array in folded.constants.items() if name in used}
    return Graph(
        nodes, image, end.tensor, constants, folded.shapes, opset, model, sha256(path), path.stem, path, dtype, end,
        frozen, feeds, half, levels,
    )  # fmt: skip


# reading ----------------------------------------------------------------------------------------------------------
def _read(path: Path) -> ModelProto:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; expected an ONNX network")
    if path.stat().st_size > LARGEST_BYTES:
        raise ModelError(f"{path}: {path.stat().st_size / 2**30:.1f} GB; networks up to 2 GB can be converted")
    if path.stat().st_size == 0:
        raise ModelError(f"{path}: the file is empty; expected an ONNX network")
    refusal = f"{path}: not an ONNX network, or a truncated one; export or copy it again"
    with path.open("rb") as file:
        if file.read(1) not in FIRST_BYTES:  # two gigabytes of something else are not read to find that out
            raise ModelError(refusal)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, UnicodeDecodeError) as error:
        raise ModelError(refusal) from error
    except MemoryError as error:
        raise ModelError(
            f"{path}: this machine's memory is too small to read it; expected a smaller network"
        ) from error
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise ModelError(f"{path}: weights '{name}' are stored as sparse; export them whole (dense initializers)")
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path}: no operators or no output in it; expected an ONNX network that computes something")
    _load_external(model, path)
    return model


def _load_external(model: ModelProto, path: Path) -> None:
    needed: dict[Path, int] = {}
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            info = ExternalDataInfo(tensor)
            place = path.parent / info.location
            needed[place] = max(needed.get(place, 0), (info.offset or 0) + (info.length or 0))
    for place, end in needed.items():
        if not place.is_file():
            raise ModelError(f"{path}: its weights are in {place.name}, which is missing; put it beside the network")
        if place.stat().st_size < end:
            raise ModelError(f"{path}: its weights in {place.name} end early ({place.stat().st_size} of {end} bytes)")
    total = path.stat().st_size + sum(place.stat().st_size for place in needed)
    if total > LARGEST_BYTES:
        raise ModelError(f"{path}: {total / 2**30:.1f} GB with its weights; networks up to 2 GB can be converted")
    if needed:
        load_external_data_for_model(model, str(path.parent))


def _opset(model: ModelProto, path: Path) -> int:
    versions = sorted({entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")})
    if len(versions) != 1 or versions[0] < OLDEST_OPSET:
        found = f"opset {' and '.join(map(str, versions))}" if versions else "no opset of the standard operators"
        raise ConversionError(
            f"{path.name}: {found}; expected {OLDEST_OPSET} or later. Export again with opset_version=17"
        )
    return versions[0]


def _single_precision(model: ModelProto) -> tuple[dict[str, np.dtype], bool]:
    """Half and double precision become float32 in place: the device computes float32 or int8 anyway.

    Returns the types that inputs had, and whether anything was in half precision.
    """
    half = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    others = (*half, TensorProto.DOUBLE)
    found: set[int] = set()
    types: dict[str, np.dtype] = {}
    graphs = [model.graph]  # with the branches of every If
    for graph in graphs:
        for tensor in graph.initializer:
            if tensor.data_type in others:
                found.add(tensor.data_type)
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
        for attribute in (attribute for node in graph.node for attribute in node.attribute):
            if attribute.name in ("to", "dtype") and attribute.i in others:
                found.add(attribute.i)
                attribute.i = TensorProto.FLOAT
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in others:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float32)))
            if attribute.type == onnx.AttributeProto.GRAPH:
                graphs.append(attribute.g)
        for entry in (*graph.input, *graph.output, *graph.value_info):
            kind = entry.type.tensor_type
            if kind.elem_type in others:
                found.add(kind.elem_type)
                types[entry.name] = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
                kind.elem_type = TensorProto.FLOAT
    return types, not found.isdisjoint(half)


def _make_masks_finite(model: ModelProto) -> None:
    """-inf that is added or chosen, as masks before a softmax do, becomes what is as surely nothing there, in place."""
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in _inputs(node):
            readers.setdefault(name, set()).add(node.op_type)
    held = [(tensor.name, tensor) for tensor in model.graph.initializer]
    held += [
        (n.output[0], a.t) for n in model.graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")
    ]
    for name, tensor in held:
        if tensor.data_type == TensorProto.FLOAT and readers.get(name, {""}) <= {"Add", "Where"}:
            array = numpy_helper.to_array(tensor)
            if np.isneginf(array).any():
                tensor.CopyFrom(numpy_helper.from_array(np.where(np.isneginf(array), MASKED, array), tensor.name))


# structure --------------------------------------------------------------------------------------------------------
def _sort(model: ModelProto, output: str, path: Path) -> None:
    """Keep what the output needs, in execution order; refuse cycles and inputs that nothing computes."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output if name}
    known = {tensor.name for tensor in graph.initializer} | {entry.name for entry in graph.input} | {""}
    ordered: list[NodeProto] = []
    done: set[int] = set()
    open_nodes: set[int] = set()
    stack: list[tuple[NodeProto, bool]] = [(producers[output], False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            open_nodes.discard(id(node))
            done.add(id(node))
            ordered.append(node)
            continue
        if id(node) in done:
            continue
        if id(node) in open_nodes:
            raise ConversionError(f"{path.name}: cyclic graph: node '{_label(node)}' needs its own output")
        open_nodes.add(id(node))
        stack.append((node, True))
        for name in _inputs(node):
            if name in known:
                continue
            if name not in producers:
                raise ConversionError(
                    f"{path.name}: disconnected graph: node '{_label(node)}' reads '{name}', which nothing computes"
                )
            if id(producers[name]) in open_nodes:
                raise ConversionError(
                    f"{path.name}: cyclic graph: '{_label(node)}' and '{_label(producers[name])}' need each other"
                )
            if id(producers[name]) not in done:
                stack.append((producers[name], False))
    kept = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(kept)


def _inputs(node: NodeProto) -> list[str]:
    """Tensors a node reads, those of its If branches included."""
    names = list(node.input)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inner = {o for n in attribute.g.node for o in n.output} | {t.name for t in attribute.g.initializer}
            inner |= {entry.name for entry in attribute.g.input}
            names += [name for n in attribute.g.node for name in _inputs(n) if name not in inner]
            names += [entry.name for entry in attribute.g.output if entry.name not in inner]
    return names


def _pin(
    model: ModelProto, image: str, output: str, size: Size | None, path: Path, frozen: Frozen, *, alone: bool
) -> dict[str, NDArray]:
    """Make the input static, in place, and leave only this input and this output; gives the frozen inputs' values."""
    graph = model.graph
    entry = next(e for e in graph.input if e.name == image)
    dims = entry.type.tensor_type.shape.dim
    found = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]
    written = "×".join(str(d.dim_param or d.dim_value or "?") for d in dims) or "unknown"
    if len(found) != 4:
        raise ConversionError(f"{path.name}: input '{image}' is {written}; expected 4 axes, 1×3×H×W or 1×H×W×3")
    names = [d.dim_param for d in dims]
    told = None if RGB in (found[1], found[3]) else channels_last(model, image, found, names)
    last = _channels_last(found) if told is None else told
    if found[3 if last else 1] not in (RGB, RGB_AND_REMEMBERED, None):
        raise ConversionError(
            f"{path.name}: input '{image}' is {written}; expected 3 colour channels on axis 1 or 3, or 5 of a "
            "follower: RGB, the last matte and a likeness. A picture and its mask in one: export them as two inputs, "
            "and give the mask with --input NAME=0"
        )
    if found[0] not in (1, None):
        raise ConversionError(f"{path.name}: input '{image}' is {written}, a fixed batch of {found[0]}; export batch 1")
    rows, columns, colours = (1, 2, 3) if last else (2, 3, 1)
    if size is None and (found[rows] is None or found[columns] is None):
        raise ConversionError(f"{path.name}: input '{image}' is {written}, its size is open; pass --imgsz WxH")
    if size is not None:
        if not all(0 < side <= LARGEST_SIDE for side in size):
            raise ConversionError(f"size {size[0]}x{size[1]}; expected 1 to {LARGEST_SIDE} pixels per side")
        for axis, side in ((columns, size[0]), (rows, size[1])):
            if found[axis] not in (None, side):
                raise ConversionError(
                    f"{path.name}: input '{image}' is {written}, fixed; --imgsz {size[0]}x{size[1]} cannot change it"
                )
            found[axis] = side
    found[0], found[colours] = 1, found[colours] or RGB
    pinned = {name: n or 1 for name, n in zip(names, found, strict=True) if name and not alone}
    feeds = freeze(model, frozen, pinned)
    static = helper.make_tensor_value_info(image, TensorProto.FLOAT, [d or 1 for d in found])
    del graph.input[:]
    graph.input.append(static)
    del graph.value_info[:]
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    read = {name for node in graph.node for name in _inputs(node)}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        kept = [TensorProto.FromString(t.SerializeToString()) for t in kept]
        del graph.initializer[:]
        graph.initializer.extend(kept)
    model.ir_version = max(model.ir_version, fold.IR_VERSION)  # before 4 every constant had to be an input as well
    return feeds


def _channels_last(shape: Sequence[int | None]) -> bool:
    """Whether an input's channels come last; three of them are surer signs than five, and planes than rows."""
    if RGB in (shape[1], shape[3]):
        return shape[1] != RGB
    return shape[3] == RGB_AND_REMEMBERED and shape[1] != RGB_AND_REMEMBERED


def _check_numbers(nodes: Iterable[NodeProto], constants: Mapping[str, NDArray]) -> None:
    for node in nodes:
        for name in node.input:
            array = constants.get(name)
            if array is None or array.dtype.kind != "f":
                continue
            bad = np.isnan(array) if node.op_type in ("Clip", "Min", "Max", "Pad") else ~np.isfinite(array)
            if bad.any():
                masks = node.op_type in ("Add", "Sub", "Mul", "Where") and not np.isnan(array).any()
                raise ConversionError(
                    f"{int(bad.sum())} of {array.size} values of '{name}' are NaN or infinite, in layer "
                    f"'{_label(node)}' ({node.op_type}); "
                    + (
                        f"int8 has no number for that; of a mask before a softmax write {MASKED:g} in its place"
                        if masks
                        else "the training diverged or the file is damaged"
                    )
                )


def _label(node: NodeProto) -> str:
    return node.name or (node.output[0] if node.output else node.op_type)


def _node(proto: NodeProto, position: int) -> Node:
    attributes: dict[str, Attribute] = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            attributes[attribute.name] = value.decode("utf-8", "replace")
        elif isinstance(value, TensorProto):
            attributes[attribute.name] = numpy_helper.to_array(value)
        elif isinstance(value, int | float | np.ndarray):
            attributes[attribute.name] = value
        elif not isinstance(value, onnx.GraphProto):
            attributes[attribute.name] = [v.decode() if isinstance(v, bytes) else v for v in value]
    domain = f"{proto.domain}." if proto.domain not in ("", "ai.onnx") else ""
    return Node(
        op=f"{domain}{proto.op_type}",
        name=proto.name or f"{proto.op_type}_{position}",
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
    )
