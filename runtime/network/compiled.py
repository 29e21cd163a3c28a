"""A parsed .tflite → the chip it was compiled for, if it was: what it is, where it runs, where it came from."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..errors import ModelError
from .model_file import ModelFile, read_card

EDGE_TPU_OPERATOR = "edgetpu-custom-op"
ETHOS_U_OPERATOR = "ethos-u"
# Custom operator that a compiler leaves in the file → (the chip, what runs it on the board).
_COMPILERS = {
    EDGE_TPU_OPERATOR: ("an Edge TPU", "on a board with one: --device coral"),
    ETHOS_U_OPERATOR: (
        "an Arm Ethos-U",
        "on Linux boards with one: --device delegate:/usr/lib/libethosu_delegate.so; on microcontrollers: "
        "TensorFlow Lite Micro with Arm's driver",
    ),
    "NeutronGraph": (
        "NXP's Neutron NPU",
        "on Linux boards with one: --device delegate:/usr/lib/libneutron_delegate.so",
    ),
    "DISPATCH_OP": ("a phone's NPU, by LiteRT", "LiteRT's CompiledModel on the phone it was compiled for"),
}
_ETHOS_U_PRODUCTS = ("Ethos-U55", "Ethos-U65", "Ethos-U85")
_DRIVER_ACTIONS = (b"COP1", b"COP2")  # how a stream for Arm's driver begins
_CONFIG_WORD = 2  # the third word: product in bits 28–31, binary logarithm of the MACs per cycle in bits 0–3


@dataclass(frozen=True)
class Compiled:
    """What a compiled file is."""

    operator: str  # the custom operator that holds the chip's code
    chip: str  # with its article: "an Arm Ethos-U65-256"
    runs: str  # where, and with which option
    left_to_cpu: int  # operators that the compiler did not take
    source: str  # which model it came from, by the card; empty where there is no card

    @property
    def sentence(self) -> str:
        """Why the CPU refuses it, and what to do."""
        return (
            f"the model is compiled for {self.chip} (operator {self.operator}) and cannot run on the CPU; {self.runs}; "
            f"here: use the .tflite file it was compiled from{self.source and f', {self.source}'}"
        )


def chip_of(file: ModelFile) -> str | None:
    """The kind of chip that a file was compiled for, with its article; None: any interpreter can run it."""
    operator = _operator(file)
    return None if operator is None else _COMPILERS[operator][0]


def compiled(content: bytes, file: ModelFile) -> Compiled | None:
    """What `content`, parsed as `file`, was compiled for; None for a model that any interpreter can run."""
    operator = _operator(file)
    if operator is None:
        return None
    chip, runs = _COMPILERS[operator]
    if operator == ETHOS_U_OPERATOR:
        chip = _ethos_u(content, file) or chip
    left = sum(other.name != operator for other in file.operators)
    return Compiled(operator, chip, runs, left, _source(content))


def _operator(file: ModelFile) -> str | None:
    return next((o.name for o in file.operators if o.custom and o.name in _COMPILERS), None)


def _ethos_u(content: bytes, file: ModelFile) -> str | None:
    """The configuration that Vela compiled for, as the head of the first command stream has it."""
    stream = next(o.inputs[0] for o in file.operators if o.name == ETHOS_U_OPERATOR and o.inputs)
    tensor = file.tensors[stream]
    head = content[tensor.stored_at : tensor.stored_at + 4 * (_CONFIG_WORD + 1)]
    if tensor.stored_bytes < len(head) or head[:4] not in _DRIVER_ACTIONS:
        return None
    (word,) = struct.unpack_from("<I", head, 4 * _CONFIG_WORD)
    product, macs = word >> 28, 1 << (word & 15)
    return f"an Arm {_ETHOS_U_PRODUCTS[product]}-{macs}" if product < len(_ETHOS_U_PRODUCTS) else None


def _source(content: bytes) -> str:
    try:
        card = read_card(content)
    except ModelError:
        return ""
    return f"{card.name} of the ONNX file with sha256 {card.source_sha256[:16]}…" if card else ""
