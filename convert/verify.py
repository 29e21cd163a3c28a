"""Two networks and photos → how far apart they are: the gates of every conversion, and the figures it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import ConversionError, GateRefusedError
from ..runtime.network.interpreter import Network
from ..runtime.network.tensors import Convention, to_alpha, to_input
from ..runtime.picture.images import Alpha, Image
from .layers import LayerDifference, differences, first_not_finite
from .onnx.evidence import refuse_outside
from .onnx.graph import RGB, Graph
from .onnx.original import OriginalMatte, session
from .onnx.reading import Reading
from .onnx.reference import Layers
from .photos import Photo
from .recipe import PARITY_TOLERANCE, Importer
from .tflite.float_model import FloatModel
from .tflite.spread import hands, networks, spread

SUBJECT_FROM = 128  # the first alpha that rounds to subject
STRICTER = (
    10  # operators looked at one by one must agree ten times better than mattes, which may then differ ten times more
)
# Of the matte, at most one level apart, where the file was quantised already. Convolutions, sums, products and
# functions of one number agree to the bit; a linear Resize and a padded mean round ties otherwise. A deep network may
# enlarge that: onnxruntime with and without its optimisations agreed in 92 % of a U²-Net's matte. A fault shows more.
SAME_LEVELS = 0.999
WORTH_FLOAT = 0.7  # of what differed from a quantised file's matte may still: then operators in float32 are worth it
SHAKEN = 1 / 2000  # of a photo's numbers, by one: what a deep network of few levels makes of that is its own noise …
TIMES_NOISE = 3  # … and int8 rounds in every layer what the file keeps as real numbers, its biases
MOST_LEVELS = 1.0  # levels of 255 that the mattes may differ by on average
ONE_BYTE = 1 / 255  # of alpha's 0…1: mattes that vary by less have no range to take shares of
HARDLY_VARIES = 0.02  # of alpha's 0…1: a network that sees nothing in its photos
FLIPPED = 0.001  # of a mask's pixels: those so near its threshold that rounding takes them across
HALF_TOLERANCE = 0.02  # of the matte's range: what half precision makes of a network, against single
LEVEL = 1.01 / 255  # a file that makes whole numbers of its matte cuts off up to one of 255
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Parity:
    """Float TFLite against onnxruntime."""

    max_error: float  # largest difference of the mattes over all photos, as a share of the mattes' range
    tolerance: float
    photos: int
    first_difference: LayerDifference | None = None  # where they part; None while they agree
    # Looked into only where the mattes differ by more than the tolerance: the largest difference that any operator
    # makes when it is given onnxruntime's own values, beyond what rounding makes of them.
    operator_error: float | None = None
    span: float = 1.0  # of the mattes over all photos, 0…1: what errors are shares of
    flipped: float | None = None  # most of a photo's pixels, 0…1, that differ; None: the mattes are no masks
    in_levels: bool = False  # the file was quantised: its own matte, which int8 is held to next, has levels of 255
    file_rounding: float = 0.0  # what half precision in the file itself makes of the mattes, of their range

    @property
    def holds(self) -> bool:
        """The mattes agree, or every operator does and the network itself makes that much of float32 rounding."""
        return self.max_error <= self.tolerance or self.amplified

    @property
    def amplified(self) -> bool:
        """Faithful operator by operator, apart by more than the tolerance: other float32 kernels would be as well."""
        own = self.operator_error
        little = self.max_error <= self.most or (self.flipped is not None and self.flipped <= FLIPPED)
        return own is not None and own <= self.tolerance / STRICTER and self.tolerance < self.max_error and little

    @property
    def most(self) -> float:
        """What faithful operators are allowed to add up to."""
        return max(self.tolerance * STRICTER, LEVEL if self.in_levels else 0.0)


@dataclass(frozen=True)
class PhotoAgreement:
    """int8 against float on one photo, at network size."""

    name: str
    iou: float  # of the masks at 0.5, 0…1
    mae: float  # mean absolute difference of alpha, 0…1
    union: int = 0  # pixels that either mask has


@dataclass(frozen=True)
class Agreement:
    """int8 against float, photo by photo."""

    photos: tuple[PhotoAgreement, ...]

    @property
    def iou(self) -> float:
        """Mean over photos, 0…1."""
        return float(np.mean([photo.iou for photo in self.photos]))

    @property
    def pooled_iou(self) -> float:
        """Of all photos laid side by side, 0…1: a mask counts by its size, so that near-empty ones decide nothing."""
        union = sum(photo.union for photo in self.photos)
        return sum(photo.iou * photo.union for photo in self.photos) / union if union else 1.0

    @property
    def mae(self) -> float:
        """Mean over photos, 0…1."""
        return float(np.mean([photo.mae for photo in self.photos]))

    def worst(self, count: int) -> tuple[PhotoAgreement, ...]:
        """The photos where int8 hurts most, worst first."""
        return tuple(sorted(self.photos, key=lambda photo: (photo.iou, -photo.mae))[:count])


@dataclass(frozen=True)
class PhotoTruth:
    """Both networks against the true mask of one photo, at photo size."""

    name: str
    float_iou: float
    int8_iou: float
    float_mae: float
    int8_mae: float


@dataclass(frozen=True)
class GroundTruth:
    """Both networks against true masks."""

    photos: tuple[PhotoTruth, ...]

    def mean(self, field: str) -> float:
        """Mean over photos of one of `PhotoTruth`'s numbers."""
        return float(np.mean([getattr(photo, field) for photo in self.photos]))

    @property
    def iou_drop(self) -> float:
        """IoU that int8 costs, 0…1; negative where it gained."""
        return self.mean("float_iou") - self.mean("int8_iou")

    @property
    def mae_rise(self) -> float:
        """MAE that int8 costs, 0…1."""
        return self.mean("int8_mae") - self.mean("float_mae")


