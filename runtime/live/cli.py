"""The verbs `camera` and `video`: words → a pipeline that runs until the video ends, or for ever."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from ..network import ANY_MODEL, LIVE_MODEL
from ..terminal import complain

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .sinks.base import Sink
    from .sinks.words import SinkOptions
    from .sources.view import View
    from .sources.words import SourceOptions
    from .status import Status

INTERRUPTED = 130
CHROMA_GREEN = "#00b140"  # what video people put where transparency should be and cannot
JSON_EVERY_S = 10.0  # a line a second would fill a journal in months

ModelOption = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|FILE.tflite",
        help="A bundled model or a file of your own.",
        show_default=f"{LIVE_MODEL}, with --follow {ANY_MODEL}",
    ),
]
BackgroundOption = Annotated[
    str | None,
    typer.Option(metavar="COLOUR|PHOTO|VIDEO|blur|none", help="What to put behind the subject."),
]
MaskOption = Annotated[bool, typer.Option("--only-mask", help="The alpha as a grey picture.")]
SizeOption = Annotated[
    str | None, typer.Option(metavar="WxH", help="What to ask a camera for; the size of raw frames.")
]
FpsOption = Annotated[float | None, typer.Option(min=0.1, max=1000, help="Frames per second.")]
PixelOption = Annotated[str, typer.Option(metavar="rgb24|bgr24|yuv420p", help="Of raw frames on stdin.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads that compute; default: one per core, at most four.")
]
StabiliseOption = Annotated[
    str, typer.Option(metavar="on|off", help="Mattes that do not flicker, carried along with the motion.")
]
FollowOption = Annotated[
    str | None,
    typer.Option(metavar="largest|centre|X,Y|X,Y,W,H|MASK.png", help="Keep to one subject, even when others pass by."),
]
RefineOption = Annotated[str, typer.Option(metavar="off|fast", help="Edges that follow the picture.")]
DeviceOption = Annotated[
    str, typer.Option(metavar="cpu|coral[:usb|pci]|delegate:PATH[,KEY=VALUE…]", help="What runs the network.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]


def camera(
    source: Annotated[
        str, typer.Option(metavar="SOURCE", help="Camera number or device, picamera, rtsp:// or http:// address, …")
    ] = "0",
    sink: Annotated[
        list[str] | None,
        typer.Option(metavar="SINK", help="mjpeg[:HOST:PORT], virtualcam, a file, a folder, -; may be repeated."),
    ] = None,
    background: BackgroundOption = None,
    only_mask: MaskOption = False,
    model: ModelOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    pixel_format: PixelOption = "rgb24",
    stabilise: StabiliseOption = "on",
    refine: RefineOption = "fast",
    follow: FollowOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    crop: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="What to use of the camera's picture.")] = None,
    rotate: Annotated[int, typer.Option(metavar="0|90|180|270", help="Degrees clockwise.")] = 0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Left and right change places.")] = False,
    privacy: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="A part of the camera's picture that becomes black; may be repeated."),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="10m|1h", help="Record in pieces, a new one when the clock shows a multiple.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="20GB|7d", help="Remove the oldest pieces beyond that; with --segment.")
    ] = None,
    overwrite: OverwriteOption = False,
    duration: Annotated[float | None, typer.Option(min=0.1, help="Stop so many seconds after the first frame.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Status as JSON lines on stdout.")] = False,
    mqtt: Annotated[
        str | None, typer.Option(metavar="mqtts://HOST/PREFIX", help="Tell an MQTT broker how the camera is.")
    ] = None,
    print_systemd_unit: Annotated[
        bool, typer.Option("--print-systemd-unit", help="Print a unit file for this command line, and leave.")
    ] = False,
) -> None:
    """Cut the subject out of a camera's picture, live, until told to stop.

    Without --background the picture behind is blurred. A camera that is missing or unplugged is waited for.
    """
    if print_systemd_unit:
        from ..device.systemd import CAMERA, print_unit

        print_unit(CAMERA)
        return
    from .sinks.words import SUFFIXES

    words = sink or ["mjpeg"]
    if segment is not None and not any(Path(word).suffix.lower() in SUFFIXES for word in words):
        raise UsageError("--segment is for recordings; name a file, e.g. --sink 'rec-%Y%m%d-%H%M.mp4'")
    if as_json and "-" in words:
        raise UsageError("frames go to stdout, where --json goes too; leave one out")
    behind = "blur" if background is None else background
    options = _source_options(size, fps, pixel_format)
    stop = _stop_on_signals()
    pipeline = _pipeline(
        source, words, options, model=model, background=behind, only_mask=only_mask, stabilise=stabilise,
        refine=refine, follow=follow, device=device, threads=threads,
        sinking=_camera_sinks(overwrite=overwrite, segment=segment, keep=keep),
        view=_view(crop, rotate, mirror=mirror, privacy=privacy),
    )  # fmt: skip
    from ..device.systemd import notify
    from ..network.installed import told

    ready = False

    def alive() -> None:
        nonlocal ready
        notify("WATCHDOG=1" if ready else "READY=1\nWATCHDOG=1")
        ready = True

    notes = _notes_of(pipeline)
    with _status_shown(as_json=as_json) as show, told(mqtt, verb="camera") as say:
        tell = _sparing(lambda status: say(status.to_json()), JSON_EVERY_S)

        def report(status: Status) -> None:
            notify(f"STATUS={status.to_line()}")
            notes()
            show(status)
            tell(status)

        last = pipeline.run(stop, report=report, alive=alive, duration_s=duration)
    notify("STOPPING=1")
    notes()
    typer.echo(f"edgematte: {last.frames} frames in {last.elapsed_s:.0f} s, {last.dropped} dropped", err=True)


def video(
    source: Annotated[str, typer.Argument(metavar="IN", help="A video, a folder of pictures, img_%03d.jpg, or -.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="OUT", help="A video, a folder for PNGs, or -.")],
    background: BackgroundOption = None,
    only_mask: MaskOption = False,
    model: ModelOption = None,
    size: SizeOption = None,
    fps: FpsOption = None,
    pixel_format: PixelOption = "rgb24",
    stabilise: StabiliseOption = "on",
    refine: RefineOption = "fast",
    follow: FollowOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    overwrite: OverwriteOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was done, as JSON on stdout.")] = False,
) -> None:
    """Cut the subject out of every frame of a video; times and sound stay as they are.

    .webm and .mov keep transparency (with ffmpeg), an .mp4 gets a background: green unless you name one.
    """
    from .sinks.words import SinkOptions

    if as_json and output == "-":
        raise UsageError("frames go to stdout, where --json goes too; leave one out")
    options = _source_options(size, fps, pixel_format)
    if output == "-" and sys.stdout.isatty():
        raise UsageError("raw frames would fill the terminal; pipe stdout somewhere, or name a file with -o")
    stop = _stop_on_signals()
    pipeline = _pipeline(
        source, [output], options, model=model, background=background or "none", only_mask=only_mask,
        stabilise=stabilise, refine=refine, follow=follow, device=device, threads=threads,
        sinking=SinkOptions(overwrite=overwrite), view=None,
    )  # fmt: skip
    with _progress() as show:
        try:
            last = pipeline.run(stop, report=show)
        finally:
            _notes_of(pipeline)()
    if as_json:
        typer.echo(last.to_json())
    else:
        speed = last.frames / last.elapsed_s if last.elapsed_s else 0.0
        typer.echo(f"{output}: {last.frames} frames in {last.elapsed_s:.1f} s ({speed:.1f} a second)", err=True)
    if stop.is_set():
        raise KeyboardInterrupt
    if last.corrupt:
        typer.echo(f"edgematte: {last.corrupt} frames could not be read; the one before stands for each", err=True)
        raise typer.Exit(1)


def _pipeline(
    source: str,
    words: list[str],
    options: SourceOptions,
    *,
    model: str | None,
    background: str,
    only_mask: bool,
    stabilise: str,
    refine: str,
    follow: str | None,
    device: str,
    threads: int | None,
    sinking: SinkOptions,
    view: View | None,
) -> Pipeline:
    """Everything that the words name, checked before anything is opened."""
    from ..device.machine import temperature_c
    from ..matting.refine import check_mode
    from ..matting.segmenter import Segmenter
    from ..network.failover import Failover, cpu_file
    from ..network.interpreter import parse_device
    from ..network.store import model_path
    from ..network.tensors import input_size
    from .backdrop import read_backdrop
    from .edge import LiveEdge
    from .follow.follower import Follower, parse_follow
    from .follow.network import FollowNetwork
    from .frames import Buffers
    from .matte import LiveMatte
    from .pipeline import LiveOptions, Pipeline, network_threads
    from .quality import LADDER
    from .render import Renderer
    from .sinks.words import open_sink, spare_inputs
    from .sources.words import opener

    if stabilise not in ("on", "off"):
        raise UsageError(f"--stabilise {stabilise}; expected on or off")
    mode = check_mode(refine)
    chosen = None if follow is None else parse_follow(follow)
    if only_mask and background not in ("none", "blur"):
        raise UsageError("--only-mask and --background exclude each other; leave one out")
    buffers = Buffers()
    model = model or (LIVE_MODEL if follow is None else ANY_MODEL)
    spare_inputs((source, model, background), words)
    opening = opener(source, options, buffers)
    if view is not None:
        opening = view.of(opening, buffers)
    cut = background == "none" and not only_mask
    sinks = [open_sink(word, replace(sinking, transparent=cut)) for word in words]
    backdrop = None
    if not only_mask and not (cut and all(sink.transparent for sink in sinks)):
        if cut:
            _say_no_alpha(sinks)
        backdrop = read_backdrop(CHROMA_GREEN if cut else background)
    import cv2

    cv2.setNumThreads(1)  # the stages are the threads; OpenCV's own would take the cores from the network
    path = model_path(model)
    parse_device(device)
    inferring = network_threads(threads)
    segmenter = Segmenter(path if device == "cpu" else cpu_file(path), threads=inferring)
    segment, runner = segmenter.matte, None
    if device != "cpu":
        segment = runner = Failover(
            lambda: Segmenter(path, device=device, threads=inferring).matte, segmenter.matte, name=device.split(":")[0]
        )
    wanted = input_size(segmenter.network.inputs[0])
    matte = LiveMatte(
        segment,
        wanted,
        steady=stabilise == "on",
        follower=None if chosen is None else Follower(segment, wanted, chosen, knows=FollowNetwork(threads=inferring)),
    )
    renderer = Renderer(LiveEdge(mode), buffers=buffers, backdrop=backdrop, only_mask=only_mask)
    # Without refinement its rung would change nothing.
    live = LiveOptions(fps=options.fps, ladder=LADDER[1:] if mode == "off" else LADDER)
    return Pipeline(
        opening, renderer, sinks, buffers=buffers, prepare=matte, device=runner, options=live,
        temperature=temperature_c,
    )  # fmt: skip


def _camera_sinks(*, overwrite: bool, segment: str | None, keep: str | None) -> SinkOptions:
    from .sinks.recording import parse_keep, parse_span_s
    from .sinks.words import SinkOptions

    if keep is not None and segment is None:
        raise UsageError("--keep removes the oldest pieces of a recording; add their length, e.g. --segment 10m")
    return SinkOptions(
        overwrite=overwrite, live=True, segment_s=None if segment is None else parse_span_s(segment),
        keep=None if keep is None else parse_keep(keep),
    )  # fmt: skip


def _view(crop: str | None, rotate: int, *, mirror: bool, privacy: list[str] | None) -> View | None:
    """None where the camera's picture stays as it is."""
    from .sources.view import View, parse_part

    if rotate not in (0, 90, 180, 270):
        raise UsageError(f"--rotate {rotate}; expected 0, 90, 180 or 270")
    black = tuple(parse_part("--privacy", text) for text in privacy or ())
    part = None if crop is None else parse_part("--crop", crop)
    return View(part, rotate, mirror, black) if part or rotate or mirror or black else None


