"""The second opinion: an ONNX graph and photos → float and int8 TFLite through onnx-tf and TensorFlow.

Both need versions that fit nothing else, 1.8 GB of them, so they live in an environment of their own and are asked in a
process of their own, `onnx_tf_worker.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from ...runtime.errors import ConversionError, UsageError
from ...runtime.picture.images import Image, Size
from ..tflite.float_model import FloatModel
from ..tflite.graph import TfliteGraph
from .graph import Graph
from .reading import Reading

PYTHON_VARIABLE = "EDGEMATTE_ONNX_TF_PYTHON"
PYTHON_DEFAULT = Path(".venv-onnx-tf/bin/python")
# onnx-tf is archived; newer onnx, TensorFlow 2.16 or numpy 2 break it.
PINS = (
    "onnx-tf==1.10.0",
    "tensorflow==2.15.1",
    "tensorflow-probability==0.23.0",
    "tensorflow-addons==0.23.0",
    "onnx==1.14.1",
    "numpy<2",
)
WORKER = Path(__file__).with_name("onnx_tf_worker.py")
TIMEOUT_S = 1800
INPUT, OUTPUT = "image", "scores"  # what the worker calls them
NEWEST_IR_VERSION = 9  # of a file that onnx 1.14 reads


@dataclass(frozen=True)
class Job:
    """What the worker needs to know; it reads this as JSON."""

    input: str  # ONNX tensor names
    output: str
    size: Size  # (width, height) of the input
    channels_first: bool
    carried: bool  # the input tensor's scale and zero point normalise already
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reverse: bool  # the network wants BGR
    step: str  # what is left to do to the output: none, sigmoid, pair or softmax
    channel: int
    channels: int
    channel_axis: int | None
    matte: tuple[int, int]  # rows and columns of the output
    input_scale: float
    input_zero_point: int


def find_python() -> Path:
    """The Python that has onnx-tf. Raises UsageError saying how to get one."""
    named = os.environ.get(PYTHON_VARIABLE, "")
    found = shutil.which(named) if named else (str(PYTHON_DEFAULT) if PYTHON_DEFAULT.is_file() else None)
    if found is None:
        looked = f"{PYTHON_VARIABLE} names {named}, which cannot be run" if named else f"{PYTHON_DEFAULT} is not there"
        packages = " ".join(f"'{pin}'" if "<" in pin else pin for pin in PINS)
        raise UsageError(
            f"--importer onnx-tf needs a Python 3.11 with TensorFlow 2.15 ({looked}); make it: python3.11 -m venv "
            f".venv-onnx-tf && .venv-onnx-tf/bin/pip install {packages}"
        )
    return Path(found)


def convert(graph: Graph, reading: Reading, images: Sequence[Image]) -> tuple[FloatModel, bytes]:
    """A graph → the float model and the full-int8 model, both made by TensorFlow from photos of the network's size.

    Raises UsageError without such an environment, ConversionError with onnx-tf's or TensorFlow's own last words and
    for a reading that only our own lowering writes into a graph.
    """
    python, preprocessing, matte = find_python(), reading.preprocessing, reading.matte
    if matte.largest or matte.background or matte.values not in ("alpha", "logits") or reading.frozen:
        raise ConversionError(
            f"onnx-tf is asked for alpha and logits only, not for {matte.in_words()}; leave out --importer"
        )
    carried = preprocessing.carried_by_input
    several = "pair" if matte.channels == 2 else "softmax"
    logits = several if matte.channels > 1 else "sigmoid"
    job = Job(
        input=INPUT,
        output=OUTPUT,
        size=graph.size,
        channels_first=not graph.channels_last,
        carried=carried,
        mean=preprocessing.mean,
        std=preprocessing.std,
        reverse=preprocessing.color == "bgr",
        step=logits if matte.values == "logits" else "none",
        channel=matte.channel,
        channels=matte.channels,
        channel_axis=matte.axis,
        matte=matte.size,
        input_scale=1 / preprocessing.std[0] if carried else 1.0,
        input_zero_point=int(preprocessing.mean[0]) if carried else 0,
    )
    with TemporaryDirectory(prefix="edgematte-onnx-tf-") as name:
        folder = Path(name)
        onnx.save(_plainly_named(graph), folder / "network.onnx")
        (folder / "job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")
        np.save(folder / "photos.npy", np.stack(images))
        # Isolated: our folder, where a file is called onnx_tf too, and our PYTHONPATH stay out of its way.
        _run([str(python), "-I", str(WORKER), str(folder)], graph.name)
        tflite, int8 = ((folder / made).read_bytes() for made in ("float.tflite", "int8.tflite"))
    model = FloatModel(TfliteGraph(tflite), job.size, job.input_scale, job.input_zero_point, tensor_of={}, layout_of={})
    return model, int8


def _plainly_named(graph: Graph) -> onnx.ModelProto:
    """The network with tensor names that TensorFlow cannot mistake (a colon means something to it), its output's
    shape said, as onnx-tf demands, and its file version one that onnx 1.14 reads.
    """
    network = onnx.ModelProto.FromString(graph.model.SerializeToString())
    network.ir_version = min(network.ir_version, NEWEST_IR_VERSION)
    names = {graph.input: INPUT, graph.output: OUTPUT, "": ""}

    def plain(name: str) -> str:
        return names.setdefault(name, f"tensor{len(names)}")

    for node in network.graph.node:
        node.input[:] = [plain(name) for name in node.input]
        node.output[:] = [plain(name) for name in node.output]
    for entry in (*network.graph.initializer, *network.graph.input):
        entry.name = plain(entry.name)
    del network.graph.value_info[:]
    del network.graph.output[:]
    shape = graph.shapes[graph.output]
    network.graph.output.append(onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, shape))
    return network


def _run(command: Sequence[str], name: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"onnx-tf did not finish {name} in {TIMEOUT_S // 60} minutes; try --importer own"
        ) from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ConversionError(
            f"onnx-tf cannot convert {name}: {lines[-1][:300] if lines else 'it ended without a word'}"
        )
