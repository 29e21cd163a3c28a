"""Photos and a float network → the range of every activation, ready to be written as int8 scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import ConversionError, UsageError
from ...runtime.picture.images import Image
from ...runtime.picture.scale import resize
from ..tflite.activations import Activations
from ..tflite.float_model import FloatModel
from ..tflite.graph import TfliteGraph
from ..tflite.kernels import HIGHEST, LOWEST, Encoding, encode
from .shared_scales import Ranges, share_scales
from .visible_range import visible_ranges

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")

SAMPLE = 1 << 16  # values kept per tensor over all photos; percentiles beyond 1 in 10,000 need no more
PERCENTILE = 99.99  # of the values on either side of zero
SHRINKS = np.geomspace(1.0, 0.05, 40)  # shares of the full range that the error is tried with
# Of the error that "mse" ranges minimise. Above 2, as in BRECQ's code (Li et al. 2021), because what is cut off hurts
# more than its square: on a hard-swish network the mask keeps 0.922 with 3, 0.911 with 2 and 0.870 with 4.
POWER = 3.0
SEED = 20240229
# Times what was seen of a vector, at either end. A picture shows thousands of values of a channel, but one number of a
# vector, and on other pictures many go beyond what a hundred showed.
UNSEEN = 1.5


@dataclass(frozen=True)
class Statistics:
    """What one float tensor held over all photos."""

    lowest: NDArray[np.float32]  # (channels,), of the last axis
    highest: NDArray[np.float32]  # (channels,)
    mean: NDArray[np.float64]  # (channels,)
    sample: NDArray[np.float32]  # (n, channels) drawn evenly from all photos and positions


def to_float_input(image: Image, model: FloatModel) -> NDArray[np.float32]:
    """Photo (H, W, 3) of any size → the float network's input (1, h, w, 3), stretched as the runtime does."""
    return model.to_input(resize(image, model.size))


