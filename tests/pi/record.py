"""What an emulated board did → one JSON file, for benchmarks/results/ and the texts that quote it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

SCHEMA_VERSION = 1
WHAT_IT_IS_NOT = (
    "Run under QEMU on a PC: results and counts of instructions are a board's, times, heat and cameras are not."
)


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


def _plain(value: object) -> object:
    if isinstance(value, Cut | NetworkCount):
        return asdict(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value
