"""An .onnx network in full precision → the same callable as `Segmenter`, on a provider of onnxruntime's.

The file runs as it is; what its numbers mean is the reading in the converted model's card, the same that the conversion
was judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from ...convert.onnx.ends import Frozen, frozen_input
from ...convert.onnx.evidence import Asked, assumed, decide
from ...convert.onnx.graph import Graph, load
from ...convert.onnx.original import original_content
from ...convert.onnx.reading import Preprocessing, Reading
from ...runtime.errors import ConversionError, ModelError, UsageError
from ...runtime.network.convention import Color
from ...runtime.picture.images import Alpha, Image, Size
from ...runtime.picture.scale import resize
from .contender import Facts, Precision, Provider
from .operator_times import OperatorTime, onnx_operators
from .provider import CPU, Placement, choose, in_precision

ERRORS_ONLY = 3  # onnxruntime's log severity
# onnxruntime's threads keep spinning after a run, waiting for the next. Measured by turns, they would take the cores
# away from the other contender: 5 ms became 8 for a small network on two cores.
NO_SPINNING = ("session.intra_op.allow_spinning", "0")


@dataclass(frozen=True)
class Told:
    """What the user says about a network; None: as its converted model's card, or its operators, say."""

    mean: tuple[float, ...] | None = None  # as for `convert`: pixel units 0…255, the network's own channel order
    std: tuple[float, ...] | None = None
    color: Color | None = None
    channel: int | None = None
    output: str | None = None
    values: Asked | None = None

    def preprocessing(self, other: Preprocessing) -> Preprocessing:
        """`other` with what is told."""
        return Preprocessing(self.mean or other.mean, self.std or other.std, self.color or other.color)


class Reference:
    """A full-precision network: call it with a photo, get the photo's alpha.

    The file is the one that `edgematte convert` took, and runs as it is. `reading`: how pixels become its input and its
    numbers alpha, from the converted model's card; without one, what its operators and `told` say. `size` is used where
    the file leaves the input's size open; `provider` and `precision` are explained in provider.py. `photos`: pictures
    on which its numbers are looked at where the operators prove nothing. Raises ModelError or ConversionError for a
    file that is no such network, UsageError for an absent provider or a precision it does not compute in.
    """

    def __init__(
        self,
        path: Path,
        *,
        reading: Reading | None = None,
        told: Told | None = None,
        photos: Sequence[Image] = (),
        size: Size | None = None,
        threads: int = 1,
        provider: Provider = "auto",
        precision: Precision = "fp32",
    ) -> None:
        told = told or Told()
        frozen = dict(map(frozen_input, reading.frozen if reading else ()))
        graph = _graph(path, size, told.output or (reading.matte.output if reading else None), frozen)
        self.reading = _read(graph, reading, told, photos)
        self._model = onnx.load_from_string(original_content(graph, [self.reading.matte.output]))
        self._session, placement = _session(graph.name, self._model, threads, provider, precision)
        self._feeds = dict(graph.feeds)
        self.facts = Facts(
            file=str(path),
            sha256=graph.sha256,
            size_bytes=path.stat().st_size,
            engine=f"onnxruntime {onnxruntime.__version__}",
            device=placement.device,
            precision=placement.precision,
            threads=threads,
            input_size=graph.size,
            conventions="; ".join(self.reading.in_words()),
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
        return np.rint(self.reading.matte.apply(output) * 255).astype(np.uint8)

    def prepare(self, image: Image) -> NDArray:
        """(H, W, 3) RGB → the network's input tensor."""
        return self.reading.to_input(resize(image, self.facts.input_size))

    def run(self, tensor: NDArray) -> NDArray:
        """The network alone; on a GPU, the copies there and back included, so that it is done when this returns."""
        try:
            return np.asarray(self._session.run([self.reading.matte.output], self._feed(tensor))[0])
        except Exception as error:  # onnxruntime's exceptions have no public base class
            raise ModelError(f"{self.facts.file}: failed while running: {_first_line(error)}") from error

    def _feed(self, tensor: NDArray) -> dict[str, NDArray]:
        return {self.reading.input: tensor, **self._feeds}

    def operators(self, tensor: NDArray) -> tuple[OperatorTime, ...] | None:
        """Each node's time on the CPU; None on a GPU, where the profiler sees work being handed over, not done."""
        if self.facts.device != "CPU":
            return None

        def open_session(options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
            _set_up(options, self.facts.threads)
            return onnxruntime.InferenceSession(self._model.SerializeToString(), options, providers=[CPU])

        return onnx_operators(open_session, self._feed(tensor))


def _graph(path: Path, size: Size | None, output: str | None, frozen: Frozen) -> Graph:
    if size is None:
        return load(path, output=output, frozen=frozen)
    try:
        return load(path, size=size, output=output, frozen=frozen)
    except ConversionError:
        return load(path, output=output, frozen=frozen)  # its own size is fixed, and another


def _read(graph: Graph, reading: Reading | None, told: Told, photos: Sequence[Image]) -> Reading:
    """The card's reading with what was told instead, or one made of what is there."""
    if reading is None or told.values is not None or told.output is not None:
        given = None if told.mean is told.std is told.color is None else told.preprocessing(Preprocessing())
        if photos:
            pictures = [resize(photo, graph.size) for photo in photos]
            return decide(graph, pictures, preprocessing=given, values=told.values, channel=told.channel)
        return assumed(graph, given, channel=told.channel)
    matte = reading.matte if told.channel is None else replace(reading.matte, channel=told.channel)
    return replace(reading, preprocessing=told.preprocessing(reading.preprocessing), matte=matte)


def _session(
    name: str, model: ModelProto, threads: int, provider: Provider, precision: Precision
) -> tuple[onnxruntime.InferenceSession, Placement]:
    """The session, and what it really runs on: "auto" takes the next provider where one does not start."""
    options = onnxruntime.SessionOptions()
    _set_up(options, threads)
    for placement in choose(provider, precision, onnxruntime.get_available_providers()):
        content = in_precision(model, placement).SerializeToString()
        placement.prepare_process()
        try:
            session = onnxruntime.InferenceSession(content, options, providers=placement.providers())
        except Exception as error:  # onnxruntime's exceptions have no public base class
            if placement.name == CPU:
                raise ModelError(f"{name}: onnxruntime refuses the network: {_first_line(error)}") from error
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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
