"""A .tflite file → what it is: inputs, outputs, precision, operators, card, and how this machine would run it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import EdgeMatteError, ModelError
from .compiled import Compiled, chip_of, compiled
from .convention import Convention
from .guess import convention_of
from .interpreter import load, read_model
from .model_file import FileTensor, ModelCard, ModelFile, parse, read_card


@dataclass(frozen=True)
class Inspection:
    """Everything `edgematte inspect` shows."""

    file: str
    sha256: str
    size_bytes: int
    description: str  # as its maker wrote it
    precision: str  # in words
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    operators: tuple[tuple[str, int], ...]  # name and how often, the most frequent first
    custom_operators: tuple[str, ...]
    compiled: Compiled | None  # for which chip; None for a model that any interpreter can run
    weights: tuple[tuple[str, int], ...]  # type and stored bytes, the most first
    metadata: tuple[tuple[str, int], ...]  # entry and its bytes
    card: ModelCard | None
    convention: Convention | None  # how pixels go in and alpha comes out; None when it cannot run here
    refusal: str | None  # why it cannot run here

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def inspect(path: Path) -> Inspection:
    """Raises ModelError when the file cannot be read, is damaged, or is no .tflite file.

    A sound file that this machine cannot run (compiled for a chip, a custom operator) is described all the same.
    """
    content = read_model(path)
    try:
        file = parse(content)
        card = read_card(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    convention, refusal = None, None
    try:
        network = load(content, threads=1)
        convention = Convention() if card else convention_of(network, path)
    except EdgeMatteError as error:
        refusal = str(error)
    made_for = compiled(content, file)
    histogram = Counter(operator.name for operator in file.operators)
    return Inspection(
        file=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        description=file.description,
        precision=f"compiled for {made_for.chip}" if made_for else precision(file),
        inputs=tuple(file.tensors[index] for index in file.inputs),
        outputs=tuple(file.tensors[index] for index in file.outputs),
        operators=tuple(histogram.most_common()),
        custom_operators=tuple(sorted({operator.name for operator in file.operators if operator.custom})),
        compiled=made_for,
        weights=tuple(_stored_bytes(file).most_common()),
        metadata=tuple((name, len(data)) for name, data in sorted(file.metadata.items())),
        card=card,
        convention=convention,
        refusal=refusal,
    )


def _stored_bytes(file: ModelFile) -> Counter[str]:
    stored: Counter[str] = Counter()
    for tensor in file.tensors:
        if tensor.stored_bytes:
            stored[tensor.dtype] += tensor.stored_bytes
    return stored


def precision(file: ModelFile) -> str:
    """Full integer, float, or which mixture, told by the types of weights and activations."""
    activations = {tensor.dtype for tensor in file.tensors if not tensor.stored_bytes and tensor.shape}
    stored = _stored_bytes(file)
    if chip := chip_of(file):
        return f"compiled for {chip}"
    if "float32" not in activations and activations & {"int8", "uint8"}:
        per_channel = any(len(tensor.scales) > 1 for tensor in file.tensors)
        return "full integer, " + ("per-channel weights" if per_channel else "per-tensor weights")
    if activations & {"int8", "uint8", "int16"} and any(operator.name == "QUANTIZE" for operator in file.operators):
        return "integer with float islands"
    small = [dtype for dtype in ("float16", "int8", "uint8", "int4") if stored[dtype] > 0.05 * stored.total()]
    if not small:
        return "float"
    partly = "partly " if stored["float32"] > 0.05 * stored.total() else ""
    return f"float, weights {partly}stored as {' and '.join(small)}"
