"""A .tflite model and a device → a loaded network. The only file that imports an interpreter."""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..device.machine import default_threads
from ..device.stderr_capture import capture_stderr
from ..errors import ModelError, UsageError
from .compiled import compiled
from .model_file import ModelFile, parse
from .xnnpack import XNNPack


def _ai_edge_litert() -> ModuleType:
    from ai_edge_litert import interpreter

    return interpreter


def _tflite_runtime() -> ModuleType:
    from tflite_runtime import interpreter

    return interpreter


def _tflite_micro() -> ModuleType:
    from . import micro

    return micro


# Package on the index → its module. The first is the maintained one, the second has wheels for 32-bit Raspberry Pi OS,
# the third shows what a microcontroller computes.
INTERPRETERS = {
    "ai-edge-litert": _ai_edge_litert,
    "tflite-runtime": _tflite_runtime,
    "tflite-micro": _tflite_micro,
}
MICRO = "tflite-micro"  # slow on purpose: only where it is asked for
CHOICE_VARIABLE = "EDGEMATTE_INTERPRETER"
EDGE_TPU_LIBRARY = "libedgetpu.so.1"


@dataclass(frozen=True)
class Accelerator:
    """A TFLite external delegate: the library that drives a device, and what to tell it."""

    library: str  # a name that the system's loader finds, or a path
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a loaded network."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float  # real = (stored - zero_point) · scale; 0.0 when the tensor is not quantised
    zero_point: int


class _Interpreter(Protocol):
    """The part of both packages' Interpreter that is used here."""

    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict]: ...
    def get_output_details(self) -> list[dict]: ...
    def set_tensor(self, tensor_index: int, value: NDArray) -> None: ...
    def invoke(self) -> None: ...
    def get_tensor(self, tensor_index: int) -> NDArray: ...


class Network:
    """A network ready to run, on one device with a fixed number of threads.

    May be called from several threads; one inference runs at a time.
    """

    def __init__(self, interpreter: _Interpreter, file: ModelFile, *, package: str, device: str, threads: int) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.file = file
        self.package = package  # of the interpreter: a key of INTERPRETERS
        self.device = device
        self.threads = threads
        self.inputs = tuple(_tensor_info(details) for details in inputs)
        self.outputs = tuple(_tensor_info(details) for details in outputs)
        self._interpreter = interpreter
        self._one_at_a_time = threading.Lock()  # the interpreter's tensors are one memory for all callers
        self._input_index = inputs[0]["index"]
        self._output_indices = tuple(details["index"] for details in outputs)

    def run(self, tensor: NDArray, *, output: int = 0) -> NDArray:
        """One inference: the first input's tensor → a copy of the chosen output's.

        Shapes and types are those of `inputs[0]` and `outputs[output]`. Raises ModelError when the network fails.
        """
        expected = self.inputs[0]
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            raise ModelError(
                f"the network's input is {expected.dtype.name} {expected.shape}, it was given {tensor.dtype.name} "
                f"{tensor.shape}"
            )
        try:
            with self._one_at_a_time:
                self._interpreter.set_tensor(self._input_index, tensor)
                self._interpreter.invoke()
                return self._interpreter.get_tensor(self._output_indices[output])
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelError(f"the network failed while running: {_first_line(error)}") from error

    @property
    def arena_bytes(self) -> int | None:
        """RAM that a microcontroller has to give the network; None where the interpreter is not `tflite-micro`."""
        measured = getattr(self._interpreter, "arena_bytes", None)
        return None if measured is None else measured()

    def operators(self) -> list[str]:
        """Names of the network's operators in order, as the file lists them (before any delegate takes some over)."""
        return [operator.name for operator in self.file.operators]


def load(model: bytes | Path, *, threads: int | None = None, device: str = "cpu") -> Network:
    """Checks the model file, then loads it.

    `threads`: None means one per core, at most four. `device`: what `parse_device` reads.
    Raises ModelError for a damaged file, an operator this device cannot run or a missing delegate,
    UsageError when no interpreter is installed.
    """
    content = read_model(model) if isinstance(model, Path) else model
    accelerator = parse_device(device)
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads cannot run anything; expected 1 or more")
    file = parse(content)
    if device == "cpu" and (found := compiled(content, file)):
        raise ModelError(found.sentence)
    module, package = _interpreter_module()
    if package == MICRO and accelerator is not None:
        raise UsageError(f"{MICRO} runs on the CPU only, not on {device}; leave out {CHOICE_VARIABLE} or the device")
    threads = 1 if package == MICRO else threads or default_threads()
    delegate = _own_xnnpack(module, package, threads) if accelerator is None else _delegate(module, accelerator)
    try:
        with capture_stderr():
            try:
                interpreter = _started(module, content, threads, delegate)
            except RuntimeError:
                if not isinstance(delegate, XNNPack):
                    raise
                interpreter = _started(module, content, threads, None)  # slower, but it may take the model
            return Network(interpreter, file, package=package, device=device, threads=threads)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise ModelError(_why_it_does_not_load(error, file, package)) from error
    except SystemError as error:  # what tflite-runtime raises under a numpy it was not built for
        raise _wrong_numpy(package) from error


