"""Networks and photos → the whole conversion measured: ours beside ai-edge-quantizer's and TensorFlow's.

Every way gets the same calibration photos, and its int8 mattes are compared with those of the same float network.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...convert.latency import Effort, interleave
from ...convert.onnx import graph as onnx_graph
from ...convert.onnx import onnx_tf
from ...convert.onnx.evidence import assumed
from ...convert.onnx.lower import lower
from ...convert.photos import Photo, PhotoSet, gather, gather_pairs, split
from ...convert.pipeline import Conversion, convert
from ...convert.recipe import Recipe
from ...convert.targets.partitions import partitions
from ...convert.tflite.float_model import FloatModel
from ...convert.tflite.graph import TfliteGraph, float_operators
from ...convert.verify import Agreement, compare, mattes, parity
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.network.interpreter import Network, load
from ...runtime.picture.images import Alpha, Size
from ..measure.stats import Interval, ratio
from .networks import Subject
from .quantization import peer, real_alpha, stored_input

OWN, PEER, TENSORFLOW = "edgematte", "ai-edge-quantizer", "onnx-tf + TFLiteConverter"
EFFORT = Effort(seconds=4.0, least_rounds=15)
Report = Callable[[str, float], None]  # what is being done, and the share of it that is, 0…1


@dataclass(frozen=True)
class FolderIou:
    """The agreement on one folder's photos."""

    folder: str  # its name, "people"
    photos: int
    iou: float  # int8 to float masks at 0.5, mean


@dataclass(frozen=True)
class Row:
    """One network converted one way. What could not be measured is None."""

    network: str  # file stem
    sha256: str  # of the ONNX file
    way: str
    refused: str = ""  # why there is no model, or none that is right
    seconds: float | None = None  # from the ONNX file to the model; ours reads photos, verifies and times as well
    cpu_seconds: float | None = None  # the same in processor time, which other programs' load does not lengthen
    parity: float | None = None  # float TFLite to onnxruntime, largest difference as a share of the matte's range
    amplified: bool = False  # above the tolerance, and every operator alone well below
    iou: float | None = None  # int8 to float masks at 0.5, mean over photos
    pooled_iou: float | None = None  # of all photos laid side by side
    worst_iou: float | None = None
    folder_ious: tuple[FolderIou, ...] = ()  # the mean of each folder, where there are several
    mae: float | None = None  # int8 to float alpha, 0…1, mean over photos
    float_truth: float | None = None  # IoU with the true masks, mean
    int8_truth: float | None = None
    latency_ratio: Interval | None = None  # int8 median / our float's median, one thread, interleaved
    float_ms: float | None = None
    int8_ms: float | None = None
    bytes: int | None = None
    partitions: int | None = None  # pieces that XNNPACK takes the int8 network in
    transposes: int | None = None
    in_float: tuple[str, ...] | None = None  # operators that compute in floating point, kinds only

    @property
    def converts(self) -> bool:
        return not self.refused


@dataclass(frozen=True)
class Plan:
    """What to measure on which photos."""

    subjects: tuple[Subject, ...]
    calibrate: Path
    data: tuple[Path, ...]  # each with images/ and masks/, or photos alone
    limit: int | None = None  # judging photos of each folder
    calibration_photos: int = 100
    tensorflow: tuple[str, ...] = ()  # networks that go through onnx-tf and TFLiteConverter as well, by file stem


def measure(plan: Plan, *, report: Report, known: Sequence[Row] = ()) -> Iterator[Row]:
    """Every network every way, a row as soon as it is known; a refusal is a row too.

    `known`: rows of an earlier run; what they hold is not measured again. Raises UsageError where photos or the
    environment of onnx-tf are missing.
    """
    if plan.tensorflow:
        onnx_tf.find_python()
    for subject in plan.subjects:
        sha256 = hashlib.sha256(subject.path.read_bytes()).hexdigest()
        earlier = {row.way: row for row in known if row.sha256 == sha256}
        ways = [OWN, PEER, *([TENSORFLOW] if subject.path.stem in plan.tensorflow else [])]
        if all(way in earlier for way in ways) or (OWN in earlier and earlier[OWN].refused):
            yield from earlier.values()
        else:
            yield from _of_one(subject, sha256, plan, report, earlier)


def _of_one(subject: Subject, sha256: str, plan: Plan, report: Report, earlier: Mapping[str, Row]) -> Iterator[Row]:
    """The rows of one network; `earlier`: those that are known, way → row."""
    name = subject.path.stem
    row, used, made = Row(name, sha256, OWN), _cpu_seconds(), None
    if OWN in earlier:
        graph = onnx_graph.load(subject.path, size=subject.size)
        model = lower(graph, assumed(graph, subject.preprocessing, channel=subject.channel))
    else:
        try:
            made = _ours(subject, plan, lambda stage, share: report(f"{name}: {stage}", share))
        except EdgeMatteError as error:
            if isinstance(error, UsageError):
                raise
            yield replace(row, refused=str(error))
            return
        model = made.float_model
    spent = _cpu_seconds() - used
    judges = _judges(plan, model.size, lambda share: report(f"{name}: reading photos", share))
    photos = [photo for folder in judges.values() for photo in folder]
    of_float = mattes(model, photos, progress=lambda share: report(f"{name}: float mattes", share))

    def judged(row: Row, content: bytes) -> Row:
        return _judged(row, content, model, judges, of_float, lambda stage, share: report(f"{name}: {stage}", share))

    if made is not None:
        own = replace(
            row,
            seconds=sum(seconds for _, seconds in made.stages),
            cpu_seconds=spent,
            parity=made.parity.max_error,
            amplified=made.parity.amplified,
        )
        yield judged(own, made.tflite)
    else:
        yield earlier[OWN]
    found = gather(plan.calibrate, model.size, most=plan.calibration_photos)
    calibration = split(found, most=plan.calibration_photos).calibration  # the same that ours took
    if PEER in earlier:
        yield earlier[PEER]
    else:
        yield _attempt(replace(row, way=PEER), judged, lambda: (peer(model, calibration.images), None))
    if TENSORFLOW in earlier:
        yield earlier[TENSORFLOW]
    elif name in plan.tensorflow:
        report(f"{name}: onnx-tf and TensorFlow", 0.0)
        theirs = partial(_through_tensorflow, subject, calibration)
        yield _attempt(replace(row, way=TENSORFLOW), judged, theirs)


