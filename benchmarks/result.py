"""What one `bench run` found, and how it is written down: JSON for programs and sceptics, CSV photo by photo.

The JSON has the fields of `Result` below, plus `schema`, its `schema_version`, and for every series of timings the
figures people read (`median_ms`, `p95_ms`, `p99_ms`, `cpu_ms`) beside the samples they come from. A field may be added
without a new version; one that is renamed, removed or changes its meaning raises it, and schema.py learns to read what
was written before.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass

from ..convert.latency import Timing
from ..runtime.device.machine import Machine
from ..runtime.picture.images import Size
from .measure.accuracy import METRICS, Score
from .measure.contender import Facts
from .measure.energy import Energy
from .measure.fresh import ColdStart
from .measure.live_rate import LiveRate
from .measure.operator_times import OperatorTime
from .measure.stats import Interval, PairedTest, mean_interval, paired_test
from .measure.sustained import Sustained

SCHEMA = "edgematte.bench.run"
SCHEMA_VERSION = 2  # 2: ratios are medians of each round's ratio, no longer ratios of two medians
MS_DIGITS = 4  # 0.1 µs, below what a clock resolves


@dataclass(frozen=True)
class Summary:
    """The mean of every metric over the photos, with its 95 % interval; fields are those of `Score`."""

    iou: Interval
    boundary_iou: Interval
    mae: Interval
    mse: Interval
    sad: Interval
    gradient: Interval
    connectivity: Interval
    haze: Interval | None = None
    lost: Interval | None = None
    kept: Interval | None = None


@dataclass(frozen=True)
class Significance:
    """Model against reference on the same photos: how likely such differences are by chance; fields of `Score`."""

    iou: PairedTest
    boundary_iou: PairedTest
    mae: PairedTest
    mse: PairedTest
    sad: PairedTest
    gradient: PairedTest
    connectivity: PairedTest
    haze: PairedTest | None = None
    lost: PairedTest | None = None
    kept: PairedTest | None = None


@dataclass(frozen=True)
class PhotoScores:
    """One photo."""

    stem: str
    width: int
    height: int
    model: Score  # against the truth
    reference: Score | None  # against the truth
    agreement: Score | None  # model against reference


@dataclass(frozen=True)
class Shown:
    """A photo and its mattes as data URIs of JPEG and PNG, at most 320 pixels on the longest side."""

    stem: str
    reason: str  # why this photo, in words, with its figure
    photo: str
    truth: str
    model: str
    reference: str | None


@dataclass(frozen=True)
class Accuracy:
    """Over all photos that could be read."""

    model: Summary
    reference: Summary | None
    difference: Summary | None  # model minus reference, of the photo-by-photo differences: what the conversion cost
    agreement: Summary | None  # model against reference
    photos: tuple[PhotoScores, ...]
    significance: Significance | None = None
    shown: tuple[Shown, ...] = ()  # the worst photos, as pictures


@dataclass(frozen=True)
class Skipped:
    """A photo that was left out."""

    stem: str
    reason: str


@dataclass(frozen=True)
class Data:
    """Which photos."""

    folder: str  # as it was named
    found: int  # pairs in the folder
    used: int
    sha256: str  # of the chosen photos and masks, see dataset.fingerprint
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Stage:
    """A part of the way from a photo's file to the file of its cut-out."""

    name: str  # one of stages.STAGES
    timing: Timing


@dataclass(frozen=True)
class CallTimings:
    """One network's latency."""

    network: Timing  # input tensor → output tensor
    whole: Timing  # photo → alpha of the photo's size
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Latency:
    """Both networks by turns, in one run."""

    frame: Size  # of the picture that the whole call was timed with
    frame_source: str  # which picture that was
    warm_up: int
    rounds: int
    model: CallTimings
    reference: CallTimings | None
    network_ratio: Interval | None  # model / reference by the wall clock, median over rounds, of the network alone
    whole_ratio: Interval | None  # the same of the whole call
    temperature_after_c: float | None  # `Machine.temperature_c` is the one before
    # Of CPU time; None unless both ran on one thread of the CPU, where nothing else tells as surely which is faster.
    network_cpu_ratio: Interval | None = None
    whole_cpu_ratio: Interval | None = None

    @property
    def fair_network_ratio(self) -> Interval | None:
        """Of CPU time where there is one, else of the wall clock: what gates and reports go by."""
        return self.network_cpu_ratio or self.network_ratio


