"""Float network + calibration photos → int8 network, through every step that measured well.

`python -m edgematte.benchmarks.quantization` measures each step on and off; `Steps`' defaults are its outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..runtime.images import Image
from ..runtime.interpreter import load
from ..runtime.preprocess import resize
from .bias_correction import correct_biases, half_step
from .calibrate import METHODS, Method, Statistics, choose_ranges, observe
from .equalize import equalize
from .int8_forms import with_int8_forms
from .quantize import quantize
from .shared_scales import Ranges

if TYPE_CHECKING:
    from .lower import FloatModel

TRIAL_PHOTOS = 16  # a channel's mean over more moves by less than an int8 step, and alternatives keep their order
SUBJECT = 128  # the first stored alpha that counts as subject


@dataclass(frozen=True)
class Steps:
    """Which steps a quantisation takes."""

    int8_forms: bool = True  # operators without a fast int8 kernel are rewritten first
    equalise: bool = True  # channels of like range (cross-layer equalisation)
    only_visible: bool = True  # ranges end where the readers stop telling values apart
    share_concatenations: bool = True  # one scale on both sides of a CONCATENATION
    half_step: bool = True  # the mask at alpha 0.5 stays where float puts it
    # Alternatives: every combination is tried on some calibration photos, and the one closest to float is kept, because
    # no method is best on all networks.
    methods: tuple[Method, ...] = METHODS  # how ranges are taken from what was seen
    bias_corrections: tuple[bool, ...] = (False, True)  # channel means as measured, or as in float


@dataclass(frozen=True)
class Quantised:
    """An int8 network and all that is needed to emit it again with some operators left in floating point."""

    tflite: bytes  # full int8: uint8 picture in, uint8 alpha out
    model: FloatModel  # the float network that was quantised: the same function in int8-friendly form
    ranges: Ranges  # of `model`'s tensors
    steps: Steps
    corrections: Mapping[str, NDArray] = field(default_factory=dict)  # operator's output name → added to its bias
    biases_corrected: bool = False  # whether the channel means were corrected too

    def with_islands(self, islands: Collection[str]) -> bytes:
        """The same network with the operators that make these tensors computing in float32.

        A float operator has nothing to correct, so it keeps its own bias.
        """
        return quantize(
            self.model,
            self.ranges,
            bias_corrections=self.corrections,
            islands=islands,
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

    `statistics`: what `observe` saw of `model` on these photos, where that is known already.

    Raises UsageError without photos, ConversionError for an operator without an int8 kernel or activations that are not
    finite, each named.
    """
    steps = steps or Steps()
    if statistics is None:
        statistics = observe(model, images, progress=progress)
    if steps.int8_forms:
        model = with_int8_forms(model)  # its tensors keep their names and values
    if steps.equalise:
        equalised = equalize(model, statistics)
        model, statistics = equalised.model, equalised.rescaled(statistics)
    few = images[:: max(1, len(images) // TRIAL_PHOTOS)][:TRIAL_PHOTOS]
    trials = [
        trial
        for method in steps.methods
        for trial in _trials(
            model, choose_ranges(model, statistics, method=method, only_visible=steps.only_visible), few, steps
        )
    ]
    if len(trials) == 1:
        return trials[0]
    judge = _Judge(model, few)
    return min(trials, key=lambda trial: judge.loss(trial.tflite))


def _trials(model: FloatModel, ranges: Ranges, few: Sequence[Image], steps: Steps) -> Iterator[Quantised]:
    """The network with these ranges, without and with corrected biases, as the steps ask."""
    centred = half_step(model, ranges) if steps.half_step else {}

    def emit(corrections: Mapping[str, NDArray]) -> bytes:
        return quantize(model, ranges, bias_corrections=corrections, share_concatenations=steps.share_concatenations)

    for correct in steps.bias_corrections:
        corrections = {**correct_biases(model, few, ranges, emit), **centred} if correct else centred
        yield Quantised(emit(corrections), model, ranges, steps, corrections, correct)


class _Judge:
    """How far int8 networks are from the float one on a few photos."""

    def __init__(self, model: FloatModel, images: Sequence[Image]) -> None:
        self._photos = [resize(image, model.size) for image in images]
        network = load(model.tflite, threads=1)
        self._alphas = [network.run(model.to_input(photo)) for photo in self._photos]

    def loss(self, content: bytes) -> float:
        """1 - IoU of the masks at 0.5, plus the mean absolute difference of alpha; mean over the photos."""
        network = load(content, threads=1)
        scale = network.outputs[0].scale
        losses = []
        for photo, alpha in zip(self._photos, self._alphas, strict=True):
            stored = network.run(photo[np.newaxis])
            mask, truth = stored >= SUBJECT, alpha >= 0.5
            union = np.count_nonzero(mask | truth)
            overlap = np.count_nonzero(mask & truth) / union if union else 1.0
            losses.append(1.0 - overlap + float(np.abs(stored * np.float32(scale) - alpha).mean()))
        return float(np.mean(losses))
