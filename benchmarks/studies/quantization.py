"""Networks, calibration photos and judging photos → what every quantisation step buys, each measured on and off.

    python -m edgematte.benchmarks.studies quantization unet.onnx 'deeplab.onnx,mean=127.5,std=127.5,channel=1' \\
        --calibrate TRAIN_PHOTOS --data VAL_PHOTOS --json quantization.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...convert.onnx.evidence import assumed
from ...convert.onnx.graph import load as load_graph
from ...convert.onnx.lower import lower
from ...convert.photos import gather
from ...convert.quantise.calibrate import Statistics, choose_ranges, observe
from ...convert.quantise.to_int8 import PLAIN, Steps, parted, rewritten, to_int8
from ...convert.targets.partitions import partitions
from ...convert.tflite.float_model import FloatModel
from ...convert.tflite.graph import TfliteGraph, float_operators
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.network.interpreter import Network, load
from ...runtime.picture.images import Image
from ..measure.latency import Effort, interleave, ratio
from .networks import subject

EFFORT = Effort(seconds=3.0, least_rounds=15)


@dataclass(frozen=True)
class Row:
    """One way to quantise one network."""

    network: str
    way: str
    iou: float  # of int8 and float masks at 0.5, mean over photos
    worst_iou: float
    mae: float  # of int8 and float alpha, 0…1, mean over photos
    latency_ratio: float  # int8 median / float median, one thread, interleaved
    size: int  # bytes
    quantize_operators: int  # conversions between encodings, the two at the uint8 edges included
    partitions: int  # pieces that XNNPACK takes the network in
    float_operators: int  # computing in float32


def ways(model: FloatModel, images: Sequence[Image]) -> dict[str, Callable[[], bytes]]:
    """What to call it → how to make it, each adding to or varying the one before."""
    calibrating, _ = parted(images)
    statistics = observe(model, calibrating)
    seen: dict[tuple[bool, bool, bool], dict[str, Statistics]] = {(False, False, False): statistics}

    def own(steps: Steps) -> Callable[[], bytes]:
        def make() -> bytes:
            forms = (steps.int8_forms, steps.branches, steps.gates)
            if forms not in seen:
                seen[forms] = observe(rewritten(model, steps), calibrating)
            return to_int8(model, images, steps=steps, statistics=seen[forms]).tflite

        return make

    shared = replace(PLAIN, share_concatenations=True)
    forms = replace(shared, int8_forms=True)
    branched = replace(forms, branches=True)
    gated = replace(branched, gates=True)
    reaching = replace(gated, unseen=True)
    divided = replace(reaching, segments=True)
    visible = replace(divided, only_visible=True)
    equal = replace(visible, equalise=(True,))
    meant = replace(equal, compensate_means=True)
    centred = replace(meant, half_step=True)
    return {
        "ai-edge-quantizer": lambda: peer(model, images, None),
        "ai-edge-quantizer, true ranges": lambda: peer(model, images, statistics),
        "own parameters": own(PLAIN),
        "+ shared concat scales": own(shared),
        "+ int8 forms": own(forms),
        "+ branches": own(branched),
        "+ gates": own(gated),
        "+ vectors' reach": own(reaching),
        "+ segments": own(divided),
        "+ visible ranges only": own(visible),
        "+ equalisation": own(equal),
        "+ compensated means": own(meant),
        "+ half step": own(centred),
        "… percentile ranges": own(replace(centred, methods=("percentile",))),
        "… mse ranges": own(replace(centred, methods=("mse",))),
        "… rounding": own(replace(centred, roundings=(True,))),
        "… bias correction": own(replace(centred, bias_corrections=(True,))),
        "default: best of these": own(Steps()),
        "… no equalisation": own(replace(centred, equalise=(False,))),
        "default - means": own(replace(Steps(), compensate_means=False)),
        "default - rounding": own(replace(Steps(), roundings=(False,))),
        "default - equalisation": own(replace(Steps(), equalise=(False,))),
        "default - branches": own(replace(Steps(), branches=False)),
        "default - gates": own(replace(Steps(), gates=False)),
        "default - vectors' reach": own(replace(Steps(), unseen=False)),
        "default - segments": own(replace(Steps(), segments=False)),
        "default - visible ranges": own(replace(Steps(), only_visible=False)),
    }


def peer(model: FloatModel, images: Sequence[Image], statistics: dict[str, Statistics] | None) -> bytes:
    """ai-edge-quantizer's static int8 recipe with uint8 input and output; its own ranges, or the true ones."""
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
    ranges = choose_ranges(model, statistics) if statistics else {}
    for name, (low, high) in ranges.items():
        entry = found.get(name, {})
        if "min" in entry:
            entry["min"] = np.full(np.shape(entry["min"]), low, np.float32)
            entry["max"] = np.full(np.shape(entry["max"]), high, np.float32)
    return bytes(peer_quantizer.quantize(found).quantized_model or b"")


