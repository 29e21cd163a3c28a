"""Networks, calibration photos and judging photos → what every quantisation step buys, each measured on and off.

    python -m edgematte.benchmarks.studies quantization models/unet-live.onnx FOLDER_OF_NETWORKS \\
        --calibrate TRAIN_PHOTOS --photos 16,32,100 --data VAL --json FILE --markdown FILE --resume

A step is a field of `Steps`: its default is "on", its value in `PLAIN` is "off". `networks.txt` says what each is fed.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ...convert.latency import Effort, interleave
from ...convert.onnx.evidence import assumed
from ...convert.onnx.graph import load as load_graph
from ...convert.onnx.lower import lower
from ...convert.photos import Photo, gather, gather_pairs
from ...convert.quantise.calibrate import Statistics, observe
from ...convert.quantise.to_int8 import FEWEST_FOR_MEANS, PLAIN, Steps, parted, prepared, rewritten, to_int8
from ...convert.targets.partitions import partitions
from ...convert.tflite.float_model import FloatModel
from ...convert.tflite.graph import TfliteGraph, float_operators
from ...convert.verify import SUBJECT_FROM, compare, mattes
from ...runtime.device.files import write_bytes
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.network.interpreter import Network, load
from ...runtime.picture.images import Alpha, Image
from ..measure.stats import ratio
from ..schema import built
from .networks import Subject
from .networks import gather as gather_networks

EFFORT = Effort(warm_up=1, seconds=0.2, least_rounds=5)
PEER, NONE, ALL = "ai-edge-quantizer", "no step", "all steps"
WITHOUT, ALONE = "all but ", "only "  # before a step's name
CHANGED = 0.02  # share of the error by which a step must change it to count as better or worse


@dataclass(frozen=True)
class Row:
    """One way to quantise one network. A way that cannot be taken has no figures but the reason."""

    network: str
    sha256: str  # of the ONNX file
    photos: int  # that calibrated
    way: str
    refused: str = ""
    iou: float = 0.0  # of int8 and float masks at 0.5, of all photos laid side by side
    mae: float = 0.0  # of int8 and float alpha, 0…1, mean over photos
    float_truth: float | None = None  # IoU with the true masks, mean over photos
    int8_truth: float | None = None
    area: float = 0.0  # of the int8 masks over that of float's, of all photos together; 0: not measured
    # Float's IoU with the true masks where its alpha is cut at the level that gives its masks the same area as int8's:
    # what a quantisation gains only by drawing larger or smaller.
    float_truth_at_area: float | None = None
    latency_ratio: float = 0.0  # int8 median / float median, one thread, interleaved
    cpu_seconds: float = 0.0  # what quantising took
    size: int = 0  # bytes
    quantize_operators: int = 0  # conversions between encodings, the two at the uint8 edges included
    partitions: int = 0  # pieces that XNNPACK takes the network in
    float_operators: int = 0  # computing in float32
    same_as: str = ""  # a way that makes the same, because the network has nothing for this step


def ways() -> dict[str, Steps | None]:
    """What to call it → its steps; None is ai-edge-quantizer."""
    off, on = asdict(PLAIN), asdict(Steps())
    found: dict[str, Steps | None] = {PEER: None, NONE: PLAIN, ALL: Steps()}
    for step in fields(Steps):
        found[WITHOUT + step.name] = replace(Steps(), **{step.name: off[step.name]})
    for step in fields(Steps):
        found[ALONE + step.name] = replace(PLAIN, **{step.name: on[step.name]})
    return found


class Maker:
    """Quantises one network on the same photos in many ways, and knows which ways come to the same."""

    def __init__(self, model: FloatModel, images: Sequence[Image]) -> None:
        self.model, self.images = model, images
        self._seen: dict[bytes, dict[str, Statistics]] = {}  # rewritten network → what it held
        self._made: dict[tuple[bytes, ...], str] = {}

    def twin(self, way: str, steps: Steps) -> str:
        """An earlier way that makes the same file as this one must, or an empty string."""
        model, statistics = prepared(*self._rewritten(steps), steps)
        digest = hashlib.sha256(model.tflite)
        for name, held in sorted(statistics.items()):
            digest.update(b"".join([name.encode(), *(a.tobytes() for a in (held.lowest, held.highest, held.sample))]))
        kinds = [model.graph.kind(operator) for operator in model.graph.operators]
        rest = replace(
            steps, int8_forms=True, branches=True, gates=True, unseen=True, segments=True, only_visible=True,
            share_concatenations=steps.share_concatenations or "CONCATENATION" not in kinds,
            compensate_means=steps.compensate_means and len(self.images) >= FEWEST_FOR_MEANS,
        )  # fmt: skip
        return self._made.setdefault((digest.digest(), repr(rest).encode()), way)

    def make(self, steps: Steps | None) -> bytes:
        if steps is None:
            return peer(self.model, self.images)
        _, statistics = self._rewritten(steps)
        return to_int8(self.model, self.images, steps=steps, statistics=statistics).tflite

    def _rewritten(self, steps: Steps) -> tuple[FloatModel, dict[str, Statistics]]:
        model = rewritten(self.model, steps)
        if model.tflite not in self._seen:
            self._seen[model.tflite] = observe(model, parted(self.images)[0])
        return model, self._seen[model.tflite]


def measure(row: Row, content: bytes, model: FloatModel, photos: Sequence[Photo], of_float: Sequence[Alpha]) -> Row:
    """Compare an int8 network with its float original, of which `of_float` are the mattes of these photos."""
    original, candidate = load(model.tflite, threads=1), load(content, threads=1)
    found = [real_alpha(candidate, model, photo.image)[0, :, :, 0] for photo in photos]
    of_int8 = [np.rint(np.clip(a, 0, 1) * 255).astype(np.uint8) for a in found]
    agreed, truth = compare(of_float, of_int8, photos)
    _, at_area = compare(of_same_area(of_float, of_int8), of_int8, photos)
    feeds = [stored_input(n, model, photos[0].image) for n in (original, candidate)]
    times = interleave(
        {"float": lambda: original.run(feeds[0]), "int8": lambda: candidate.run(feeds[1])}, effort=EFFORT
    )
    graph = TfliteGraph(content)
    return replace(
        row,
        iou=agreed.pooled_iou,
        mae=agreed.mae,
        float_truth=truth.mean("float_iou") if truth else None,
        int8_truth=truth.mean("int8_iou") if truth else None,
        area=mask_area(of_int8) / max(1, mask_area(of_float)),
        float_truth_at_area=at_area.mean("float_iou") if at_area else None,
        latency_ratio=ratio(times["int8"], times["float"]).value,
        size=len(content),
        quantize_operators=[graph.kind(operator) for operator in graph.operators].count("QUANTIZE"),
        partitions=partitions(content),
        float_operators=len(float_operators(graph)),
    )


def mask_area(alphas: Sequence[Alpha]) -> int:
    """Pixels of the masks at alpha 0.5."""
    return sum(int(np.count_nonzero(alpha >= SUBJECT_FROM)) for alpha in alphas)


def of_same_area(alphas: Sequence[Alpha], others: Sequence[Alpha]) -> list[Alpha]:
    """The alphas, raised or lowered by one number so that their masks together are as large as the others'."""
    histogram = np.sum([np.bincount(alpha.ravel(), minlength=256) for alpha in alphas], axis=0)
    at_least = np.cumsum(histogram[::-1])[::-1]  # pixels from each level on
    level = int(np.abs(at_least - mask_area(others)).argmin())
    return [np.clip(alpha.astype(np.int16) + SUBJECT_FROM - level, 0, 255).astype(np.uint8) for alpha in alphas]


