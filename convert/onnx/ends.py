"""A network file's inputs and outputs → which input is the picture, what the others hold, which output is read.

`load` in `graph` calls these on the parsed file, before anything is folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from ...runtime.errors import ConversionError, UsageError

Frozen = Mapping[str, float | Path]  # input → the number it is filled with, or a .npy file that holds it
MAP_AXES = 4  # batch, channel, row, column
_LAYOUT = frozenset({"Squeeze", "Unsqueeze", "Identity", "Reshape", "Flatten", "Transpose"})
_WHOLE = frozenset(
    {TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT32, TensorProto.UINT64}
)
_THROUGH = ("Cast", "Resize", "Upsample", "Slice", "Pad")  # what may follow class numbers
_TRUTHS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not", "Xor"})


def frozen_input(text: str) -> tuple[str, float | Path]:
    """`NAME=0` or `NAME=FILE.npy`, as --input takes it and a reading keeps it. Raises UsageError."""
    name, equals, value = text.rpartition("=")
    if not equals or not name or not value:
        raise UsageError(f"--input {text}: expected NAME=NUMBER or NAME=FILE.npy, such as r1i=0")
    try:
        return name, float(value)
    except ValueError:
        return name, Path(value)


class SeveralOutputsError(ConversionError):
    """A network with several outputs, and nobody said which holds the matte."""

    def __init__(self, file: str, names: Sequence[str], described: Sequence[str]) -> None:
        self.file, self.names = file, tuple(names)
        # A matte has one channel; a picture of the foreground three, a state many. Boxes and scores have fewer axes.
        known = list(zip(names, described, strict=True))
        maps = [name for name, said in known if said.partition("[")[2].partition("]")[0].count(",") == MAP_AXES - 1]
        likely = next((name for name, said in known if "[1, 1, " in said), maps[0] if maps else None)
        such = "of them none has the four axes of a map" if likely is None else f"such as --output {likely}"
        super().__init__(
            f"{file} has {len(names)} outputs: {'; '.join(described)}. Say which holds the matte with --output NAME, "
            f"{such}"
        )


@dataclass(frozen=True)
class Ending:
    """Where a network ends for us."""

    tensor: str  # what is lowered, and what is read of the file
    largest_along: int | None = None  # the file names the largest class along this axis of `tensor`; None: it does not
    last_wins: bool = False  # of equal classes it names the last, not the first
    counted: bool = False  # the file rounds `tensor` to whole numbers
    before: str = ""  # what it rounds


def ending(model: ModelProto, file: str, wanted: str | None) -> Ending:
    """The one output, or the tensor called `wanted`. Casts to whole numbers after it become casts to float, in place.

    An ArgMax that ends the network is cut off, because a matte is what goes into it. Raises SeveralOutputsError,
    UsageError for a tensor that the network does not have, ConversionError for an output that nothing computes.
    """
    producers = {name: node for node in model.graph.node for name in node.output if name}
    names = [entry.name for entry in model.graph.output]
    if wanted is None and len(names) > 1:
        raise SeveralOutputsError(file, names, [f"'{entry.name}' {_shape(entry)}" for entry in model.graph.output])
    if wanted is not None and wanted not in producers:
        outputs = ", ".join(names)
        raise UsageError(f"{file} computes no tensor '{wanted}'; its outputs are {outputs}. Name one with --output")
    name = wanted or names[0]
    if name not in producers:
        raise ConversionError(f"{file}: disconnected graph: no node computes the output '{name}'")
    node = before_layout(producers, name, also=("Cast",))
    if node is not None and node.op_type == "ArgMax":
        told = {a.name: a.i for a in node.attribute}
        return Ending(node.input[0], largest_along=told.get("axis", 0), last_wins=bool(told.get("select_last_index")))
    inside = before_layout(producers, name, also=_THROUGH)
    if inside is not None and inside.op_type == "Gather":  # of a table, with the class as the row
        inside = before_layout(producers, inside.input[1], also=_THROUGH)
    if inside is not None and inside.op_type == "ArgMax":
        raise ConversionError(
            f"{file}: node '{inside.name or inside.output[0]}' (ArgMax) makes class numbers, and more follows than a "
            f"matte can be read through; take what it decides on with --output {inside.input[0]}"
        )
    node = before_layout(producers, name)
    if node is None or node.op_type != "Cast":
        return Ending(name)
    to = next(a for a in node.attribute if a.name == "to")
    if to.i not in _WHOLE:
        return Ending(name)
    to.i = TensorProto.FLOAT
    source = producers.get(node.input[0])
    counted = source is None or source.op_type not in _TRUTHS
    return Ending(name, counted=counted, before=node.input[0])


def before_layout(producers: Mapping[str, NodeProto], name: str, also: Sequence[str] = ()) -> NodeProto | None:
    """The node that makes a tensor's numbers, whatever arranged them afterwards."""
    node = producers.get(name)
    while node is not None and (node.op_type in _LAYOUT or node.op_type in also):
        node = producers.get(node.input[0])
    return node


