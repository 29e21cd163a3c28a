"""A photo that moves → frames per second of our whole pipeline and of MediaPipe's package, alternately.

    python -m edgematte.benchmarks.studies live PHOTO --mediapipe ENVIRONMENT/bin/python

720p frames, the subject before its own blur; ours as `edgematte camera` does it unless told otherwise, steadied and
with the edges drawn anew, which MediaPipe does not. It needs an environment of its own: `pip install
mediapipe==0.10.14`. Also told: what one frame costs apart from the network, which no faster network makes cheaper.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from ...runtime.live.backdrop import BlurBackdrop, quick_shrink
from ...runtime.live.edge import LiveEdge
from ...runtime.live.follow.follower import Follower
from ...runtime.live.follow.network import FollowNetwork
from ...runtime.live.frames import Buffers, Frame, SourceInfo
from ...runtime.live.matte import LiveMatte
from ...runtime.live.pipeline import USUAL_FPS, network_threads
from ...runtime.live.quality import Quality
from ...runtime.live.rate import measured
from ...runtime.live.render import Renderer
from ...runtime.live.sources.virtual import VirtualCamera
from ...runtime.matting.refine import Refine, check_mode
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import ANY_MODEL, LIVE_MODEL
from ...runtime.network.tensors import input_size
from ...runtime.picture.images import Image, Size
from ..measure.live_rate import Drawn

SIZE: Size = (1280, 720)
PREPARED = 16  # frames made beforehand and shown in turn, so that neither side pays for them
FRAMES = 60  # of one turn
COST_FRAMES = 100


@dataclass(frozen=True)
class Turn:
    """One side's turn."""

    fps: float
    cpu_ms: float  # per frame, all threads


@dataclass(frozen=True)
class Cost:
    """What a frame costs beside the network."""

    steady: bool
    refine: Refine
    cpu_ms: float  # median, one thread


@dataclass(frozen=True)
class LiveComparison:
    """Medians over turns."""

    ours: Turn
    theirs: Turn | None  # None: MediaPipe was not asked
    beside_network: tuple[Cost, ...]
    threads: int

    @property
    def ratio(self) -> float | None:
        """Our frames per second in theirs."""
        return None if self.theirs is None else self.ours.fps / self.theirs.fps


def compare(
    photo: Path, *, mediapipe: Path | None, rounds: int, threads: int, model: str, steady: bool, mode: Refine
) -> LiveComparison:
    """Turn by turn, the order changing. Raises UsageError when MediaPipe's Python does not run."""
    frames = prepared(photo)
    segmenter = Segmenter(model, threads=network_threads(threads))
    ours, theirs = list[Turn](), list[Turn]()
    with asked(mediapipe, frames) as ask:
        turns: list[tuple[list[Turn], Callable[[int], Turn]]] = [
            (ours, lambda count: run(segmenter, frames, count, steady=steady, mode=mode))
        ]
        if ask is not None:
            turns.append((theirs, ask))
        for _, turn in turns:
            turn(10)  # warm
        for _ in range(rounds):
            for found, turn in turns:
                found.append(turn(FRAMES))
            turns.reverse()
    ways: tuple[tuple[bool, Refine], ...] = ((False, "fast"), (True, "fast"), (False, "off"), (True, "off"))
    costs = tuple(Cost(*way, beside_network_ms(segmenter, frames, steady=way[0], mode=way[1])) for way in ways)
    return LiveComparison(_median(ours), _median(theirs) if theirs else None, costs, threads)


def run(segmenter: Segmenter, frames: NDArray[np.uint8], count: int, *, steady: bool, mode: Refine) -> Turn:
    """Frames through the pipeline of `edgematte video`, the sink left out."""
    info = SourceInfo("prepared frames", live=False, fps=USUAL_FPS, size=SIZE, frames=count)
    done = measured(
        segmenter,
        lambda buffers: Drawn(info, lambda image, number: np.copyto(image, frames[number % len(frames)]), buffers),
        BlurBackdrop(),
        steady=steady,
        refine=mode,
    )
    return Turn(done.fps, done.cpu_ms)


def beside_network_ms(segmenter: Segmenter, frames: NDArray[np.uint8], *, steady: bool, mode: Refine) -> float:
    """Median CPU milliseconds of one frame with a network that costs nothing; one thread."""
    size = input_size(segmenter.network.inputs[0])
    mattes = cycle([segmenter.matte(quick_shrink(frame, size)) for frame in frames])
    buffers = Buffers()
    live = LiveMatte(lambda _: next(mattes), size, steady=steady)
    renderer = Renderer(LiveEdge(mode), buffers=buffers, backdrop=BlurBackdrop())
    taken_ms = []
    bgr = np.empty_like(frames[0])
    for number in range(COST_FRAMES):
        start_s = time.thread_time()
        image = buffers.take((SIZE[1], SIZE[0], 3))
        cv2.cvtColor(frames[number % len(frames)], cv2.COLOR_BGR2RGB, dst=image)  # as a camera gives it
        picture = renderer(live(Frame(image, number, 0.0, 0.0), Quality()), Quality())
        cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=bgr)  # as an encoder takes it
        buffers.give(image)
        buffers.give(picture)
        taken_ms.append((time.thread_time() - start_s) * 1000)
    return float(np.median(taken_ms))


