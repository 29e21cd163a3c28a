"""A sum of which int8 keeps one operand only is that operand; single-pixel vectors keep two bits more in segments."""

from __future__ import annotations

import numpy as np
import pytest

from edgematte.convert.quantise.calibrate import observe
from edgematte.convert.quantise.faint import without_faint
from edgematte.convert.quantise.to_int8 import to_int8
from edgematte.convert.targets.partitions import partitions
from edgematte.convert.tflite.float_model import FloatModel
from edgematte.convert.tflite.graph import TfliteGraph
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read

from ..float_nets import Net, alpha, scaled_output


@pytest.fixture(scope="module")
def images(photos):
    return [read(path) for path in find_photos(photos / "images")]


def skip(size: float) -> FloatModel:
    """A sum of two convolutions, one of them `size` times as large as it was."""
    net = Net(seed=8)
    stem = net.conv("stem", net.image, 8, stride=2)
    total = net.add("sum", net.conv("loud", stem, 8, act="NONE"), net.conv("quiet", stem, 8, act="NONE"))
    model = net.finish(net.conv("logits", total, 1, size=1, act="NONE"))
    return scaled_output(model, "quiet", np.full(8, size))


def test_only_a_faint_operand_is_left_out(images) -> None:
    for size, left in ((1e-4, 0), (0.1, 1)):
        model = skip(size)
        graph = TfliteGraph(without_faint(model, observe(model, images)).tflite)
        assert [graph.kind(o) for o in graph.operators].count("ADD") == left
        assert ("quiet" in {graph.name(o.outputs[0]) for o in graph.operators}) == bool(left)


def test_its_mean_stays_and_the_network_in_one_piece(images) -> None:
    model = skip(1e-4)
    kept = without_faint(model, observe(model, images))
    for image in images:
        assert np.abs(alpha(kept.tflite, model, image) - alpha(model.tflite, model, image)).max() < 1e-3
    assert partitions(to_int8(model, images).tflite) == 1
