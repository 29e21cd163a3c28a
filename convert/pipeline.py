"""An ONNX network and a recipe → the int8 model with all the evidence gathered about it, or a refusal that says why."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from ..runtime.device.files import write_together
from ..runtime.device.machine import give_back_memory
from ..runtime.errors import ConversionError, GateRefusedError, UsageError
from ..runtime.network.interpreter import load
from ..runtime.network.model_file import CARD_NAME, ModelCard
from ..runtime.picture.images import Alpha, Image
from .doubts import doubts, pixels_otherwise
from .latency import Latency, compare
from .onnx import graph as onnx_graph
from .onnx import onnx_tf
from .onnx.ends import SeveralOutputsError
from .onnx.evidence import decide, outputs_on
from .onnx.lower import lower, refuse_stored_integers
from .onnx.pixels import normalised_twice
from .onnx.reading import Reading
from .onnx.reference import with_ends
from .photos import Photo, PhotoSet, Split, gather, gather_pairs, split
from .quantise.kept import in_floating_point, kept_scales, unlike
from .quantise.shared_scales import Ranges
from .quantise.to_int8 import Quantised, to_int8
from .recipe import WARN_BELOW_IOU, Recipe
from .rewrite.subpixel import with_subpixels
from .search import SearchResult, costliest, ranked, search
from .targets import accelerators, pi32
from .targets.coverage import Coverage
from .targets.partitions import partitions
from .tflite.builder import add_metadata
from .tflite.float_model import FloatModel
from .tflite.graph import TfliteGraph, float_operators
from .verify import (
    SAME_LEVELS,
    Agreement,
    FileLevels,
    GroundTruth,
    Parity,
    check_activations,
    drop_from,
    mae,
    mattes,
    parity,
    refuse_difference,
)
from .verify import compare as compare_mattes

READING_PHOTOS = 16  # on which the output is looked at; the parity photos are all held to what that says
RANKING_PHOTOS = 16  # enough to order layers by what int8 costs them; the choice itself is measured on all
COSTLY_MAE = 0.012  # of int8 mattes to float ones: above it, the layers that cost it are looked for
ENDS_PHOTOS = 4  # on which a quantised network's activations are held against the ends of their levels
COSTLY_LAYERS, COSTLY_PHOTOS = 3, 4  # so many are named, found on so many photos
PI32_MAE = 0.005  # tflite-runtime rounds halves otherwise, which a steep sigmoid enlarges along contours
Progress = Callable[[str, float], None]  # what is being done, and the share of it that is, 0…1


@dataclass(frozen=True)
class Conversion:
    """A converted network and what its conversion cost."""

    recipe: Recipe
    source: Path
    source_bytes: int  # size of the ONNX file
    opset: int
    reading: Reading
    float_model: FloatModel
    tflite: bytes  # the int8 model, card included
    card: ModelCard
    parity: Parity
    quantised_model: FloatModel  # the float network as it was quantised: the same function in other operators
    ranges: Ranges  # of `quantised_model`'s tensors; empty where TensorFlow quantised
    search: SearchResult | None  # the precisions tried, where there was a budget
    agreement: Agreement
    truth: GroundTruth | None  # where there were masks
    latency: Latency
    verification: PhotoSet  # the photos that judged
    calibration_photos: int
    held_out: bool  # no photo both calibrated and judged
    coverage: Coverage | None  # for a target that is an accelerator
    # For --target pi32: mean absolute difference of tflite-runtime 2.14's matte from ours on a photo, 0…1; None: it is
    # not installed, so that only the operators' versions were checked.
    tflite_runtime_mae: float | None
    same_levels: float | None  # of a network quantised elsewhere: share of its matte within one level of the file's
    unproven: tuple[str, ...]  # why the comparison proves little; empty where it does
    warnings: tuple[str, ...]  # what a user should know before shipping
    stages: tuple[tuple[str, float], ...]  # (stage, seconds)

    @property
    def sha256(self) -> str:
        """Of the int8 model."""
        return hashlib.sha256(self.tflite).hexdigest()

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes the int8 model, whole or not at all; beside it what the chip's own compiler made of it, if it ran:
        `<stem>_edgetpu.tflite` or `<stem>_vela.tflite`.

        Raises OutputExistsError when a file is there and `overwrite` is not given.
        """
        write_together(self.files(Path(path)), overwrite=overwrite)

    def files(self, path: Path) -> dict[Path, bytes]:
        """What `save` writes: path → content."""
        files = {path: self.tflite}
        compiled = self.coverage.compiled if self.coverage else None
        if compiled and compiled.model:
            files[path.with_name(f"{path.stem}{compiled.suffix}.tflite")] = compiled.model
        return files


