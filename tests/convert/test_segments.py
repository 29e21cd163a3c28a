"""Single-pixel vectors in segments of their range: the same function, a finer int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from float_nets import Net, alpha

from edgematte.convert.calibrate import observe
from edgematte.convert.int8_forms import with_int8_forms
from edgematte.convert.layers import real_values
from edgematte.convert.lower import FloatModel
from edgematte.convert.segments import SEGMENTS, with_segments
from edgematte.convert.tflite_graph import TfliteGraph
from edgematte.convert.to_int8 import PLAIN, to_int8
from edgematte.runtime.images import find_photos, read
from edgematte.runtime.preprocess import resize


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def gated(act: str) -> FloatModel:
    """A squeeze-and-excitation block."""
    net = Net(seed=21)
    x = net.conv("x", net.image, 16, stride=2)
    squeezed = net.conv("squeezed", net.global_mean("mean", x), 12, size=1, act=act)
    gate = net.unary("gate", "LOGISTIC", net.conv("excited", squeezed, 16, size=1, act="NONE"))
    model = net.finish(net.conv("logits", net.mul("gated", x, gate), 1, size=1, act="NONE"))
    return with_int8_forms(model)


@pytest.mark.parametrize("act", ["NONE", "RELU"])
def test_the_function_stays_the_same(act: str, images) -> None:
    model = gated(act)
    divided, statistics = with_segments(model, observe(model, images))
    graph = TfliteGraph(divided.tflite)
    assert graph.shape(graph.numbers["squeezed/segments"]) == (1, 1, 1, SEGMENTS * 12)
    assert "squeezed/segments" in statistics
    for image in images:
        assert np.abs(alpha(divided.tflite, model, image) - alpha(model.tflite, model, image)).max() < 1e-4


def test_the_numbers_read_from_the_vector_are_closer_to_float(images) -> None:
    model = gated("RELU")
    pixels = [resize(image, model.size) for image in images]
    of_float = real_values(model.tflite, ["excited"])
    expected = [next(of_float(model.to_input(picture))).copy() for picture in pixels]

    def error(segments: bool) -> float:
        int8 = to_int8(model, images, steps=replace(PLAIN, segments=segments)).tflite
        of_int8 = real_values(int8, ["excited"])
        found = [next(of_int8(picture[np.newaxis])) for picture in pixels]
        return float(np.mean([np.square(f - e).mean() for f, e in zip(found, expected, strict=True)]))

    assert error(True) < error(False)
