"""Where a full-precision network is to run, in which arithmetic → what onnxruntime is told, and what that is called.

The names are what the hardware does. A GPU of NVIDIA's rounds the factors of every product to 10 bits (TF32) unless
told not to, Apple's Neural Engine knows nothing above fp16: neither may be called fp32.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from ...runtime.errors import MissingExtraError, UsageError
from .contender import Precision, Provider

CPU = "CPUExecutionProvider"
TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"  # read by NVIDIA's libraries when they are loaded; 0: never TF32


@dataclass(frozen=True)
class Placement:
    """One provider of onnxruntime's, set to one precision."""

    device: str  # "CUDA", for tables
    name: str  # "CUDAExecutionProvider"
    precision: Precision
    options: tuple[tuple[str, str], ...] = ()
    half_graph: bool = False  # the graph itself must be rewritten to fp16
    environment: tuple[tuple[str, str], ...] = ()  # for libraries that take no options

    def providers(self) -> list[tuple[str, dict[str, str]]]:
        """For InferenceSession: operators that the provider lacks run on the CPU."""
        own = (self.name, dict(self.options))
        return [own] if self.name == CPU else [own, (CPU, {})]

    def prepare_process(self) -> None:
        """Sets the environment for libraries that have not been loaded yet."""
        os.environ.update(self.environment)


# Every pair that exists, the first of a provider being the one that is measured unless asked otherwise.
PLACEMENTS: dict[str, tuple[Placement, ...]] = {
    "cuda": (
        Placement("CUDA", "CUDAExecutionProvider", "fp32", (("use_tf32", "0"),)),
        Placement("CUDA", "CUDAExecutionProvider", "tf32", (("use_tf32", "1"),)),
        Placement("CUDA", "CUDAExecutionProvider", "fp16", (("use_tf32", "0"),), half_graph=True),
    ),
    "tensorrt": (
        # TensorRT has no option for TF32 in onnxruntime, and takes it where it may.
        Placement("TensorRT", "TensorrtExecutionProvider", "fp32", environment=((TF32_SWITCH, "0"),)),
        Placement("TensorRT", "TensorrtExecutionProvider", "tf32"),
        Placement("TensorRT", "TensorrtExecutionProvider", "fp16", (("trt_fp16_enable", "1"),)),
    ),
    "directml": (
        Placement("DirectML", "DmlExecutionProvider", "fp32"),
        Placement("DirectML", "DmlExecutionProvider", "fp16", half_graph=True),
    ),
    "coreml": (
        # The Neural Engine computes in fp16 whatever the model says, so fp32 must stay away from it.
        Placement(
            "CoreML",
            "CoreMLExecutionProvider",
            "fp32",
            (
                ("ModelFormat", "MLProgram"),
                ("MLComputeUnits", "CPUAndGPU"),
                ("AllowLowPrecisionAccumulationOnGPU", "0"),
            ),
        ),
        Placement(
            "CoreML", "CoreMLExecutionProvider", "fp16", (("ModelFormat", "MLProgram"), ("MLComputeUnits", "ALL"))
        ),
    ),
    "cpu": (Placement("CPU", CPU, "fp32"),),
}
AUTOMATIC = ("cuda", "directml", "cpu")  # in this order; TensorRT and CoreML compile for minutes, so they are asked for
PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu and tensorrt",
    "directml": "onnxruntime-directml",
    "coreml": "onnxruntime (on macOS)",
}


def choose(provider: Provider, precision: Precision, available: Sequence[str]) -> tuple[Placement, ...]:
    """What to try, in this order. Raises UsageError when onnxruntime lacks it or it does not compute like that."""
    found = tuple(
        placement
        for name in (AUTOMATIC if provider == "auto" else (provider,))
        for placement in PLACEMENTS[name]
        if placement.precision == precision and placement.name in available
    )
    if found:
        return found
    if provider != "auto" and PLACEMENTS[provider][0].name not in available:
        raise UsageError(
            f"onnxruntime has no {provider} provider here; install {PACKAGES[provider]}, or use --provider cpu"
        )
    offered = ", ".join(
        sorted({p.precision for name in (AUTOMATIC if provider == "auto" else (provider,)) for p in PLACEMENTS[name]
                if p.name in available})
    )  # fmt: skip
    where = "the CPU" if provider in ("auto", "cpu") else provider
    raise UsageError(f"{precision} is not what {where} computes in here; expected {offered}, or a GPU's --provider")


def in_precision(model: ModelProto, placement: Placement) -> ModelProto:
    """The network with its arithmetic in fp16 where the provider needs that said in the graph; float32 in and out."""
    if not placement.half_graph:
        return model
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ModuleNotFoundError as error:
        raise MissingExtraError("bench run --precision fp16", "bench", error.name or "onnxruntime") from error
    return convert_float_to_float16(model, keep_io_types=True)