class _Stages:
    """Tells the listener what is being done, and remembers how long it took."""

    def __init__(self, listener: Progress | None) -> None:
        self._listener = listener
        self.done: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        started = time.perf_counter()
        tell = self._listener or (lambda _name, _share: None)
        tell(name, 0.0)
        yield lambda share: tell(name, share)
        tell(name, 1.0)
        self.done.append((name, time.perf_counter() - started))


def convert(path: str | Path, recipe: Recipe, *, progress: Progress | None = None) -> Conversion:
    """The whole way from an ONNX file to an int8 model that was compared with it. Writes nothing.

    Raises ModelError or ConversionError for a network that cannot be read or lowered (naming operator, node and shape),
    UsageError without usable photos, GateRefusedError where float parity, `max_drop` or `max_latency_ratio` fails.
    """
    path, stages = Path(path), _Stages(progress)
    with stages.stage("reading the network"):
        graph = _loaded(path, recipe)
        if recipe.importer == "own":
            refuse_stored_integers(graph)
    with stages.stage("reading photos") as tell:
        photos = _photos(recipe, graph, tell)
    judges = photos.verification.photos
    chosen = (*judges, *photos.calibration.photos)[: recipe.parity_photos]
    with stages.stage("reading what the network gives"):
        reading = decide(
            graph, [photo.image for photo in chosen[:READING_PHOTOS]], preprocessing=recipe.preprocessing,
            values=recipe.values, channel=recipe.channel,
        )  # fmt: skip
        if graph.levels:
            graph = with_ends(graph, reading, [photo.image for photo in chosen[:ENDS_PHOTOS]])
    other: bytes | None = None
    if recipe.importer == "onnx-tf":
        onnx_tf.find_python()  # refused before a minute is spent
        with stages.stage("onnx-tf and TensorFlow, which take minutes"):
            model, other = onnx_tf.convert(graph, reading, photos.calibration.images)
    else:
        with stages.stage("lowering to float TFLite"):
            model = lower(graph, reading)
    with stages.stage("comparing float TFLite with ONNX") as tell:
        check_activations(graph, reading, chosen[0].image)
        same = parity(graph, model, reading, chosen, tolerance=recipe.parity_tolerance, progress=tell)
        refuse_difference(same, importer=recipe.importer)
        give_back_memory()
    quantised: Quantised | None = None
    if other is None:
        with stages.stage("calibrating and quantising") as tell:
            make = kept_scales if model.levels else to_int8
            quantised = make(model, photos.calibration.images, progress=tell)
    int8 = _shuffled(recipe, quantised.graph if quantised else TfliteGraph(other or b""))
    of_file = FileLevels(graph, reading, chosen) if graph.levels and quantised else None
    islands: Sequence[str] = ()
    if of_file and quantised:
        with stages.stage("comparing int8 with the quantised file"):
            int8, islands = _nearest(recipe, of_file, quantised)
    searched: SearchResult | None = None
    levels, blame = None, ""
    if quantised and recipe.max_drop is not None:
        with stages.stage("looking for precisions within the budget") as tell:
            wanted = of_file.mattes(judges) if of_file else mattes(model, judges)
            kept = of_file and (
                of_file.same(int8)[0] >= SAME_LEVELS or drop_from(wanted, judges)(int8) <= recipe.max_drop
            )
            if not kept:
                searched = _searched(recipe, model, quantised, wanted, judges, tell)
                int8, islands = _shuffled(recipe, TfliteGraph(searched.tflite)), searched.chosen.islands
    elif quantised and not of_file:
        with stages.stage("looking for the layers that cost most") as tell:
            blame = _blame(model, quantised, judges[:: max(1, len(judges) // COSTLY_PHOTOS)][:COSTLY_PHOTOS], tell)
    if of_file and quantised:
        levels, blame = _same_levels(of_file, quantised, int8, islands)
    with stages.stage("comparing int8 with float") as tell:
        of_float = mattes(model, judges, progress=lambda share: tell(share / 2))
        of_int8 = mattes(int8, judges, progress=lambda share: tell(0.5 + share / 2))
        agreed, truth = compare_mattes(of_float, of_int8, judges)
    with stages.stage("trying other pixels") as tell:
        unproven = (
            *normalised_twice(graph, reading.preprocessing),
            *doubts(of_float, photos.verification.images, photos.calibration.images),
            *pixels_otherwise(model, reading, judges, of_float, progress=tell),
        )
    _refuse_doubtful(recipe, unproven)
    with stages.stage("timing both"):
        latency = compare(load(model.tflite, threads=1), load(int8, threads=1))
    if searched is None:  # which has held the latency against the same bar
        _refuse_slow(recipe, latency)
    with stages.stage(f"checking for {recipe.target}"):
        card = _card(path, recipe, graph, reading, same, agreed, photos, int8)
        tflite = add_metadata(int8, CARD_NAME, card.to_json())
        coverage = accelerators.check(tflite, recipe.target, sram_kib=recipe.sram_kib)
        ran = _check_pi32(int8, chosen[0].image) if recipe.target == "pi32" else None
    result = Conversion(
        recipe=recipe, source=path, source_bytes=path.stat().st_size, opset=graph.opset, reading=reading,
        float_model=model,
        quantised_model=quantised.model if quantised else model, ranges=quantised.ranges if quantised else {},
        search=searched, tflite=tflite, card=card, parity=same,
        agreement=agreed, truth=truth, latency=latency, verification=photos.verification,
        calibration_photos=len(photos.calibration.photos), held_out=photos.held_out, coverage=coverage,
        tflite_runtime_mae=ran, same_levels=levels, unproven=unproven, warnings=(), stages=tuple(stages.done),
    )  # fmt: skip
    return replace(result, warnings=(*_warnings(result, photos), *([blame] if blame else [])))


def _loaded(path: Path, recipe: Recipe) -> onnx_graph.Graph:
    """The graph. Raises SeveralOutputsError with what each output gives on a photo where nobody chose one."""
    try:
        return onnx_graph.load(path, size=recipe.size, output=recipe.output, frozen=recipe.frozen)
    except SeveralOutputsError as error:
        graph = onnx_graph.load(path, size=recipe.size, output=error.names[0], frozen=recipe.frozen)
        photos = gather(recipe.calibrate, graph.size, most=1, channels=graph.channels)
        described = outputs_on(graph, error.names, photos.images[0], recipe.preprocessing)
        raise SeveralOutputsError(error.file, error.names, described) from error


def _shuffled(recipe: Recipe, graph: TfliteGraph) -> bytes:
    """The file; but accelerators take TRANSPOSE_CONV, and DEPTH_TO_SPACE hardly anywhere."""
    return (graph if accelerators.is_one(recipe.target) else with_subpixels(graph)).to_bytes()


def _nearest(recipe: Recipe, of_file: FileLevels, quantised: Quantised) -> tuple[bytes, Sequence[str]]:
    """Int8, or with what a file needs in float32, and the outputs of the operators that compute in it."""
    islands = [(), *([] if accelerators.is_one(recipe.target) else in_floating_point(quantised))]
    number, found = of_file.nearest(_shuffled(recipe, quantised.with_islands(names)) for names in islands)
    return found, islands[number]


def _same_levels(of_file: FileLevels, quantised: Quantised, int8: bytes, islands: Sequence[str]) -> tuple[float, str]:
    """The share of its matte within one level of the file's, and what to say of it. Raises GateRefusedError."""
    share, mean = of_file.same(int8)
    because = unlike(quantised, islands)
    of_file.refuse(mean, because)
    if share < SAME_LEVELS:
        return share, f"{share:.2%} of the int8 matte is within one level of the quantised file's: {because}"
    return share, f"float32 where the file computes in it: {unlike(quantised)}" if islands else ""


def _refuse_doubtful(recipe: Recipe, unproven: Sequence[str]) -> None:
    if recipe.strict and unproven:
        raise GateRefusedError(
            f"the comparison proves too little (--strict): {'; '.join(unproven)}. Nothing was written; see to "
            "it, or leave out --strict"
        )


def _photos(recipe: Recipe, graph: onnx_graph.Graph, tell: Callable[[float], None]) -> Split:
    size, channels = graph.size, graph.channels
    try:
        found = gather(recipe.calibrate, size, most=recipe.calibration_photos, channels=channels, progress=tell)
    except UsageError as error:
        if channels == onnx_graph.RGB:
            raise
        raise UsageError(
            f"input '{graph.input}' {list(graph.shapes[graph.input])} takes {channels} channels: of such networks only "
            f"followers are converted, which take RGB, the last matte and a likeness. {error}"
        ) from error
    if recipe.data is None:
        return split(found, most=recipe.verification_photos)
    judges = gather_pairs(recipe.data, size, most=recipe.verification_photos, channels=channels, progress=tell)
    one, other = recipe.calibrate.resolve(), recipe.data.resolve()
    return Split(found, judges, held_out=not (one.is_relative_to(other) or other.is_relative_to(one)))


def _searched(
    recipe: Recipe,
    model: FloatModel,
    quantised: Quantised,
    wanted: Sequence[Alpha],
    judges: Sequence[Photo],
    tell: Callable[[float], None],
) -> SearchResult:
    """The cheapest mix of precisions within the recipe's budget. Raises GateRefusedError when there is none."""
    full_precision = load(model.tflite, threads=1)
    every = max(1, len(judges) // RANKING_PHOTOS)
    return search(
        quantised,
        drop=drop_from(wanted, judges),
        quick_drop=drop_from(wanted[::every], judges[::every]),
        latency_ratio=lambda candidate: compare(full_precision, load(candidate, threads=1), seconds=1.0).ratio,
        max_drop=recipe.max_drop if recipe.max_drop is not None else 1.0,
        max_latency_ratio=recipe.max_latency_ratio,
        forbid_islands=accelerators.is_one(recipe.target),
        progress=tell,
    )


def _blame(model: FloatModel, quantised: Quantised, photos: Sequence[Photo], tell: Callable[[float], None]) -> str:
    """Which layers make full int8 as different from float as it is, in one line; empty where it is close enough."""
    of_float = mattes(model, photos)
    drop = drop_from(of_float, photos)

    def apart(content: bytes) -> float:
        return compare_mattes(of_float, mattes(content, photos), photos)[0].mae

    whole = apart(quantised.tflite)
    if whole <= COSTLY_MAE:
        return ""
    try:
        found = search(quantised, drop=drop, latency_ratio=lambda _: 0.0, max_drop=COSTLY_MAE, progress=tell)
        raised, candidates = len(found.chosen.islands), found.candidates
        would = f"about {raised} of {sum(len(c.operators) for c in candidates)} operators would be float32"
    except GateRefusedError:
        would, candidates = "no mix would do", ranked(quantised, apart, tell)
    worst = costliest(quantised, candidates, apart, count=COSTLY_LAYERS)
    named = ", ".join(f"'{candidate.operators[0]}' {candidate.drop:.4f}" for candidate in worst)
    return (
        f"full int8 is {whole:.4f} from float on average, more than {COSTLY_MAE}. Costliest, each alone in int8: "
        f"{named}; with --max-drop {COSTLY_MAE} {would}"
    )


def _refuse_slow(recipe: Recipe, latency: Latency) -> None:
    if recipe.max_latency_ratio is None or latency.ratio <= recipe.max_latency_ratio:
        return
    raise GateRefusedError(
        f"int8 takes {latency.of_int8.median_ms:.1f} ms, {latency.ratio:.2f} of the float network's "
        f"{latency.of_float.median_ms:.1f}; at most {recipe.max_latency_ratio} was allowed. "
        "Nothing was written; allow more with --max-latency-ratio"
    )


def _check_pi32(int8: bytes, image: Image) -> float | None:
    """How far tflite-runtime 2.14 is from our interpreter on a photo, 0…1 on average; None where it is not installed.

    Raises ConversionError where it would refuse the model, or does.
    """
    unknown = pi32.check(int8)
    if unknown:
        raise ConversionError(f"a 32-bit Raspberry Pi OS cannot run this model: {'; '.join(map(str, unknown))}")
    python = pi32.find_python()
    if python is None:
        return None
    picture = image[np.newaxis]
    return mae(pi32.run(int8, picture, python), load(int8, threads=1).run(picture))


def _warnings(result: Conversion, photos: Split) -> Iterator[str]:
    yield from (f"not used: {line}" for line in (*photos.calibration.unusable, *photos.verification.unusable))
    if result.parity.amplified:
        flipped = result.parity.flipped
        apart = f"float TFLite and onnxruntime differ by {result.parity.max_error:.1e} of the matte's range"
        if flipped is not None:
            apart = f"it takes {100 * flipped:.2g} % of a mask's pixels across their threshold"
        yield (
            f"the network amplifies rounding: {apart}, no operator differs by more than "
            f"{result.parity.operator_error or 0:.1e} on the same input"
        )
    yield from result.unproven
    set_drop = ", or set --max-drop" if result.recipe.max_drop is None else ""
    # Of a network quantised elsewhere, float is not what was asked for.
    if result.same_levels is None and result.agreement.iou < WARN_BELOW_IOU:
        yield (
            f"int8 masks overlap the float ones by {result.agreement.iou:.3f} only (below {WARN_BELOW_IOU}): look at "
            f"the photos in --report before you ship this model{set_drop}"
        )
    if not photos.held_out:
        yield "the photos that judge int8 were also calibrated on, so the figures flatter it; name others with --data"
    if result.latency.ratio > 1:
        yield f"int8 is slower than float on this machine ({result.latency.ratio:.2f} times the time)"
    if result.coverage:
        yield from accelerators.warnings(result.coverage)
    left = float_operators(TfliteGraph(result.tflite))
    if left:
        yield f"{len(left)} operators compute in floating point, {left[0]} first: each island costs two conversions"
    if result.recipe.target == "pi":
        yield from _pi_warnings(result.tflite)
    if result.recipe.target == "pi32":
        yield from _pi32_warnings(result.tflite_runtime_mae)


def _pi_warnings(int8: bytes) -> Iterator[str]:
    pieces = partitions(int8)
    if pieces != 1:
        yield f"XNNPACK, which is fast on a Pi, takes this model in {pieces} pieces: what lies between them is slow"


def _pi32_warnings(error: float | None) -> Iterator[str]:
    if error is None:
        yield (
            f"{pi32.RUNTIME} knows every operator's version by our table, but was not here to run the model; for "
            f"proof: {pi32.HOW_TO_GET_IT}"
        )
    elif error > PI32_MAE:
        yield f"{pi32.RUNTIME} runs the model, but its matte of a photo differs from ours by {error:.4f} on average"


def _card(
    path: Path,
    recipe: Recipe,
    graph: onnx_graph.Graph,
    reading: Reading,
    same: Parity,
    agreed: Agreement,
    photos: Split,
    int8: bytes,
) -> ModelCard:
    islands = len(float_operators(TfliteGraph(int8)))
    precision = f"int8 with {islands} operators in float32" if islands else "full int8"
    whose = "by TensorFlow" if recipe.importer == "onnx-tf" else "per channel"
    whose = "with the file's own scales" if graph.levels else whose
    return ModelCard(
        name=recipe.name or path.stem,
        role="segmenter" if graph.channels == onnx_graph.RGB else "follower",
        source_sha256=graph.sha256,
        licence=recipe.licence,
        training_data=recipe.training_data,
        preprocessing="; ".join(reading.in_words()),
        reading=reading.to_card(),
        quantisation=f"{precision}, {whose}, ranges from {len(photos.calibration.photos)} photos",
        float_parity=same.max_error,
        agreement_iou=agreed.iou,
        agreement_mae=agreed.mae,
        photos=len(agreed.photos),
        made_by=f"edgematte {own_version()}",
    )


def own_version() -> str:
    """The installed version; a bare checkout has none."""
    try:
        return version("edgematte")
    except PackageNotFoundError:
        return "from a checkout"