@dataclass(frozen=True)
class ThreadsPoint:
    """The networks alone with a number of threads, all numbers by turns in one run."""

    threads: int
    model: Timing
    reference: Timing | None  # None for a reference on a GPU as well: its threads are not these


@dataclass(frozen=True)
class Starts:
    """Processes that have just started."""

    model: ColdStart
    reference: ColdStart | None


@dataclass(frozen=True)
class EnergyUse:
    """Photo to alpha, where the board measures its power."""

    model: Energy
    reference: Energy | None


@dataclass(frozen=True)
class Operators:
    """Each operator's time, of engines that have a profiler; None for one that has none."""

    model: tuple[OperatorTime, ...] | None
    reference: tuple[OperatorTime, ...] | None


@dataclass(frozen=True)
class Result:
    """Everything about one run."""

    made_by: str  # "edgematte 0.1.0"
    made_at: str  # ISO 8601, UTC
    command: str  # that makes it again
    machine: Machine
    model: Facts
    reference: Facts | None
    same_source: bool | None  # the model's card names the reference's file as what it was made from; None: no card
    data: Data | None
    accuracy: Accuracy | None
    latency: Latency
    # What was not asked for, or what this machine cannot tell, is None or empty.
    threads: tuple[ThreadsPoint, ...] = ()
    sustained: Sustained | None = None  # the model, photo to alpha
    starts: Starts | None = None
    energy: EnergyUse | None = None
    operators: Operators | None = None
    live: LiveRate | None = None  # of the model


def fair_ms(timing: Timing, facts: Facts) -> float:
    """What a call takes when nobody else wants the machine: one thread's CPU time on the CPU, else the wall clock's."""
    alone = facts.device == "CPU" and facts.threads == 1
    return timing.cpu_ms if alone and timing.cpu_ms is not None else timing.median_ms


def reference_name(facts: Facts) -> str:
    """A full-precision network on a GPU is what people expect; anything else must say so wherever it is shown."""
    if facts.device == "CPU":
        return "CPU reference"
    return "CoreML reference" if facts.device == "CoreML" else "GPU reference"


def summarise(scores: Sequence[Score]) -> Summary:
    """Means and intervals of every metric."""
    return Summary(**{name: mean_interval([getattr(score, name) for score in scores]) for name in METRICS})


def summarise_differences(scores: Sequence[Score], others: Sequence[Score]) -> Summary:
    """Means and intervals of `scores` minus `others`, both of the same photos in the same order.

    The same photos are hard for both networks, so the difference is known far better than either mean.
    """
    return Summary(
        **{
            name: mean_interval(
                [getattr(one, name) - getattr(other, name) for one, other in zip(scores, others, strict=True)]
            )
            for name in METRICS
        }
    )


def significance(scores: Sequence[Score], others: Sequence[Score]) -> Significance:
    """Paired tests of every metric, of the same photos in the same order."""
    return Significance(
        **{
            name: paired_test([getattr(score, name) for score in scores], [getattr(other, name) for other in others])
            for name in METRICS
        }
    )


def to_json(result: Result) -> str:
    """Indented JSON with the schema's name and version."""
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **_plain_fields(result)}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(accuracy: Accuracy) -> str:
    """One line per photo: stem, size, and every metric of the model, the reference and their agreement."""
    against = [role for role in ("model", "reference", "agreement") if getattr(accuracy, role) is not None]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stem", "width", "height", *(f"{role}_{metric}" for role in against for metric in METRICS)])
    for photo in accuracy.photos:
        values = [getattr(getattr(photo, role), metric) for role in against for metric in METRICS]
        writer.writerow([photo.stem, photo.width, photo.height, *(f"{value:.9g}" for value in values)])
    return text.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, Timing):
        return {
            "median_ms": round(value.median_ms, MS_DIGITS),
            "p95_ms": round(value.p95_ms, MS_DIGITS),
            "p99_ms": round(value.p99_ms, MS_DIGITS),
            "cpu_ms": None if value.cpu_ms is None else round(value.cpu_ms, MS_DIGITS),
            "samples_ms": [round(sample, MS_DIGITS) for sample in value.samples_ms],
            "cpu_samples_ms": [round(sample, MS_DIGITS) for sample in value.cpu_samples_ms],
        }
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _plain_fields(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} is no result")
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
