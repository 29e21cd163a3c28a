"""Random small networks from the whole operator set, against onnxruntime.

CI runs a fixed fifty. For more, other ones every time: RANDOM_GRAPHS=500 pytest tests/convert/test_random_graphs.py
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from .tiny import CHANNELS, COLUMNS, ROWS, Op, difference, floats, ints, model_of, op

COUNT = int(os.environ.get("RANDOM_GRAPHS", "50"))
TOLERANCE = 1e-4  # of the output's largest magnitude: up to fourteen operators' roundings, normalisations among them
MOST_NUMBERS = 20_000  # in one tensor
MOST_STEPS = 14

Shape = tuple[int, ...]
Draw = Callable[..., int]


class Sketch:
    """A network being drawn: its nodes so far and the shapes of its tensors."""

    def __init__(self, draw: Callable) -> None:
        self.draw = draw
        self.ops: list[Op] = []
        self.shapes: dict[str, Shape] = {"x": (1, CHANNELS, ROWS, COLUMNS)}
        self.last = "x"

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def choice(self, options: list) -> object:
        return options[self.integer(0, len(options) - 1)]

    def constants(self, *shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
        return floats(*shape, seed=self.integer(0, 99), low=low, high=high)

    def add(self, kind: str, shape: Shape, *inputs: object, **attributes: object) -> None:
        """Append a node reading the last tensor (or `inputs`) whose result has this shape."""
        name = f"t{len(self.ops)}"
        self.ops.append(op(kind, *(inputs or (self.last,)), outputs=[name], **attributes))
        self.shapes[name], self.last = tuple(shape), name


def convolve(s: Sketch, shape: Shape) -> None:
    _, channels, rows, columns = shape
    kernel, stride, dilation = s.choice([1, 3, 5]), s.choice([1, 1, 2]), s.choice([1, 1, 2])
    groups = s.choice([g for g in (1, 1, 2, channels) if channels % g == 0])
    outputs = groups * s.integer(1, max(1, 8 // groups))
    pads = [s.integer(0, kernel // 2 * dilation) for _ in range(4)]
    reach = (kernel - 1) * dilation + 1
    sizes = [(n + pads[a] + pads[a + 2] - reach) // stride + 1 for a, n in enumerate((rows, columns))]
    if min(sizes) < 1:
        return
    weights = s.constants(outputs, channels // groups, kernel, kernel) / math.sqrt(channels // groups * kernel)
    s.add(
        "Conv", (1, outputs, *sizes), s.last, weights, s.constants(outputs),
        pads=pads, strides=[stride, stride], dilations=[dilation, dilation], group=groups,
    )  # fmt: skip


def enlarge(s: Sketch, shape: Shape) -> None:
    _, channels, rows, columns = shape
    kernel, stride = s.integer(1, 4), s.integer(1, 3)
    pads = [s.integer(0, kernel // 2) for _ in range(4)]
    extra = s.integer(0, stride - 1)
    sizes = [(n - 1) * stride + kernel - pads[a] - pads[a + 2] + extra for a, n in enumerate((rows, columns))]
    outputs = s.integer(1, 6)
    if min(sizes) < 1 or outputs * math.prod(sizes) > MOST_NUMBERS:
        return
    weights = s.constants(channels, outputs, kernel, kernel) / math.sqrt(channels * kernel)
    s.add(
        "ConvTranspose", (1, outputs, *sizes), s.last, weights, s.constants(outputs),
        pads=pads, strides=[stride, stride], output_padding=[extra, extra],
    )  # fmt: skip


def pool(s: Sketch, shape: Shape) -> None:
    kernel, stride = s.integer(1, 3), s.integer(1, 2)
    pads = [s.integer(0, kernel // 2) for _ in range(4)]
    sizes = [(n + pads[a] + pads[a + 2] - kernel) // stride + 1 for a, n in enumerate(shape[2:])]
    if min(sizes) < 1:
        return
    kind = s.choice(["MaxPool", "AveragePool"])
    more = {"count_include_pad": s.integer(0, 1)} if kind == "AveragePool" else {}
    s.add(kind, (*shape[:2], *sizes), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, **more)


def resize(s: Sketch, shape: Shape) -> None:
    sizes = [s.integer(1, 2 * n + 1) for n in shape[2:]]
    if shape[1] * math.prod(sizes) > MOST_NUMBERS:
        return
    mode = s.choice(["nearest", "linear", "linear", "cubic"])
    coordinates = s.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    if s.integer(0, 1) and shape[1] * math.prod(shape[2:]) * 6 < MOST_NUMBERS:
        factors = [float(s.choice([0.5, 1.0, 1.5, 2.0])) for _ in range(2)]
        sizes = [int(n * factor) for n, factor in zip(shape[2:], factors, strict=True)]
        if min(sizes) < 1:
            return
        inputs = [s.last, "", np.asarray([1, 1, *factors], np.float32)]
    else:
        inputs = [s.last, "", "", ints(*shape[:2], *sizes)]
    more = {"nearest_mode": s.choice(["floor", "round_prefer_floor", "ceil"])} if mode == "nearest" else {}
    s.add("Resize", (*shape[:2], *sizes), *inputs, mode=mode, coordinate_transformation_mode=coordinates, **more)


def activate(s: Sketch, shape: Shape) -> None:
    kind = s.choice(
        ["Relu", "Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Clip"]
    )
    if kind == "Clip":
        low = s.choice([-1.0, -0.3, 0.0])
        s.add("Clip", shape, s.last, np.float32(low), np.float32(low + s.choice([0.5, 1.0, 6.0])))
    else:
        s.add(str(kind), shape)


def prelu(s: Sketch, shape: Shape) -> None:
    slopes = s.constants(shape[1], *[1] * (len(shape) - 2), low=-0.5, high=s.choice([0.5, 1.5]))
    s.add("PRelu", shape, s.last, slopes)


def normalise(s: Sketch, shape: Shape) -> None:
    c = shape[1]
    kind = s.choice(["BatchNormalization", "LayerNormalization", "InstanceNormalization"])
    if kind == "BatchNormalization":
        numbers = [s.constants(c, low=0.5, high=2), s.constants(c), s.constants(c), s.constants(c, low=0.3, high=2)]
        s.add(kind, shape, s.last, *numbers)
    elif kind == "LayerNormalization" and shape[-1] > 3:
        s.add(kind, shape, s.last, s.constants(shape[-1]), s.constants(shape[-1]), epsilon=0.1)
    elif math.prod(shape[2:]) > 3:
        s.add("InstanceNormalization", shape, s.last, s.constants(c), s.constants(c), epsilon=0.1)


def with_constant(s: Sketch, shape: Shape) -> None:
    dims = [n if s.integer(0, 1) else 1 for n in shape][s.integer(0, len(shape) - 1) :]
    kind = str(s.choice(["Add", "Mul", "Sub", "Div", "Max", "Min"]))
    constant = s.constants(*dims, low=0.5 if kind == "Div" else -1.0, high=2.0)
    inputs = [constant, s.last] if kind in ("Add", "Mul", "Sub") and s.integer(0, 1) else [s.last, constant]
    s.add(kind, shape, *inputs)


def with_earlier(s: Sketch, shape: Shape) -> None:
    """A residual, a gate, a broadcast: any earlier tensor that fits."""
    fitting = []
    for name, other in s.shapes.items():
        try:
            result = np.broadcast_shapes(shape, other)
        except ValueError:
            continue
        if math.prod(result) <= MOST_NUMBERS and len(result) <= 4:
            fitting.append((name, result))
    if not fitting:
        return
    name, result = s.choice(fitting)
    kind = str(s.choice(["Add", "Mul", "Sub", "Max"]))
    pair = [name, s.last] if s.integer(0, 1) else [s.last, name]
    if kind == "Mul":
        s.add("Sigmoid", s.shapes[pair[0]], pair[0])  # gates, not products that grow
        pair[0] = s.last
    s.add(kind, result, *pair)


def concatenate(s: Sketch, shape: Shape) -> None:
    axis = s.integer(0, len(shape) - 1)
    fitting = [
        name
        for name, other in s.shapes.items()
        if len(other) == len(shape)
        and all(a == axis or m == n for a, (m, n) in enumerate(zip(other, shape, strict=True)))
    ]
    if axis == 0 or not fitting:
        return
    name = s.choice(fitting)
    total = shape[axis] + s.shapes[name][axis]
    result = tuple(total if a == axis else n for a, n in enumerate(shape))
    if math.prod(result) <= MOST_NUMBERS:
        s.add("Concat", result, s.last, name, axis=axis)


def cut(s: Sketch, shape: Shape) -> None:
    axis = s.integer(1, len(shape) - 1)
    n = shape[axis]
    kind = s.choice(["Slice", "Gather", "Split"])
    if kind == "Slice":
        start, step = s.integer(0, n - 1), s.choice([1, 1, 2, -1])
        end = n if step > 0 else -n - 1
        length = len(range(*slice(start, end, step).indices(n)))
        inputs = [s.last, ints(start), ints(end), ints(axis), ints(step)]
        s.add("Slice", tuple(length if a == axis else m for a, m in enumerate(shape)), *inputs)
    elif kind == "Gather":
        chosen = [s.integer(-n, n - 1) for _ in range(s.integer(1, n))]
        s.add(
            "Gather",
            tuple(len(chosen) if a == axis else m for a, m in enumerate(shape)),
            s.last,
            ints(*chosen),
            axis=axis,
        )
    elif n > 1:
        first = s.integer(1, n - 1)
        parts = [f"t{len(s.ops)}", f"u{len(s.ops)}"]
        s.ops.append(op("Split", s.last, ints(first, n - first), outputs=parts, axis=axis))
        for name, length in zip(parts, (first, n - first), strict=True):
            s.shapes[name] = tuple(length if a == axis else m for a, m in enumerate(shape))
        s.last = parts[0]


def pad(s: Sketch, shape: Shape) -> None:
    mode = str(s.choice(["constant", "constant", "reflect", "edge"]))
    most = 0 if mode == "reflect" and min(shape[2:]) < 3 else 2
    pads = [0, 0, s.integer(0, most), s.integer(0, most), 0, 0, s.integer(0, most), s.integer(0, most)]
    result = (*shape[:2], shape[2] + pads[2] + pads[6], shape[3] + pads[3] + pads[7])
    inputs = [s.last, ints(*pads)]
    if mode == "constant" and s.integer(0, 1):
        inputs.append(np.float32(0.5))
    s.add("Pad", result, *inputs, mode=mode)


def transpose(s: Sketch, shape: Shape) -> None:
    permutation = s.draw(st.permutations(range(1, len(shape))))
    s.add("Transpose", (1, *(shape[a] for a in permutation)), perm=[0, *permutation])


def reshape(s: Sketch, shape: Shape) -> None:
    """Merge two neighbouring axes, or split one."""
    axis = s.integer(1, len(shape) - 1)
    divisors = [d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0]
    if len(shape) < 4:
        factor = s.choice(divisors)
        result = (*shape[:axis], factor, shape[axis] // factor, *shape[axis + 1 :])
    elif axis + 1 < len(shape):
        result = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
    else:
        result = (1, *shape[2:], shape[1])
    s.add("Reshape", result, s.last, ints(*result))


def shuffle(s: Sketch, shape: Shape) -> None:
    channels = shape[1]
    groups = s.choice([g for g in range(1, channels + 1) if channels % g == 0])
    s.add(
        "Reshape", (1, groups, channels // groups, *shape[2:]), s.last, ints(1, groups, channels // groups, *shape[2:])
    )
    s.add("Transpose", (1, channels // groups, groups, *shape[2:]), perm=[0, 2, 1, 3, 4])
    s.add("Reshape", shape, s.last, ints(*shape))


def depth_to_space(s: Sketch, shape: Shape) -> None:
    if shape[1] % 4 == 0:
        mode = s.choice(["CRD", "DCR"])
        s.add("DepthToSpace", (1, shape[1] // 4, 2 * shape[2], 2 * shape[3]), blocksize=2, mode=mode)
    elif shape[2] % 2 == 0 and shape[3] % 2 == 0:
        s.add("SpaceToDepth", (1, shape[1] * 4, shape[2] // 2, shape[3] // 2), blocksize=2)


def reduce(s: Sketch, shape: Shape) -> None:
    axes = sorted({s.integer(1, len(shape) - 1) for _ in range(s.integer(1, 2))})
    keep = s.integer(0, 3) > 0 or len(shape) - len(axes) < 3
    kind = str(s.choice(["ReduceMean", "ReduceMax", "ReduceMin"]))
    result = [1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes]
    s.add(kind, tuple(result), axes=axes, keepdims=int(keep))


def softmax(s: Sketch, shape: Shape) -> None:
    s.add("Softmax", shape, axis=s.integer(-len(shape) + 1, -1))


def multiply(s: Sketch, shape: Shape) -> None:
    """Weights on the last axis, or the tensor with itself transposed."""
    if s.integer(0, 1):
        outputs = s.integer(1, 8)
        weights = s.constants(shape[-1], outputs) / math.sqrt(shape[-1])
        s.add("MatMul", (*shape[:-1], outputs), s.last, weights)
        return
    if math.prod(shape[:-1]) * shape[-2] > MOST_NUMBERS:
        return
    before = s.last
    s.add("Sigmoid", shape)
    swap = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    s.add("Transpose", tuple(shape[a] for a in swap), perm=swap)
    s.add("MatMul", (*shape[:-1], shape[-2]), before, s.last)


def expand(s: Sketch, shape: Shape) -> None:
    result = tuple(s.integer(1, 5) if n == 1 and a else n for a, n in enumerate(shape))
    if math.prod(result) <= MOST_NUMBERS:
        s.add("Expand", result, s.last, ints(*result))


PICTURES = [convolve, convolve, convolve, enlarge, pool, resize, pad, shuffle, depth_to_space]
ANY = [activate, activate, prelu, normalise, with_constant, with_earlier, with_earlier, concatenate, cut]
ANY += [transpose, reshape, reduce, softmax, multiply, expand]


@st.composite
def networks(draw: Callable) -> list[Op]:
    """Between one and fourteen steps, chains and branches; the last tensor is the output."""
    sketch = Sketch(draw)
    for _ in range(draw(st.integers(1, MOST_STEPS))):
        shape = sketch.shapes[sketch.last]
        step = sketch.choice(PICTURES + ANY if len(shape) == 4 else ANY)
        step(sketch, shape)
        if draw(st.integers(0, 5)) == 0:
            sketch.last = str(sketch.choice(list(sketch.shapes)))  # branch off an earlier tensor
    if not sketch.ops or sketch.last == "x":
        sketch.add("Relu", sketch.shapes[sketch.last])
    ending = next(i for i, node in enumerate(sketch.ops) if sketch.last in node.outputs)
    if sketch.last != sketch.ops[-1].outputs[0]:
        sketch.add("Identity", sketch.shapes[sketch.ops[ending].outputs[0]])
    return sketch.ops


@settings(
    max_examples=COUNT,
    derandomize="RANDOM_GRAPHS" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(networks())
def test_a_random_network_computes_what_onnxruntime_computes(ops: list[Op]) -> None:
    error, network = difference(model_of(ops))
    note(f"error {error:.1e}: {' → '.join(network.operators())}")
    assert error <= TOLERANCE
