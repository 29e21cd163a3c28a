"""A .tflite → whether a 32-bit Raspberry Pi OS can run it: its only interpreter is tflite-runtime 2.14.

The table was measured: a one-operator model per operator and version was shown to tflite-runtime 2.14.0, which either
took it or said "Didn't find op for builtin opcode". It is the same on armv7l, aarch64 and x86-64.
"""

# The generated schema types every field as optional or as text; a parsed file has them, as bytes.
# pyright: reportOptionalIterable=false, reportAttributeAccessIssue=false

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...runtime.errors import ConversionError
from ...runtime.network.model_file import operator_name, parse

RUNTIME = "tflite-runtime 2.14"
PYTHON_VARIABLE = "EDGEMATTE_TFLITE_RUNTIME_PYTHON"
PYTHON_DEFAULT = Path(".venv-tflite-runtime/bin/python")
HOW_TO_GET_IT = (
    "python3.11 -m venv .venv-tflite-runtime && .venv-tflite-runtime/bin/pip install tflite-runtime==2.14.0 'numpy<2'"
)
TIMEOUT_S = 300

# fmt: off
HIGHEST_VERSION: Mapping[str, int] = {
    "ABS": 5, "ADD": 5, "ADD_N": 1, "ARG_MAX": 3, "ARG_MIN": 3, "AVERAGE_POOL_2D": 3, "BATCH_MATMUL": 4,
    "BATCH_TO_SPACE_ND": 4, "BROADCAST_ARGS": 1, "BROADCAST_TO": 3, "CAST": 5, "CEIL": 1, "CONCATENATION": 4,
    "CONV_2D": 7, "COS": 1, "CUMSUM": 1, "DENSIFY": 1, "DEPTHWISE_CONV_2D": 7, "DEPTH_TO_SPACE": 2, "DEQUANTIZE": 5,
    "DIV": 2, "DYNAMIC_UPDATE_SLICE": 1, "ELU": 1, "EQUAL": 4, "EXP": 2, "EXPAND_DIMS": 1, "FILL": 4, "FLOOR": 1,
    "FLOOR_DIV": 3, "FLOOR_MOD": 2, "FULLY_CONNECTED": 10, "GATHER": 6, "GATHER_ND": 4, "GELU": 2, "GREATER": 2,
    "GREATER_EQUAL": 3, "HARD_SWISH": 1, "L2_NORMALIZATION": 2, "L2_POOL_2D": 1, "LEAKY_RELU": 2, "LESS": 3,
    "LESS_EQUAL": 2, "LOCAL_RESPONSE_NORMALIZATION": 1, "LOG": 1, "LOGICAL_AND": 1, "LOGICAL_NOT": 1, "LOGICAL_OR": 1,
    "LOGISTIC": 3, "LOG_SOFTMAX": 2, "MAXIMUM": 4, "MAX_POOL_2D": 3, "MEAN": 3, "MINIMUM": 4, "MIRROR_PAD": 3, "MUL": 7,
    "NEG": 1, "NOT_EQUAL": 3, "ONE_HOT": 1, "PACK": 4, "PAD": 4, "PADV2": 4, "POW": 1, "PRELU": 1, "QUANTIZE": 3,
    "RANGE": 2, "RANK": 1, "REDUCE_ALL": 1, "REDUCE_ANY": 1, "REDUCE_MAX": 3, "REDUCE_MIN": 3, "REDUCE_PROD": 2,
    "RELU": 3, "RELU6": 3, "RELU_0_TO_1": 1, "RELU_N1_TO_1": 1, "RESHAPE": 1, "RESIZE_BILINEAR": 4,
    "RESIZE_NEAREST_NEIGHBOR": 4, "REVERSE_V2": 3, "ROUND": 1, "RSQRT": 2, "SCATTER_ND": 1, "SELECT": 4, "SELECT_V2": 2,
    "SHAPE": 1, "SIGN": 2, "SIN": 1, "SLICE": 6, "SOFTMAX": 3, "SPACE_TO_BATCH_ND": 4, "SPACE_TO_DEPTH": 2, "SPLIT": 4,
    "SPLIT_V": 2, "SQRT": 1, "SQUARE": 1, "SQUARED_DIFFERENCE": 2, "SQUEEZE": 2, "STRIDED_SLICE": 8, "SUB": 5, "SUM": 2,
    "TANH": 3, "TILE": 3, "TOPK_V2": 3, "TRANSPOSE": 6, "TRANSPOSE_CONV": 4, "UNPACK": 4, "WHERE": 2, "ZEROS_LIKE": 1,
}
# fmt: on

_RUN = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
network = Interpreter(model_path=sys.argv[1], num_threads=1)
network.allocate_tensors()
network.set_tensor(network.get_input_details()[0]["index"], np.load(sys.argv[2]))
network.invoke()
np.save(sys.argv[3], network.get_tensor(network.get_output_details()[0]["index"]))
"""


@dataclass(frozen=True)
class UnknownOperator:
    """An operator that tflite-runtime 2.14 refuses."""

    operator: str
    version: int  # what the model asks for
    highest: int  # what the interpreter knows; 0 if it does not know the operator at all

    def __str__(self) -> str:
        known = f"knows up to version {self.highest}" if self.highest else "does not have it"
        return f"{self.operator} version {self.version} ({RUNTIME} {known})"


def check(model: bytes) -> tuple[UnknownOperator, ...]:
    """Operators whose version is above what tflite-runtime 2.14 knows; empty when all are fine.

    Raises ModelError for a damaged file.
    """
    parse(model)
    unknown = set()
    for code in schema.ModelT.InitFromPackedBuf(model, 0).operatorCodes:
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = code.customCode.decode() if code.customCode else operator_name(number)
        highest = 0 if code.customCode else HIGHEST_VERSION.get(name, 0)
        if code.version > highest:
            unknown.add(UnknownOperator(name, code.version, highest))
    return tuple(sorted(unknown, key=lambda operator: operator.operator))


def find_python() -> Path | None:
    """A Python with tflite-runtime 2.14: the one the environment variable names, or ./.venv-tflite-runtime's."""
    named = os.environ.get(PYTHON_VARIABLE, "")
    path = Path(named) if named else PYTHON_DEFAULT
    found = shutil.which(str(path)) if named else (str(path) if path.is_file() else None)
    return Path(found) if found else None


def run(model: bytes, tensor: NDArray, python: Path) -> NDArray:
    """One inference in tflite-runtime 2.14, in that Python: input tensor → output tensor.

    Raises ConversionError with the interpreter's own words when it refuses the model.
    """
    with TemporaryDirectory(prefix="edgematte-pi32-") as folder:
        source, given, made = (Path(folder) / name for name in ("model.tflite", "input.npy", "output.npy"))
        source.write_bytes(model)
        np.save(given, tensor)
        command = [str(python), "-c", _RUN, str(source), str(given), str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode or not made.is_file():
            lines = done.stderr.strip().splitlines() or ["it ended without a word"]
            raise ConversionError(f"{RUNTIME} does not run this model: {lines[-1]}")
        return np.load(made)
