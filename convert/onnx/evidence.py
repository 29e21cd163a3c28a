"""A network, what its file computes of photos, and what the user says → its reading, or a refusal with the options.

The operators at the end decide where they prove a range (`bounds`), the values on the photos where they do not. What
neither settles is not guessed: two readings of one network differ by a whole sigmoid, and no gate would notice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import ConversionError, UsageError
from ...runtime.picture.images import Image
from .bounds import ANYTHING, Bounds, bounds_of
from .graph import Graph, Node
from .original import Original
from .pixels import scaled_by
from .reading import Matte, Preprocessing, Reading, Values, written

Asked = Literal["alpha", "logits", "sigmoid", "0-255", "signed", "background"]

SLACK = 1e-3  # of the span: float32 rounding, and what half precision makes of one
NEAR_ENDS = 0.1  # an alpha that shows both background and subject comes this close to 0 and to 1
OVERSHOOT = 0.25  # what an alpha that the user vouches for may overshoot, as enlarging and regression do; it is cut off
LEAST_BYTE = 128.0  # alpha in 0…255 reaches this wherever there is a subject
WHITE = 254.0  # operators that allow less than this have another white than 255
LEAST_ABOVE = 1.0  # of the highest logit: below it nothing on any photo is surely subject
MOST_LOGIT = 64.0  # in single precision a sigmoid is 0 or 1 beyond a quarter of it
LEAST_LOGIT = 2.0  # below zero; nearer to it, a result between -1 and 1 or an alpha that overshoots looks alike
MOST_SUM = 16.0  # probabilities that somebody adds up
LOPSIDED = 0.15  # logits reach this share of their highest below zero as well
# What may stand between the last layer and the output: it moves numbers, or changes each by itself.
_AT_THE_END = frozenset({
    "Transpose", "Einsum", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Sigmoid", "Softmax",
    "Clip", "Add", "Sub", "Mul", "Div",
})  # fmt: skip
COARSEST = 1 / 32  # of the picture's sides; less is a class of the whole picture
_RANGES: dict[Values, str] = {"alpha": "alpha", "0-255": "0 to 255", "signed": "-1 to 1"}
OPTIONS = f"--values {'|'.join(get_args(Asked))}"


@dataclass(frozen=True)
class _Seen:
    """The file's own numbers on the photos."""

    lowest: float
    highest: float
    photos: int
    shares: bool  # of several classes: they add up to one in every pixel
    log_shares: bool  # of several classes: they are the logarithms of such
    own: tuple[float, float]  # lowest and highest of the subject's channel
    # Another channel that holds an alpha or a colour while the subject's does not, or the other way round.
    unlike: int | None

    def within(self, low: float, high: float) -> bool:
        slack = SLACK * (high - low)
        return low - slack <= self.lowest and self.highest <= high + slack

    def __str__(self) -> str:
        return f"values {written(self.lowest)}…{written(self.highest)} on {self.photos} photos"


def decide(
    graph: Graph,
    images: Sequence[Image],
    *,
    preprocessing: Preprocessing | None = None,
    values: Asked | None = None,
    channel: int | None = None,
) -> Reading:
    """The reading of a network, from its operators and what its file makes of pictures of its size.

    `values`: what the user says that the output holds. Raises ConversionError where operators, values and the user
    contradict each other or settle nothing, or where there are several classes and none was chosen.
    """
    reading = _entry(graph, preprocessing, _matte(graph, channel))
    original = Original(graph, [graph.output])
    found = [original.run(reading.to_input(image))[0] for image in images]
    seen = _seen(reading.matte, found)
    kind, proof = _kind(graph, reading.matte, seen, values)
    lowest, highest = (seen.lowest, seen.highest) if kind == "logits" or reading.matte.largest else seen.own
    matte = replace(
        reading.matte, values=kind, proof=proof, background=values == "background", lowest=lowest, highest=highest,
        photos=seen.photos,
    )  # fmt: skip
    if matte.counted and kind == "alpha":
        _refuse_cut_off(graph, reading, images)
    return replace(reading, matte=matte)


