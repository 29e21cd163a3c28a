"""An .onnx network in full precision → the same callable as `Segmenter`, on a provider of onnxruntime's.

Pixels go in and alphas come out through the runtime's own stages, resizing included, so that what differs from the
converted network is the network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...convert.onnx.alpha import Tail, tail
from ...convert.onnx.graph import Graph, load
from ...convert.onnx.lower import Preprocessing
from ...runtime.errors import ConversionError, ModelError, UsageError
from ...runtime.network.interpreter import TensorInfo
from ...runtime.network.tensors import Convention, input_size, resize, to_alpha, to_input
from ...runtime.picture.images import Alpha, Image, Size
from .contender import Facts, Precision, Provider, in_words
from .operator_times import OperatorTime, onnx_operators
from .provider import CPU, Placement, choose, in_precision

ERRORS_ONLY = 3  # onnxruntime's log severity
# onnxruntime's threads keep spinning after a run, waiting for the next. Measured by turns, they would take the cores
# away from the other contender: 5 ms became 8 for a small network on two cores.
NO_SPINNING = ("session.intra_op.allow_spinning", "0")


class Reference:
    """A full-precision network: call it with a photo, get the photo's alpha.

    The file is the one `edgematte convert` takes. `size` is used where the file leaves the input's size open;
    `preprocessing` and `channel` are those of `convert`; `provider` and `precision` are explained in provider.py.
    Raises ModelError or ConversionError for a file that is no such network, UsageError for an absent provider or a
    precision it does not compute in.
    """

    def __init__(
        self,
        path: Path,
        *,
        preprocessing: Preprocessing | None = None,
        channel: int | None = None,
        size: Size | None = None,
        threads: int = 1,
        provider: Provider = "auto",
        precision: Precision = "fp32",
    ) -> None:
        graph = _graph(path, size)
        preprocessing = preprocessing or Preprocessing()
        self._session, placement = _session(graph, threads, provider, precision)
        self._model = graph.model
        self._input = TensorInfo(graph.input, graph.shapes[graph.input], np.dtype(np.float32), 0.0, 0)
        self._output = TensorInfo(graph.output, graph.shapes[graph.output], np.dtype(np.float32), 0.0, 0)
        self._convention = _convention(preprocessing, tail(graph, channel))
        self.facts = Facts(
            file=str(path),
            sha256=graph.sha256,
            size_bytes=path.stat().st_size,
            engine=f"onnxruntime {onnxruntime.__version__}",
            device=placement.device,
            precision=placement.precision,
            threads=threads,
            input_size=input_size(self._input),
            conventions=in_words(self._convention),
        )

    def __call__(self, image: Image) -> Alpha:
        """(H, W, 3) RGB → (H, W), the matte enlarged to the photo's size as `Segmenter` does it."""
        height, width = image.shape[:2]
        return resize(self.matte(image), (width, height))

    def matte(self, image: Image) -> Alpha:
        """(H, W, 3) RGB → (h, w), the matte at the network's own size."""
        return self.finish(self.run(self.prepare(image)))

    def finish(self, output: NDArray) -> Alpha:
        """The output tensor → (h, w)."""
        return to_alpha(output, self._output, self._convention)

    def prepare(self, image: Image) -> NDArray:
        """(H, W, 3) RGB → the network's float32 input tensor."""
        return to_input(image, self._input, self._convention)

    def run(self, tensor: NDArray) -> NDArray:
        """The network alone; on a GPU, the copies there and back included, so that it is done when this returns."""
        try:
            return np.asarray(self._session.run([self._output.name], {self._input.name: tensor})[0])
        except Exception as error:  # onnxruntime's exceptions have no public base class
            raise ModelError(f"{self.facts.file}: failed while running: {_first_line(error)}") from error

    def operators(self, tensor: NDArray) -> tuple[OperatorTime, ...] | None:
        """Each node's time on the CPU; None on a GPU, where the profiler sees work being handed over, not done."""
        if self.facts.device != "CPU":
            return None

        def open_session(options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
            _set_up(options, self.facts.threads)
            return onnxruntime.InferenceSession(self._model.SerializeToString(), options, providers=[CPU])

        return onnx_operators(open_session, {self._input.name: tensor})


def _graph(path: Path, size: Size | None) -> Graph:
    if size is None:
        return load(path)
    try:
        return load(path, size=size)
    except ConversionError:
        return load(path)  # its own size is fixed, and another


def _session(
    graph: Graph, threads: int, provider: Provider, precision: Precision
) -> tuple[onnxruntime.InferenceSession, Placement]:
    """The session, and what it really runs on: "auto" takes the next provider where one does not start."""
    options = onnxruntime.SessionOptions()
    _set_up(options, threads)
    for placement in choose(provider, precision, onnxruntime.get_available_providers()):
        content = in_precision(graph.model, placement).SerializeToString()
        placement.prepare_process()
        try:
            session = onnxruntime.InferenceSession(content, options, providers=placement.providers())
        except Exception as error:  # onnxruntime's exceptions have no public base class
            if placement.name == CPU:
                raise ModelError(f"{graph.name}: onnxruntime refuses the network: {_first_line(error)}") from error
            continue
        if session.get_providers()[0] == placement.name:
            return session, placement
    raise UsageError(
        f"onnxruntime has the {provider} provider but it does not start; is there such a GPU, with its driver "
        "(nvidia-smi)? Otherwise use --provider cpu"
    )


def _set_up(options: onnxruntime.SessionOptions, threads: int) -> None:
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry(*NO_SPINNING)


def _convention(preprocessing: Preprocessing, end: Tail) -> Convention:
    rows, columns = end.size
    return Convention(
        mean=preprocessing.mean,
        std=preprocessing.std,
        color=preprocessing.color,
        output="alpha" if end.step in ("none", "slice") else "logits",
        channel=end.channel if end.channels > 1 else None,
        size=(columns, rows) if end.channel_axis in (None, 2) else None,  # flattened, or without an axis for classes
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