def _cpu_seconds() -> float:
    """Processor time of this process and of those it waited for."""
    return sum(os.times()[:4])


def _ours(subject: Subject, plan: Plan, report: Report) -> Conversion:
    """`edgematte convert` as a user calls it: every fifth photo is kept from calibration and judges."""
    recipe = Recipe(
        calibrate=plan.calibrate,
        preprocessing=subject.preprocessing,
        size=subject.size,
        channel=subject.channel,
        calibration_photos=plan.calibration_photos,
    )
    return convert(subject.path, recipe, progress=report)


def _attempt(row: Row, judged: Callable[[Row, bytes], Row], make: Callable[[], tuple[bytes, float | None]]) -> Row:
    """Another's conversion, timed and judged; whatever it raises is its refusal, and the table goes on."""
    started, used = time.perf_counter(), _cpu_seconds()
    try:
        with _silent():
            content, apart = make()
        spent = _cpu_seconds() - used
        row = replace(row, seconds=time.perf_counter() - started, cpu_seconds=spent, parity=apart)
        return judged(row, content)
    except (EdgeMatteError, RuntimeError, ValueError, KeyError, IndexError) as error:
        return replace(row, refused=str(error).splitlines()[0] if str(error) else type(error).__name__)


@contextmanager
def _silent() -> Iterator[None]:
    """Other people's progress bars and warnings are not what was asked for."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _through_tensorflow(subject: Subject, photos: PhotoSet) -> tuple[bytes, float]:
    """The int8 model, and how far TensorFlow's own float model is from onnxruntime."""
    graph = onnx_graph.load(subject.path, size=subject.size)
    reading = assumed(graph, subject.preprocessing, channel=subject.channel)
    model, int8 = onnx_tf.convert(graph, reading, photos.images)
    return int8, parity(graph, model, reading, photos.photos[: Recipe.parity_photos]).max_error


def _judges(plan: Plan, size: Size, tell: Callable[[float], None]) -> dict[str, tuple[Photo, ...]]:
    """Folder → its photos, with their masks where it holds any."""
    found: dict[str, tuple[Photo, ...]] = {}
    for folder in plan.data:
        read = gather_pairs if (folder / "masks").is_dir() else gather
        found[folder.name] = read(folder, size, most=plan.limit or sys.maxsize).photos
        tell(len(found) / len(plan.data))
    return found


def _judged(
    row: Row,
    content: bytes,
    model: FloatModel,
    judges: Mapping[str, Sequence[Photo]],
    of_float: Sequence[Alpha],
    report: Report,
) -> Row:
    photos = [photo for folder in judges.values() for photo in folder]
    network = load(content, threads=1)
    of_int8: list[Alpha] = []
    for photo in photos:
        of_int8.append(_stored(real_alpha(network, model, photo.image)))
        report(f"{row.way} mattes", len(of_int8) / len(photos))
    agreed, truth = compare(of_float, of_int8, photos)
    times = interleave(
        {"float": _call(load(model.tflite, threads=1), model, photos[0]), "int8": _call(network, model, photos[0])},
        effort=EFFORT,
        progress=lambda share: report(f"{row.way} latency", share),
    )  # fmt: skip
    graph = TfliteGraph(content)
    kinds = [graph.kind(operator) for operator in graph.operators]
    in_float = sorted(title.split(" ", 1)[0] for title in float_operators(graph))
    return replace(
        row,
        iou=agreed.iou,
        pooled_iou=agreed.pooled_iou,
        worst_iou=min(photo.iou for photo in agreed.photos),
        folder_ious=tuple(_by_folder(agreed, judges)) if len(judges) > 1 else (),
        mae=agreed.mae,
        float_truth=truth.mean("float_iou") if truth else None,
        int8_truth=truth.mean("int8_iou") if truth else None,
        latency_ratio=ratio(times["int8"], times["float"]),
        float_ms=times["float"].median_ms,
        int8_ms=times["int8"].median_ms,
        bytes=len(content),
        partitions=partitions(content),
        transposes=kinds.count("TRANSPOSE"),
        in_float=tuple(in_float),
    )


def _by_folder(agreed: Agreement, judges: Mapping[str, Sequence[Photo]]) -> Iterator[FolderIou]:
    ious = iter([photo.iou for photo in agreed.photos])
    for folder, photos in judges.items():
        yield FolderIou(folder, len(photos), float(np.mean([next(ious) for _ in photos])))


def _stored(alpha: NDArray[np.float32]) -> Alpha:
    """Real alpha (1, H, W, 1), 0…1 → bytes (H, W)."""
    return np.rint(np.clip(alpha[0, :, :, 0], 0, 1) * 255).astype(np.uint8)


def _call(network: Network, model: FloatModel, photo: Photo) -> Callable[[], object]:
    tensor = stored_input(network, model, photo.image)
    return lambda: network.run(tensor)