def peer(model: FloatModel, images: Sequence[Image]) -> bytes:
    """ai-edge-quantizer's static int8 recipe with uint8 input and output."""
    try:
        from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager
    except ModuleNotFoundError as error:
        raise UsageError("ai-edge-quantizer is missing; install it with: pip install --group studies") from error

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    for edge in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        manager.add_quantization_config(
            ".*",
            edge,
            op_config=qtyping.OpQuantizationConfig(
                activation_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=8, symmetric=False, dtype=qtyping.TensorDataType.UINT
                ),
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
                ),
                compute_precision=qtyping.ComputePrecision.INTEGER,
                explicit_dequantize=False,
            ),
        )
    peer_quantizer = quantizer.Quantizer(bytearray(model.tflite))
    peer_quantizer.load_quantization_recipe(manager.get_quantization_recipe())
    samples = [{"image": model.to_input(image)} for image in images]
    found = peer_quantizer.calibrate({"serving_default": samples})
    return bytes(peer_quantizer.quantize(found).quantized_model or b"")


def stored_input(network: Network, model: FloatModel, image: Image) -> NDArray:
    """A picture as a network's input tensor stores the float model's input: by its own scale and zero point."""
    info, real = network.inputs[0], model.to_input(image)
    if info.dtype == np.float32:
        return real
    limits = np.iinfo(info.dtype)
    return np.clip(np.rint(real / info.scale) + info.zero_point, limits.min, limits.max).astype(info.dtype)


