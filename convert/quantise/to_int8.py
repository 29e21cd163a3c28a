"""Float network + calibration photos → int8 network, through every step that measured well.

the study `quantization` measures each step on and off; `Steps`' defaults are its outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...runtime.device.machine import give_back_memory
from ...runtime.picture.images import Image
from ...runtime.picture.scale import resize
from ..rewrite.branches import with_branches
from ..rewrite.gates import with_gates
from ..rewrite.int8_forms import with_int8_forms
from ..rewrite.shuffles import without_shuffles
from ..tflite.float_model import FloatModel
from ..tflite.graph import TfliteGraph
from ..tflite.spread import networks, spread
from .bias_correction import correct_biases, half_step
from .calibrate import METHODS, Method, Statistics, choose_ranges, observe, visible, with_unseen
from .emit import RoundedWeights, quantize, without_int8_kernel
from .equalize import equalize
from .faint import without_faint
from .refit import refit
from .segments import with_segments
from .shared_scales import Ranges

TRIAL_PHOTOS = 16  # a channel's mean over more moves by less than an int8 step, and alternatives keep their order
FEWEST_TO_PART = 16  # photos; with fewer, keeping some from calibration would cost more than it tells
FEWEST_FOR_MEANS = 64  # photos; fewer have other means than the next ones, and matching them costs more than it gains


@dataclass(frozen=True)
class Steps:
    """Which steps a quantisation takes."""

    int8_forms: bool = True  # operators without a fast int8 kernel are rewritten first
    branches: bool = True  # what reads a convolution through a threshold gets a convolution of its own
    gates: bool = True  # other hard-swishes read a scale per channel, so that channels can be equalised
    unseen: bool = True  # single-pixel vectors may reach further than calibration saw
    segments: bool = True  # gates' single-pixel vectors get two more bits
    only_visible: bool = True  # ranges end where the readers stop telling values apart
    share_concatenations: bool = True  # one scale on both sides of a CONCATENATION
    compensate_means: bool = True  # each bias takes back what rounding its weights adds on average
    half_step: bool = True  # the mask at alpha 0.5 stays where float puts it
    # Alternatives: combinations are tried on some calibration photos, and the one closest to float is kept, because
    # no method is best on all networks.
    equalise: tuple[bool, ...] = (True, False)  # channels of like range (cross-layer equalisation)
    methods: tuple[Method, ...] = METHODS  # how ranges are taken from what was seen
    roundings: tuple[bool, ...] = (False, True)  # weights rounded together, for the int8 inputs that layers get
    bias_corrections: tuple[bool, ...] = (False, True)  # channel means as measured, or as in float


# Nothing but int8 parameters written down: what every step is measured against.
PLAIN = Steps(
    int8_forms=False, branches=False, gates=False, unseen=False, segments=False, only_visible=False,
    share_concatenations=False, compensate_means=False, half_step=False, equalise=(False,), methods=("minmax",),
    roundings=(False,), bias_corrections=(False,),
)  # fmt: skip


@dataclass(frozen=True)
class Quantised:
    """An int8 network and all that is needed to emit it again with some operators left in floating point."""

    graph: TfliteGraph  # full int8 as far as operators have a form: uint8 picture in, uint8 alpha out
    model: FloatModel  # the float network that was quantised: the same function in int8-friendly form
    ranges: Ranges  # of `model`'s tensors
    steps: Steps
    means: Mapping[str, NDArray] = field(default_factory=dict)  # of `model`'s tensors; empty: not compensated
    corrections: Mapping[str, NDArray] = field(default_factory=dict)  # operator's output name → added to its bias
    rounded: Mapping[str, RoundedWeights] = field(default_factory=dict)  # weight tensor name → its int8 form
    biases_corrected: bool = False  # whether the channel means were corrected too

    @cached_property
    def tflite(self) -> bytes:
        """The file of `graph`."""
        return self.graph.to_bytes()

    @property
    def without_form(self) -> tuple[str, ...]:
        """Output tensors of the operators that have no int8 form at all, and compute in float32 whatever is asked."""
        return tuple(without_int8_kernel(self.model.graph))

    def emitted(self) -> Quantised:
        """The same with its graph made of all the rest."""
        return replace(self, graph=self.with_islands(()))

    def with_islands(self, islands: Collection[str]) -> TfliteGraph:
        """The same network with the operators that make these tensors computing in float32.

        A float operator has nothing to correct, so it keeps its own bias.
        """
        return quantize(
            self.model,
            self.ranges,
            rounded=self.rounded,
            bias_corrections=self.corrections,
            means=self.means,
            islands=(*islands, *self.without_form),
            share_concatenations=self.steps.share_concatenations,
        )


def to_int8(
    model: FloatModel,
    images: Sequence[Image],
    *,
    steps: Steps | None = None,
    statistics: Mapping[str, Statistics] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Quantised:
    """Quantise with ranges from `images` (about 100 photos like those the model will see).

    Where steps leave a choice, every sixth photo or so is kept from calibration and decides. `statistics`: what
    `observe` saw of the `rewritten` model on the others (`parted`), where that is known already.

    Operators without an int8 form (`Quantised.without_form`) stay in float32 between conversions.

    Raises UsageError without photos, ConversionError naming activations that are not finite.
    """
    steps = steps or Steps()
    if len(images) < FEWEST_FOR_MEANS:
        steps = replace(steps, compensate_means=False)
    calibrating, judging = parted(images)
    model = rewritten(model, steps)
    if statistics is None:
        statistics = observe(model, calibrating, progress=progress)
        give_back_memory()
    model, statistics = prepared(model, statistics, steps)
    every = max(1, len(calibrating) // TRIAL_PHOTOS)
    few = calibrating[::every][:TRIAL_PHOTOS]
    judge = _judge(model, [view for image in judging for view in (image, np.ascontiguousarray(image[:, ::-1]))])
    versions = list(_versions(model, statistics, steps))
    best = judge.best([_plain(*version, method, steps) for version in versions for method in steps.methods])
    give_back_memory()
    if every > 1 and len(steps.roundings) + len(steps.bias_corrections) > 2:
        # Candidates have the same ranges from here on, so photos that gave these may judge: all but the few that
        # weights and biases are fitted to.
        others = [image for number, image in enumerate(calibrating) if number % every in (1, 2)]
        judge = judge.joined_by(_judge(model, others))
    best = judge.best([_rounded(best, few) if wanted else best for wanted in steps.roundings])
    give_back_memory()
    corrected = [_corrected(best, few) if wanted else best for wanted in steps.bias_corrections]
    return judge.best(corrected)


def rewritten(model: FloatModel, steps: Steps) -> FloatModel:
    """The same function in the operators that are quantised."""
    if steps.int8_forms:
        model = without_shuffles(model)
    if steps.branches:
        model = with_branches(model)
    if steps.gates:
        model = with_gates(model)
    return with_int8_forms(model) if steps.int8_forms else model


def prepared(
    model: FloatModel, statistics: Mapping[str, Statistics], steps: Steps
) -> tuple[FloatModel, Mapping[str, Statistics]]:
    """The rewritten network and what it held on photos → both as ranges are taken from them."""
    if steps.int8_forms:
        model = without_faint(model, statistics)
    if steps.unseen:
        statistics = with_unseen(model, statistics)
    if steps.segments:
        model, statistics = with_segments(model, statistics)
    if steps.only_visible:
        statistics = visible(model, statistics)
    return model, statistics


def parted(images: Sequence[Image]) -> tuple[Sequence[Image], Sequence[Image]]:
    """Photos that ranges are taken from, and those that decide between ranges; all do both where there are few.

    Ranges fit the photos they were taken from, so only others show which method cuts too much.
    """
    if len(images) < FEWEST_TO_PART:
        return images, images
    every = max(4, len(images) // TRIAL_PHOTOS)
    judging = images[::every]
    return [image for number, image in enumerate(images) if number % every], judging


def _versions(
    model: FloatModel, statistics: Mapping[str, Statistics], steps: Steps
) -> Iterator[tuple[FloatModel, Mapping[str, Statistics]]]:
    """The network with its statistics, equalised or not, as the steps ask."""
    for wanted in steps.equalise:
        if wanted:
            equalised = equalize(model, statistics)
            yield equalised.model, equalised.rescaled(statistics)
        else:
            yield model, statistics


def _plain(model: FloatModel, statistics: Mapping[str, Statistics], method: Method, steps: Steps) -> Quantised:
    """The network with ranges by one method."""
    ranges = choose_ranges(model, statistics, method=method)
    means = {name: s.mean for name, s in statistics.items()} if steps.compensate_means else {}
    centred = half_step(model, ranges) if steps.half_step else {}
    return Quantised(model.graph, model, ranges, steps, means, centred).emitted()


def _rounded(plain: Quantised, images: Sequence[Image]) -> Quantised:
    """The same with weights rounded and biases chosen layer after layer, for what the int8 layers before give."""
    return replace(plain, rounded=refit(plain.model, plain.graph, images, plain.corrections)).emitted()


def _corrected(plain: Quantised, images: Sequence[Image]) -> Quantised:
    """The same with channel means brought back to the float ones; what keeps the mask in place stays as it is."""
    measured = correct_biases(
        plain.model, images, plain.ranges, lambda found: replace(plain, corrections=found).emitted().graph
    )
    return replace(plain, corrections={**measured, **plain.corrections}, biases_corrected=True).emitted()


@dataclass(frozen=True)
class _Judge:
    """How far int8 networks are from the float one on a few photos, of which some are mirrored besides.

    A mirrored photo is as likely and is rounded otherwise. Alpha differs everywhere along a contour, the masks at 0.5
    only in the few pixels that cross it: judged by the overlap of masks, DeepLabv3's 0.909 on other photos was kept
    where 0.922 was to be had; the most that another network lost by it was 0.002.
    """

    photos: Sequence[Image]  # of the network's size
    alphas: Sequence[NDArray[np.float32]]  # what the float network makes of them
    known: dict[bytes, float] = field(default_factory=dict)  # network → its loss: the best is a candidate again

    def joined_by(self, other: _Judge) -> _Judge:
        return _Judge([*self.photos, *other.photos], [*self.alphas, *other.alphas])

    def best(self, candidates: Sequence[Quantised]) -> Quantised:
        """The candidate of least loss; the first of equals."""
        best, least = candidates[0], math.inf
        for candidate in candidates if len(candidates) > 1 else ():
            loss = self.loss(candidate.tflite, least)
            if loss < least:
                best, least = candidate, loss
        return best

    def loss(self, content: bytes, least: float = math.inf) -> float:
        """Mean absolute difference of alpha, 0…1; infinite as soon as it is certain to be more than `least`."""
        if content not in self.known:
            several = networks(content, len(self.photos))
            scale = np.float32(several[0].outputs[0].scale)
            apart: list[np.float32] = []
            made = spread((photo[np.newaxis] for photo in self.photos), [network.run for network in several])
            for found, alpha in zip(made, self.alphas, strict=True):
                apart.append(np.abs(found * scale - alpha).mean())
                if float(np.sum(apart)) > least * len(self.photos):
                    return math.inf
            self.known[content] = float(np.mean(apart))
        return self.known[content]


def _judge(model: FloatModel, images: Sequence[Image]) -> _Judge:
    workers = [network.run for network in networks(model.tflite, len(images))]
    photos = [resize(image, model.size) for image in images]
    return _Judge(photos, list(spread(map(model.to_input, photos), workers)))