def measure(network: str, way: str, content: bytes, model: FloatModel, images: Sequence[Image]) -> Row:
    """Compare an int8 network with its float original on photos of the network's size."""
    original, candidate = load(model.tflite, threads=1), load(content, threads=1)
    ious, errors = [], []
    for image in images:
        float_alpha, alpha = real_alpha(original, model, image), real_alpha(candidate, model, image)
        mask, truth = alpha >= 0.5, float_alpha >= 0.5
        union = np.count_nonzero(mask | truth)
        ious.append(np.count_nonzero(mask & truth) / union if union else 1.0)
        errors.append(float(np.abs(alpha - float_alpha).mean()))
    feeds = [stored_input(n, model, images[0]) for n in (original, candidate)]
    times = interleave(
        {"float": lambda: original.run(feeds[0]), "int8": lambda: candidate.run(feeds[1])}, effort=EFFORT
    )
    graph = TfliteGraph(content)
    kinds = [graph.kind(operator) for operator in graph.operators]
    islands = float_operators(graph)
    return Row(
        network, way, float(np.mean(ious)), float(np.min(ious)), float(np.mean(errors)),
        ratio(times["int8"], times["float"]).value, len(content), kinds.count("QUANTIZE"), partitions(content),
        len(islands),
    )  # fmt: skip


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


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    result = Table("network", "way", "IoU", "worst", "MAE", "time", "KB", "QUANTIZE", "pieces", "float ops")
    for row in rows:
        result.add_row(
            row.network, row.way, f"{row.iou:.4f}", f"{row.worst_iou:.3f}", f"{row.mae:.4f}",
            f"{row.latency_ratio:.2f}",
            f"{row.size / 1000:.0f}", str(row.quantize_operators), str(row.partitions), str(row.float_operators),
        )  # fmt: skip
    return result


def main(
    networks: Annotated[
        list[str], typer.Argument(help="FILE.onnx[,mean=R/G/B][,std=R/G/B][,color=bgr][,channel=N][,imgsz=WxH]")
    ],
    calibrate: Annotated[Path, typer.Option(help="Photos to take ranges from.")],
    data: Annotated[list[Path], typer.Option(help="Photos that judge; may be given several times.")],
    photos: Annotated[int, typer.Option(help="At most so many calibration photos.")] = 100,
    judges: Annotated[int, typer.Option(help="At most so many judging photos per folder.")] = 1000,
    only: Annotated[str, typer.Option(help="Only the ways whose name contains this.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
) -> None:
    """What every quantisation step buys, on these networks and photos."""
    rows: list[Row] = []
    for text in networks:
        asked = subject(text)
        graph = load_graph(asked.path, size=asked.size)
        model = lower(graph, assumed(graph, asked.preprocessing, channel=asked.channel))
        images = gather(calibrate, model.size, most=photos).images
        judging = [image for folder in data for image in gather(folder, model.size, most=judges).images]
        for way, make in ways(model, images).items():
            if only not in way:
                continue
            try:
                rows.append(measure(asked.path.stem, way, make(), model, judging))
            except (EdgeMatteError, RuntimeError, ValueError) as error:
                # A peer that refuses a network is a result too; the others still are to be measured.
                typer.echo(f"{asked.path.stem}, {way}: {str(error).splitlines()[0]}", err=True)
                continue
            typer.echo(f"{asked.path.stem}, {way}: IoU {rows[-1].iou:.4f}, MAE {rows[-1].mae:.4f}", err=True)
    Console(width=140).print(table(rows))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
