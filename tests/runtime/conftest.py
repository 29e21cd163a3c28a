"""Tiny real networks that call red the subject, in every convention other people use; and pictures to try them on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from warm_program import WarmProgram

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTH, HEIGHT = 48, 32
Ending = Literal["sigmoid", "logits", "softmax", "scores", "labels", "flat", "custom"]

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
}
_OPTIONS = {
    "CONV_2D": (schema.Conv2DOptionsT, schema.BuiltinOptions.Conv2DOptions),
    "SOFTMAX": (schema.SoftmaxOptionsT, schema.BuiltinOptions.SoftmaxOptions),
    "ARG_MAX": (schema.ArgMaxOptionsT, schema.BuiltinOptions.ArgMaxOptions),
    "RESHAPE": (schema.ReshapeOptionsT, schema.BuiltinOptions.ReshapeOptions),
}


@dataclass
class Sketch:
    """A model under construction, written with the schema's own bindings and nothing of ours."""

    tensors: list[schema.TensorT] = field(default_factory=list)
    buffers: list[schema.BufferT] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[schema.OperatorT] = field(default_factory=list)
    codes: list[schema.OperatorCodeT] = field(default_factory=list)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: type = np.float32,
        *,
        values: NDArray | None = None,
        scale: float = 0.0,
        zero_point: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), _TYPES[np.dtype(dtype)], 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        if scale:
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [scale], [zero_point]
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int, *, custom: bool = False) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        if custom:
            code.customCode = name
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes) - 1, inputs, [output]
        if name in _OPTIONS:
            options, operator.builtinOptionsType = _OPTIONS[name]
            operator.builtinOptions = options()
            if name == "CONV_2D":
                operator.builtinOptions.strideH = operator.builtinOptions.strideW = 1
            if name == "SOFTMAX":
                operator.builtinOptions.beta = 1.0
            if name == "ARG_MAX":
                operator.builtinOptions.outputType = schema.TensorType.INT64
        self.operators.append(operator)

    def finish(self, output: int, metadata: dict[str, bytes]) -> bytes:
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs, graph.outputs = [0], [output]
        model = schema.ModelT()
        model.version, model.description = 3, "tiny"
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [graph], self.buffers
        model.metadata = []
        for name, data in metadata.items():
            buffer, entry = schema.BufferT(), schema.MetadataT()
            buffer.data = np.frombuffer(data, np.uint8)
            self.buffers.append(buffer)
            entry.name, entry.buffer = name, len(self.buffers) - 1
            model.metadata.append(entry)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def float_network(
    ending: Ending = "sigmoid",
    *,
    classes: int = 1,
    subject: int = 0,
    metadata: dict[str, bytes] | None = None,
) -> bytes:
    """float32 RGB 0…1 in; the subject's score is 20·(red - blue), the background's 0, any other class's -30."""
    sketch = Sketch()
    picture = sketch.tensor("image", (1, HEIGHT, WIDTH, 3))
    weights = np.zeros((classes, 1, 1, 3), np.float32)
    weights[subject, 0, 0] = 20, 0, -20
    filters = sketch.tensor("filters", weights.shape, values=weights)
    offsets = np.full(classes, -30, np.float32)
    offsets[[0, subject]] = 0
    bias = sketch.tensor("bias", (classes,), values=offsets)
    scores = sketch.tensor("scores", (1, HEIGHT, WIDTH, classes))
    sketch.operator("CONV_2D", [picture, filters, bias], scores)
    shape = (1, HEIGHT, WIDTH, classes)
    if ending in ("logits", "scores"):
        return sketch.finish(scores, metadata or {})
    if ending == "labels":
        axis = sketch.tensor("axis", (), np.int32, values=np.array(3, np.int32))
        labels = sketch.tensor("labels", shape[:3], np.int64)
        sketch.operator("ARG_MAX", [scores, axis], labels)
        return sketch.finish(labels, metadata or {})
    alpha = sketch.tensor("alpha", shape)
    names = {"softmax": "SOFTMAX", "custom": "MyOwnSigmoid"}
    sketch.operator(names.get(ending, "LOGISTIC"), [scores], alpha, custom=ending == "custom")
    if ending != "flat":
        return sketch.finish(alpha, metadata or {})
    length = (1, WIDTH * HEIGHT * classes)
    target = sketch.tensor("target", (2,), np.int32, values=np.array(length, np.int32))
    flat = sketch.tensor("flat", length)
    sketch.operator("RESHAPE", [alpha, target], flat)
    return sketch.finish(flat, metadata or {})