def assumed(graph: Graph, preprocessing: Preprocessing | None = None, *, channel: int | None = None) -> Reading:
    """The reading by operators alone; where they prove nothing: logits. For networks whose ends are known."""
    matte = _matte(graph, channel)
    low, high = bounds_of(graph, graph.output)
    alpha = _confined((low, high), 0.0, 1.0)
    kind: Values = "alpha" if alpha else "logits"
    return _entry(graph, preprocessing, replace(matte, values=kind, proof="by its operators" if alpha else "assumed"))


def outputs_on(
    graph: Graph, names: Sequence[str], image: Image, preprocessing: Preprocessing | None = None
) -> list[str]:
    """What each of a file's outputs gives for a picture of the network's size: `'pha' [1, 1, 256, 256], 0.00…1.00`."""
    entry = _entry(graph, preprocessing, Matte("", (), None, 1, 0, (0, 0), "alpha"))
    found = Original(graph, names).run(entry.to_input(image))
    return [
        f"'{name}' {list(values.shape)}, {written(float(np.min(values)))}…{written(float(np.max(values)))}"
        for name, values in zip(names, found, strict=True)
    ]


def refuse_outside(matte: Matte, output: NDArray, photo: str) -> None:
    """Raises ConversionError where a photo gives numbers that the reading does not allow."""
    if matte.values in ("logits", "sigmoid") or matte.largest or matte.proof == "by its operators":
        return
    low, high = _ends(matte.of_channel(output))
    top = 255.0 if matte.values == "0-255" else 1.0
    spare = (OVERSHOOT if matte.proof != "by its values" else SLACK) * top
    if low < (-top if matte.values == "signed" else 0.0) - spare or high > top + spare:
        raise ConversionError(
            f"output '{matte.output}' was read as {_RANGES[matte.values]}, but {photo} gives "
            f"{written(low)}…{written(high)}; say what it holds with {OPTIONS}"
        )


def _entry(graph: Graph, preprocessing: Preprocessing | None, matte: Matte) -> Reading:
    whole = graph.dtype.kind in "ui"
    given = preprocessing or Preprocessing()
    plain = (given.mean, given.std) == (Preprocessing.mean, Preprocessing.std)
    if plain and (whole or scaled_by(graph) is not None):
        given = replace(given, std=(1.0,))
    if whole and (set(given.mean), set(given.std)) != ({0.0}, {1.0}):
        raise UsageError(
            f"input '{graph.input}' takes {graph.dtype} pixels as they are, and divides them itself; leave out --mean "
            "and --std"
        )
    frozen = tuple(f"{name}={value}" for name, value in graph.frozen.items())
    return Reading(graph.input, graph.shapes[graph.input], graph.channels_last, str(graph.dtype), given, matte, frozen)


def _matte(graph: Graph, channel: int | None) -> Matte:
    """What the output's shape says.

    Accepted: (1, C, H, W), (1, H, W, C), (1, H, W), (H, W), and for the input's H and W also (1, H·W), (1, H·W, C)
    and (1, C, H·W).
    """
    shape = graph.shapes[graph.output]
    _refuse_swapped(graph)
    axis, channels, size = _geometry(graph, shape)
    if channels > 1 and channel is None:
        colours = ", or name the tensor that holds the matte with --output NAME if it is a picture"
        raise ConversionError(
            f"the output '{graph.output}' {list(shape)} has {channels} channels; say which is the subject with "
            f"--channel N{colours if channels in (3, 4) else ''}"
        )
    if channel is not None and not 0 <= channel < channels:
        raise ConversionError(f"--channel {channel}: the output {list(shape)} has channels 0 to {channels - 1}")
    along = graph.ending.largest_along
    if along is not None and (axis is None or along % len(shape) != axis):
        raise ConversionError(
            f"the network ends in an ArgMax along axis {along} of '{graph.output}' {list(shape)}, which are no "
            "classes; name the tensor that holds the matte with --output NAME"
        )
    return Matte(
        graph.output, shape, axis, channels, channel or 0, size, "logits", largest=along is not None,
        last_wins=graph.ending.last_wins, counted=graph.ending.counted,
    )  # fmt: skip