def real_alpha(network: Network, model: FloatModel, image: Image) -> NDArray[np.float32]:
    """What a network, float or int8, makes of a picture, in real numbers: (1, H, W, 1), 0…1."""
    info, output = network.outputs[0], network.run(stored_input(network, model, image))
    if info.dtype == np.float32:
        return output
    return (output.astype(np.float32) - info.zero_point) * np.float32(info.scale)


def rows_of(
    subject: Subject,
    calibrate: Path,
    count: int,
    data: Sequence[Path],
    *,
    limit: int,
    only: Sequence[str],
    known: Mapping[tuple[str, int, str], Row],
) -> Iterator[Row]:
    """Every way of one network on `count` calibration photos; what is known already is not measured again.

    `only`: the ways whose name ends in one of these; empty for all.
    """
    name, sha256 = subject.path.stem, _sha256(subject)
    wanted = {way for way in ways() if not only or way.endswith(tuple(only))}
    if all((sha256, count, way) in known for way in wanted):
        return
    # The known ones as well: they may be what a wanted one comes to.
    chosen = {way: steps for way, steps in ways().items() if way in wanted or (sha256, count, way) in known}
    graph = load_graph(subject.path, size=subject.size)
    model = lower(graph, assumed(graph, subject.preprocessing, channel=subject.channel))
    photos = [photo for folder in data for photo in gather_pairs(folder, model.size, most=limit).photos]
    of_float = mattes(model, photos)
    maker, done = Maker(model, gather(calibrate, model.size, most=count).images), dict[str, Row]()
    for way, steps in chosen.items():
        twin = way if steps is None else maker.twin(way, steps)
        if (sha256, count, way) in known:
            done[way] = known[sha256, count, way]
            continue
        if twin != way:
            done[way] = replace(done[twin], way=way, same_as=twin)
        else:
            row, used = Row(name, sha256, count, way), time.process_time()
            try:
                content = maker.make(steps)
                row = replace(row, cpu_seconds=time.process_time() - used)
                done[way] = measure(row, content, model, photos, of_float)
            except (EdgeMatteError, RuntimeError, ValueError) as error:
                # A way that refuses a network is a result too; the others still are to be measured.
                done[way] = replace(row, refused=str(error).splitlines()[0])
        yield done[way]


def markdown(command: str, rows: Sequence[Row]) -> str:
    """A page: the command, and for each number of photos a table of ways and networks."""
    lines = ["# Every step of the quantiser, on and off", "", f"    {command}", ""]
    for count in sorted({row.photos for row in rows}):
        of = {(row.network, row.way): row for row in rows if row.photos == count}
        names = list(dict.fromkeys(name for name, _ in of))
        lines += [f"## {count} calibration photos", "", f"| | {' | '.join(names)} | better · worse |"]
        lines.append("|---|" + "---|" * len(names) + "---|")
        for way in dict.fromkeys(way for _, way in of):
            cells = [_cell(of.get((name, way))) for name in names]
            lines.append(f"| {way} | {' | '.join(cells)} | {_verdict(way, names, of)} |")
        lines.append("")
    lines += [
        "Each cell: mean absolute difference of int8 and float alpha in thousandths; overlap of their masks, of all",
        "photos laid side by side; overlap with the true masks, float's in the first row in brackets. `=`: the network",
        "has nothing for this step, so the file is the same. `–`: not measured. The last column counts the networks",
        f"where a row's error is {CHANGED:.0%} smaller · larger than that of the row it varies:",
        f"`{ALL}` varies `{PEER}`, `{WITHOUT}…` varies `{ALL}`, `{ALONE}…` varies `{NONE}`.",
        "Other photos may turn a row of one network round.",
    ]
    return "\n".join(lines) + "\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    if row.refused:
        return "refused"
    if row.same_as:
        return "="
    truth = "" if row.int8_truth is None else f" · {row.int8_truth:.4f}"
    if row.way == PEER and row.float_truth is not None:
        truth += f" ({row.float_truth:.4f})"
    return f"{row.mae * 1000:.2f} · {row.iou:.4f}{truth}"


