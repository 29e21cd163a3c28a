"""One file per family of operators; importing this package fills the table in `context.py` with all of them."""

from __future__ import annotations

from . import (
    activation,
    arithmetic,
    choose,
    conv,
    matmul,
    normalization,
    pool,
    reduce,
    resize,
    shape,
    slicing,
)
from .context import LOWERINGS, Lowering, Value

__all__ = [
    "LOWERINGS",
    "Lowering",
    "Value",
    "activation",
    "arithmetic",
    "choose",
    "conv",
    "matmul",
    "normalization",
    "pool",
    "reduce",
    "resize",
    "shape",
    "slicing",
]