def _geometry(graph: Graph, shape: tuple[int, ...]) -> tuple[int | None, int, tuple[int, int]]:
    """(channel axis, channels, (rows, columns)): the reading of the shape that has the picture's proportions."""
    channels_last, (columns, rows) = graph.channels_last, graph.size
    batched = len(shape) > 1 and shape[0] == 1
    inner = shape[1:] if batched else shape
    readings: list[tuple[int | None, int, tuple[int, ...]]] = []
    if len(inner) == 3:
        readings = [(int(batched), inner[0], inner[1:]), (2 + int(batched), inner[2], inner[:2])]
        readings = readings[::-1] if channels_last else readings
    elif len(inner) == 2:
        readings = [(None, 1, inner)]
    for axis, channels, size in readings:
        if _proportionate(size, (rows, columns)):
            return axis, channels, (size[0], size[1])
    if inner == (rows * columns,):
        return None, 1, (rows, columns)
    if len(shape) == 3 and batched and shape[1] == rows * columns:
        return 2, shape[2], (rows, columns)
    if len(shape) == 3 and batched and shape[2] == rows * columns:
        return 1, shape[1], (rows, columns)
    raise ConversionError(
        f"the output '{graph.output}' is {list(shape)} for a picture of {columns}x{rows}; "
        "expected a matte such as [1, 1, H, W], [1, classes, H, W] or [1, H, W, 1]; name another with --output NAME"
    )


def _refuse_swapped(graph: Graph) -> None:
    """Raises ConversionError where the last nodes put columns before rows: a square or flat output does not show it."""
    moves: list[Node] = []
    name = graph.output
    while (node := graph.producer(name)) is not None and node.op in _AT_THE_END:
        read = [tensor for tensor in node.inputs if tensor and tensor not in graph.constants]
        if len(read) != 1:
            break
        moves.append(node)
        name = read[0]
    shape, (columns, rows) = graph.shapes.get(name, ()), graph.size
    layouts = [("batch", "rows", "columns", "channels"), ("batch", "channels", "rows", "columns")]
    layouts = layouts if graph.channels_last else layouts[::-1]
    for layout in layouts:
        sizes = dict(zip(layout, shape, strict=False))
        if len(shape) == 4 and _proportionate((sizes["rows"], sizes["columns"]), (rows, columns)):
            break
    else:
        return
    stored = [axis for axis in layout if sizes[axis] > 1]  # in the order that memory has
    swapping: Node | None = None
    for node in reversed(moves):
        before, _, after = node.text("equation", "").replace(" ", "").partition("->")
        if node.op not in ("Transpose", "Einsum"):
            continue
        given, left = graph.shapes[node.inputs[0]], iter(stored)
        parts: list[list[str]] = []  # of each of its axes
        for side in given:
            part: list[str] = []
            while math.prod(sizes[axis] for axis in part) < side and (axis := next(left, "")):
                part.append(axis)
            parts.append(part)
        if "," in before or any(math.prod(sizes[a] for a in p) != side for p, side in zip(parts, given, strict=True)):
            return
        order = [before.index(a) for a in after if a in before] or node.integers("perm", range(len(given))[::-1])
        stored = [axis for place in order for axis in parts[place]]
        if stored.index("columns") > stored.index("rows"):
            swapping = None
        elif swapping is None:
            swapping = node
    if swapping is not None:
        raise ConversionError(
            f"node '{swapping.name}' ({swapping.op}) puts columns before rows on the way to the output "
            f"'{graph.output}'; read what goes into it: --output {swapping.inputs[0]}"
        )


def _proportionate(size: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Whether rows and columns are roughly the picture's times one factor; a table of boxes is far from that."""
    vertical, horizontal = size[0] / picture[0], size[1] / picture[1]
    return (
        min(size) > 1
        and min(vertical, horizontal) >= COARSEST
        and abs(vertical - horizontal) <= 0.25 * max(vertical, horizontal)
    )


def _refuse_cut_off(graph: Graph, reading: Reading, images: Sequence[Image]) -> None:
    """Raises ConversionError where whole numbers are made of an alpha, so that only 0 and 1 are left of it."""
    before = Original(graph, [graph.ending.before])
    for image in images:
        values = before.run(reading.to_input(image))[0].astype(np.float64)
        if np.abs(values - np.rint(values)).max() > SLACK:
            raise ConversionError(
                f"output '{graph.output}' keeps only whole numbers, and '{graph.ending.before}' before it lies between "
                f"0 and 1: hardly a pixel would be subject. Read that instead with --output {graph.ending.before}"
            )


def _ends(values: NDArray) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))


