"""Operators that opsets after 22 brought."""

from __future__ import annotations

import pytest

from ...tiny import COLUMNS, TOLERANCE, Op, difference, floats, model_of, op

NEW: dict[str, tuple[int, list[Op]]] = {
    "swish": (24, [op("Swish", "x")]),
    "steep swish": (24, [op("Swish", "x", alpha=1.7)]),
    "root mean square": (23, [op("RMSNormalization", "x", floats(COLUMNS), axis=-1, epsilon=1e-3)]),
}


@pytest.mark.parametrize(("opset", "ops"), NEW.values(), ids=NEW.keys())
def test_it_computes_what_onnxruntime_computes(opset: int, ops: list[Op]) -> None:
    error, _ = difference(model_of(ops, opset=opset))
    assert error <= TOLERANCE
