"""The program `edgematte`: words on the command line → one call of the library → words, a picture or JSON.

Only light modules are imported here. Each verb imports what it needs when it is called, so that `--help` answers at
once.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from .errors import EdgeMatteError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from .batch import Job, Outcome

INTERRUPTED = 130  # what shells expect of a program ended by Ctrl-C


@dataclass(frozen=True)
class ExtraVerb:
    """A verb that lives outside the device install."""

    place: str  # "package.module:name" of a Typer app or of a function
    extra: str  # what to install: edgematte[extra]
    help: str


EXTRA_VERBS = {
    "convert": ExtraVerb(
        "edgematte.convert.cli:convert", "convert", "Turn an ONNX network into an int8 TFLite model, and prove it."
    ),
    "bench": ExtraVerb("edgematte.benchmarks.cli:app", "bench", "Measure accuracy and latency against full precision."),
}

app = typer.Typer(
    help="Background removal on small devices: soft mattes from int8 U-Nets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The models that came with edgematte.", no_args_is_help=True)
app.add_typer(models_app, name="models")


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
def cut(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO|FOLDER|-", help="Photos, folders, or - for stdin.")],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE|FOLDER|-", help="Where to write; default: beside each photo."),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME|FILE.tflite", help="A bundled model or a file of your own.")
    ] = "unet-live",
    only_mask: Annotated[bool, typer.Option("--only-mask", help="Write the alpha as a grey picture.")] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR|PHOTO|blur", help="Put the subject before this: white, #rrggbb, a photo, or blur."
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the network; default: one per core, at most four.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per photo on stdout.")] = False,
) -> None:
    """Cut the subject out of photos: a transparent PNG each, `<name>.cutout.png`."""
    from .batch import STREAM, Kind, cut_all, plan

    if only_mask and background is not None:
        raise UsageError("--only-mask and --background exclude each other; leave one out")
    kind: Kind = "mask" if only_mask else "cutout" if background is None else "composite"
    planned = plan(photos, output, kind)
    for failure in planned.failures:
        _report(failure, as_json=as_json)
    if not planned.jobs:
        raise typer.Exit(UsageError.exit_code)
    to_stdout = any(job.output is None for job in planned.jobs)
    if to_stdout and as_json:
        raise UsageError("the picture goes to stdout, where --json goes too; name an output file with -o")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("a picture would fill the terminal; name an output file with -o, or pipe it somewhere")
    if STREAM in photos and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is the terminal; pipe a picture in")

    from .composite import read_background
    from .segmenter import Segmenter

    behind = None if background is None else read_background(background)
    segmenter = Segmenter(model, threads=threads)
    start = time.perf_counter()
    failed = len(planned.failures)
    outcomes = cut_all(
        planned.jobs, segmenter, kind=kind, background=behind, overwrite=overwrite, stdin=sys.stdin.buffer.read
    )
    with _progress(outcomes, len(planned.jobs)) as shown:
        for outcome in shown:
            failed += outcome.error is not None
            _report(outcome, as_json=as_json)
    if len(planned.jobs) > 1:
        done = len(planned.jobs) + len(planned.failures) - failed
        typer.echo(f"{done} cut, {failed} failed, {time.perf_counter() - start:.1f} s", err=True)
    if failed:
        raise typer.Exit(EdgeMatteError.exit_code)


def _report(outcome: Outcome, *, as_json: bool) -> None:
    job = outcome.job
    if outcome.error is not None:
        _complain(outcome.error)
    if as_json:
        result: dict[str, object] = {"input": _input_name(job), "output": None, "error": outcome.error}
        if outcome.error is None:
            result.update(
                output=str(job.output), width=outcome.width, height=outcome.height, time_ms=round(outcome.time_ms, 1)
            )
        typer.echo(json.dumps(result))
    elif outcome.error is None and job.output is None:
        sys.stdout.buffer.write(outcome.encoded)
        sys.stdout.buffer.flush()
    elif outcome.error is None:
        typer.echo(str(job.output))


def _input_name(job: Job) -> str:
    return "-" if job.source is None else str(job.source)


@contextmanager
def _progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Iterable[Outcome]]:
    """A progress bar on stderr for several photos; nothing for one, or where stderr is no terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield outcomes
        return
    from rich.console import Console
    from rich.progress import Progress

    # Rich would send what goes to stdout through the bar's console, which is stderr: wrong where stdout is a file.
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        yield bar.track(outcomes, total=total, description="cutting")


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL.tflite|NAME", help="A model file, or a bundled model's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Show a model's inputs, outputs, quantisation, operators and card."""
    from .inspection import inspect as inspect_model
    from .segmenter import model_path

    found = inspect_model(model_path(model))
    if as_json:
        typer.echo(found.to_json())
        return
    from .tables import show_inspection

    show_inspection(found)


@models_app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the bundled models."""
    from .model_file import read_card
    from .segmenter import bundled_models

    models = [(name, path.read_bytes()) for name, path in bundled_models().items()]
    listed = [(name, len(content), read_card(content)) for name, content in models]
    if as_json:
        cards = [
            {"name": name, "size_bytes": size, "card": card and json.loads(card.to_json())}
            for name, size, card in listed
        ]
        typer.echo(json.dumps(cards, indent=2))
        return
    from .tables import show_models

    show_models(listed)


@models_app.command("path")
def path_of_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundled model's name.")],
) -> None:
    """Print where a bundled model's file is."""
    from .segmenter import model_path

    typer.echo(str(model_path(name)))


def _register(verb: str, extra: ExtraVerb) -> None:
    # Everything behind the verb, --help included, is passed on untouched to the program that lives in the extra.
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
            code = program.main(context.args, prog_name=f"edgematte {verb}", standalone_mode=False)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if missing in ("", "edgematte"):
                raise
            raise MissingExtraError(verb, extra.extra, missing) from error
        raise typer.Exit(code if isinstance(code, int) else 0)


for _verb, _extra in EXTRA_VERBS.items():
    _register(_verb, _extra)


def main() -> NoReturn:
    """Entry point: every failure becomes one line on stderr and the exit code of DESIGN.md's table."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    # File names are bytes; one that is no UTF-8 must come out as it went in.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")
    try:
        # --debug is the one option that works anywhere on the line, for it is added after something went wrong.
        code = typer.main.get_command(app).main(
            [word for word in arguments if word != "--debug"], prog_name="edgematte", standalone_mode=False
        )
        if code == INTERRUPTED:  # how newer Typers hand on Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted; what was written is whole")
        sys.exit(INTERRUPTED)
    except EdgeMatteError as error:
        if debug:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except _CLICK_EXCEPTION as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _complain(f"unexpected {type(error).__name__}: {error}; add --debug for the details")
        sys.exit(EdgeMatteError.exit_code)


# The root of Typer's own usage errors; newer Typers carry a private copy of click, older ones use the package.
_CLICK_EXCEPTION: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _complain(message: str) -> None:
    line = " ".join(message.split("\n"))
    typer.echo(f"edgematte: {line}", err=True)
