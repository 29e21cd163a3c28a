"""The verb `booth`: words and booth.toml → a page on this device, and pictures on its disk, until told to stop."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import require
from ..terminal import complain

if TYPE_CHECKING:
    from .booth import Vitals
    from .config import Config
    from .toml_file import Settings

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
    from .toml_file import Settings, read_settings

    settings = Settings(Config()) if config_file is None else read_settings(config_file)
    settings = settings.with_command_line(source=source, data=data, port=port)
    config = settings.config
    if print_systemd_unit:
        _print_unit(config, leaves_device=config.share.enabled or config.owner.network or mqtt is not None)
        return
    require("booth", "booth", *PACKAGES, *(["segno"] if config.share.enabled else []))
    if read_only_root:
        _keep_to(config.data)
    logging.basicConfig(format="edgematte: %(message)s", level=logging.WARNING)
    with ExitStack() as stack:
        again = _serve(settings, stack, mqtt=mqtt)
    if again:  # the owner changed what only a start reads
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _serve(settings: Settings, stack: ExitStack, *, mqtt: str | None) -> bool:
    """Until told to stop; whether to start anew."""
    import cv2

    from ..device.systemd import notify
    from ..device.web import LOOPBACK, Running, address, listen, run
    from ..network.installed import told
    from .album import Album, Limits
    from .booth import Booth
    from .button import Button
    from .camera.opening import preview_of
    from .flow import OutOfTurnError
    from .hook import Hook
    from .moving.microphone import check_microphone
    from .offer import folder_of, offer_of
    from .owner.desk import Desk
    from .paper.printer import Printer, check_printer
    from .sites.owner import OwnerSite
    from .sites.screen import BoothServer
    from .sites.telephone import Share
    from .sites.words import Words

    config = settings.config
    offer = offer_of(settings)
    with settings.naming("moving.microphone"):
        check_microphone(config.moving.microphone)
    with settings.naming("print.printer" if config.print.printer else "print.enabled"):
        check_printer(config.print)
    with settings.naming("hook.command"):
        hook = stack.enter_context(Hook(config.hook))
    cv2.setNumThreads(1)  # the stages are the threads; OpenCV's own would take the cores from the network
    finisher = offer.finisher(settings)
    limits = Limits(round(config.disk.warn_mb * 1e6), round(config.disk.stop_mb * 1e6))
    listener = stack.enter_context(listen(LOOPBACK, config.screen.port, setting="screen.port in booth.toml, or --port"))
    album = stack.enter_context(Album(config.data, limits=limits))
    preview = preview_of(settings)
    tell = stack.enter_context(told(mqtt, verb="booth"))
    ready = False

    def alive(vitals: Vitals) -> None:
        nonlocal ready
        if not ready:
            ready = True
            notify("READY=1")
        notify(f"WATCHDOG=1\nSTATUS={vitals.step}, {vitals.pictures} pictures")
        tell(json.dumps(asdict(vitals)))

    def pressed() -> None:
        with suppress(OutOfTurnError):  # a child leans on the button
            running.press() if config.screen.scan_s else running.act("press")

    with settings.naming("button.pin" if config.button.pin else "button.lamp"):
        button = stack.enter_context(Button(config.button, pressed))
    running = Booth(
        album, preview, finisher, offer.backgrounds, Printer(config.print, config.data), offer.rules(config),
        date=config.pictures.date, microphone=config.moving.microphone, kept=hook, alive=alive, light=button.light,
    )  # fmt: skip
    words = Words(config.screen.languages, folder_of(settings))
    share = None
    if config.share.enabled:
        with settings.naming("share.port"):
            share = Share(config.share, config.data, running, words, title=config.title)
        share.start()
        stack.callback(share.close)
    desk = Desk(running, settings, offer)
    owner = None if config.owner.pin is None else OwnerSite(desk, running, words, config.owner)
    if owner is not None and config.owner.network:
        with settings.naming("owner.port"):
            owner.listen()
        stack.callback(owner.close)
    # Before the camera is opened: while OpenCV decodes, what any thread says to stderr is taken for OpenCV's.
    complain(f"the booth is at {address(listener)}/; its pictures are in {config.data}; Ctrl-C ends it")
    stack.enter_context(running)
    app = BoothServer(running, config, offer, words, share, owner).app()
    run(app, listener, verb="booth", options=Running(stop_s=STOP_S))
    notify("STOPPING=1")
    return desk.again


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
