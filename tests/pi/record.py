"""What an emulated board did → one JSON file, its counts also as a table, for benchmarks/results/ and who quotes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

SCHEMA_VERSION = 1
WHAT_IT_IS_NOT = (
    "Run under QEMU on a PC: results and counts of instructions are a board's, times, heat and cameras are not."
)
COUNTS_ARE = """# Instructions of one inference

    {command}

Millions of one warm inference on one thread in ai-edge-litert, counted by a QEMU plugin
(`tests/pi/instruction_count.c`). Full precision is the network's ONNX original through `edgematte.convert`'s float
lowering, in the same interpreter. Counts are not time: a dot product does sixteen multiplications in one instruction,
and a load that misses the cache is one instruction too.

"""


@dataclass(frozen=True)
class Cut:
    """`edgematte cut PHOTO --only-mask` on a board, compared with the same on this PC."""

    photo: str
    core: str
    interpreter: str  # "ai-edge-litert 2.3.0"
    largest_difference: int  # of the alphas, of 255


@dataclass(frozen=True)
class NetworkCount:
    """One warm inference of a shipped network on one thread."""

    model: str  # "unet-live"
    model_sha256: str
    core: str
    int8_instructions: int
    int8_dot_products: int  # SDOT and UDOT among them
    int8_float_operators: int  # in the graph
    fp32_instructions: int
    ratio: float  # int8 / fp32
    int8_largest_difference: int  # of the output tensor from this PC's, of 255


def write(folder: Path, name: str, command: str, facts: dict[str, object]) -> Path:
    """`folder/NAME.json` with the facts; dataclasses in lists become objects. Replaces what was there."""
    content = {
        "schema": f"edgematte.{name}",
        "schema_version": SCHEMA_VERSION,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "note": WHAT_IT_IS_NOT,
        **{key: _plain(value) for key, value in facts.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return path


def write_counts(folder: Path, name: str, command: str, counts: Sequence[NetworkCount]) -> Path:
    """`folder/NAME.md`: a row per network and core, in millions of instructions. Replaces what was there."""
    head = ("", "core", "int8", "of which SDOT/UDOT", "fp32", "int8 / fp32", "float operators in int8", "int8's sha256")
    rows = [
        (
            f"`{one.model}`", one.core, _millions(one.int8_instructions), _millions(one.int8_dot_products),
            _millions(one.fp32_instructions), f"{one.ratio:.3f}", str(one.int8_float_operators), one.model_sha256[:8],
        )
        for one in sorted(counts, key=lambda one: (one.model, -one.int8_dot_products))
    ]  # fmt: skip
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ("---", "---", *["---:"] * 6), *rows)]
    path = folder / f"{name}.md"
    path.write_text(COUNTS_ARE.format(command=command) + "\n".join(lines) + "\n")
    return path


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}" if count else "0"


def _plain(value: object) -> object:
    if isinstance(value, Cut | NetworkCount):
        return asdict(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
