"""A channel shuffle costs nothing once the weights around it know the order."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.rewrite.shuffles import without_shuffles
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.runtime.network.interpreter import load as load_network

from ..tiny import Op, floats, ints, load, lower, model_of, op


def shuffle(source: str, groups: int, rows: int, columns: int, names: tuple[str, str, str]) -> list[Op]:
    """The three nodes that exporters write for eight channels in `groups`."""
    return [
        op("Reshape", source, ints(1, groups, 8 // groups, rows, columns), outputs=[names[0]]),
        op("Transpose", names[0], perm=[0, 2, 1, 3, 4], outputs=[names[1]]),
        op("Reshape", names[1], ints(1, 8, rows, columns), outputs=[names[2]]),
    ]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("before", ["Conv", "Sigmoid"])
def test_no_transpose_is_left_and_the_function_stays(groups: int, before: str) -> None:
    rows, columns = 9, 12
    head = [op("Conv", "x", floats(8, 8 // groups, 1, 1, seed=3), group=groups, outputs=["made"])]
    if before == "Sigmoid":  # no weights before the shuffle: the convolution after it takes the order in
        head.append(op("Sigmoid", "made", outputs=["bent"]))
    made = "bent" if before == "Sigmoid" else "made"
    tail = op("Conv", "mixed", floats(1, 8, 1, 1, seed=4), outputs=["logits"])
    ops = [*head, *shuffle(made, 4, rows, columns, ("split", "turned", "mixed")), tail]
    model = lower(load(model_of(ops, rows=rows, columns=columns)))
    folded = without_shuffles(model)
    graph = folded.graph.copy()
    kinds = [graph.kind(operator) for operator in graph.operators]
    assert not {"TRANSPOSE", "RESHAPE"}.intersection(kinds)
    picture = np.random.default_rng(2).integers(0, 256, (rows, columns, 3), np.uint8)
    found, expected = (run(content, model, picture) for content in (folded.tflite, model.tflite))
    assert np.abs(found - expected).max() < 1e-6


def run(content: bytes, model: FloatModel, picture: np.ndarray) -> np.ndarray:
    return load_network(content, threads=1).run(model.to_input(picture))
