"""The verb `cut`: a command line → photos cut here, by several processes, on a cluster, or as they arrive."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import EdgeMatteError, UsageError
from ..network import PHOTO_MODEL
from ..terminal import complain
from .report import CutReport, progress

if TYPE_CHECKING:
    from ..matting.composite import Fit
    from .batch import Outcome
    from .cutter import CutOptions
    from .plan import Job, Plan

    Cut = Callable[[Iterable[Job]], Iterator[Outcome]]

MEGAPIXEL = 1_000_000
REFINE = "fast"  # of refine.py, which is too heavy to import for --help
TRANSPARENT = "transparent"  # the background of a cut-out, said aloud
LARGEST_MEGAPIXELS = 1_073  # OpenCV's own limit is 2^30 pixels


def cut(
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO|FOLDER|-", help="Photos, folders, quoted patterns (** for any folder), - for stdin."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE|FOLDER|-", help="Where to write; default: beside each photo."),
    ] = None,
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME|FILE.tflite", help="A bundled model or a file of your own.")
    ] = PHOTO_MODEL,
    only_mask: Annotated[bool, typer.Option("--only-mask", help="Write the alpha as a grey picture.")] = False,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR|PHOTO|blur|transparent",
            help="Put the subject before this: white, #rrggbb, a photo, or blur.",
        ),
    ] = None,
    fit: Annotated[str, typer.Option(metavar="cover|contain", help="How a photo fills the background.")] = "cover",
    linear_light: Annotated[
        bool, typer.Option("--linear-light", help="Mix subject and background as light, not as numbers.")
    ] = False,
    refine: Annotated[
        str, typer.Option(metavar="off|fast", help="How edges are brought to the photo's size.")
    ] = REFINE,
    trim: Annotated[bool, typer.Option("--trim", help="Cut away what is empty around the subject.")] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="png|webp|jpeg", help="What to write; default: the suffix of -o, or png."),
    ] = None,
    hint: Annotated[
        str | None,
        typer.Option(metavar="MASK", help="A grey picture of the photo's size: white is kept, black removed."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the network; default: one per core, at most four.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Photos cut at once, each by a process.")] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:8786", help="Cut on the workers of a Dask cluster.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and cut what is put into the folders, until interrupted.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out photos whose output is there and is not older.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    max_megapixels: Annotated[
        float,
        typer.Option(min=0.001, max=LARGEST_MEGAPIXELS, help="Refuse larger photos before decoding them."),
    ] = 256,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per photo on stdout.")] = False,
) -> None:
    """Cut the subject out of photos: a transparent PNG each, `<name>.cutout.png`."""
    from .cutter import CutOptions, Kind
    from .plan import FORMAT_SUFFIXES, plan

    if fit not in ("cover", "contain"):
        raise UsageError(f"unknown --fit '{fit}'; expected cover or contain")
    if trim and background is not None and background != TRANSPARENT:
        raise UsageError("--trim cuts away what is transparent, and --background leaves nothing so; leave one out")
    if background == TRANSPARENT:
        background = None
    if only_mask and background is not None:
        raise UsageError("--only-mask and --background exclude each other; leave one out")
    if hint is not None and watch:
        raise UsageError("--hint is for one photo, and --watch for many; leave one out")
    if dask is not None and "-" in photos:
        raise UsageError("a photo from stdin is cut here; leave out - or --dask")
    if dask is not None and jobs > 1:
        raise UsageError("--jobs is for this machine; on a cluster each worker's threads are its jobs")
    if format_ is not None and format_.lower() not in FORMAT_SUFFIXES:
        raise UsageError(f"unknown format '{format_}'; expected one of {', '.join(FORMAT_SUFFIXES)}")
    kind: Kind = "mask" if only_mask else "cutout" if background is None else "composite"
    suffix = None if format_ is None else FORMAT_SUFFIXES[format_.lower()]
    report = CutReport(as_json=as_json)
    planned = None if watch else plan(photos, output, kind, format_suffix=suffix)
    if planned is not None:
        _check_streams(planned, as_json=as_json, jobs=jobs)
        if hint is not None and len(planned.jobs) != 1:
            raise UsageError(f"--hint is for one photo, and here are {len(planned.jobs)}; name one")
        for failure in planned.failures:
            report.unusable(failure)
        if not planned.jobs:
            raise typer.Exit(UsageError.exit_code)

    from ..matting.composite import read_background
    from ..matting.refine import check_mode
    from ..matting.retouch import read_hint
    from ..network.store import model_path

    options = CutOptions(
        str(model_path(model)),
        threads,
        kind,
        None if background is None else read_background(background),
        round(max_megapixels * MEGAPIXEL),
        overwrite,
        resume,
        check_mode(refine),
        cast("Fit", fit),
        "linear" if linear_light else "display",
        trim,
        None if hint is None else read_hint(hint),
    )
    signal.signal(signal.SIGTERM, _interrupt)  # how services are stopped; it leaves whole files as Ctrl-C does
    with ExitStack() as stack:
        run = _how_to_run(stack, options, jobs=jobs, dask=dask, photos=None if planned is None else len(planned.jobs))
        if planned is None:
            _watch(photos, output, options, suffix, run, report)
            return
        with progress(run(planned.jobs), len(planned.jobs)) as outcomes:
            for outcome in outcomes:
                report.outcome(outcome)
    report.kinds()
    if len(planned.jobs) > 1 or planned.left_out or planned.others:
        report.total(planned)
    if report.failed:
        raise typer.Exit(EdgeMatteError.exit_code)


def _check_streams(planned: Plan, *, as_json: bool, jobs: int) -> None:
    to_stdout = any(job.output is None for job in planned.jobs)
    from_stdin = any(job.source is None for job in planned.jobs)
    if to_stdout and as_json:
        raise UsageError("the picture goes to stdout, where --json goes too; name an output file with -o")
    if to_stdout and sys.stdout is None:
        raise UsageError("the picture goes to standard output, which is closed; name an output file with -o")
    if from_stdin and sys.stdin is None:
        raise UsageError("- reads a picture from standard input, which is closed; pipe a picture in, or name a file")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("a picture would fill the terminal; name an output file with -o, or pipe it somewhere")
    if from_stdin and sys.stdin.isatty():
        raise UsageError("- reads a picture from stdin, which is the terminal; pipe a picture in")
    if from_stdin and jobs > 1 and len(planned.jobs) > 1:
        raise UsageError("a photo from stdin is cut by one process; leave out - or --jobs")


def _how_to_run(stack: ExitStack, options: CutOptions, *, jobs: int, dask: str | None, photos: int | None) -> Cut:
    """The function that cuts: here, by processes, or on a cluster. `photos` None: nobody knows how many will come."""
    if dask is not None:
        from .cluster import Cluster

        return stack.enter_context(Cluster(options, dask)).run
    if jobs > 1 and photos != 1:
        from .processes import Workers

        return stack.enter_context(Workers(options, min(jobs, photos or jobs))).run
    from ..picture.headers import read_bytes
    from .batch import cut_all
    from .cutter import load_cutter

    cutter = load_cutter(options)
    return lambda these: cut_all(
        these, cutter, stdin=lambda: read_bytes(sys.stdin.buffer, largest_pixels=options.largest_pixels)
    )


def _watch(
    folders: list[str], output: str | None, options: CutOptions, suffix: str | None, cut: Cut, report: CutReport
) -> None:
    """Without end; a signal raises KeyboardInterrupt."""
    from .ledger import Ledger
    from .plan import Names
    from .watch import Watch, watch

    if output is None or Path(output).is_file():
        raise UsageError("--watch needs a folder for the outputs and the list of what is done; name one with -o")
    for folder in folders:
        if not Path(folder).is_dir():
            raise UsageError(f"--watch {folder} is not a folder; name folders that photos will be put into")
    target = Path(output)
    with Ledger(target / f".edgematte-watch-{options.kind}.jsonl") as ledger:
        watched = Watch(
            folders, Names(target, options.kind, suffix), ledger, fresh=not (options.overwrite or options.resume)
        )
        typer.echo(f"watching {', '.join(folders)}; Ctrl-C ends it", err=True)
        for outcome in watch(watched, cut, complain=complain):
            report.outcome(outcome)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
