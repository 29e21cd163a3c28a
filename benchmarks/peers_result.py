"""What a run of the study `peers` found → its JSON, and the table that a page or a README shows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..convert.latency import Timing
from ..runtime.device.machine import Machine
from .measure.stats import Interval
from .summary import NOT_MEASURED, Table
from .timings import FRAME_SIZE

SCHEMA = "edgematte.bench.peers"
SCHEMA_VERSION = 1
MB = 1_000_000


@dataclass(frozen=True)
class Row:
    """What one peer did."""

    name: str  # "opencv, unet-live.onnx"
    engine: str
    sha256: str | None  # of the model's file; None for a bundled name
    size_bytes: int | None
    iou: Interval  # with the true masks, over photos
    boundary_iou: Interval
    mae: Interval
    whole: Timing  # a 1280x720 photo to its alpha
    load_ms: float
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Missing:
    """A peer that could not take part."""

    name: str
    reason: str


@dataclass(frozen=True)
class Peers:
    """Everything about one run."""

    made_at: str  # ISO 8601, UTC
    command: str
    machine: Machine
    photos: int
    photos_sha256: str
    threads: int
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]


def to_json(found: Peers) -> str:
    """Indented JSON with the schema's name and version."""
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(found)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def table(found: Peers) -> Table:
    """A row per peer, the best IoU first; who could not take part comes last."""
    width, height = FRAME_SIZE
    head = (
        f"{found.photos} photos, {found.threads} thread{'s' * (found.threads > 1)}", "IoU", "boundary IoU", "MAE",
        f"{width}x{height} photo → alpha, ms (95 %)", "CPU, ms", "model, MB", "peak memory, MB",
    )  # fmt: skip
    rows = [
        (
            f"{row.name} ({row.engine})", f"{row.iou.value:.3f}", f"{row.boundary_iou.value:.3f}",
            f"{row.mae.value:.3f}", f"{row.whole.median_ms:.1f} ({row.whole.p95_ms:.1f})",
            f"{row.whole.cpu_ms or 0:.1f}",
            "" if row.size_bytes is None else f"{row.size_bytes / MB:.1f}",
            "not readable" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / MB:.0f}",
        )
        for row in sorted(found.rows, key=lambda row: -row.iou.value)
    ]  # fmt: skip
    rows += [(one.name, *[NOT_MEASURED] * (len(head) - 1)) for one in found.missing]
    return Table(head, tuple(rows))
