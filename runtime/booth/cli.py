"""The verb `booth`: words and booth.toml → a page on this device, and pictures on its disk, until told to stop."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import MissingExtraError, UsageError
from ..network import LIVE_MODEL
from ..terminal import complain

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..live.frames import Buffers
    from .camera.preview import Exposure, Preview
    from .config import CameraConfig, Config

PACKAGES = ("starlette", "uvicorn", "PIL")
SECRETS = "/etc/edgematte/booth.env"
STOP_S = 2.0  # pages wait for news for ever; nobody waits for them


def booth(
    config_file: Annotated[
        Path | None, typer.Option("--config", metavar="booth.toml", help="Settings; the README lists them.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="The camera, as for `edgematte camera`; before booth.toml's.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the event's pictures go; before booth.toml's.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the page on 127.0.0.1; 0 lets the system choose.")
    ] = None,
    read_only_root: Annotated[
        bool, typer.Option("--read-only-root", help="Write nothing outside the data folder.")
    ] = False,
    mqtt: Annotated[
        str | None, typer.Option(metavar="mqtts://HOST/PREFIX", help="Tell an MQTT broker how the booth is.")
    ] = None,
    print_systemd_unit: Annotated[
        bool, typer.Option("--print-systemd-unit", help="Print a unit file for this command line, and leave.")
    ] = False,
) -> None:
    """Run a photo booth: a full-screen page for a kiosk browser, pictures that survive power cuts, printing, a gallery.

    Nothing leaves the device unless booth.toml lets telephones fetch pictures.
    """
    from .config import Config, read_config, with_command_line

    config = with_command_line(Config() if config_file is None else read_config(config_file), source=source, data=data)
    if port is not None:
        config = replace(config, screen=replace(config.screen, port=port))
    if print_systemd_unit:
        _print_unit(config, leaves_device=config.share.enabled or mqtt is not None)
        return
    _check_extra(config)
    if read_only_root:
        _keep_to(config.data)
    logging.basicConfig(format="edgematte: %(message)s", level=logging.WARNING)
    with ExitStack() as stack:
        _serve(config, stack, mqtt=mqtt)


def _serve(config: Config, stack: ExitStack, *, mqtt: str | None) -> None:
    import cv2

    from ..device.mqtt import Reporter, parse_broker
    from ..device.systemd import notify
    from ..device.web import LOOPBACK, Running, address, listen, run
    from ..matting.composite import read_background
    from ..matting.refine import check_mode
    from ..matting.segmenter import Segmenter
    from .album import Album, Limits
    from .backgrounds import find_backgrounds
    from .booth import Booth, Vitals
    from .button import Button
    from .finish import Finisher
    from .flow import OutOfTurnError, Rules
    from .paper.layout import Design, check_design
    from .paper.printer import Printer
    from .sites.screen import BoothServer, words_of
    from .sites.telephone import Share

    pictures, screen = config.pictures, config.screen
    for word in screen.languages:
        if not words_of(word).is_file():
            raise UsageError(f"there is no language {word}; expected en, de, fr, es, or a .json file of your own")
    shown = config.backgrounds
    backgrounds = find_backgrounds(shown.folder, colours=shown.colours, blur=shown.blur, real=shown.real)
    keys = [choice.key for choice in backgrounds.choices]
    if shown.first is not None and shown.first not in keys:
        raise UsageError(f"backgrounds.first is {shown.first}; expected one of: {', '.join(keys)}")
    paper = read_background(pictures.paper)
    if not isinstance(paper, tuple):
        raise UsageError(f"pictures.paper is {pictures.paper}; expected a colour such as white, or #rrggbb")
    design = Design(pictures.text, pictures.logo, paper, pictures.font)
    check_design(design)
    cv2.setNumThreads(1)  # the stages are the threads; OpenCV's own would take the cores from the network
    finisher = Finisher(
        Segmenter(pictures.model, threads=pictures.threads, mode=check_mode(pictures.refine)),
        backgrounds, design, threads=pictures.threads,
    )  # fmt: skip
    limits = Limits(round(config.disk.warn_mb * 1e6), round(config.disk.stop_mb * 1e6))
    listener = stack.enter_context(listen(LOOPBACK, screen.port))
    album = stack.enter_context(Album(config.data, limits=limits))
    preview = _preview(config.camera, threads=pictures.threads)
    first = shown.first or keys[0]
    rules = Rules(
        backgrounds=(first, *(key for key in keys if key != first)),
        layouts=pictures.layouts,
        languages=tuple(Path(word).stem for word in screen.languages),
        countdown_s=pictures.countdown_s,
        idle_s=screen.idle_s,
        gallery=pictures.gallery,
    )
    reporter = None
    if mqtt is not None:
        reporter = stack.enter_context(Reporter(parse_broker(mqtt), verb="booth", complain=complain))
    ready = False

    def alive(vitals: Vitals) -> None:
        nonlocal ready
        if not ready:
            ready = True
            notify("READY=1")
        notify(f"WATCHDOG=1\nSTATUS={vitals.step}, {vitals.pictures} pictures")
        if reporter is not None:
            reporter.say(json.dumps(asdict(vitals)))

    def pressed() -> None:
        with suppress(OutOfTurnError):  # a child leans on the button
            running.act("press")

    button = stack.enter_context(Button(config.button, pressed))
    running = Booth(
        album, preview, finisher, backgrounds, Printer(config.print), rules,
        date=pictures.date, alive=alive, light=button.light,
    )  # fmt: skip
    share = None
    if config.share.enabled:
        share = Share(config.share, config.data, running.sheet, title=config.title)
        share.start()
        stack.callback(share.close)
    # Before the camera is opened: while OpenCV decodes, what any thread says to stderr is taken for OpenCV's.
    complain(f"the booth is at {address(listener)}/; its pictures are in {config.data}; Ctrl-C ends it")
    stack.enter_context(running)
    app = BoothServer(running, config, backgrounds, share).app()
    run(app, listener, verb="booth", options=Running(stop_s=STOP_S))
    notify("STOPPING=1")


def _preview(config: CameraConfig, *, threads: int | None) -> Preview:
    """The camera, and how it takes photos."""
    from ..live.frames import Buffers
    from ..live.sources.words import SourceOptions, opener
    from ..matting.segmenter import Segmenter
    from .camera.preview import Preview

    buffers = Buffers()
    opening = opener(config.source, SourceOptions(_size(config.size), config.fps), buffers)
    preview = Preview(opening, Segmenter(LIVE_MODEL, threads=threads), buffers=buffers, fps=config.fps)
    preview.still = _still(config, preview, buffers)
    return preview


def _still(config: CameraConfig, preview: Preview, buffers: Buffers) -> Callable[[], Exposure] | None:
    from ..live.sources.words import SourceOptions, opener
    from .camera.preview import still_by, still_of

    ways = [name for name in ("still_size", "still_source", "still_command") if getattr(config, name) is not None]
    if len(ways) > 1:
        raise UsageError(f"[camera] has {' and '.join(ways)}, which exclude each other; leave one")
    if config.still_command is not None:
        command = config.still_command
        return lambda: still_by(command)
    if config.still_source is not None:
        other = opener(config.still_source, SourceOptions(), buffers)
        return lambda: still_of(other, skip=config.still_skip, buffers=buffers)
    if config.still_size is not None:
        large = opener(config.source, SourceOptions(_size(config.still_size), None), buffers)
        return lambda: preview.set_aside(lambda: still_of(large, skip=config.still_skip, buffers=buffers))
    return None


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if match is None:
        raise UsageError(f"{text} is no size; expected e.g. 1280x720")
    return int(match[1]), int(match[2])


def _check_extra(config: Config) -> None:
    from importlib.util import find_spec

    for package in (*PACKAGES, *(["segno"] if config.share.enabled else [])):
        if find_spec(package) is None:
            raise MissingExtraError("booth", "booth", package)


def _keep_to(data: Path) -> None:
    """Everything that programs like to write elsewhere goes to the data folder, or nowhere."""
    import tempfile

    scratch = data / ".scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    sys.dont_write_bytecode = True
    for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "EDGEMATTE_HOME"):
        os.environ[name] = str(scratch)
    tempfile.tempdir = str(scratch)


def _print_unit(config: Config, *, leaves_device: bool) -> None:
    from ..device.systemd import Purpose, print_unit

    groups = ("video", *(["gpio"] if config.button.pin or config.button.lamp else []))
    purpose = Purpose(
        "booth", groups=groups, secrets=SECRETS, writes=(str(config.data.resolve()),), stop_s=20,
        leaves_device=leaves_device,
    )  # fmt: skip
    print_unit(purpose)