def _started(module: ModuleType, content: bytes, threads: int, delegate: object | None) -> _Interpreter:
    interpreter = module.Interpreter(
        model_content=content, num_threads=threads, experimental_delegates=None if delegate is None else [delegate]
    )
    interpreter.allocate_tensors()
    return interpreter


def _own_xnnpack(module: ModuleType, package: str, threads: int) -> XNNPack | None:
    """What tflite-runtime has within it and uses for float32 alone; see xnnpack.py. ai-edge-litert needs no telling."""
    if package != "tflite-runtime":
        return None
    try:
        with capture_stderr():
            return XNNPack(ctypes.CDLL(module._interpreter_wrapper.__file__), threads=threads)
    except (AttributeError, RuntimeError):  # not in wheels for 32-bit boards; none for this processor
        return None


def read_model(path: Path) -> bytes:
    """The bytes of a model file. Raises ModelError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model {path}: {error.strerror}") from error


def _interpreter_module() -> tuple[ModuleType, str]:
    """The interpreter's module and its package's name, as the environment variable or what is installed decides."""
    chosen = os.environ.get(CHOICE_VARIABLE, "")
    if chosen and chosen not in INTERPRETERS:
        raise UsageError(f"{CHOICE_VARIABLE} is '{chosen}'; expected one of: {', '.join(INTERPRETERS)}")
    candidates = [chosen] if chosen else [package for package in INTERPRETERS if package != MICRO]
    for package in candidates:
        try:
            with capture_stderr():
                return INTERPRETERS[package](), package
        except ModuleNotFoundError:
            continue
        except (ImportError, AttributeError, SystemError) as error:
            if package == "tflite-runtime":
                raise _wrong_numpy(package) from error
            raise UsageError(
                f"{package} is installed but does not load ({_first_line(error)}); "
                f"try: pip install --force-reinstall {package}"
            ) from error
    found = f"{chosen}, which {CHOICE_VARIABLE} names, is not installed" if chosen else "no TFLite interpreter is here"
    pre = "--pre " if chosen == MICRO else ""  # it has no releases, only dated builds
    raise UsageError(f"{found}; install it with: pip install {pre}{candidates[0]}")


def _wrong_numpy(package: str) -> UsageError:
    return UsageError(f"{package} does not work with numpy {np.__version__}; install: pip install 'numpy<2'")


def parse_device(device: str) -> Accelerator | None:
    """`cpu` → None; `coral[:usb|pci]` or `delegate:PATH[,key=value…]` → the accelerator. Raises UsageError."""
    kind, _, rest = device.partition(":")
    if device == "cpu":
        return None
    if kind == "coral" and rest in ("", "usb", "pci"):
        return Accelerator(EDGE_TPU_LIBRARY, (("device", rest),) if rest else ())
    path, *settings = rest.split(",")
    pairs = tuple((key, value) for key, equals, value in (setting.partition("=") for setting in settings) if equals)
    if kind == "delegate" and path and len(pairs) == len(settings):
        return Accelerator(path, pairs)
    raise UsageError(f"unknown device '{device}'; expected cpu, coral, coral:usb, coral:pci or delegate:PATH,key=value")


def _delegate(module: ModuleType, accelerator: Accelerator) -> object:
    coral = accelerator.library == EDGE_TPU_LIBRARY
    # Looked for first: the packages' own Delegate prints a second error from its destructor without the library.
    try:
        ctypes.CDLL(accelerator.library)
    except OSError as error:
        if coral:
            raise ModelError(
                f"no Edge TPU runtime on this machine ({EDGE_TPU_LIBRARY} not found); install Coral's libedgetpu1-std "
                "package, or run on the CPU"
            ) from error
        raise ModelError(f"the delegate's library does not load: {error}; is its path right?") from error
    try:
        with capture_stderr():
            return module.load_delegate(accelerator.library, dict(accelerator.options))
    except (ValueError, OSError, RuntimeError) as error:
        if coral:
            raise ModelError(
                "the Edge TPU runtime is installed but no Edge TPU answers; is the device plugged in? "
                "(try another USB port, then: lsusb)"
            ) from error
        raise ModelError(f"the delegate {accelerator.library} does not start: {_first_line(error)}") from error


def _why_it_does_not_load(error: Exception, file: ModelFile, package: str) -> str:
    custom = sorted({operator.name for operator in file.operators if operator.custom})
    text = str(error)
    named = [name for name in custom if name in text]
    if named or ("custom op" in text and custom):
        return (
            f"the model uses the custom operator {', '.join(named or custom)}, which {package} does not have; "
            "export the model with built-in operators only"
        )
    return f"{package} refuses the model: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _tensor_info(details: dict) -> TensorInfo:
    scale, zero_point = details["quantization"]
    shape = tuple(int(dimension) for dimension in details["shape"])
    return TensorInfo(details["name"], shape, np.dtype(details["dtype"]), float(scale), int(zero_point))