def parity(
    graph: Graph,
    model: FloatModel,
    reading: Reading,
    photos: Sequence[Photo],
    *,
    tolerance: float = PARITY_TOLERANCE,
    progress: Progress | None = None,
) -> Parity:
    """The lowered network against the user's file in onnxruntime, on photos of the network's size; by layer where it
    differs.

    Raises ConversionError naming the layer where a photo makes the network itself compute NaN or infinity, and where
    the file gives numbers that the reading does not allow.
    """
    original = OriginalMatte(graph, reading)
    # What half precision or whole numbers round off is no fault of the lowering, whose float32 is held to its own bar.
    single = session(graph.model.SerializeToString()) if graph.half or graph.levels else None
    in_levels = reading.matte.values == "0-255" or reading.matte.counted  # until a number is no whole one
    low, high, largest, rounding, worst = np.inf, -np.inf, -1.0, 0.0, photos[0].image
    flipped: float | None = 0.0
    workers = [
        lambda image, network=network: (original.numbers(image), network.run(model.to_input(image)))
        for network in networks(model.tflite, len(photos))
    ]
    pairs = spread((photo.image for photo in photos), workers)
    for number, (photo, (output, made)) in enumerate(zip(photos, pairs, strict=True)):
        if not np.isfinite(output).all():
            check_activations(graph, reading, photo.image)
            raise _not_finite(graph, "its last step")
        refuse_outside(reading.matte, output, photo.name)
        in_levels = in_levels and (reading.matte.counted or np.array_equal(output, np.rint(output)))
        expected = reading.matte.apply(output)
        found = np.clip(made[0, :, :, 0], 0.0, 1.0)
        if found.shape != expected.shape:
            raise ConversionError(f"the converted network gives {found.shape}, the original {expected.shape}")
        if single is not None:
            feed = {graph.input: reading.to_input(photo.image, np.float32)}
            in_single = reading.matte.apply(np.asarray(single.run([graph.output], feed)[0]))
            rounding = max(rounding, float(np.abs(in_single - expected).max()))
            error = float(np.abs(found - in_single).max())
        else:
            error = float(np.abs(found - expected).max())
        if not error <= largest:  # NaN included
            largest, worst = (error if np.isfinite(error) else np.inf), photo.image
        is_mask = flipped is not None and bool(np.isin(expected, (0.0, 1.0)).all())
        flipped = max(flipped or 0.0, float(np.mean(found != expected))) if is_mask else None
        low, high = min(low, float(expected.min())), max(high, float(expected.max()))
        if progress:
            progress((number + 1) / len(photos))
    span = max(high - low, ONE_BYTE)
    allowed = max(tolerance, HALF_TOLERANCE if graph.half else 0.0, LEVEL / span if in_levels else 0.0)
    bar = tolerance if single is not None else allowed
    result = Parity(
        largest / span, bar, len(photos), span=high - low, flipped=flipped, in_levels=bool(graph.levels),
        file_rounding=rounding / span,
    )  # fmt: skip
    if graph.half and rounding / span > allowed:
        raise GateRefusedError(
            f"{graph.name}: in single precision the network differs from the file, which computes in half, by "
            f"{rounding / span:.2g} of the matte's range; at most {allowed:.2g} is allowed. Export it in float32"
        )
    if result.holds or not model.tensor_of:
        return result
    strict = tolerance / STRICTER
    layers = list(differences(graph, model, Layers(graph, reading), worst, bar=strict))
    # What rounding explains counts as the most that needs no explanation.
    own = [min(layer.error, strict) if layer.of_rounding else layer.error for layer in layers]
    first = next((layer for layer, error in zip(layers, own, strict=True) if error > strict), None)
    return replace(result, first_difference=first, operator_error=max(own, default=None))


