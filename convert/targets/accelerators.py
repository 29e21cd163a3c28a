"""A target's name → the checker of that chip. The one place that knows them all."""

from __future__ import annotations

from collections.abc import Iterator

from ...runtime.errors import ConversionError
from ..tflite.graph import TfliteGraph, float_operators
from . import coral, ethos_u, stm32n6
from .coverage import Coverage

NAMES = ("coral", *ethos_u.targets(), "stm32n6")


def is_one(target: str) -> bool:
    """Whether a target computes in integers only, and wants TRANSPOSE_CONV where a processor likes DEPTH_TO_SPACE."""
    return target in NAMES


def check(model: bytes, target: str, *, sram_kib: int | None = None) -> Coverage | None:
    """What the chip makes of an int8 model; None for a target that is none.

    Raises ConversionError for a model that computes in floating point or does not fit, or when a compiler fails.
    """
    if not is_one(target):
        return None
    left = float_operators(TfliteGraph(model))
    if left:
        raise ConversionError(f"{left[0]} computes in floating point; {target} takes full-integer models only")
    if target == "coral":
        return coral.check(model)
    return stm32n6.check(model) if target == "stm32n6" else ethos_u.check(model, target, sram_kib=sram_kib)


def warnings(coverage: Coverage) -> Iterator[str]:
    """What a user should know before shipping."""
    if not coverage.complete:
        yield coverage.headline
    if coverage.missing:
        yield f"{coverage.chip}'s own compiler was not here, so this is our reading of {coverage.by}; for proof: " + (
            coverage.missing
        )
    if coverage.next_steps:
        yield f"this is our reading of {coverage.by}; nothing was run on {coverage.chip}, see the next steps"
