"""A .tflite file opened for editing keeps what nobody touches."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.tflite.graph import TfliteGraph, float_operators
from edgematte.runtime.errors import ModelError
from edgematte.runtime.picture.images import read

from ..float_nets import alpha, unet


def test_a_round_trip_computes_the_same(astronaut) -> None:
    model, image = unet(), read(astronaut)
    copy = model.graph.copy().to_bytes()
    assert np.array_equal(alpha(copy, model, image), alpha(model.tflite, model, image)), "nothing was changed"


def test_a_changed_constant_changes_its_reader_only() -> None:
    model = unet()
    graph = model.graph.copy()
    tensor = graph.numbers["logits/bias"]
    graph.set_constant(tensor, np.array([3.0], np.float32))
    again = TfliteGraph(graph.to_bytes())
    assert again.constant(again.numbers["logits/bias"]).tolist() == [3.0]
    for name in ("logits/weights", "skip/weights"):
        assert np.array_equal(again.constant(again.numbers[name]), graph.constant(graph.numbers[name]))


def test_replaced_constants_take_no_space_in_the_file() -> None:
    model = unet()
    graph = model.graph.copy()
    tensor = graph.numbers["middle/weights"]
    graph.set_constant(tensor, graph.constant(tensor))
    # Headers of the one buffer that was emptied remain; its 9 kB do not.
    assert abs(len(graph.to_bytes()) - len(model.graph.copy().to_bytes())) < 200


def test_operators_are_called_by_kind_and_output() -> None:
    graph = TfliteGraph(unet().tflite)
    assert [graph.title(operator) for operator in graph.operators][-2:] == ["CONV_2D 'logits'", "LOGISTIC 'alpha'"]
    assert len(float_operators(graph)) == len(graph.operators)


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ModelError):
        TfliteGraph(b"PK\x03\x04 a zip file, say")