def observe(
    model: FloatModel, images: Sequence[Image], *, progress: Callable[[float], None] | None = None
) -> dict[str, Statistics]:
    """Run every photo, look at every activation. Tensor name → its statistics.

    Raises UsageError without photos, ConversionError naming the first tensor that holds NaN or infinity.
    """
    if not images:
        raise UsageError("no calibration photos; expected at least one, and about 100 for trustworthy ranges")
    network = Activations(model.graph)
    random = np.random.default_rng(SEED)
    share = max(64, SAMPLE // len(images))
    gathered: dict[str, _Gathering] = {}
    for number, name, values in network.over(images, lambda image: to_float_input(image, model)):
        gathered.setdefault(name, _Gathering()).add(name, values, share, random)
        if progress is not None:
            progress((number + 1) / len(images))
    return {name: gathering.statistics() for name, gathering in gathered.items()}


class _Gathering:
    """Statistics of one tensor, growing photo by photo."""

    def __init__(self) -> None:
        self.lowest: NDArray | None = None
        self.highest: NDArray | None = None
        self.total: NDArray | float = 0.0
        self.photos = 0
        self.samples: list[NDArray] = []

    def add(self, name: str, values: NDArray, share: int, random: np.random.Generator) -> None:
        rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
        lowest, highest, mean = rows.min(axis=0), rows.max(axis=0), rows.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise ConversionError(
                f"tensor '{name}' holds NaN or infinity on a calibration photo; expected finite numbers: check the "
                "weights and the operator that makes it in full precision first"
            )
        self.lowest = lowest if self.lowest is None else np.minimum(self.lowest, lowest)
        self.highest = highest if self.highest is None else np.maximum(self.highest, highest)
        self.total = self.total + mean
        self.photos += 1
        wanted = max(1, share // rows.shape[1])
        self.samples.append(rows[random.integers(0, len(rows), wanted)] if len(rows) > wanted else rows.copy())

    def statistics(self) -> Statistics:
        return Statistics(
            np.asarray(self.lowest, np.float32),
            np.asarray(self.highest, np.float32),
            np.asarray(self.total, np.float64) / self.photos,
            np.concatenate(self.samples),
        )


def calibrate(
    model: FloatModel,
    images: Sequence[Image],
    *,
    method: Method = "minmax",
    progress: Callable[[float], None] | None = None,
) -> Ranges:
    """Tensor name → (lowest, highest) real value; tensors that must share an int8 scale have equal ranges.

    minmax: everything seen. percentile: 99.99 % of it on either side. mse: the range whose int8 encoding has the least
    mean error (rounding plus clipping) to the power of `POWER`. Raises what `observe` raises.
    """
    return choose_ranges(model, visible(model, observe(model, images, progress=progress)), method=method)


def is_vector(graph: TfliteGraph, tensor: int) -> bool:
    """Whether an activation is a single pixel: one number per channel."""
    shape = graph.shape(tensor) if graph.is_activation(tensor) else ()
    return bool(shape) and int(np.prod(shape)) == shape[-1]


def with_unseen(model: FloatModel, statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
    """Statistics in which single-pixel vectors reach further than the photos showed."""
    graph = model.graph
    result = dict(statistics)
    for tensor in graph.activations():
        name = graph.name(tensor)
        if is_vector(graph, tensor):
            s = statistics[name]
            lowest, highest = np.minimum(s.lowest, UNSEEN * s.lowest), np.maximum(s.highest, UNSEEN * s.highest)
            result[name] = Statistics(lowest, highest, s.mean, s.sample)
    return result


def visible(model: FloatModel, statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
    """Statistics of the part of each tensor that its readers can tell apart (`visible_range`)."""
    graph = model.graph
    result = dict(statistics)
    for tensor, bounds in visible_ranges(graph).items():
        low, high = np.asarray(bounds[0], np.float32), np.asarray(bounds[1], np.float32)
        if np.isfinite(low).any() or np.isfinite(high).any():
            s = statistics[graph.name(tensor)]
            lowest, highest, sample = (np.clip(values, low, high) for values in (s.lowest, s.highest, s.sample))
            result[graph.name(tensor)] = Statistics(lowest, highest, s.mean, sample)
    return result


def choose_ranges(
    model: FloatModel, statistics: Mapping[str, Statistics], *, method: Method = "minmax"
) -> dict[str, tuple[float, float]]:
    """Ranges from statistics that were gathered already; see `calibrate`."""
    if method not in METHODS:
        raise UsageError(f"unknown calibration method '{method}'; expected one of: {', '.join(METHODS)}")
    graph = model.graph
    seen: dict[str, _Seen] = {}
    for tensor in graph.activations():
        s = statistics[graph.name(tensor)]
        lowest, highest = float(s.lowest.min()), float(s.highest.max())
        seen[graph.name(tensor)] = _Seen(lowest, highest, s.sample.reshape(-1), is_vector(graph, tensor))
    widest = {name: (s.lowest, s.highest) for name, s in seen.items()}
    shared = share_scales(graph, widest, inputs=input_encodings(graph, model), given=bool(model.levels))
    ranges: dict[str, tuple[float, float]] = {}
    for representative, members in shared.members().items():
        names = [graph.name(tensor) for tensor in members]
        pin = shared.pinned.get(representative)
        chosen = (pin.lowest, pin.highest) if pin else _group_range([seen[name] for name in names], method)
        ranges.update(dict.fromkeys(names, chosen))
    return ranges


@dataclass(frozen=True)
class _Seen:
    """What one tensor's readers get to see of it."""

    lowest: float
    highest: float
    sample: NDArray[np.float32]  # (n,)
    few: bool  # a vector: the sample is too small to tell what may be cut off


def _group_range(members: Sequence[_Seen], method: Method) -> tuple[float, float]:
    """One range for tensors that share an encoding."""
    lowest, highest = min(m.lowest for m in members), max(m.highest for m in members)
    if method == "minmax" or any(m.few for m in members):
        return lowest, highest
    sample = np.concatenate([m.sample for m in members])
    if method == "percentile":
        return percentile_range(sample)
    return least_error_range(sample, lowest, highest, power=POWER)


def input_encodings(graph: TfliteGraph, model: FloatModel) -> dict[int, Encoding]:
    """The int8 encodings that are fixed: the input's, which is the camera's byte minus 128, and the file's own."""
    given = {graph.numbers[name]: Encoding(*level) for name, level in model.levels.items() if name in graph.numbers}
    return {**given, graph.inputs[0]: Encoding(model.input_scale, model.input_zero_point + LOWEST)}


def percentile_range(sample: NDArray, percent: float = PERCENTILE) -> tuple[float, float]:
    """The range that holds `percent` of the values from either side."""
    low, high = np.percentile(sample, [100.0 - percent, percent])
    return float(low), float(high)


def least_error_range(sample: NDArray, lowest: float, highest: float, *, power: float = 2.0) -> tuple[float, float]:
    """The part of lowest…highest whose int8 encoding has the least mean squared error on the sample.

    Each end is shrunk in turn (coordinate descent, one round: ends interact only through the common step).
    """
    values = sample[:: max(1, sample.size // 16384)].astype(np.float32)

    def error(candidate: tuple[float, float]) -> float:
        return _error(values, encode(*candidate), power)

    high = min(((lowest, highest * share) for share in SHRINKS), key=error)[1]
    low = min(((lowest * share, high) for share in SHRINKS), key=error)[0]
    return float(low), float(high)


def _error(values: NDArray[np.float32], encoding: Encoding, power: float) -> float:
    stored = np.rint(values / np.float32(encoding.scale))
    stored = np.clip(stored, LOWEST - encoding.zero_point, HIGHEST - encoding.zero_point)
    difference = np.abs(stored * np.float32(encoding.scale) - values)
    if power == POWER:  # pow() takes ten times as long as products
        return float(np.dot(np.square(difference), difference))
    return float(np.dot(difference, difference) if power == 2.0 else np.sum(difference**power))