class FileLevels:
    """What a file that was quantised already makes of photos, in levels of 255."""

    def __init__(self, graph: Graph, reading: Reading, photos: Sequence[Photo]) -> None:
        self._original = OriginalMatte(graph, reading)
        self._name, self._images = graph.name, [photo.image for photo in photos]
        self._levels = self._levels_of(self._images)
        self._known: dict[bytes, tuple[float, float]] = {}  # network → `same`: it is asked for more than once

    def mattes(self, photos: Sequence[Photo]) -> list[Alpha]:
        """What the file itself makes of photos, at network size."""
        return [levels.astype(np.uint8) for levels in self._levels_of([photo.image for photo in photos])]

    def _levels_of(self, images: Sequence[Image]) -> list[NDArray[np.float32]]:
        rows, columns = images[0].shape[:2]
        workers = [self._original.alpha] * hands(len(images), rows * columns)
        return [np.rint(alpha * 255) for alpha in spread(images, workers)]

    def same(self, int8: bytes) -> tuple[float, float]:
        """How much of the mattes is at most one level apart, 0…1, and by how many levels they differ on average."""
        if int8 not in self._known:
            found = spread(self._images, matte_makers(int8, len(self._images)))
            apart = [np.abs(level - alpha) for level, alpha in zip(self._levels, found, strict=True)]
            self._known[int8] = float(np.mean([difference <= 1 for difference in apart])), float(np.mean(apart))
        return self._known[int8]

    def nearest(self, candidates: Iterable[bytes]) -> tuple[int, bytes]:
        """Of int8 and more and more operators in float32 the first that is worth it, and its number."""
        best, differs = (0, b""), float("inf")
        for number, candidate in enumerate(candidates):
            apart = 1 - self.same(candidate)[0]
            if not number or apart <= WORTH_FLOAT * differs:
                best, differs = (number, candidate), apart
            if differs <= 1 - SAME_LEVELS:
                break
        return best

    def own_noise(self) -> float:
        """By how many levels the file's own matte moves on average where hardly anything of a photo changes."""
        random = np.random.default_rng(0)
        shaken = [
            np.where(random.random(image.shape) < SHAKEN, np.maximum(image, 1) - 1, image).astype(np.uint8)
            for image in self._images
        ]
        moved = [np.abs(one - other) for one, other in zip(self._levels, self._levels_of(shaken), strict=True)]
        return float(np.mean(moved))

    def refuse(self, mean: float, because: str) -> None:
        """Raises GateRefusedError where the mattes differ by more levels than rounding can make."""
        if mean > MOST_LEVELS and mean > TIMES_NOISE * self.own_noise():
            raise GateRefusedError(
                f"{self._name}: the int8 matte is {mean:.2f} of 255 levels from what the quantised file gives, on "
                f"average; at most {MOST_LEVELS:g} is allowed; {because}. Nothing was written; convert the "
                "full-precision original"
            )


def check_activations(graph: Graph, reading: Reading, image: Image) -> None:
    """Raises ConversionError naming the first layer that makes NaN or infinity of a photo.

    Looked for inside the network: a later layer may hide it from the matte and leave calibration with endless ranges.
    """
    node = first_not_finite(graph, Layers(graph, reading), image)
    if node is not None:
        raise _not_finite(graph, f"layer '{node.name}' ({node.op})")


def _not_finite(graph: Graph, where: str) -> ConversionError:
    return ConversionError(
        f"{graph.name}: {where} computes NaN or infinity from a real photo; the network is broken, or --mean and --std "
        "are not what it was trained with"
    )


def refuse_difference(result: Parity, *, importer: Importer = "own") -> None:
    """Raises GateRefusedError, naming the first operator that differs, unless the parity holds."""
    if result.holds:
        return
    first = result.first_difference
    other = "own" if importer == "onnx-tf" else "onnx-tf"
    if importer == "onnx-tf":
        where = "onnx-tf keeps no names by which its layers could be compared"
    elif first is None:
        where = (
            f"no operator differs by more than {result.operator_error or 0:.2g} on the same input, so the network "
            "makes this of rounding alone: it is unstable, and int8 will be worse"
        )
    else:
        lead, *fused = first.operators
        also = f" (fused with {', '.join(fused)})" if fused else ""
        where = (
            f"the first operator that differs is {lead}{also}: its result '{first.tensor}' "
            f"{list(first.shape)} is off by {first.error:.2g} of its range"
        )
    step = f"try --importer {other}"
    if first is None and importer == "own":
        step = (
            "are --mean, --std, --units and --color those of its training? If they are, to allow as much: --tolerance "
            f"{1.05 * result.max_error:.2g}"
        )
    if result.span < HARDLY_VARIES:
        step = (
            f"the mattes vary by {result.span:.2g} only: are --mean, --std, --units and --color those of its training?"
        )
    raise GateRefusedError(
        f"the float TFLite network is not the ONNX network: the matte differs by {result.max_error:.2g} of its range, "
        f"at most {result.tolerance:.2g} is allowed; {where}. Nothing was written; {step}"
    )