def integer_network(dtype: type = np.uint8, *, metadata: dict[str, bytes] | None = None) -> bytes:
    """Full int8 inside, `dtype` (uint8 or int8) in and out, the pixel itself as the stored value."""
    sketch = Sketch()
    shape, inside = (1, HEIGHT, WIDTH, 3), {"scale": 1 / 255, "zero_point": -128}
    outer = {"scale": 1 / 255, "zero_point": 0 if dtype is np.uint8 else -128}
    picture = sketch.tensor("image", shape, dtype, **outer)
    pixels = picture
    if dtype is np.uint8:
        pixels = sketch.tensor("pixels", shape, np.int8, **inside)
        sketch.operator("QUANTIZE", [picture], pixels)
    filters = sketch.tensor(
        "filters", (1, 1, 1, 3), np.int8, values=np.array([127, 0, -127], np.int8).reshape(1, 1, 1, 3), scale=20 / 127
    )
    bias = sketch.tensor("bias", (1,), np.int32, values=np.zeros(1, np.int32), scale=20 / 127 / 255)
    scores = sketch.tensor("scores", (1, HEIGHT, WIDTH, 1), np.int8, scale=40 / 255, zero_point=0)
    sketch.operator("CONV_2D", [pixels, filters, bias], scores)
    alpha = sketch.tensor("alpha_int8", (1, HEIGHT, WIDTH, 1), np.int8, scale=1 / 256, zero_point=-128)
    sketch.operator("LOGISTIC", [scores], alpha)
    if dtype is np.uint8:
        stored = sketch.tensor("alpha", (1, HEIGHT, WIDTH, 1), np.uint8, scale=1 / 256, zero_point=0)
        sketch.operator("QUANTIZE", [alpha], stored)
        alpha = stored
    return sketch.finish(alpha, metadata or {})


@pytest.fixture(scope="session")
def make_float_network() -> Callable[..., bytes]:
    return float_network


@pytest.fixture(scope="session")
def make_integer_network() -> Callable[..., bytes]:
    return integer_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A full-integer model file with the contract's types."""
    path = tmp_path / "models" / "tiny.tflite"
    path.parent.mkdir()
    path.write_bytes(integer_network())
    return path


@pytest.fixture(scope="session")
def flag() -> NDArray[np.uint8]:
    """(60, 90, 3) RGB: the left half red, which is the subject, the right half blue."""
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[:, :45, 0] = 255
    picture[:, 45:, 2] = 255
    return picture


@pytest.fixture
def tree(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """in/ with a.png, sub/a.png and sub/b.jpg."""
    for name in ("a.png", "sub/a.png", "sub/b.jpg"):
        place = tmp_path / "in" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), cv2.cvtColor(flag, cv2.COLOR_RGB2BGR))
    return tmp_path / "in"


@pytest.fixture
def flag_file(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    path = tmp_path / "flag.png"
    cv2.imwrite(str(path), cv2.cvtColor(flag, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="session")
def run_program() -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """Runs `edgematte` as a user does, in a process of its own: (*words, stdin=b"", cwd=None) → what it left."""
    modules = ("cv2", "rich.progress", "edgematte.runtime.matting.segmenter", "edgematte.runtime.live.pipeline")
    with WarmProgram(*modules) as program:
        yield program.run


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium of the system's, driven by Playwright, whose event loop must not outlive a file of tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install --group browser")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here: sudo apt install chromium")
    with playwright.sync_playwright() as driver:
        # A sandbox needs rights that containers lack, and nothing but our own page is opened.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
