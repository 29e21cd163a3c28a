"""Results → tables on a terminal, plain text in a pipe. Only the program imports this."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .network import ANY_MODEL, LIVE_MODEL, PEOPLE_MODEL, PHOTO_MODEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .network.inspection import Inspection
    from .network.model_file import FileTensor, ModelCard
    from .network.published import Published

USES = {
    PHOTO_MODEL: " (default for photos)",
    PEOPLE_MODEL: " (default for booths)",
    LIVE_MODEL: " (default for cameras)",
    ANY_MODEL: " (default with --follow)",
}
PIPE_WIDTH = 160  # characters; a pipe has no width of its own, and a table folded to 80 cannot be searched


def console(*, stderr: bool = False, width: int = PIPE_WIDTH) -> Console:
    """Where tables are printed; `width`, in characters, is that of a pipe."""
    in_pipe = not (sys.stderr if stderr else sys.stdout).isatty() and "COLUMNS" not in os.environ
    return Console(stderr=stderr, width=width if in_pipe else None, highlight=False)


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Names and what is to be said of each."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))  # Text: names in files may hold what rich takes for markup
    return table


def show_inspection(found: Inspection) -> None:
    """One model, as `edgematte inspect` prints it."""
    rows = [
        ("file", f"{found.file}, {found.size_bytes:,} bytes"),
        ("sha256", found.sha256),
        ("description", found.description or "none"),
        ("precision", found.precision),
        *[("input", _tensor(tensor)) for tensor in found.inputs],
        *[("output", _tensor(tensor)) for tensor in found.outputs],
        ("weights", ", ".join(f"{size:,} bytes {dtype}" for dtype, size in found.weights) or "none"),
        ("metadata", ", ".join(f"{name} ({size:,} bytes)" for name, size in found.metadata) or "none"),
    ]
    if found.custom_operators:
        rows.append(("custom operators", ", ".join(found.custom_operators)))
    if found.refusal:
        rows.append(("cannot run here", found.refusal))
    elif found.card:
        rows.append(("runs as", _CONTRACTS[found.card.role]))
    elif found.convention:
        says = ", ".join(
            f"{field.name} {getattr(found.convention, field.name)}"
            for field in fields(found.convention)
            if getattr(found.convention, field.name) is not None
        )
        rows.append(("runs as", f"{says} (guessed; correct it in a .toml file of the model's name beside it)"))
    out = console()
    out.print(facts(rows))
    if found.card:
        out.print(facts(_card_rows(found.card)))
    table = Table(
        "operator", "count", title=f"{sum(count for _, count in found.operators)} operators", title_justify="left"
    )
    for name, count in found.operators:
        table.add_row(Text(name), str(count))
    out.print(table)


_CONTRACTS = {
    "segmenter": "the model contract: RGB bytes in, alpha bytes out",
    "follower": "a follower: bytes of RGB, last matte and likeness in, the subject's alpha bytes out",
}


def _tensor(tensor: FileTensor) -> str:
    shape = "x".join("?" if length < 0 else str(length) for length in tensor.shape)
    if len(tensor.scales) == 1:
        quantised = f", scale {tensor.scales[0]:.8g}, zero point {tensor.zero_points[0] if tensor.zero_points else 0}"
    else:
        quantised = ", not quantised"
    return f"{tensor.name}: {tensor.dtype} {shape}{quantised}"


def _card_rows(card: ModelCard) -> list[tuple[str, str]]:
    rows = []
    for field in fields(card):
        value = getattr(card, field.name)
        if value not in (None, "") and field.name != "reading":  # which "preprocessing" says in words
            rows.append((f"card: {field.name.replace('_', ' ')}", str(value)))
    return rows


def show_models(models: list[tuple[str, int, ModelCard | None]]) -> None:
    """Bundled models: name, size in bytes, card."""
    table = Table("model", "bytes", "int8 to float IoU", "licence")
    for name, size, card in models:
        agreement = f"{card.agreement_iou:.3f}" if card and card.agreement_iou is not None else "not measured"
        use = USES.get(name, "")
        table.add_row(name + use, f"{size:,}", agreement, card.licence if card else "")
    console().print(table)


def show_published(models: Mapping[str, Published], pulled: Mapping[str, Path]) -> None:
    """Networks of other people: name, size in bytes, whether it is here, licence, who made it."""
    table = Table("to pull", "bytes", "here", "licence", "origin")
    for name, model in models.items():
        table.add_row(name, f"{model.size_bytes:,}", "yes" if name in pulled else "no", model.licence, model.origin)
    console().print(table)