def image_input(model: ModelProto, file: str, read: set[str], frozen: Frozen) -> ValueInfoProto:
    """The one input that is read and not frozen.

    Raises ConversionError naming the others where there are several, UsageError for a frozen one that is not there.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    unknown = [name for name in frozen if name not in {entry.name for entry in inputs}]
    if unknown:
        known = ", ".join(f"{entry.name} {_shape(entry)}" for entry in inputs)
        raise UsageError(f"--input {unknown[0]}=…: {file} has no such input; it has {known}")
    left = [entry for entry in inputs if entry.name in read and entry.name not in frozen]
    if not left:
        raise ConversionError(f"{file}: the output depends on no input; expected one image")
    if len(left) > 1:
        described = ", ".join(f"'{entry.name}' {_shape(entry)}" for entry in left)
        pictures = [entry for entry in left if _is_picture(entry)]
        picture = next(iter(pictures), left[0])
        others = [entry for entry in left if entry is not picture]
        which = f" '{picture.name}' comes first; if it is not, say what it holds instead." if len(pictures) > 1 else ""
        said = " ".join(f"--input {entry.name}={'NUMBER' if _is_single(entry) else '0'}" for entry in others)
        raise ConversionError(
            f"{file}: {len(left)} inputs are open: {described}; expected one, the image.{which} Say what the others "
            f"hold: {said}, or a file, --input {others[0].name}=FILE.npy"
        )
    return left[0]


def _is_picture(entry: ValueInfoProto) -> bool:
    dims = [d.dim_value for d in entry.type.tensor_type.shape.dim]
    return len(dims) == 4 and 3 in (dims[1], dims[3])


def _is_single(entry: ValueInfoProto) -> bool:
    """A ratio, a size, a threshold: nought is seldom one."""
    return all(d.dim_value == 1 for d in entry.type.tensor_type.shape.dim)


def _shape(entry: ValueInfoProto) -> str:
    dims = entry.type.tensor_type.shape.dim
    return "[" + ", ".join(d.dim_param or str(d.dim_value or "?") for d in dims) + "]"


def freeze(model: ModelProto, frozen: Frozen, sizes: Mapping[str, int]) -> dict[str, NDArray]:
    """Make constants of the frozen inputs, in place; input → its values, in the type that the file declares.

    `sizes`: what named axes were pinned to; all others that are open have length 1.
    """
    feeds: dict[str, NDArray] = {}
    for entry in [e for e in model.graph.input if e.name in frozen]:
        kind = entry.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        found = frozen[entry.name]
        if isinstance(found, Path):
            values = _stored(entry, found).astype(dtype)
        else:
            values = np.full([d.dim_value or sizes.get(d.dim_param, 1) for d in kind.shape.dim], found, dtype)
        feeds[entry.name] = values
        single = values.astype(np.float32) if values.dtype.kind == "f" else values
        model.graph.initializer.append(numpy_helper.from_array(single, entry.name))
        model.graph.input.remove(entry)
    return feeds


def _stored(entry: ValueInfoProto, path: Path) -> NDArray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--input {entry.name}={path}: cannot be read as a .npy file ({error})") from error
    dims = [d.dim_value for d in entry.type.tensor_type.shape.dim]
    fits = len(dims) == values.ndim and all(d in (0, n) for d, n in zip(dims, values.shape, strict=True))
    if not fits:
        raise UsageError(f"--input {entry.name}={path}: it holds {list(values.shape)}, expected {_shape(entry)}")
    return values


def dtype_of(entry: ValueInfoProto, file: str) -> np.dtype:
    """The type of the picture's numbers. Raises ConversionError for one that holds no pixels."""
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type))
    if dtype.kind not in "fui" or dtype == np.int8:
        raise ConversionError(f"{file}: input '{entry.name}' holds {dtype}; expected numbers that 0 to 255 fit into")
    return dtype


def channels_last(model: ModelProto, image: str, shape: Sequence[int | None], names: Sequence[str]) -> bool | None:
    """Where the colours of an open input are, by the axes' names or by who reads it; None: unclear."""
    for axis, last in ((1, False), (3, True)):
        if names[axis].lower() in ("c", "ch", "channel", "channels", "colors", "colours"):
            return last
    tensors = {image}
    for node in model.graph.node:
        if not tensors.intersection(node.input[:1]):
            continue
        if node.op_type == "Transpose":
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
            return order == [0, 3, 1, 2]
        if node.op_type in ("Conv", "BatchNormalization", "Resize", "MaxPool", "AveragePool"):
            return False
        tensors.update(node.output)
    return None if shape[1] is None and shape[3] is None else False
