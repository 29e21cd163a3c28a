"""The verb `serve`: words on the command line → a service that runs until told to stop."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..device.systemd import Purpose, notify, print_unit
from ..device.web import (
    EXTRA,
    LOOPBACK,
    TOKEN_VARIABLE,
    Running,
    address,
    check_access,
    is_loopback,
    listen,
    origin_of,
    run,
)
from ..errors import require
from ..network import PHOTO_MODEL
from ..terminal import complain

if TYPE_CHECKING:
    from .service import Health

PORT = 7000  # rembg's
MEGA = 1_000_000
LAST_ANSWER_S = 30  # for a stop: to read the last uploads and send the last answers
SECRETS = "/etc/edgematte/serve.env"


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; any but loopback needs --token.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the system choose.")] = PORT,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=[TOKEN_VARIABLE, "EDGEMATTE_SERVE_TOKEN"], help="What clients must send as Bearer or X-Api-Key."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME|FILE.tflite", help="A bundled model or a file of your own.")
    ] = PHOTO_MODEL,
    refine: Annotated[
        str, typer.Option(metavar="off|fast", help="How edges are brought to the photo's size.")
    ] = "fast",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that cut, one picture each; default: one per core, at most 2.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of each process; default: the cores shared out.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Pictures that may wait; more are answered 503.")] = 16,
    max_upload: Annotated[float, typer.Option(min=0.001, metavar="MB", help="Refuse larger uploads.")] = 24,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=1073, help="Refuse larger pictures before decoding them.")
    ] = 50,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Give up on a picture that takes longer.")] = 60,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="http://HOST:PORT|*", help="Web pages whose scripts may use the service; repeatable."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(metavar="mqtts://HOST/PREFIX", help="Tell an MQTT broker how the service is.")
    ] = None,
    print_systemd_unit: Annotated[
        bool, typer.Option("--print-systemd-unit", help="Print a unit file for this command line, and leave.")
    ] = False,
) -> None:
    """Cut out pictures that come by HTTP, as rembg's server and remove.bg's API do.

    Nothing is fetched from a network and nothing is written to a disk: a read-only root suits it. The page at / says
    what can be asked. Every option can be given in the environment, too: --max-upload is EDGEMATTE_SERVE_MAX_UPLOAD.
    """
    check_access(host, token)
    origins = tuple(origin_of(word) for word in allow_origin or ())
    if print_systemd_unit:
        leaves_device = mqtt is not None or not is_loopback(host)
        stop_s = round(max_seconds) + 2 * LAST_ANSWER_S
        print_unit(Purpose("serve", (), SECRETS, writes=(), stop_s=stop_s, leaves_device=leaves_device))
        return
    require("serve", EXTRA, "starlette", "uvicorn", "python_multipart", "prometheus_client")
    from importlib.metadata import version

    from ..device.machine import available_cores
    from ..matting.refine import check_mode
    from ..network.installed import told
    from ..network.store import model_path
    from ..photos.cutter import CutOptions
    from .crew import MOST_WORKERS, Crew
    from .service import Service, ServiceOptions

    path = model_path(model)
    options = CutOptions(str(path), threads, refine=check_mode(refine), largest_pixels=round(max_megapixels * MEGA))
    count = workers or min(MOST_WORKERS, available_cores())
    crew = Crew(options, count=count, waiting=queue, most_seconds=max_seconds)
    asked = ServiceOptions(token or None, round(max_upload * MEGA), origins=origins)
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        tell = stack.enter_context(told(mqtt, verb="serve"))
        ready = False

        def beat(health: Health) -> None:
            """Tells systemd, the terminal and the broker how the service is."""
            nonlocal ready
            if not ready:
                ready = True
                notify("READY=1")
                complain(f"serving at {address(listener)}/ with {health.workers} processes; Ctrl-C ends it")
            if health.workers:
                notify("WATCHDOG=1")
            notify(f"STATUS={health.state}, {health.pictures} pictures")
            tell(json.dumps(asdict(health)))

        stack.enter_context(crew)
        service = Service(crew, asked, model=path.stem, version=version("edgematte"))
        app = service.app(beat)
        run(app, listener, verb="serve", options=Running(stop_s=max_seconds + LAST_ANSWER_S))
        notify("STOPPING=1")
    complain(f"stopped after {service.metrics.pictures} pictures")
