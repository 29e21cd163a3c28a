"""A model, its full-precision original and a folder of photos with masks → the `Result` of comparing them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..convert.latency import Effort
from ..runtime.device.machine import Machine, this_machine
from ..runtime.errors import ImageError, MissingExtraError, UsageError
from ..runtime.picture.images import Alpha, Image, write
from .examples import shown, worst
from .measure import energy
from .measure.accuracy import score
from .measure.contender import Contender, Converted, Precision, Provider
from .measure.dataset import Pair, find_pairs, fingerprint
from .measure.fresh import Job, cold_start
from .measure.live_rate import FRAMES, live_rate
from .measure.sustained import sustain
from .result import (
    Accuracy,
    Data,
    EnergyUse,
    Operators,
    PhotoScores,
    Result,
    Shown,
    Skipped,
    Starts,
    ThreadsPoint,
    significance,
    summarise,
    summarise_differences,
)
from .timings import Frame, frame_of, latency, sweep_threads

if TYPE_CHECKING:
    from .measure.reference import Reference, Told

READING_PHOTOS = 16  # as `convert` looks at
Report = Callable[[str, float], None]  # what is being done, and how much of it, 0…1


@dataclass(frozen=True)
class Original:
    """The full-precision network, and what is said about reading it."""

    path: Path
    told: Told | None = None  # None: as the model's card says, if it does
    provider: Provider = "auto"
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    model: str | Path  # a .tflite file or a bundled model's name
    against: Original | None = None
    data: Path | None = None  # None: latency only
    limit: int | None = None  # of photos, evenly chosen from the folder; None: all
    threads: int | None = None  # of both networks; None: as `Segmenter` chooses
    device: str = "cpu"  # of the model
    effort: Effort = field(default_factory=Effort)
    pictures: int = 6  # of the worst photos
    starts: int = 5  # fresh processes for each network; 0: no cold start
    live_frames: int = FRAMES  # through the live pipeline; 0: not measured
    up_to_threads: int | None = None  # the networks alone with 1, 2 … this many; None: not measured
    sustained_s: float | None = None  # one long run of the model; None: not measured


def run(plan: Plan, *, command: str, report: Report | None = None, checked: Callable[[Machine], None]) -> Result:
    """Accuracy on every photo, then latency by turns, then what else the plan asks for.

    A photo that cannot be used is left out and named in the result. `checked` is told about the machine before anything
    is measured, so that somebody can still quieten it. Raises EdgeMatteError subclasses for networks and folders that
    cannot be used, before anything is measured.
    """
    report = report or (lambda _what, _share: None)
    pairs = find_pairs(plan.data) if plan.data is not None else ()
    chosen = _spread(pairs, plan.limit)
    model = Converted(plan.model, threads=plan.threads, device=plan.device)
    reference = None if plan.against is None else _reference(plan.against, model, photos=_looked_at(chosen))
    machine = this_machine()
    checked(machine)

    photos, skipped = _score_all(chosen, model, reference, report)
    if chosen and not photos:
        raise ImageError(f"none of the {len(chosen)} photos in {plan.data} can be used: {skipped[0].reason}")
    used = {photo.stem: pair for photo in photos for pair in chosen if pair.stem == photo.stem}
    pictures = _pictures(photos, used, plan.pictures, model, reference)
    frame = frame_of(list(used.values()))
    card = model.segmenter.card
    version = next((package.version for package in machine.packages if package.name == "edgematte"), "from a checkout")
    return Result(
        made_by=f"edgematte {version}",
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command,
        machine=machine,
        model=model.facts,
        reference=None if reference is None else reference.facts,
        same_source=None if reference is None or card is None else card.source_sha256 == reference.facts.sha256,
        data=None
        if plan.data is None
        else Data(str(plan.data), len(pairs), len(photos), fingerprint(chosen), tuple(skipped)),
        accuracy=_accuracy(photos, pictures) if photos else None,
        latency=latency(model, reference, frame, plan.effort, partial(report, "latency")),
        threads=_threads(plan, model, reference, frame, report),
        starts=_starts(plan, model, reference, frame, report),
        energy=_energy(model, reference, frame),
        operators=_operators(model, reference, frame),
        live=live_rate(model.segmenter, frame.image, frames=plan.live_frames) if plan.live_frames else None,
        sustained=None
        if plan.sustained_s is None
        else sustain(partial(model, frame.image), seconds=plan.sustained_s, progress=partial(report, "sustained")),
    )


def _looked_at(pairs: Sequence[Pair]) -> list[Image]:
    """A few photos on which the reference's numbers are looked at; those that cannot be read are named later."""
    found = []
    for pair in _spread(pairs, READING_PHOTOS):
        with suppress(ImageError):
            found.append(pair.read()[0])
    return found


