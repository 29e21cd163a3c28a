"""Small float networks with seeded weights, written operator by operator: what the quantisation tests share."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgematte.convert.tflite.builder import Builder
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.network.interpreter import load
from edgematte.runtime.picture.images import Image
from edgematte.runtime.picture.scale import resize

SIDE = 64  # pixels
CODE = schema.BuiltinOperator
ACTIVATION = schema.ActivationFunctionType


class Net:
    """A network under construction; every method appends an operator and gives its output tensor."""

    def __init__(self, *, seed: int = 0, scale: float = 1 / 255, zero_point: int = 0) -> None:
        self.builder = Builder()
        self.random = np.random.default_rng(seed)
        self.scale, self.zero_point = scale, zero_point
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.image = self._tensor("image", (1, SIDE, SIDE, 3))

    def _tensor(self, name: str, shape: tuple[int, ...]) -> int:
        tensor = self.builder.tensor(name, shape)
        self.shapes[tensor] = shape
        return tensor

    def conv(
        self, name: str, x: int, channels: int, *, size: int = 3, stride: int = 1, act: str = "RELU", groups: int = 1
    ) -> int:
        """Convolution with SAME padding and He-scaled weights."""
        _, rows, columns, width = self.shapes[x]
        width //= groups
        options = schema.Conv2DOptionsT()
        self._window(options, stride, act)
        weights = self.random.normal(0, (2 / (size * size * width)) ** 0.5, (channels, size, size, width))
        y = self._tensor(name, (1, -(-rows // stride), -(-columns // stride), channels))
        inputs = [x, self._constant(f"{name}/weights", weights), self._bias(name, channels)]
        self.builder.operator(CODE.CONV_2D, inputs, [y], options)
        return y

    def depthwise(self, name: str, x: int, *, act: str = "RELU", weights: NDArray | None = None) -> int:
        """3 by 3 depthwise convolution with SAME padding."""
        channels = self.shapes[x][-1]
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        self._window(options, 1, act)
        if weights is None:
            weights = self.random.normal(0, 1 / 3, (1, 3, 3, channels))
        y = self._tensor(name, self.shapes[x])
        inputs = [x, self._constant(f"{name}/weights", weights), self._bias(name, channels)]
        self.builder.operator(CODE.DEPTHWISE_CONV_2D, inputs, [y], options)
        return y

    def double(self, name: str, x: int) -> int:
        """Bilinear enlargement by two."""
        _, rows, columns, channels = self.shapes[x]
        options = schema.ResizeBilinearOptionsT()
        options.halfPixelCenters = True
        y = self._tensor(name, (1, 2 * rows, 2 * columns, channels))
        size = self._constant(f"{name}/size", np.array([2 * rows, 2 * columns], np.int32))
        self.builder.operator(CODE.RESIZE_BILINEAR, [x, size], [y], options, version=3)
        return y

    def enlarge(self, name: str, x: int, channels: int) -> int:
        """Transposed convolution with a 2 by 2 kernel that enlarges by two."""
        _, rows, columns, width = self.shapes[x]
        options = schema.TransposeConvOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 2, 2
        y = self._tensor(name, (1, 2 * rows, 2 * columns, channels))
        weights = self.random.normal(0, width**-0.5, (channels, 2, 2, width))
        size = self._constant(f"{name}/size", np.array(self.shapes[y], np.int32))
        inputs = [size, self._constant(f"{name}/weights", weights), x, self._bias(name, channels)]
        self.builder.operator(CODE.TRANSPOSE_CONV, inputs, [y], options, version=3)
        return y

    def dense(self, name: str, x: int, channels: int) -> int:
        """Matrix product with all numbers of a tensor."""
        width = int(np.prod(self.shapes[x]))
        weights = self._constant(f"{name}/weights", self.random.normal(0, width**-0.5, (channels, width)))
        y = self._tensor(name, (1, channels))
        inputs = [x, weights, self._bias(name, channels)]
        self.builder.operator(CODE.FULLY_CONNECTED, inputs, [y], schema.FullyConnectedOptionsT())
        return y

    def concat(self, name: str, *tensors: int) -> int:
        """Along the channels."""
        options = schema.ConcatenationOptionsT()
        options.axis = 3
        y = self._tensor(name, (*self.shapes[tensors[0]][:3], sum(self.shapes[t][3] for t in tensors)))
        self.builder.operator(CODE.CONCATENATION, list(tensors), [y], options)
        return y

    def add(self, name: str, one: int, other: int | float, *, act: str = "NONE") -> int:
        """Sum of two tensors, or of one and a constant."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = getattr(ACTIVATION, act)
        if not isinstance(other, int):
            other = self._constant(f"{name}/offset", np.array([other]))
        y = self._tensor(name, self.shapes[one])
        self.builder.operator(CODE.ADD, [one, other], [y], options)
        return y

    def mul(self, name: str, one: int, other: int) -> int:
        """Product of two tensors."""
        options = schema.MulOptionsT()
        y = self._tensor(name, self.shapes[one])
        self.builder.operator(CODE.MUL, [one, other], [y], options)
        return y

    def times(self, name: str, x: int, factor: float) -> int:
        """Every number multiplied by a constant."""
        y = self._tensor(name, self.shapes[x])
        self.builder.operator(
            CODE.MUL, [x, self._constant(f"{name}/factor", np.array([factor]))], [y], schema.MulOptionsT()
        )
        return y

    def unary(self, name: str, kind: str, x: int) -> int:
        """RELU, LOGISTIC, SQRT, … of every number."""
        y = self._tensor(name, self.shapes[x])
        self.builder.operator(getattr(CODE, kind), [x], [y])
        return y

    def global_mean(self, name: str, x: int) -> int:
        """As exporters write it: an average pool over everything."""
        _, rows, columns, channels = self.shapes[x]
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth, options.strideH, options.strideW = rows, columns, rows, columns
        options.padding = schema.Padding.VALID
        y = self._tensor(name, (1, 1, 1, channels))
        self.builder.operator(CODE.AVERAGE_POOL_2D, [x], [y], options)
        return y

    def finish(self, logits: int) -> FloatModel:
        """With a logistic at the end."""
        alpha = self.unary("alpha", "LOGISTIC", logits)
        tflite = self.builder.finish({"image": self.image}, {"alpha": alpha})
        return FloatModel(TfliteGraph(tflite), (SIDE, SIDE), self.scale, self.zero_point, {}, {})

    @staticmethod
    def _window(options: schema.Conv2DOptionsT | schema.DepthwiseConv2DOptionsT, stride: int, act: str) -> None:
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = getattr(ACTIVATION, act)

    def _constant(self, name: str, values: NDArray) -> int:
        dtype = np.int32 if values.dtype.kind == "i" else np.float32
        return self.builder.constant(name, np.asarray(values, dtype))

    def _bias(self, name: str, channels: int) -> int:
        return self._constant(f"{name}/bias", self.random.normal(0, 0.1, channels))


