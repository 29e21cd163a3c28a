"""The program `edgematte`: words on the command line → one call of the library → words, a picture or JSON.

Only light modules are imported here. Each verb imports what it needs when it is called, so that `--help` answers at
once.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from .errors import EdgeMatteError, MissingExtraError
from .live.cli import camera, video
from .network import LIVE_MODEL
from .network.cli import app as models_app
from .photos.cli import cut
from .terminal import complain

INTERRUPTED = 130  # what shells expect of a program ended by Ctrl-C


@dataclass(frozen=True)
class ExtraVerb:
    """A verb that lives outside the device install."""

    place: str  # "package.module:name" of a Typer app or of a function
    extra: str  # what to install: edgematte[extra]
    help: str
    environment: str | None = None  # its options are read from variables that begin like this, too


EXTRA_VERBS = {
    "convert": ExtraVerb(
        "edgematte.convert.cli:convert", "convert", "Turn an ONNX network into an int8 TFLite model, and prove it."
    ),
    "bench": ExtraVerb("edgematte.benchmarks.cli:app", "bench", "Measure accuracy and latency against full precision."),
    "booth": ExtraVerb("edgematte.runtime.booth.cli:booth", "booth", "Run a photo booth on this device."),
    "touch": ExtraVerb("edgematte.runtime.touch.cli:touch", "booth", "Put a cut-out right by hand, in a page."),
    "serve": ExtraVerb(
        "edgematte.runtime.serve.cli:serve", "booth", "Cut out pictures that come by HTTP.", "EDGEMATTE_SERVE"
    ),
    "bundle": ExtraVerb("edgematte.runtime.fleet.cli:bundle", "fleet", "Make a signed stick that devices update from."),
    "update": ExtraVerb("edgematte.runtime.fleet.cli:update", "fleet", "Install what a stick brings, if it is well."),
    "rollback": ExtraVerb("edgematte.runtime.fleet.cli:rollback", "fleet", "Run the release before this one again."),
    "versions": ExtraVerb("edgematte.runtime.fleet.cli:versions", "fleet", "Show which releases are on this device."),
}

app = typer.Typer(
    help="Background removal on small devices: soft mattes from int8 U-Nets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models")
app.command()(cut)
app.command()(camera)
app.command()(video)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"edgematte {version('edgematte')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; for reporting a bug.")] = False,
) -> None:
    # Both are done elsewhere, --debug in main(); they stand here for --help.
    pass


@app.command()
def doctor(
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME|FILE.tflite", help="A bundled model or a file of your own.")
    ] = LIVE_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Only whether this release is fit to run: models, a test picture, the camera."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(metavar="S|none", help="With --gate: the camera to open; default: the one set up here."),
    ] = None,
) -> None:
    """Say what this device has, what is wrong with it and how to fix it; measures for three seconds."""
    if gate:
        from .fleet.fitness import check, usual_camera

        for line in check(usual_camera() if source is None else None if source == "none" else source):
            typer.echo(line)
        return
    from .doctor import examine

    found = examine(model=model)
    if as_json:
        typer.echo(found.to_json())
    else:
        signs = {"well": "ok  ", "note": "    ", "wrong": "BAD "}
        for finding in found.findings:
            typer.echo(f"{signs[finding.state]} {finding.topic}: {finding.words}")
            if finding.remedy:
                typer.echo(f"       try: {finding.remedy}")
    if not found.well:
        raise typer.Exit(1)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL.tflite|NAME", help="A model file, or a bundled model's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Show a model's inputs, outputs, quantisation, operators and card."""
    from .network.inspection import inspect as inspect_model
    from .network.store import model_path

    found = inspect_model(model_path(model))
    if as_json:
        typer.echo(found.to_json())
        return
    from .tables import show_inspection

    show_inspection(found)


def _register(verb: str, extra: ExtraVerb) -> None:
    # Everything after the verb, --help included, is passed on untouched to the program that lives in the extra.
    pass_on = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}

    @app.command(verb, help=extra.help, add_help_option=False, context_settings=pass_on)
    def _run(context: typer.Context) -> None:
        try:
            module, name = extra.place.split(":")
            target = getattr(import_module(module), name)
            if not isinstance(target, typer.Typer):
                function, target = target, typer.Typer(pretty_exceptions_enable=False, add_completion=False)
                target.command(verb)(function)
            program = typer.main.get_command(target)
            code = program.main(
                context.args,
                prog_name=f"edgematte {verb}",
                standalone_mode=False,
                auto_envvar_prefix=extra.environment,
            )
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            # A device's package leaves whole rooms out; in any other place a missing module of ours is a fault.
            if missing == "" or (missing == "edgematte" and not extra.place.startswith(f"{error.name}.")):
                raise
            raise MissingExtraError(verb, extra.extra, missing) from error
        raise typer.Exit(code if isinstance(code, int) else 0)


for _verb, _extra in EXTRA_VERBS.items():
    _register(_verb, _extra)


def main() -> NoReturn:
    """Entry point of `edgematte`."""
    run(app, sys.argv[1:], "edgematte")


def run(program: typer.Typer, arguments: list[str], name: str) -> NoReturn:
    """Ends the process: a failure is one line on stderr and an exit code: 1, 2 usage, 3 refused, 130 stopped."""
    debug = "--debug" in arguments
    _prepare_process()
    try:
        # --debug is the one option that works anywhere on the line, for it is added after something went wrong.
        code = typer.main.get_command(program).main(
            [word for word in arguments if word != "--debug"], prog_name=name, standalone_mode=False
        )
        if code == INTERRUPTED:  # how newer Typers hand on Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted; what was written is whole")
        sys.exit(INTERRUPTED)
    except EdgeMatteError as error:
        if debug:
            raise
        complain(str(error))
        sys.exit(error.exit_code)
    except _CLICK_EXCEPTION as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        complain(f"unexpected {type(error).__name__}: {error}; add --debug for the details")
        sys.exit(EdgeMatteError.exit_code)


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """What cannot be encoded, as the file system's bytes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return os.fsencode(error.object[error.start : error.end]), error.end


def _prepare_process() -> None:
    # A file must not get the number of a closed standard stream: libraries write to those.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    # File names are bytes; one that is no UTF-8, or not of the terminal's encoding, must come out as it went in.
    codecs.register_error("file-names", _as_bytes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="file-names")
    for variable in ("OPENCV_IO_MAX_IMAGE_PIXELS", "OPENCV_IO_MAX_IMAGE_WIDTH", "OPENCV_IO_MAX_IMAGE_HEIGHT"):
        os.environ.pop(variable, None)  # --max-megapixels is the program's own limit
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # one line for each failure, in our words


# The root of Typer's own usage errors; newer Typers carry a private copy of click, older ones use the package.
_CLICK_EXCEPTION: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


if __name__ == "__main__":
    main()