def _verdict(way: str, names: Sequence[str], of: Mapping[tuple[str, str], Row]) -> str:
    """On how many networks a way is better, and worse, than what it varies."""
    if way in (PEER, NONE):
        return "–"
    varied = PEER if way == ALL else NONE if way.startswith(ALONE) else ALL
    pairs = [(of.get((name, way)), of.get((name, varied))) for name in names]
    shares = [
        one.mae / other.mae
        for one, other in pairs
        if one and other and not (one.refused or other.refused or not other.mae)
    ]
    return f"{sum(s < 1 - CHANGED for s in shares)} · {sum(s > 1 + CHANGED for s in shares)}"


def main(
    networks: Annotated[list[Path], typer.Argument(help="Networks, or folders of them.")],
    calibrate: Annotated[Path, typer.Option(metavar="PHOTOS", help="Photos to take ranges from.")],
    data: Annotated[list[Path], typer.Option(metavar="DIR", help="images/ and masks/ that judge; may be repeated.")],
    photos: Annotated[str, typer.Option(metavar="N,…", help="Numbers of calibration photos.")] = "16,32,100",
    limit: Annotated[int, typer.Option(min=1, help="Judging photos of each folder.")] = 30,
    only: Annotated[
        list[str] | None, typer.Option(metavar="END", help="Only the ways whose name ends so; may be repeated.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The rows as JSON.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="The tables as a page.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Measure only what the JSON file lacks.")] = False,
) -> None:
    """What every quantisation step buys, on these networks and photos."""
    command = shlex.join(["python", "-m", "edgematte.benchmarks.studies", *sys.argv[1:]])
    try:
        counts = [int(count) for count in photos.split(",")]
    except ValueError as error:
        raise UsageError(f"--photos {photos}: expected numbers such as 16,32,100") from error
    rows: list[Row] = []
    if resume and json_file and json_file.is_file():
        content = json.loads(json_file.read_text(encoding="utf-8"))
        rows = list(built(tuple[Row, ...], content["rows"], "rows"))
    subjects = [found for path in networks for found in gather_networks(path)]
    files = {subject.path.stem: _sha256(subject) for subject in subjects}
    # A network that was trained again is another one: its rows go.
    known = {(row.sha256, row.photos, row.way): row for row in rows if files.get(row.network, row.sha256) == row.sha256}
    for count in counts:
        for subject in subjects:
            for row in rows_of(subject, calibrate, count, data, limit=limit, only=only or (), known=known):
                known[row.sha256, row.photos, row.way] = row
                typer.echo(f"{row.network}, {row.photos} photos, {row.way}: {_cell(row)}", err=True)
                # After every row: the run takes hours, and what is known by then is worth keeping.
                _write(command, list(known.values()), json_file, markdown_file)
    _write(command, list(known.values()), json_file, markdown_file)
    typer.echo(markdown(command, list(known.values())))


def _sha256(subject: Subject) -> str:
    return hashlib.sha256(subject.path.read_bytes()).hexdigest()


def _write(command: str, rows: Sequence[Row], json_file: Path | None, markdown_file: Path | None) -> None:
    found = json.dumps({"command": command, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    for path, text in ((json_file, found), (markdown_file, markdown(command, rows))):
        if path is not None:
            write_bytes(path, text.encode(), overwrite=True)