def follow_costs(model: str, frames: NDArray[np.uint8]) -> tuple[float, float]:
    """Median CPU milliseconds of a frame to its plain matte, and to its largest subject's, followed; one thread."""
    segmenter, seeing = Segmenter(model, threads=1), Segmenter(ANY_MODEL, threads=1)
    size = input_size(segmenter.network.inputs[0])
    follower = Follower(seeing.matte, input_size(seeing.network.inputs[0]), "largest", knows=FollowNetwork(threads=1))
    plain, followed = list[float](), list[float]()
    for number in range(FRAMES):
        image = np.ascontiguousarray(frames[number % len(frames)][:, :, ::-1])
        for way, taken_ms in ((lambda seen: segmenter.matte(quick_shrink(seen, size)), plain), (follower, followed)):
            start_s = time.thread_time()
            way(image)
            taken_ms.append((time.thread_time() - start_s) * 1000)
    return float(np.median(plain)), float(np.median(followed))


def prepared(photo: Path) -> NDArray[np.uint8]:
    """(n, H, W, 3): the photo panning, with a webcam's noise."""
    random = np.random.default_rng(0)
    camera = VirtualCamera(str(photo), size=SIZE, fps=0)
    found = list[Image]()
    with camera.open(Buffers()) as source:
        for frame in source:
            noise = random.integers(-4, 5, frame.image.shape, dtype=np.int16)
            found.append(np.clip(frame.image + noise, 0, 255).astype(np.uint8))
            if len(found) == PREPARED:
                break
    return np.stack(found)


@contextmanager
def asked(python: Path | None, frames: NDArray[np.uint8]) -> Iterator[Callable[[int], Turn] | None]:
    """MediaPipe in a process of its own: a number of frames → its turn."""
    if python is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "frames.npy"), frames)
        command = [str(python), str(Path(__file__).parent / "workers" / "live.py"), str(Path(folder, "frames.npy"))]
        try:
            worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            raise UsageError(f"{python} does not run: {error.strerror}") from error

        def ask(count: int) -> Turn:
            if worker.stdin is None or worker.stdout is None:
                raise UsageError("MediaPipe's process has no pipes")
            worker.stdin.write(f"{count}\n")
            worker.stdin.flush()
            answer = worker.stdout.readline().split()
            if len(answer) != 2:
                raise UsageError(f"{python} has no working mediapipe; install it there: pip install mediapipe==0.10.14")
            wall_s, cpu_s = map(float, answer)
            return Turn(count / wall_s, cpu_s * 1000 / count)

        with worker:
            yield ask


def _median(turns: list[Turn]) -> Turn:
    return Turn(float(np.median([turn.fps for turn in turns])), float(np.median([turn.cpu_ms for turn in turns])))


def main(
    photo: Annotated[Path, typer.Argument(help="A portrait.")],
    mediapipe: Annotated[Path | None, typer.Option(help="The Python of an environment with mediapipe.")] = None,
    model: Annotated[str, typer.Option("-m", "--model", help="A bundled model or a .tflite file.")] = LIVE_MODEL,
    threads: Annotated[int, typer.Option(help="As many as --threads of `edgematte camera`.")] = 2,
    stabilise: Annotated[bool, typer.Option(help="Steady mattes.")] = True,
    refine: Annotated[str, typer.Option(metavar="off|fast", help="How edges are drawn.")] = "fast",
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 9,
    follow: Annotated[bool, typer.Option("--follow", help="Only what following one subject costs.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Frames per second and CPU milliseconds per frame, ours and MediaPipe's."""
    cv2.setNumThreads(1)
    if follow:
        plain_ms, followed_ms = follow_costs(model, prepared(photo))
        typer.echo(f"plain matte: {plain_ms:.1f} ms CPU a frame; followed: {followed_ms:.1f}, 1 thread")
        typer.echo(f"ratio: {followed_ms / plain_ms:.1f}")
        return
    found = compare(
        photo, mediapipe=mediapipe, rounds=rounds, threads=threads, model=model, steady=stabilise,
        mode=check_mode(refine),
    )  # fmt: skip
    typer.echo(f"ours: {found.ours.fps:.1f} fps, {found.ours.cpu_ms:.1f} ms CPU a frame, {threads} threads")
    if found.theirs is not None:
        typer.echo(f"MediaPipe: {found.theirs.fps:.1f} fps, {found.theirs.cpu_ms:.1f} ms CPU a frame")
        typer.echo(f"ratio: {found.ratio:.2f} of frames, {found.theirs.cpu_ms / found.ours.cpu_ms:.2f} of CPU")
    for cost in found.beside_network:
        words = f"{'steadied' if cost.steady else 'not steadied'}, --refine {cost.refine}"
        typer.echo(f"beside the network, {words}: {cost.cpu_ms:.1f} ms CPU a frame")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=2) + "\n")
