"""The verb `edgematte models`: which models are here, where, whether they are whole, and how to get more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The models that came with edgematte, and others to pull.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the models that are here, and the networks that can be pulled."""
    from .model_file import read_card
    from .published import PUBLISHED
    from .store import bundled_models, pulled_models

    models = [(name, path.read_bytes()) for name, path in bundled_models().items()]
    listed = [(name, len(content), read_card(content)) for name, content in models]
    pulled = pulled_models()
    if as_json:
        bundled = bundled_models()
        here = [
            {
                "name": name,
                "size_bytes": size,
                "path": str(bundled[name]),
                "card": card and json.loads(card.to_json()),
            }
            for name, size, card in listed
        ]
        there = [
            {
                "name": name,
                "size_bytes": model.size_bytes,
                "path": str(pulled[name]) if name in pulled else None,
                "licence": model.licence,
                "origin": model.origin,
            }
            for name, model in PUBLISHED.items()
        ]
        typer.echo(json.dumps([*here, *there], indent=2))
        return
    from ..tables import show_models, show_published

    show_models(listed)
    show_published(PUBLISHED, pulled)


@app.command("path")
def path_of_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A bundled or pulled model's name.")],
) -> None:
    """Print where a model's file is."""
    from .store import model_path, pulled_models

    typer.echo(str(pulled_models().get(name) or model_path(name)))


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Which; all that are here.")] = None,
    as_json: Json = False,
) -> None:
    """Hold model files against the sha256 they should have; exit 1 when one differs."""
    from .store import bundled_models, pulled_models, verify

    checked = [verify(name) for name in names or [*bundled_models(), *pulled_models()]]
    if as_json:
        results = [{"name": c.name, "path": str(c.path), "sha256": c.found, "whole": c.whole} for c in checked]
        typer.echo(json.dumps(results, indent=2))
    else:
        for model in checked:
            typer.echo(f"{model.name}: {'whole' if model.whole else 'DAMAGED'} ({model.found[:16]}…, {model.path})")
    if damaged := [model for model in checked if not model.whole]:
        from ..errors import EdgeMatteError

        ways = "reinstall edgematte, or delete the file and pull it again"
        raise EdgeMatteError(f"{', '.join(model.name for model in damaged)}: not what was published; {ways}")


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See: edgematte models list.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this file; for machines without a network."),
    ] = None,
) -> None:
    """Fetch a network that others publish, from their own release page, checked by its sha256."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from .published import published, pull
    from .store import MODEL_SUFFIX, home

    model = published(name)
    typer.echo(f"{name}: {model.origin}; licence {model.licence}; {source or model.url}", err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(model.file, total=model.size_bytes)
        path = pull(model, home(), source=source, progress=lambda done: bar.update(task, completed=done))
        bar.update(task, completed=model.size_bytes)
    typer.echo(str(path))
    if path.suffix != MODEL_SUFFIX:
        typer.echo(f"next: edgematte convert {path} -o {name}{MODEL_SUFFIX} --calibrate PHOTOS", err=True)
