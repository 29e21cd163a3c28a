"""A photo at several sizes → how long each stage of cutting it takes, beside OpenCV's bare decoding and encoding.

    python -m edgematte.benchmarks.studies photo_stages --json FILE [--sizes 720p,4MP,16MP,64MP] [--threads 1,2]

All stages, the whole cut, and the bare way (`cv2.imdecode` of the same JPEG, `cv2.imencode('.png')` of the same RGBA)
are called by turns in one run, so their ratio holds on a busy machine. Peak memory, and the time from a process's
start to its written file, are those of processes of their own that run `edgematte cut`. The large photos are one of
the repository's, enlarged, with noise as fine as a sensor's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ...convert.latency import Effort, Timing, interleave
from ...runtime.device.machine import remarks, this_machine
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.matting.foreground import foreground
from ...runtime.matting.refine import DEFAULT_MODE, Refine, check_mode, refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import PHOTO_MODEL
from ...runtime.network.tensors import to_input
from ...runtime.photos.cutter import CutOptions, Cutter
from ...runtime.picture.images import Image, Size, decode, encode_cutout, read
from ..measure.stats import Interval, cpu_ratio, ratio

SIZES: dict[str, Size] = {  # (width, height)
    "720p": (1280, 720),
    "1MP": (1224, 816),
    "4MP": (2448, 1632),
    "16MP": (4896, 3264),
    "64MP": (9792, 6528),
}
STAGES = ("decode", "preprocess", "network", "refine", "foreground", "encode")  # in the order a photo goes through
BARE, WHOLE = "bare decode + encode", "whole cut"
NOISE = 3.0  # of 255: standard deviation of a good sensor's noise in daylight
JPEG_QUALITY = 92
DEFAULT_PHOTO = Path(__file__).parents[2] / "tests" / "photos" / "images" / "hopper.jpg"
MEASURED_IN_CHILD = (
    "import sys; from edgematte.runtime.cli import main\n"
    "try: main()\n"
    "finally: print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')), file=sys.stderr)"
)


@dataclass(frozen=True)
class Measured:
    """One size with one number of threads."""

    size: str  # a key of SIZES
    width: int  # px
    height: int
    threads: int
    timings: dict[str, Timing]  # keys: STAGES, BARE, WHOLE
    to_bare: Interval  # whole cut / bare way, of the rounds
    cpu_to_bare: float | None  # the same of CPU times
    process_ms: tuple[float, ...]  # start of `edgematte cut` → it has written its file and ended
    peak_memory_mb: float | None  # of that process, in 10⁶ bytes


def photo(source: Image, size: Size) -> bytes:
    """(H, W, 3) → the JPEG of a camera of `size`: cropped to its shape, enlarged, with noise."""
    width, height = size
    scale = min(source.shape[1] / width, source.shape[0] / height)
    columns, rows = round(width * scale), round(height * scale)
    left, top = (source.shape[1] - columns) // 2, (source.shape[0] - rows) // 2
    part = source[top : top + rows, left : left + columns]
    large = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
    tile = np.random.default_rng(1).normal(0, NOISE, (256, 512))
    shape = min(height, 1024), width
    noise = np.resize(np.tile(tile, (1, -(-width // 512)))[:, :width], shape).astype(np.int16)
    for row in range(0, height, len(noise)):
        strip = large[row : row + len(noise)]
        here = noise[: len(strip)]
        strip[:] = cv2.add(strip, cv2.merge((here, here, here)), dtype=cv2.CV_8U)
    stored = cv2.cvtColor(large, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def calls(data: bytes, segmenter: Segmenter, mode: Refine, threads: int) -> dict[str, Callable[[], object]]:
    """The keys are `STAGES`, `BARE` and `WHOLE`; each stage gets what the one before it gives."""
    image = decode(data, name="the photo")
    info, convention = segmenter.network.inputs[0], segmenter.convention
    tensor = to_input(image, info, convention)
    matte = segmenter.matte(image)
    alpha = refine(image, matte, mode, threads=threads)
    subject = foreground(image, alpha, threads=threads)
    rgba = cv2.cvtColor(np.dstack((subject, alpha)), cv2.COLOR_RGBA2BGRA)
    cutter = Cutter(segmenter, CutOptions(threads=threads, refine=mode))
    encoded = np.frombuffer(data, np.uint8)

    def bare() -> None:
        cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        cv2.imencode(".png", rgba)

    stages: tuple[Callable[[], object], ...] = (
        partial(decode, data, name="the photo"),
        partial(to_input, image, info, convention),
        partial(segmenter.network.run, tensor),
        partial(refine, image, matte, mode, threads=threads),
        partial(foreground, image, alpha, threads=threads),
        partial(encode_cutout, subject, alpha, ".png", threads=threads),
    )
    named: dict[str, Callable[[], object]] = dict(zip(STAGES, stages, strict=True))
    named[BARE], named[WHOLE] = bare, partial(cutter, data, name="the photo", suffix=".png")
    return named


def cut_in_a_process(path: Path, model: str, mode: Refine, threads: int) -> tuple[float, float | None]:
    """(milliseconds from start to end, peak memory in 10⁶ bytes) of `edgematte cut`. Raises EdgeMatteError."""
    words = ["cut", str(path), "-m", model, "--refine", mode, "--threads", str(threads), "--overwrite"]
    began = perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED_IN_CHILD, *words], capture_output=True, text=True, check=False
    )
    elapsed_ms = (perf_counter() - began) * 1000
    said = ended.stderr.strip().splitlines()
    if ended.returncode:
        raise EdgeMatteError(f"edgematte cut failed: {said[-1] if said else 'no message'}")
    return elapsed_ms, int(said[-1]) * 1024 / 1e6 if said and said[-1].isdecimal() else None


def measure(
    source: Image, size: str, *, model: str, mode: Refine, threads: int, effort: Effort, starts: int
) -> Measured:
    """One size with one number of threads. Raises EdgeMatteError."""
    cv2.setNumThreads(threads)
    data = photo(source, SIZES[size])
    segmenter = Segmenter(model, threads=threads, mode=mode)
    timings = interleave(calls(data, segmenter, mode, threads), effort=effort)
    whole, bare = timings[WHOLE], timings[BARE]
    interval, cpu = ratio(whole, bare), cpu_ratio(whole, bare)
    with tempfile.TemporaryDirectory(prefix="edgematte-") as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(data)
        processes = [cut_in_a_process(path, model, mode, threads) for _ in range(starts)]
    peaks = [peak for _, peak in processes if peak is not None]
    return Measured(
        size,
        *SIZES[size],
        threads,
        timings,
        interval,
        None if cpu is None else cpu.value,
        tuple(elapsed_ms for elapsed_ms, _ in processes),
        max(peaks, default=None),
    )


def table(measured: list[Measured]) -> Table:
    """One row per size and number of threads: median wall-clock (CPU) milliseconds."""
    shown = Table(title="median ms (CPU ms)")
    for name in ("photo", "threads", *STAGES, WHOLE, BARE, "whole / bare", "by CPU", "start to file", "peak MB"):
        shown.add_column(name, justify="right")
    for one in measured:
        cells = [_both(one.timings[name]) for name in (*STAGES, WHOLE, BARE)]
        shown.add_row(
            one.size,
            str(one.threads),
            *cells,
            f"{one.to_bare.value:.2f}"
            + (f" ({one.to_bare.low:.2f}…{one.to_bare.high:.2f})" if one.to_bare.low else ""),
            "" if one.cpu_to_bare is None else f"{one.cpu_to_bare:.2f}",
            f"{np.median(one.process_ms):.0f}",
            "" if one.peak_memory_mb is None else f"{one.peak_memory_mb:.0f}",
        )
    return shown


def _both(timing: Timing) -> str:
    cpu = timing.cpu_ms
    return f"{timing.median_ms:.1f}" + ("" if cpu is None else f" ({cpu:.0f})")


def main(
    photo_file: Annotated[Path, typer.Option("--photo", help="The photo to enlarge.")] = DEFAULT_PHOTO,
    sizes: Annotated[str, typer.Option(help=f"Of {', '.join(SIZES)}.")] = "720p,4MP,16MP",
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2",
    model: Annotated[str, typer.Option("-m", "--model", help="The segmenter.")] = PHOTO_MODEL,
    mode: Annotated[str, typer.Option("--refine", help="off or fast.")] = DEFAULT_MODE,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per size and number of threads.")] = 9,
    starts: Annotated[int, typer.Option(min=1, help="Processes per size and number of threads.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything here as well.")] = None,
) -> None:
    """How long each stage of cutting a photo takes, beside bare decoding and encoding."""
    chosen = sizes.split(",")
    unknown = [size for size in chosen if size not in SIZES]
    if unknown:
        raise UsageError(f"unknown size '{unknown[0]}'; expected some of: {', '.join(SIZES)}")
    effort = Effort(warm_up=1, seconds=0, least_rounds=rounds, most_rounds=rounds)
    source, machine = read(photo_file), this_machine()
    measured = [
        measure(source, size, model=model, mode=check_mode(mode), threads=int(count), effort=effort, starts=starts)
        for size in chosen
        for count in threads.split(",")
    ]
    Console(width=int(os.environ.get("COLUMNS", "230"))).print(table(measured))
    for remark in remarks(machine):
        typer.echo(remark)
    if json_file is not None:
        content = {"machine": asdict(machine), "measured": [asdict(one) for one in measured]}
        json_file.write_text(json.dumps(content, indent=2) + "\n")
