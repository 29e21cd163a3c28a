"""The verbs `bundle`, `update`, `rollback` and `versions`: a fleet's software, from a stick."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ..errors import EdgeMatteError, UsageError
from ..terminal import complain

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def bundle(
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="STICK", help="A folder, on a stick or a server.")],
    key: Annotated[str, typer.Option("--sign", metavar="KEY", help="A GnuPG key of yours: name or fingerprint.")],
    target: Annotated[str, typer.Option(metavar="pi64|pi32|pc64", help="What the devices are.")] = "pi64",
    python: Annotated[str, typer.Option(metavar="3.11|3.13", help="Of their Debian 12 or 13.")] = "3.11",
    only: Annotated[
        str | None, typer.Option(metavar="program|models|site", help="Just this, for devices that have the rest.")
    ] = None,
    build: Annotated[int | None, typer.Option(metavar="N", help="Tells two bundles of one version apart.")] = None,
    models: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE.tflite", help="Which; default: all that came with this.")
    ] = None,
    models_version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Of the models; default: the program's.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="booth.toml", help="The booth's settings.")] = None,
    backgrounds: Annotated[Path | None, typer.Option(metavar="DIR", help="Pictures that belong to them.")] = None,
    site_version: Annotated[str, typer.Option(metavar="VERSION", help="Of settings and pictures.")] = "1",
    oldest: Annotated[
        str, typer.Option(metavar="VERSION", help="Devices that have run this take no program older than that.")
    ] = "0",
    trust: Annotated[
        list[str] | None, typer.Option(metavar="FINGERPRINT", help="Another key that devices trust from now on.")
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take packages from this folder, not from the index.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Make a signed folder that devices without a network install and update from."""
    from ..network.store import bundled_models
    from .bundle import Contents, Site, program_version
    from .bundle import bundle as make
    from .targets import target as target_of

    if only not in (None, "program", "models", "site"):
        raise UsageError(f"--only {only}; expected program, models or site")
    if wheels is not None and not wheels.is_dir():
        raise UsageError(f"--wheels {wheels}: there is no such folder")
    site = Site(site_version, config, backgrounds) if config or backgrounds else None
    if only == "site" and site is None:
        raise UsageError("--only site: there is nothing to pack; expected --config or --backgrounds")
    version = program_version(build)
    contents = Contents(
        target=target_of(target, python),
        program=version if only in (None, "program") else None,
        models=tuple(models or bundled_models()) if only in (None, "models") else (),
        models_version=models_version or version,
        models_add=only == "models" and bool(models),
        site=site if only in (None, "site") else None,
        oldest=oldest,
        trust=tuple(trust or ()),
        wheels=wheels,
    )
    made = make(contents, folder, key=key, overwrite=overwrite, say=complain)
    if as_json:
        typer.echo(json.dumps(asdict(made) | {"folder": str(made.folder)}, indent=2))
        return
    for name, size in made.packages.items():
        typer.echo(f"{name}  {size / 1e6:.1f} MB")
    typer.echo(f"{made.folder} is signed by {made.fingerprint}; on a device: sudo sh {made.folder.name}/install.sh")


def update(
    source: Annotated[
        str | None, typer.Option("--from", metavar="STICK|URL", help="A folder or an address with a bundle.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Verify it and say what it brings; change nothing.")] = False,
    older: Annotated[bool, typer.Option("--older", help="Also to an older version than the one that runs.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also one that was rolled back.")] = False,
    on_stick: Annotated[
        str | None,
        typer.Option(metavar="on|off", help="Whether a stick that is plugged in starts an update by itself."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Install what a stick brings beside what runs, try it, and keep it only if it is well."""
    from ..device.release import home
    from . import units
    from .releases import Home
    from .update import opened
    from .update import update as install

    if on_stick is not None:
        if on_stick not in ("on", "off"):
            raise UsageError(f"--on-stick {on_stick}; expected on or off")
        units.on_stick(home(), wanted=on_stick == "on")
        complain(f"sticks start an update by themselves: {on_stick}")
        return
    if source is None:
        raise UsageError("where from? expected --from STICK, a folder made by: edgematte bundle")
    folder = Home(home())
    if check:
        with opened(folder, source, older=older) as (_, plan):
            pass
        found = [f"{offer.kind} {offer.version}" for offer in plan.offers]
        if as_json:
            typer.echo(
                json.dumps({"brings": [asdict(offer) for offer in plan.offers], "needs_bytes": plan.needed_bytes})
            )
        else:
            typer.echo(f"{plan.place} is signed and whole; it brings {', '.join(found) or 'nothing newer'}")
        return
    signal.signal(signal.SIGTERM, _interrupt)
    with folder.locked():
        done = install(folder, source, older=older, again=again, say=complain)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    elif done.outcome == "nothing new":
        typer.echo("nothing new: this device runs it already")
    else:
        typer.echo(f"release {done.to} runs, {done.seconds:.0f} s, {done.written_bytes / 1e6:.0f} MB")


def rollback(
    to: Annotated[int | None, typer.Option(metavar="RELEASE", help="A number that `versions` shows.")] = None,
) -> None:
    """Run the release before this one again."""
    from ..device.release import home
    from .releases import Home
    from .update import roll_back

    folder = Home(home())
    with folder.locked():
        roll_back(folder, to, say=typer.echo)


def versions(as_json: Json = False) -> None:
    """Show which releases are here, and which one runs."""
    from ..device.release import home, last_update
    from .releases import Home

    folder = Home(home())
    now, before, last = folder.current(), None, last_update(folder.folder)
    before = now.before if now else None
    if as_json:
        facts = {
            "running": now and now.number,
            "on_trial": folder.on_trial(),
            "releases": [asdict(release) for release in folder.releases()],
            "last_update": last,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    if now is None:
        raise EdgeMatteError(f"nothing is installed in {folder.folder}; run install.sh from a stick")
    for release in folder.releases():
        site = f", site {release.site}" if release.site else ""
        state = ("on trial" if folder.on_trial() else "runs") if release == now else ""
        state = "before" if release.number == before else state
        typer.echo(f"{release.number:>3}  {release.program:<12} models {release.models}{site}  {state}".rstrip())
    if last:
        typer.echo(f"last update: {last['outcome']}{': ' + last['words'] if last['words'] else ''}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