def _joined(ends: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """The lowest and the highest of several."""
    lows, highs = zip(*ends, strict=True)
    return min(lows), max(highs)


def _unlike(matte: Matte, found: Sequence[NDArray]) -> int | None:
    """See `_Seen.unlike`. A softmax over such channels would mean nothing."""
    channels = [_joined(_ends(matte.of_channel(o, channel)) for o in found) for channel in range(matte.channels)]
    unit = [low >= -SLACK and high <= 1 + SLACK for low, high in channels]
    others = [channel for channel in range(matte.channels) if channel != matte.channel]
    if unit[matte.channel]:
        return next((channel for channel in others if not unit[channel]), None)
    small = [-1 - SLACK <= low < high <= 1 + SLACK for low, high in channels]
    if len(others) == 3 and all(small[channel] for channel in others) and channels[matte.channel][1] > LEAST_LOGIT:
        return others[0]  # what is added to the picture's colours
    both_ends = [low < NEAR_ENDS and high > 1 - NEAR_ENDS for low, high in channels]
    return next((channel for channel in others if unit[channel] and both_ends[channel]), None)


def _seen(matte: Matte, found: Sequence[NDArray]) -> _Seen:
    lowest, highest = _joined(map(_ends, found))
    shares = log_shares = matte.axis is not None and matte.channels > 1
    for output in found if shares else ():
        values = np.asarray(output, np.float64)
        shares = shares and _add_up(values, matte.axis)
        log_shares = log_shares and highest < SLACK and _add_up(np.exp(np.minimum(values, 1.0)), matte.axis)
    own = _joined(_ends(matte.of_channel(output)) for output in found)
    unlike = None if matte.axis is None or matte.largest else _unlike(matte, found)
    return _Seen(lowest, highest, len(found), shares, log_shares, own, unlike)


def _add_up(values: NDArray, axis: int | None) -> bool:
    return bool(np.abs(values.sum(axis=axis) - 1).max() < 10 * SLACK)


def _confined(bounds: Bounds, low: float, high: float) -> bool:
    slack = 1e-5 * (high - low)
    return low - slack <= bounds[0] and bounds[1] <= high + slack


def _kind(graph: Graph, matte: Matte, seen: _Seen, asked: Asked | None) -> tuple[Values, str]:
    """(what the numbers are, why). Raises ConversionError where that is contradicted or not to be known."""
    bounds = bounds_of(graph, graph.output)
    kind, proof = _by_evidence(matte, seen, bounds)
    if asked in (None, "background"):
        if kind is None:
            raise ConversionError(_doubt(graph, seen, bounds, proof))
        return kind, proof
    told: Values = "logits" if asked == "sigmoid" and matte.channels == 1 else asked  # type: ignore[assignment]
    if told == kind:
        return told, proof
    against = _contradiction(matte, seen, bounds, told)
    if against:
        raise ConversionError(
            f"--values {asked}: {_output(graph)} has {seen}, {against}; "
            + (f"leave out --values, and it is read as {kind}" if kind else f"choose another of {OPTIONS}")
        )
    return told, "as told"


def _by_evidence(matte: Matte, seen: _Seen, bounds: Bounds) -> tuple[Values | None, str]:
    """(what the numbers are, why); (None, what is odd about them)."""
    operators, by_values = "by its operators", "by its values"
    low, high = bounds
    bounded = math.isfinite(low) and math.isfinite(high)
    if matte.largest:
        return "alpha" if seen.within(0.0, 1.0) else "logits", operators
    if _confined(bounds, 0.0, 1.0):
        return "alpha", operators
    if seen.unlike is not None:
        return None, (
            f"channel {matte.channel} ({written(seen.own[0])}…{written(seen.own[1])}) and channel {seen.unlike} hold "
            "different things, so that a softmax of them means nothing"
        )
    if seen.within(0.0, 1.0):
        if bounded and high >= LEAST_BYTE:
            return None, "its operators allow more than alpha, but its values do not reach it"
        both = seen.lowest < NEAR_ENDS and seen.highest > 1 - NEAR_ENDS
        # What cannot be below zero is no logit, and what cannot be much above one is no byte.
        positive = low >= 0 and (high <= MOST_SUM or seen.highest > NEAR_ENDS)
        if seen.shares or both or positive:
            return "alpha", by_values
        return None, "they may be an alpha that reaches neither end, or weak logits"
    if seen.within(0.0, 255.0):
        if _confined(bounds, 0.0, 255.0) and high >= WHITE:
            return "0-255", operators
        if high >= WHITE and matte.channels == 1 and seen.highest >= (1 - NEAR_ENDS) * 255:
            return "0-255", by_values
        if high >= WHITE and seen.highest >= (1 - NEAR_ENDS) * 255:
            return None, "they may be 0 to 255, beside channels that hold something else"
        return (
            None,
            "they are not well on both sides of zero, as logits, and no 0 to 255 either: scale them in the network",
        )
    if LEAST_BYTE <= seen.highest <= 255 * (1 + OVERSHOOT) and -seen.lowest < LOPSIDED * seen.highest:
        return None, "they may be a 0 to 255 that overshoots, or logits"
    if seen.lowest > -LEAST_LOGIT and seen.highest > 255:
        return None, "they go beyond 255, and none below zero as of logits: divide them in the network"
    if seen.lowest > -LEAST_LOGIT:
        return None, "they may be an alpha that overshoots, a result between -1 and 1, or weak logits"
    if bounded:
        return None, "its operators confine them to a range that is neither alpha nor logits"
    if seen.highest < LEAST_ABOVE and not seen.log_shares:
        return None, "hardly one is above zero, so that no logit would say subject"
    if matte.counted:
        return None, "they are whole numbers, and of logits nobody knows in which unit"
    if matte.channels == 1 and max(-seen.lowest, seen.highest) > MOST_LOGIT:
        return None, "they are too far from zero for logits, whose sigmoid would be 0 or 1 nearly everywhere"
    return "logits", by_values


def _contradiction(matte: Matte, seen: _Seen, bounds: Bounds, told: Values) -> str:
    """What speaks against the user; empty where nothing does."""
    low, high = seen.own
    if told == "alpha" and (low < -OVERSHOOT or high > 1 + OVERSHOOT):
        return "which are not between 0 and 1"
    if told == "0-255":
        if low < -OVERSHOOT * 255 or high > 255 * (1 + OVERSHOOT):
            return "which are not between 0 and 255"
        if high <= 1 + OVERSHOOT:
            return "which would be transparent everywhere"
    if told in ("sigmoid", "signed") and matte.largest:
        return "and the ArgMax after it compares classes"
    if told == "signed":
        if low < -1 - OVERSHOOT or high > 1 + OVERSHOOT:
            return "which are not between -1 and 1"
        if low >= 0:
            return "none of them below zero, so that nothing would be background"
    if told in ("logits", "sigmoid"):
        if seen.unlike is not None and told == "logits":
            return (
                f"and channel {seen.unlike} is no class beside channel {matte.channel}: read this one alone with "
                "--values sigmoid, or name the tensor that holds it with --output NAME"
            )
        if _confined(bounds, 0.0, 1.0):
            return "and its operators keep it between 0 and 1: that is alpha already"
        if seen.shares and seen.within(0.0, 1.0):
            return "and its classes add up to one: that is alpha already"
        alone = matte.channels == 1 or told == "sigmoid"
        if alone and (low >= 0 or bounds[0] >= 0):
            return "none of them below zero, so that everything would be subject"
        if alone and bounds[1] <= 0:
            return "none of them above zero, so that nothing would be subject"
    return ""


def _output(graph: Graph) -> str:
    node = graph.producer(graph.output)
    made = f" of node '{node.name}' ({node.op})" if node else ""
    return f"output '{graph.output}' {list(graph.shapes[graph.output])}{made}"


def _doubt(graph: Graph, seen: _Seen, bounds: Bounds, why: str) -> str:
    return (
        f"{_output(graph)} has {seen}: {why}. Say what they are with {OPTIONS}, or name the tensor that holds the "
        "matte with --output NAME"
    ) + ("" if bounds == ANYTHING else f" (its operators allow {written(bounds[0])}…{written(bounds[1])})")
