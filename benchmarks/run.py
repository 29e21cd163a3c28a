"""A model, its full-precision original and a folder of photos with masks → the `Result` of comparing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

from ..runtime.convention import Color
from ..runtime.errors import ImageError, MissingExtraError
from ..runtime.images import Alpha, Image, Size, read
from ..runtime.model_file import ModelCard
from ..runtime.preprocess import resize
from .accuracy import score
from .contender import Contender, Converted, Provider
from .dataset import Pair, find_pairs, fingerprint
from .latency import Call, Effort, interleave, ratio
from .machine import temperature_c, this_machine
from .result import (
    Accuracy,
    CallTimings,
    Data,
    Latency,
    PhotoScores,
    Result,
    Skipped,
    summarise,
    summarise_differences,
)

FRAME_SIZE: Size = (1280, 720)  # what cameras deliver; one size everywhere, so that machines can be compared
SYNTHETIC_CELLS: Size = (16, 9)  # of the made-up picture: smooth colours, as large as a photo's shapes

Report = Callable[[str, float], None]  # what is being done, and how much of it, 0…1


@dataclass(frozen=True)
class Original:
    """The full-precision network, and how to feed it; None: as the model's card says, if it does."""

    path: Path
    mean: tuple[float, ...] | None = None  # as for `convert`: pixel units 0…255, the network's own channel order
    std: tuple[float, ...] | None = None
    color: Color | None = None
    channel: int | None = None
    provider: Provider = "auto"


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    model: str | Path  # a .tflite file or a bundled model's name
    against: Original | None = None
    data: Path | None = None  # None: latency only
    limit: int | None = None  # of photos, evenly chosen from the folder; None: all
    threads: int | None = None  # of both networks; None: as `Segmenter` chooses
    effort: Effort = field(default_factory=Effort)


@dataclass(frozen=True)
class Frame:
    """The picture that latency is measured on."""

    image: Image
    source: str  # where it came from, in words


def run(plan: Plan, *, command: str, report: Report | None = None) -> Result:
    """Accuracy on every photo, then latency by turns. A photo that cannot be used is left out and named in the result.

    Raises EdgeMatteError subclasses for networks and folders that cannot be used, before anything is measured.
    """
    report = report or _silent
    pairs = find_pairs(plan.data) if plan.data is not None else ()
    chosen = _spread(pairs, plan.limit)
    model = Converted(plan.model, threads=plan.threads)
    reference = None if plan.against is None else _reference(plan.against, model)
    machine = this_machine()

    photos, skipped = _score_all(chosen, model, reference, report)
    if chosen and not photos:
        raise ImageError(f"none of the {len(chosen)} photos in {plan.data} can be used: {skipped[0].reason}")
    used = {photo.stem for photo in photos}
    latency = _latency(model, reference, _frame([pair for pair in chosen if pair.stem in used]), plan.effort, report)
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
        data=None if plan.data is None else _data(plan.data, pairs, chosen, skipped),
        accuracy=_accuracy(photos) if photos else None,
        latency=latency,
    )


def _silent(_what: str, _share: float) -> None:
    pass


def _data(folder: Path, found: Sequence[Pair], chosen: Sequence[Pair], skipped: Sequence[Skipped]) -> Data:
    return Data(str(folder), len(found), len(chosen) - len(skipped), fingerprint(chosen), tuple(skipped))


def _reference(original: Original, model: Converted) -> Contender:
    try:
        from ..convert.lower import Preprocessing
        from .reference import Reference
    except ModuleNotFoundError as error:
        raise MissingExtraError("bench run --against", "convert", error.name or "onnx") from error
    card = model.segmenter.card or ModelCard(name="", source_sha256="")
    return Reference(
        original.path,
        preprocessing=Preprocessing(
            mean=original.mean or card.mean or (0.0,),
            std=original.std or card.std or (255.0,),
            color=original.color or card.color or "rgb",
        ),
        channel=original.channel if original.channel is not None else card.channel,
        size=model.facts.input_size,
        threads=model.facts.threads,
        provider=original.provider,
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


def _accuracy(photos: Sequence[PhotoScores]) -> Accuracy:
    of_model = [photo.model for photo in photos]
    of_reference = [photo.reference for photo in photos if photo.reference is not None]
    agreements = [photo.agreement for photo in photos if photo.agreement is not None]
    return Accuracy(
        model=summarise(of_model),
        reference=summarise(of_reference) if of_reference else None,
        difference=summarise_differences(of_model, of_reference) if of_reference else None,
        agreement=summarise(agreements) if agreements else None,
        photos=tuple(photos),
    )


def _latency(model: Contender, reference: Contender | None, frame: Frame, effort: Effort, report: Report) -> Latency:
    contenders = {"model": model} if reference is None else {"model": model, "reference": reference}
    calls: dict[str, Call] = {}
    for role, contender in contenders.items():
        calls[f"{role} network"] = partial(contender.run, contender.prepare(frame.image))
        calls[f"{role} whole"] = partial(contender, frame.image)
    timings = interleave(calls, effort=effort, progress=partial(report, "latency"))
    of_model = CallTimings(timings["model network"], timings["model whole"])
    of_reference = None
    if reference is not None:
        of_reference = CallTimings(timings["reference network"], timings["reference whole"])
    height, width = frame.image.shape[:2]
    return Latency(
        frame=(width, height),
        frame_source=frame.source,
        warm_up=effort.warm_up,
        rounds=len(of_model.network.samples_ms),
        model=of_model,
        reference=of_reference,
        network_ratio=None if of_reference is None else ratio(of_model.network, of_reference.network),
        whole_ratio=None if of_reference is None else ratio(of_model.whole, of_reference.whole),
        temperature_after_c=temperature_c(),
    )


def _frame(pairs: Sequence[Pair]) -> Frame:
    """The first photo at camera size; without photos a made-up one, for a network's work hardly depends on content."""
    if pairs:
        return Frame(resize(read(pairs[0].photo), FRAME_SIZE), f"{pairs[0].photo.name} at camera size")
    columns, rows = SYNTHETIC_CELLS
    cells = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    return Frame(resize(cells, FRAME_SIZE), "made-up smooth colours")