def _notes_of(pipeline: Pipeline) -> Callable[[], None]:
    """Says what is new among the pipeline's notes."""
    said = set[str]()

    def say() -> None:
        for note in pipeline.notes:
            if note not in said:
                said.add(note)
                complain(note)

    return say


def _say_no_alpha(sinks: list[Sink]) -> None:
    name = next(sink.name for sink in sinks if not sink.transparent)
    typer.echo(
        f"edgematte: {name} cannot be transparent, its background is green; name one with --background, or a .webm",
        err=True,
    )


def _source_options(size: str | None, fps: float | None, pixel_format: str) -> SourceOptions:
    from .sources.words import SourceOptions

    found = None
    if size is not None:
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
        if match is None or 0 in (int(match[1]), int(match[2])):
            raise UsageError(f"--size {size} is no size; expected e.g. 1280x720")
        found = int(match[1]), int(match[2])
    return SourceOptions(found, fps, pixel_format)


def _stop_on_signals() -> threading.Event:
    """Set by SIGHUP, and by the first Ctrl-C or SIGTERM; the second of these ends the program at once."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    # A terminal that closes sends more than one; nohup has said already that none is to be heeded.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
    return stop


@contextmanager
def _status_shown(*, as_json: bool) -> Iterator[Callable[[Status], None]]:
    """One line that changes on a terminal; else JSON lines, at intervals and whenever the state changes."""
    if sys.stderr.isatty() and not as_json:
        from rich.console import Console

        console = Console(stderr=True)
        with console.status("starting") as line:
            yield lambda status: line.update(status.to_line())
        return
    yield _sparing(lambda status: typer.echo(status.to_json(), err=not as_json), 0.0 if as_json else JSON_EVERY_S)


def _sparing(say: Callable[[Status], object], interval_s: float) -> Callable[[Status], None]:
    said_s, state = 0.0, ""

    def say_sometimes(status: Status) -> None:
        nonlocal said_s, state
        if status.state != state or time.monotonic() - said_s >= interval_s:
            said_s, state = time.monotonic(), status.state
            say(status)

    return say_sometimes


@contextmanager
def _progress() -> Iterator[Callable[[Status], None] | None]:
    """A bar with the time left on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[fps]:.1f} fps"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, transient=True) as bar:
        task = bar.add_task("cutting", total=None, fps=0.0)
        yield lambda status: bar.update(task, completed=status.frames, total=status.expected, fps=status.fps or 0.0)