def _reference(
    original: Original, model: Converted, threads: int | None = None, photos: Sequence[Image] = ()
) -> Reference:
    """The full-precision network, read as it was told or as the model's card says."""
    try:
        from ..convert.onnx.reading import Reading
        from .measure.reference import Reference
    except ModuleNotFoundError as error:
        raise MissingExtraError("bench run --against", "convert", error.name or "onnx") from error
    card = model.segmenter.card
    if card is not None and card.reading is None and original.told is None:
        raise UsageError(
            f"{model.facts.file}: the card of an older version, which does not say how {original.path.name} is fed; "
            "convert it again, or say it with --mean, --std and --color"
        )
    return Reference(
        original.path,
        reading=Reading.from_card(card.reading) if card is not None and card.reading is not None else None,
        told=original.told,
        photos=photos,
        size=model.facts.input_size,
        threads=threads or model.facts.threads,
        provider=original.provider,
        precision=original.precision,
    )


def _spread(pairs: Sequence[Pair], limit: int | None) -> tuple[Pair, ...]:
    """At most `limit` pairs, evenly spaced: neighbours in a sorted folder often come from one source."""
    if limit is None or len(pairs) <= limit:
        return tuple(pairs)
    return tuple(pairs[int(place)] for place in np.linspace(0, len(pairs) - 1, limit))


def _score_all(
    pairs: Sequence[Pair], model: Contender, reference: Contender | None, report: Report
) -> tuple[list[PhotoScores], list[Skipped]]:
    photos: list[PhotoScores] = []
    skipped: list[Skipped] = []
    for number, pair in enumerate(pairs, start=1):
        try:
            image, truth = pair.read()
        except ImageError as error:
            skipped.append(Skipped(pair.stem, str(error)))
        else:
            photos.append(_score_one(pair.stem, image, truth, model, reference))
        report("photos", number / len(pairs))
    return photos, skipped


def _score_one(stem: str, image: Image, truth: Alpha, model: Contender, reference: Contender | None) -> PhotoScores:
    height, width = truth.shape
    alpha = model(image)
    if reference is None:
        return PhotoScores(stem, width, height, score(alpha, truth), None, None)
    other = reference(image)
    return PhotoScores(stem, width, height, score(alpha, truth), score(other, truth), score(alpha, other))


def _pictures(
    photos: Sequence[PhotoScores], pairs: dict[str, Pair], count: int, model: Contender, reference: Contender | None
) -> tuple[Shown, ...]:
    """The worst photos, computed once more: keeping every alpha until the worst are known would fill the memory."""
    found = []
    for chosen in worst(photos, count):
        image, truth = pairs[chosen.stem].read()
        found.append(shown(chosen, image, truth, model(image), None if reference is None else reference(image)))
    return tuple(found)


def _accuracy(photos: Sequence[PhotoScores], pictures: tuple[Shown, ...]) -> Accuracy:
    of_model = [photo.model for photo in photos]
    of_reference = [photo.reference for photo in photos if photo.reference is not None]
    agreements = [photo.agreement for photo in photos if photo.agreement is not None]
    return Accuracy(
        model=summarise(of_model),
        reference=summarise(of_reference) if of_reference else None,
        difference=summarise_differences(of_model, of_reference) if of_reference else None,
        agreement=summarise(agreements) if agreements else None,
        photos=tuple(photos),
        significance=significance(of_model, of_reference) if of_reference else None,
        shown=pictures,
    )


def _threads(
    plan: Plan, model: Converted, reference: Contender | None, frame: Frame, report: Report
) -> tuple[ThreadsPoint, ...]:
    if plan.up_to_threads is None:
        return ()
    against = plan.against if reference is not None and reference.facts.device == "CPU" else None
    return sweep_threads(
        lambda threads: Converted(plan.model, threads=threads, device=plan.device),
        None if against is None else lambda threads: _reference(against, model, threads),
        plan.up_to_threads,
        frame,
        plan.effort,
        partial(report, "threads"),
    )


def _starts(plan: Plan, model: Converted, reference: Reference | None, frame: Frame, report: Report) -> Starts | None:
    if plan.starts == 0:
        return None
    with tempfile.TemporaryDirectory(prefix="edgematte-") as folder:
        photo = Path(folder) / "photo.jpg"
        write(photo, frame.image)
        jobs = {"model": Job(model.facts.file, str(photo), model.facts.threads, device=plan.device)}
        if plan.against is not None and reference is not None:
            jobs["reference"] = Job(
                reference.facts.file, str(photo), reference.facts.threads, original=True,
                reading=reference.reading.to_card(), size=model.facts.input_size, provider=plan.against.provider,
                precision=plan.against.precision,
            )  # fmt: skip
        found = cold_start(jobs, starts=plan.starts, progress=partial(report, "cold starts"))
    return Starts(found["model"], found.get("reference"))


def _energy(model: Contender, reference: Contender | None, frame: Frame) -> EnergyUse | None:
    meter = energy.find_meter()
    if meter is None:
        return None
    calls = {"model": partial(model, frame.image)}
    if reference is not None:
        calls["reference"] = partial(reference, frame.image)
    found = energy.measure(meter, calls, rest=time.sleep)
    return None if found is None else EnergyUse(found["model"], found.get("reference"))


def _operators(model: Contender, reference: Contender | None, frame: Frame) -> Operators | None:
    found = Operators(
        model.operators(model.prepare(frame.image)),
        None if reference is None else reference.operators(reference.prepare(frame.image)),
    )
    return None if found == Operators(None, None) else found