def unet(*, seed: int = 0) -> FloatModel:
    """Two levels, a skip by concatenation, logits from a 1 by 1 convolution; mean and std 128 in the input."""
    net = Net(seed=seed, scale=1 / 128, zero_point=128)
    skip = net.conv("skip", net.image, 8, stride=2)
    deep = net.conv("middle", net.conv("deep", skip, 16, stride=2), 16)
    joined = net.concat("joined", net.double("up", deep), skip)
    return net.finish(net.conv("logits", net.conv("last", joined, 8), 1, size=1, act="NONE"))


def uneven_depthwise() -> FloatModel:
    """An expansion whose channels differ a hundredfold in size, evened out again by the depthwise kernel after it."""
    net = Net(seed=1)
    wide = net.conv("wide", net.image, 12, size=1)
    spread = np.geomspace(1, 100, 12)
    narrow = net.depthwise("narrow", wide, weights=net.random.normal(0, 1 / 3, (1, 3, 3, 12)) / spread)
    model = net.finish(net.conv("logits", narrow, 1, size=1, act="NONE"))
    return scaled_output(model, "wide", spread)


def grouped() -> FloatModel:
    """A convolution in two groups, each of which reads half of its input's channels."""
    net = Net(seed=4)
    halves = net.conv("halves", net.conv("wide", net.image, 8), 8, groups=2)
    model = net.finish(net.conv("logits", halves, 1, size=1, act="NONE"))
    return scaled_output(model, "wide", np.geomspace(1, 30, 8))


def scaled_output(model: FloatModel, layer: str, factors: NDArray) -> FloatModel:
    """The same network with a convolution's output channels multiplied."""
    graph = model.graph.copy()
    for part, shape in (("weights", (-1, 1, 1, 1)), ("bias", (-1,))):
        tensor = graph.numbers[f"{layer}/{part}"]
        graph.set_constant(tensor, (graph.constant(tensor) * factors.reshape(shape)).astype(np.float32))
    return model.with_graph(graph)


def alpha(content: bytes | TfliteGraph, model: FloatModel, image: Image) -> NDArray[np.float32]:
    """Alpha 0…1 (rows, columns) of a float network or its int8 form."""
    network = load(content if isinstance(content, bytes) else content.to_bytes(), threads=1)
    pixels = resize(image, model.size)
    if network.inputs[0].dtype == np.float32:
        return network.run(model.to_input(pixels))[0, :, :, 0]
    info = network.outputs[0]
    return (network.run(pixels[np.newaxis])[0, :, :, 0].astype(np.float32) - info.zero_point) * np.float32(info.scale)
