"""A tensor takes another's scale only where that scale holds its values and is not wasted on them."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgematte.convert.quantise.shared_scales import OVERSHOOT, WASTE, _serves, share_scales
from edgematte.convert.tflite.kernels import UNIT, Encoding, encode

from ..float_nets import CODE, Net

CAMERA = Encoding(1 / 255, -128)


@pytest.mark.parametrize("width", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("low", [0.0, -0.5])
def test_a_scale_serves_what_is_a_hundredth_wider_and_not_much_narrower(width: float, low: float) -> None:
    encoding = encode(low * width, (1 + low) * width)
    lowest, highest = encoding.lowest, encoding.highest
    overshoot = OVERSHOOT * (highest - lowest)
    assert _serves(encoding, (lowest, highest + 0.9 * overshoot))
    assert not _serves(encoding, (lowest, highest + 1.1 * overshoot))
    assert _serves(encoding, (lowest - 0.9 * overshoot, highest))
    assert not _serves(encoding, (lowest - 1.1 * overshoot, highest))
    assert _serves(encoding, (lowest / WASTE * 1.01, highest / WASTE * 1.01))
    assert not _serves(encoding, (lowest / WASTE * 0.99, highest / WASTE * 0.99))


def groups(net: Net, last: int, ranges: dict[str, tuple[float, float]], **options):
    """(names by group, group's name → its pinned encoding, (what makes it, slot) of requantised inputs)."""
    graph = net.finish(net.conv("logits", last, 1, size=1, act="NONE")).graph
    inputs = {graph.numbers[name]: encoding for name, encoding in options.pop("levels", {"image": CAMERA}).items()}
    shared = share_scales(graph, ranges, inputs=inputs, **options)
    together = {frozenset(graph.name(t) for t in members) for members in shared.members().values()}
    pinned = {
        graph.name(t): e for r, members in shared.members().items() for t in members if (e := shared.pinned.get(r))
    }
    moved = {(graph.name(graph.operators[number].outputs[0]), slot) for number, slot in shared.requantised}
    return together, pinned, moved


def test_what_copies_numbers_ties_its_tensors_and_what_computes_them_does_not() -> None:
    net = Net()
    x, y = net.conv("x", net.image, 4, stride=2), net.conv("y", net.image, 4)
    joined = net.concat("joined", net.double("up", x), y)
    together, pinned, moved = groups(net, net.add("sum", joined, 1.0), {"x": (0, 1), "y": (0, 2)})
    assert frozenset({"x", "up", "y", "joined"}) in together
    assert {frozenset({"sum"}), frozenset({"logits"}), frozenset({"image"}), frozenset({"alpha"})} < together
    assert pinned == {"image": CAMERA, "alpha": UNIT}, "a logistic gives 256 levels of 0…1"
    assert moved == set()


def joined_with_the_picture(span: tuple[float, float], **options):
    net = Net()
    x = net.conv("x", net.image, 4)
    return groups(net, net.concat("joined", x, net.image), {"image": (0, 1), "x": span, "joined": span}, **options)


def test_a_group_takes_the_camera_s_scale_where_that_serves_it() -> None:
    together, pinned, moved = joined_with_the_picture((0.0, 0.9))
    assert frozenset({"x", "image", "joined"}) in together
    assert (pinned["joined"], moved) == (CAMERA, set())
    together, pinned, moved = joined_with_the_picture((0.0, 1.5))
    assert frozenset({"x", "joined"}) in together
    assert "joined" not in pinned
    assert moved == {("joined", 1)}, "the picture is requantised on its way in"
    _, _, moved = joined_with_the_picture((0.0, 0.2))
    assert moved == {("joined", 1)}


def test_scales_that_a_file_gave_are_taken_over_whatever_the_range() -> None:
    _, pinned, moved = joined_with_the_picture((0.0, 1.5), given=True)
    assert (pinned["joined"], moved) == (CAMERA, set())
    other = Encoding(0.02, 3)
    _, pinned, moved = joined_with_the_picture((0.0, 1.5), given=True, levels={"image": CAMERA, "x": other})
    assert (pinned["x"], pinned["joined"], pinned["image"]) == (other, other, CAMERA)
    assert moved == {("joined", 1)}
    _, pinned, _ = joined_with_the_picture((0.0, 1.5), given=True, levels={"image": CAMERA, "alpha": other})
    assert pinned["alpha"] == other, "looked up in a table, which gives any scale"
    _, pinned, _ = joined_with_the_picture((0.0, 1.5), levels={"image": CAMERA, "alpha": other})
    assert pinned["alpha"] == UNIT


def test_concatenations_on_their_own_scales_and_islands_tie_nothing() -> None:
    together, _, moved = joined_with_the_picture((0.0, 0.9), concatenations=False)
    assert frozenset({"joined"}) in together
    assert moved == {("joined", 0), ("joined", 1)}
    together, _, moved = joined_with_the_picture((0.0, 0.9), islands=["joined"])
    assert frozenset({"joined"}) in together
    assert moved == set()


def test_a_group_s_span_is_that_of_all_its_tensors() -> None:
    def moved_with(wide: tuple[float, float]) -> set:
        net = Net()
        x = net.concat("both", net.conv("x", net.image, 4), net.conv("wide", net.image, 4))
        ranges = {"image": (0, 1), "x": (0, 0.9), "wide": wide, "both": (0, 0.9), "joined": (0, 0.9)}
        return groups(net, net.concat("joined", x, net.image), ranges)[2]

    assert moved_with((0.0, 0.9)) == set()
    assert moved_with((0.0, 7.0)) == moved_with((-7.0, 0.0)) == {("joined", 1)}


def test_all_parts_of_a_split_share_its_scale() -> None:
    net = Net()
    x = net.conv("x", net.image, 4)
    parts = [net._tensor(f"part{i}", (*net.shapes[x][:3], 2)) for i in range(2)]
    options = schema.SplitOptionsT()
    options.numSplits = 2
    net.builder.operator(CODE.SPLIT, [net._constant("axis", np.array([3], np.int32)), x], parts, options)
    together, _, moved = groups(net, net.add("sum", *parts), {"x": (0, 1)})
    assert frozenset({"x", "part0", "part1"}) in together
    assert moved == set()
