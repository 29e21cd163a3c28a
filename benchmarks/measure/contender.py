"""A network file → a `Contender`: a call that gives a photo's alpha, with all that must be known about it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, Protocol

from numpy.typing import NDArray

from ...runtime.device.files import sha256
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network.inspection import precision
from ...runtime.network.tensors import Convention, input_size, to_alpha, to_input
from ...runtime.picture.images import Alpha, Image, Size
from .operator_times import OperatorTime

# Where a full-precision network runs; auto: CUDA or DirectML where onnxruntime has a usable one, else the CPU.
Provider = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml"]
Precision = Literal["fp32", "tf32", "fp16"]  # it computes in; tf32: fp32 whose factors are rounded to 10 bits


@dataclass(frozen=True)
class Facts:
    """What a figure measured on this network must be printed with."""

    file: str  # as it was named
    sha256: str
    size_bytes: int
    engine: str  # "ai-edge-litert 2.3.0"
    device: str  # "CPU", "CORAL", "CUDA", "TensorRT", "CoreML", "DirectML"
    precision: str  # "full integer, per-channel weights", "fp32", "tf32", "fp16"
    threads: int
    input_size: Size
    conventions: str  # what it is told about pixels and output, in words
    arena_bytes: int | None = None  # RAM that a microcontroller has to give it; None: not run in tflite-micro


class Contender(Protocol):
    """A network in a comparison."""

    @property
    def facts(self) -> Facts: ...

    def __call__(self, image: Image) -> Alpha:
        """The whole way: (H, W, 3) RGB of any size → (H, W)."""
        ...

    def prepare(self, image: Image) -> NDArray:
        """The photo as the network's input tensor."""
        ...

    def run(self, tensor: NDArray) -> NDArray:
        """The network alone: input tensor → output tensor, done when it returns."""
        ...

    def finish(self, output: NDArray) -> Alpha:
        """The output tensor as a matte of the network's own size, (h, w)."""
        ...

    def operators(self, tensor: NDArray) -> tuple[OperatorTime, ...] | None:
        """Each operator's time; None where the engine has no profiler, or none that tells the truth."""
        ...


class Converted:
    """Any .tflite file, ours or a stranger's, through `Segmenter`; unrefined, as the reference is."""

    def __init__(self, model: str | Path, *, threads: int | None = None, device: str = "cpu") -> None:
        self.segmenter = Segmenter(model, threads=threads, device=device, mode="off")
        network = self.segmenter.network
        self.facts = Facts(
            file=str(self.segmenter.path),
            sha256=sha256(self.segmenter.path),
            size_bytes=self.segmenter.path.stat().st_size,
            engine=f"{network.package} {metadata.version(network.package)}",
            device=network.device.upper(),
            precision=precision(network.file),
            threads=network.threads,
            input_size=input_size(network.inputs[0]),
            conventions="the model contract" if self.segmenter.card else in_words(self.segmenter.convention),
            arena_bytes=network.arena_bytes,
        )

    def __call__(self, image: Image) -> Alpha:
        return self.segmenter(image)

    def prepare(self, image: Image) -> NDArray:
        return to_input(image, self.segmenter.network.inputs[0], self.segmenter.convention)

    def run(self, tensor: NDArray) -> NDArray:
        return self.segmenter.network.run(tensor, output=self.segmenter.convention.tensor)

    def finish(self, output: NDArray) -> Alpha:
        convention = self.segmenter.convention
        return to_alpha(output, self.segmenter.network.outputs[convention.tensor], convention)

    def operators(self, tensor: NDArray) -> tuple[OperatorTime, ...] | None:  # noqa: ARG002 - the contender's signature
        """None: the interpreters' Python packages leave their profiler out."""
        return None


def in_words(convention: Convention) -> str:
    """What a network is told about its pixels and its output: "rgb, mean 127.5, std 127.5, logits of class 1"."""
    parts: list[str] = [convention.color]
    for name, values in (("mean", convention.mean), ("std", convention.std)):
        if values is not None:
            parts.append(f"{name} {','.join(f'{value:g}' for value in values)}")
    of_class = "" if convention.channel is None else f" of class {convention.channel}"
    return ", ".join([*parts, f"{convention.output}{of_class}"])