def agreement(reference: bytes | FloatModel, candidate: bytes, photos: Sequence[Photo]) -> Agreement:
    """The mattes of two TFLite networks compared photo by photo, at network size."""
    return judge(reference, candidate, photos)[0]


def judge(
    reference: bytes | FloatModel, candidate: bytes, photos: Sequence[Photo], *, progress: Progress | None = None
) -> tuple[Agreement, GroundTruth | None]:
    """Both networks on every photo once: against each other at network size, against true masks at photo size.

    There is no ground truth where no photo has a mask.
    """
    tell = progress or (lambda _share: None)
    of_reference = mattes(reference, photos, progress=lambda share: tell(share / 2))
    of_candidate = mattes(candidate, photos, progress=lambda share: tell(0.5 + share / 2))
    return compare(of_reference, of_candidate, photos)


def mattes(model: bytes | FloatModel, photos: Sequence[Photo], *, progress: Progress | None = None) -> list[Alpha]:
    """What a TFLite network of ours makes of every photo, at network size."""
    made: list[Alpha] = []
    for alpha in spread((photo.image for photo in photos), matte_makers(model, len(photos))):
        made.append(alpha)
        if progress:
            progress(len(made) / len(photos))
    return made


def compare(
    of_reference: Sequence[Alpha], of_candidate: Sequence[Alpha], photos: Sequence[Photo]
) -> tuple[Agreement, GroundTruth | None]:
    """Two networks' mattes of the same photos; the ground truth is None where no photo has a mask."""
    agreed: list[PhotoAgreement] = []
    judged: list[PhotoTruth] = []
    for first, second, photo in zip(of_reference, of_candidate, photos, strict=True):
        union = int(np.count_nonzero((first >= SUBJECT_FROM) | (second >= SUBJECT_FROM)))
        agreed.append(PhotoAgreement(photo.name, iou(first, second), mae(first, second), union))
        if photo.truth is not None:
            judged.append(_against_truth(photo.name, first, second, photo.truth))
    return Agreement(tuple(agreed)), GroundTruth(tuple(judged)) if judged else None


def drop_from(wanted: Sequence[Alpha], photos: Sequence[Photo]) -> Callable[[bytes], float]:
    """What `--max-drop` bounds: IoU and MAE lost to the true masks where there are any, otherwise to `wanted`, which
    are float's mattes or, of a file that was quantised already, its own."""

    def drop(candidate: bytes) -> float:
        agreed, truth = compare(wanted, mattes(candidate, photos), photos)
        if truth is not None:
            return max(truth.iou_drop, truth.mae_rise)
        return max(1 - agreed.iou, agreed.mae)

    return drop


def _against_truth(name: str, of_float: Alpha, of_int8: Alpha, truth: Alpha) -> PhotoTruth:
    size = (truth.shape[1], truth.shape[0])
    first, second = (
        np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), np.uint8) for alpha in (of_float, of_int8)
    )
    return PhotoTruth(name, iou(first, truth), iou(second, truth), mae(first, truth), mae(second, truth))


def matte_makers(model: bytes | FloatModel, photos: int) -> list[Callable[[Image], Alpha]]:
    """A TFLite network of ours as a function from a picture to its matte at network size, once for each hand."""
    content = model.tflite if isinstance(model, FloatModel) else model
    return [_matte_maker(model, network) for network in networks(content, photos)]


def _matte_maker(model: bytes | FloatModel, network: Network) -> Callable[[Image], Alpha]:
    info, convention = network.outputs[0], Convention()

    def alpha(image: Image) -> Alpha:
        if isinstance(model, FloatModel):
            return to_alpha(network.run(model.to_input(image)), info, convention)
        tile = image.shape[2] != RGB
        tensor = image[np.newaxis] if tile else to_input(image, network.inputs[0], convention)
        return to_alpha(network.run(tensor), info, convention)

    return alpha


def iou(alpha: Alpha, truth: Alpha) -> float:
    """Intersection over union of two masks at alpha 0.5, 0…1; two empty masks agree: 1."""
    first, second = alpha >= SUBJECT_FROM, truth >= SUBJECT_FROM
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def mae(alpha: NDArray, truth: NDArray) -> float:
    """Mean absolute difference of two mattes, 0…1."""
    return cv2.norm(alpha, truth, cv2.NORM_L1) / (255 * alpha.size)
