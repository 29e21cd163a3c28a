"""Operators that opsets after 17 brought."""

from __future__ import annotations

import pytest

from ...tiny import COLUMNS, TOLERANCE, Op, difference, floats, ints, model_of, op

NEW: dict[str, tuple[int, list[Op]]] = {
    "patches side by side": (
        18,
        [op("Reshape", "x", ints(1, 8, 108)), op("Col2Im", "t0", ints(18, 24), ints(2, 2), strides=[2, 2])],
    ),
    "swish": (24, [op("Swish", "x")]),
    "steep swish": (24, [op("Swish", "x", alpha=1.7)]),
    "root mean square": (23, [op("RMSNormalization", "x", floats(COLUMNS), axis=-1, epsilon=1e-3)]),
}


@pytest.mark.parametrize(("opset", "ops"), NEW.values(), ids=NEW.keys())
def test_it_computes_what_onnxruntime_computes(opset: int, ops: list[Op]) -> None:
    error, _ = difference(model_of(ops, opset=opset))
    assert error <= TOLERANCE
