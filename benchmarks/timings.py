"""A model, its reference and a picture → every latency that a run reports: by turns, by stage, by number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..convert.latency import Call, Effort, Timing, interleave
from ..runtime.device.machine import temperature_c
from ..runtime.picture.images import Image, Size, read
from ..runtime.picture.scale import resize
from .measure.contender import Contender
from .measure.dataset import Pair
from .measure.stages import OWN_STAGES, STAGES, photo_file, stage_calls
from .measure.stats import Interval, cpu_ratio, ratio
from .result import CallTimings, Latency, Stage, ThreadsPoint

FRAME_SIZE: Size = (1280, 720)  # what cameras deliver; one size everywhere, so that machines can be compared
SYNTHETIC_CELLS: Size = (16, 9)  # of the made-up picture: smooth colours, as large as a photo's shapes
STAGES_SHARE = 0.5  # of the latency's seconds: stages are for reading, not for ratios
STAGES_LEAST_ROUNDS, STAGES_WARM_UP = 3, 1

Progress = Callable[[float], None]
Opener = Callable[[int], Contender]  # a number of threads → the network with so many


@dataclass(frozen=True)
class Frame:
    """The picture that latency is measured on."""

    image: Image
    source: str  # where it came from, in words


def frame_of(pairs: Sequence[Pair]) -> Frame:
    """The first photo at camera size; without photos a made-up one, for a network's work hardly depends on content."""
    if pairs:
        return Frame(resize(read(pairs[0].photo), FRAME_SIZE), f"{pairs[0].photo.name} at camera size")
    columns, rows = SYNTHETIC_CELLS
    cells = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), np.uint8)
    return Frame(resize(cells, FRAME_SIZE), "made-up smooth colours")


def latency(
    model: Contender, reference: Contender | None, frame: Frame, effort: Effort, progress: Progress | None = None
) -> Latency:
    """The network alone, the whole call, and the stages from file to file, of both by turns."""
    contenders = {"model": model} if reference is None else {"model": model, "reference": reference}
    # Partners follow each other directly: what slows the machine for a moment then slows both.
    calls: dict[str, Call] = {}
    for role, contender in contenders.items():
        calls[f"{role} network"] = partial(contender.run, contender.prepare(frame.image))
    for role, contender in contenders.items():
        calls[f"{role} whole"] = partial(contender, frame.image)
    timings = interleave(calls, effort=effort, progress=progress)
    stages = _stages(contenders, frame, effort)

    def of(role: str) -> CallTimings:
        return CallTimings(timings[f"{role} network"], timings[f"{role} whole"], stages[role])

    height, width = frame.image.shape[:2]
    found = Latency(
        frame=(width, height),
        frame_source=frame.source,
        warm_up=effort.warm_up,
        rounds=len(timings["model network"].samples_ms),
        model=of("model"),
        reference=None if reference is None else of("reference"),
        network_ratio=None,
        whole_ratio=None,
        temperature_after_c=temperature_c(),
    )
    if reference is None or found.reference is None:
        return found
    return replace(
        found,
        network_ratio=ratio(found.model.network, found.reference.network),
        whole_ratio=ratio(found.model.whole, found.reference.whole),
        network_cpu_ratio=_cpu_ratio(model, reference, found.model.network, found.reference.network),
        whole_cpu_ratio=_cpu_ratio(model, reference, found.model.whole, found.reference.whole),
    )


def sweep_threads(
    model: Opener, reference: Opener | None, most: int, frame: Frame, effort: Effort, progress: Progress | None = None
) -> tuple[ThreadsPoint, ...]:
    """The network alone with 1, 2 … `most` threads, all by turns in one run."""
    calls: dict[str, Call] = {}
    for threads in range(1, most + 1):
        for role, opened in (("model", model), ("reference", reference)):
            if opened is not None:
                contender = opened(threads)
                calls[f"{role} {threads}"] = partial(contender.run, contender.prepare(frame.image))
    timings = interleave(calls, effort=effort, progress=progress)
    return tuple(
        ThreadsPoint(threads, timings[f"model {threads}"], timings.get(f"reference {threads}"))
        for threads in range(1, most + 1)
    )


def _stages(contenders: dict[str, Contender], frame: Frame, effort: Effort) -> dict[str, tuple[Stage, ...]]:
    """What is the same for every network is timed once, on the model's alpha."""
    photo = photo_file(frame.image)
    of_role = {role: stage_calls(contender, photo) for role, contender in contenders.items()}
    calls = {
        f"{role} {name}": of_role[role][name]
        for name in STAGES
        for role in contenders
        if role == "model" or name in OWN_STAGES
    }
    share = replace(
        effort, warm_up=STAGES_WARM_UP, seconds=effort.seconds * STAGES_SHARE, least_rounds=STAGES_LEAST_ROUNDS
    )
    timings: dict[str, Timing] = interleave(calls, effort=share)
    return {
        role: tuple(Stage(name, timings.get(f"{role} {name}", timings[f"model {name}"])) for name in STAGES)
        for role in contenders
    }


def _cpu_ratio(model: Contender, reference: Contender, timing: Timing, other: Timing) -> Interval | None:
    """With several threads CPU time counts them all, and says little about how long anybody waits."""
    for facts in (model.facts, reference.facts):
        if facts.device != "CPU" or facts.threads != 1:
            return None
    return cpu_ratio(timing, other)
