"""A conversion → the evidence: one HTML page that opens without a network, and the same figures as JSON."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.device.machine import peak_memory_bytes, this_machine
from ...runtime.network.model_file import parse
from ...runtime.picture.images import Alpha
from ...runtime.picture.scale import resize
from ..layers import LayerError, quantisation_errors
from ..onnx.graph import RGB
from ..pipeline import Conversion, own_version
from ..recipe import WARN_BELOW_IOU
from ..targets.coverage import Coverage
from ..targets.partitions import partitions
from ..verify import matte_makers
from . import charts, coverage, page
from .node_data import NODE_DATA, node_data
from .page import Tone

WORST_PHOTOS = 8
LAYER_PHOTOS = 4  # the figures per layer settle after a few; each runs both networks in the open
WORST_LAYERS = 12
GAIN = 4  # the difference picture shows differences this many times larger
GOOD_IOU, GOOD_MAE = 0.985, 0.01


@dataclass(frozen=True)
class Figures:
    """The numbers of one network."""

    bytes: int
    sha256: str
    operators: dict[str, int]  # how many of each
    latency_median_ms: float  # one thread, this machine
    latency_p95_ms: float
    xnnpack_partitions: int  # 1 is best; see partitions.py


@dataclass(frozen=True)
class PhotoFigures:
    """The numbers of one photo that judged."""

    name: str
    iou: float  # int8 against float
    mae: float
    float_iou: float | None = None  # against the true mask, where there is one
    int8_iou: float | None = None
    float_mae: float | None = None
    int8_mae: float | None = None


@dataclass(frozen=True)
class Summary:
    """Everything a program may want to read of a conversion; `report.json` and `--json` hold it."""

    made_by: str
    source: str  # file name
    source_sha256: str
    source_bytes: int
    opset: int
    input_size: tuple[int, int]  # (width, height)
    target: str
    reading: dict[str, Any]  # how pixels become the network's input, and its output's numbers alpha
    reading_in_words: tuple[str, ...]
    float_parity: float
    float_parity_photos: int
    float_parity_amplified: bool  # above the tolerance although every operator agrees
    agreement_iou: float
    agreement_mae: float
    held_out: bool
    calibration_photos: int
    float_iou: float | None  # means against the true masks
    int8_iou: float | None
    float_mae: float | None
    int8_mae: float | None
    latency_ratio: float
    latency_rounds: int
    tflite_runtime_mae: float | None  # of its matte and ours of a photo, 0…1; None: not run there
    accelerator: Coverage | None  # what the target makes of it; the compiled file's bytes left out
    float_model: Figures
    int8_model: Figures
    photos: tuple[PhotoFigures, ...]
    same_levels: float | None  # of a network quantised elsewhere: share of its matte within one level of the file's
    unproven: tuple[str, ...]  # why the comparison proves little; empty where it does
    warnings: tuple[str, ...]
    stage_seconds: dict[str, float]
    peak_memory_bytes: int | None  # of this process, from its start to the end of the conversion
    versions: dict[str, str]
    machine: str


def summary(result: Conversion) -> Summary:
    """The figures of a conversion in plain types."""
    truth, latency, machine = result.truth, result.latency, this_machine()
    of_photo = {photo.name: photo for photo in truth.photos} if truth else {}
    photos = []
    for photo in result.agreement.photos:
        true = of_photo.get(photo.name)
        judged = (true.float_iou, true.int8_iou, true.float_mae, true.int8_mae) if true else ()
        photos.append(PhotoFigures(photo.name, photo.iou, photo.mae, *judged))
    fields = ("float_iou", "int8_iou", "float_mae", "int8_mae")
    means = {field: truth.mean(field) if truth else None for field in fields}
    return Summary(
        made_by=f"edgematte {own_version()}",
        source=result.source.name,
        source_sha256=result.card.source_sha256,
        source_bytes=result.source_bytes,
        opset=result.opset,
        input_size=result.float_model.size,
        target=result.recipe.target,
        reading=result.reading.to_card(),
        reading_in_words=result.reading.in_words(),
        float_parity=result.parity.max_error,
        float_parity_photos=result.parity.photos,
        float_parity_amplified=result.parity.amplified,
        agreement_iou=result.agreement.iou,
        agreement_mae=result.agreement.mae,
        held_out=result.held_out,
        calibration_photos=result.calibration_photos,
        **means,
        latency_ratio=latency.ratio,
        latency_rounds=len(latency.of_int8.samples_ms),
        tflite_runtime_mae=result.tflite_runtime_mae,
        accelerator=result.coverage and result.coverage.without_model(),
        float_model=_figures(result.float_model.tflite, latency.of_float.median_ms, latency.of_float.p95_ms),
        int8_model=_figures(result.tflite, latency.of_int8.median_ms, latency.of_int8.p95_ms),
        photos=tuple(photos),
        same_levels=result.same_levels,
        unproven=result.unproven,
        warnings=result.warnings,
        stage_seconds={name: round(seconds, 3) for name, seconds in result.stages},
        peak_memory_bytes=peak_memory_bytes(),
        versions={
            "edgematte": own_version(),
            "python": machine.python,
            **{p.name: p.version for p in machine.packages},
        },
        machine=f"{machine.cpu or machine.architecture}, {machine.system}",
    )


def report_files(result: Conversion, folder: Path, *, command: str) -> dict[Path, bytes]:
    """`folder/index.html`, `report.json` and `node-data.json`: path → content."""
    figures = summary(result)
    layers = quantisation_errors(result.quantised_model, result.tflite, result.verification.images[:LAYER_PHOTOS])
    content = {
        **asdict(figures),
        "command": command,
        "layers": [asdict(layer) for layer in layers],
        "ranges": {name: list(span) for name, span in result.ranges.items()},
        "precisions": None if result.search is None else [asdict(point) for point in result.search.points],
    }
    data = json.dumps(content, indent=1).encode()
    overlay = json.dumps(node_data(layers), indent=1).encode()
    html = page.page(f"{result.card.name}: int8 conversion", _body(result, figures, layers, command)).encode()
    return {folder / "report.json": data, folder / NODE_DATA: overlay, folder / "index.html": html}


def _figures(model: bytes, median_ms: float, p95_ms: float) -> Figures:
    operators = Counter(operator.name for operator in parse(model).operators)
    return Figures(
        len(model),
        hashlib.sha256(model).hexdigest(),
        dict(operators.most_common()),
        median_ms,
        p95_ms,
        partitions(model),
    )


# The page ---------------------------------------------------------------------------------------------------------
def _body(result: Conversion, figures: Summary, layers: Sequence[LayerError], command: str) -> list[str]:
    width, height = figures.input_size
    now = datetime.now(timezone.utc).strftime("%d %B %Y, %H:%M UTC")
    parts = [
        f"<h1>{page.escape(result.card.name)}</h1>",
        page.paragraph(f"{figures.source} as a full-int8 TFLite model, {width}x{height} pixels. {now}.", "lead"),
        _headline(figures),
        *[f'<div class="warning">{page.escape(text)}</div>' for text in figures.warnings],
        _worst_photos(result),
        _agreement(result, figures),
        _truth(result),
        _layers(layers),
        _machines(figures),
        _precisions(result),
        _operators(figures),
        coverage.section(result.coverage),
        _ranges(result),
        _provenance(result, figures, command),
    ]
    return [part for part in parts if part]


def _headline(figures: Summary) -> str:
    drop = None
    if figures.float_iou is not None and figures.int8_iou is not None:
        drop = figures.float_iou - figures.int8_iou
    iou, mae, ratio = figures.agreement_iou, figures.agreement_mae, figures.latency_ratio
    share = figures.int8_model.bytes / figures.float_model.bytes
    entries: list[tuple[str, str, Tone]] = [
        (f"{iou:.4f}", "IoU of int8 masks with float masks, mean", _tone(iou, GOOD_IOU, WARN_BELOW_IOU)),
        (f"{mae:.4f}", "mean difference of the mattes, 0 to 1", _tone(-mae, -GOOD_MAE, -2 * GOOD_MAE)),
        (f"{ratio:.0%}", "of float's time per picture, 1 thread", _tone(-ratio, -0.6, -1.0)),
        (f"{share:.0%}", f"of float's size: {figures.int8_model.bytes / 1e6:.2f} MB", "plain"),
        (f"{figures.float_parity:.0e}", "float TFLite to ONNX, largest difference", "good"),
    ]
    if drop is not None:
        entries.insert(1, (f"{-drop * 100:+.2f}", "points of IoU against the true masks", _tone(-drop, -0.003, -0.01)))
    return page.figures(entries)


def _tone(value: float, good: float, fair: float) -> Tone:
    return "good" if value >= good else "fair" if value >= fair else "poor"


def _worst_photos(result: Conversion) -> str:
    photos = {photo.name: photo for photo in result.verification.photos}
    of_float, of_int8 = (matte_makers(model, 1)[0] for model in (result.float_model, result.tflite))
    rows = []
    for judged in result.agreement.worst(WORST_PHOTOS):
        image = photos[judged.name].image
        first, second = of_float(image), of_int8(image)
        size = (first.shape[1], first.shape[0])
        shown = resize(image, size)[..., :RGB]
        rows.append(
            (judged.name, f"IoU {judged.iou:.4f}, MAE {judged.mae:.4f}", [shown, first, second, _change(first, second)])
        )
    count = len(rows)
    return page.section(
        f"The {count} photos where int8 differs most" if count > 1 else "The photo",
        page.paragraph(
            f"Worst first. In the difference, orange is subject that int8 lost and blue is what it added, "
            f"{GAIN} times stronger than it is."
        ),
        page.photo_rows(("Photo", "Float matte", "int8 matte", "Difference"), rows),
    )


def _change(before: Alpha, after: Alpha) -> NDArray[np.uint8]:
    """Signed difference of two mattes as a picture: orange where `after` has less, blue where it has more."""
    difference = np.clip((after.astype(np.int16) - before) * GAIN / 255.0, -1, 1)[:, :, np.newaxis]
    orange, blue, ground = (np.array(c, np.float32) for c in ((255, 138, 41), (72, 158, 255), (18, 20, 23)))
    colour = np.where(difference < 0, orange, blue)
    return np.rint(ground + (colour - ground) * np.abs(difference)).astype(np.uint8)


def _agreement(result: Conversion, figures: Summary) -> str:
    photos = result.agreement.photos
    ious, maes = [photo.iou for photo in photos], [photo.mae for photo in photos]
    low = min(0.8, float(np.floor(min(ious) * 5) / 5))  # a fifth, so that the ticks are round
    held = "None of them was used for calibration." if result.held_out else "They were calibrated on as well."
    return page.section(
        "Agreement with the float network",
        page.paragraph(
            f"{len(photos)} photos, mattes at network size. {held} Median IoU {np.median(ious):.4f}, "
            f"worst {min(ious):.4f}; mean absolute difference {figures.agreement_mae:.4f}."
        ),
        charts.histogram(ious, low=low, high=1.0, bins=20, label="IoU of int8 mask and float mask, photos per bin"),
        charts.histogram(
            maes, low=0.0, high=max(0.02, float(np.ceil(max(maes) * 50) / 50)), bins=20,
            label="mean absolute difference of the mattes, photos per bin",
        ),
    )  # fmt: skip


def _truth(result: Conversion) -> str:
    truth = result.truth
    if truth is None:
        return ""
    points = [(photo.float_iou, photo.int8_iou, photo.name) for photo in truth.photos]
    rows = [
        (label, f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}")
        for label, before, after in (
            ("IoU, mean", truth.mean("float_iou"), truth.mean("int8_iou")),
            ("MAE, mean", truth.mean("float_mae"), truth.mean("int8_mae")),
        )
    ]
    return page.section(
        "Against the true masks",
        page.paragraph(f"{len(points)} photos, mattes enlarged to photo size. A dot on the line lost nothing."),
        page.table(("", "float", "int8", "change"), rows, numeric=(1, 2, 3)),
        charts.scatter(points, x_label="IoU of float", y_label="IoU of int8"),
    )


def _layers(layers: Sequence[LayerError]) -> str:
    if not layers:
        return ""
    percent = [layer.error * 100 for layer in layers]
    worst = sorted(layers, key=lambda layer: -layer.error)[:WORST_LAYERS]
    rows = [(layer.operator, layer.tensor, f"{layer.error:.2%}") for layer in worst]
    return page.section(
        "Where the error comes from",
        page.paragraph(
            f"Root mean square difference between int8 and float activations, as a share of the float one's range, "
            f"{LAYER_PHOTOS} photos at most. Eight bits alone cost 0.11 %; what is above has piled up on the way, "
            f"or was cut off on purpose, as scores are where the sigmoid after them is flat."
        ),
        charts.columns(
            percent,
            [f"{layer.operator} {layer.tensor}" for layer in layers],
            unit=" %",
            label="error per layer in order",
        ),
        page.details("The layers that differ most", page.table(("operator", "tensor", "error"), rows, numeric=(2,))),
    )


def _machines(figures: Summary) -> str:
    def row(label: str, model: Figures) -> tuple[str, ...]:
        times = f"{model.latency_median_ms:.1f}", f"{model.latency_p95_ms:.1f}"
        return label, f"{model.bytes:,}", *times, str(model.xnnpack_partitions)

    return page.section(
        "Size and time",
        page.paragraph(
            f"Inference alone, one thread, medians of {figures.latency_rounds} rounds in which both ran alternately. "
            f"{figures.machine}."
        ),
        page.table(
            ("", "bytes", "median ms", "95 % under, ms", "XNNPACK partitions"),
            [row("float", figures.float_model), row("int8", figures.int8_model)],
            numeric=(1, 2, 3, 4),
        ),
        charts.paired_bars(
            [("milliseconds", figures.float_model.latency_median_ms, figures.int8_model.latency_median_ms)],
            names=("float", "int8"), write=lambda v: f"{v:.1f}", label="latency of both networks",
        ),
    )  # fmt: skip


def _precisions(result: Conversion) -> str:
    searched = result.search
    if searched is None:
        return ""
    front = set(searched.pareto)
    rows = [
        (
            ("chosen" if point == searched.chosen else "best for its time" if point in front else ""),
            f"{len(point.islands)}",
            f"{point.drop:.4f}",
            f"{point.latency_ratio:.2f}",
            f"{point.size:,}",
        )
        for point in searched.points
    ]
    return page.section(
        "Precisions tried",
        page.paragraph(f"At most {result.recipe.max_drop} IoU or MAE was to be lost."),
        page.table(("", "operators in float", "loss", "of float's time", "bytes"), rows, numeric=(1, 2, 3, 4)),
    )


def _operators(figures: Summary) -> str:
    before, after = figures.float_model.operators, figures.int8_model.operators
    names = sorted({*before, *after}, key=lambda name: -max(before.get(name, 0), after.get(name, 0)))
    rows = [(name, float(before.get(name, 0)), float(after.get(name, 0))) for name in names]
    return page.section(
        "Operators",
        page.paragraph(f"{sum(before.values())} in the float model, {sum(after.values())} in the int8 model."),
        charts.paired_bars(
            rows, names=("float", "int8"), write=lambda v: f"{v:.0f}", label="operators of both networks"
        ),
    )


def _ranges(result: Conversion) -> str:
    if not result.ranges:
        return ""
    rows = [(name, float(low), float(high)) for name, (low, high) in result.ranges.items()]
    return page.section(
        "Ranges",
        page.paragraph(
            f"What calibration gave each activation, from {result.calibration_photos} photos. "
            f"Int8 divides each into 256 steps; the longer the line, the coarser the step."
        ),
        page.details(f"{len(rows)} activations", charts.ranges(rows, label="range of every activation")),
    )


def _provenance(result: Conversion, figures: Summary, command: str) -> str:
    recipe, card = result.recipe, result.card
    rows = [
        ("source", f"{figures.source}, {figures.source_bytes:,} bytes, opset {figures.opset}"),
        ("source sha256", figures.source_sha256),
        ("int8 sha256", figures.int8_model.sha256),
        *(("reading", line) for line in figures.reading_in_words),
        ("quantisation", card.quantisation),
        ("licence", card.licence or "not said"),
        ("training data", card.training_data or "not said"),
        ("target", recipe.target),
        ("versions", ", ".join(f"{name} {number}" for name, number in figures.versions.items())),
        ("time taken", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.stages if seconds >= 0.05)),
    ]
    return page.section("How it was made", page.preformatted(command), page.table(("", ""), rows))
