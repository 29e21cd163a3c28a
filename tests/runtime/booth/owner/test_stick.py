"""An event on a stick, which a folder plays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from edgematte.runtime.booth.album import Album, Order
from edgematte.runtime.booth.owner import stick as module
from edgematte.runtime.booth.owner.stick import Export
from edgematte.runtime.errors import UsageError

NOW = datetime(2026, 11, 28, 20, 15)


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    with Album(tmp_path / "event") as album:
        for number in range(3):
            shot = album.take(album.begin(Order("none", "single"), NOW), b"original %d" % number, NOW)
            album.settle_sheet([shot], b"sheet %d" % number)
            album.settle(shot, kept=number < 2)
        yield album


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    stick = tmp_path / "media" / "a stick"
    stick.mkdir(parents=True)
    return stick


@pytest.fixture
def export(album: Album, stick: Path, tmp_path: Path) -> Export:
    mounts = tmp_path / "mounts"
    named = str(stick).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 {named} vfat rw,relatime 0 0\n/dev/sdb1 {stick.parent} vfat ro 0 0\n")
    return Export(album, "Anna & Ben", mounts=mounts, places=(str(stick.parent),))


def copied(stick: Path) -> set[str]:
    return {path.name.partition(".")[2] + " " + path.read_text() for path in stick.rglob("*") if path.is_file()}


def test_what_guests_kept_is_copied_and_read_back(export: Export, stick: Path) -> None:
    assert export.targets() == [stick]
    export.start(stick)
    export.wait()
    assert export.progress.ended == "whole"
    assert export.progress.done == export.progress.files == 6
    assert copied(stick) == {f"{part}.jpg {part} {n}" for part in ("sheet", "original") for n in range(3)}
    export.start(stick)
    export.wait()
    assert export.progress.done == 6, "what is there already is only compared"


def test_a_stick_that_writes_something_else_is_found_out(
    export: Export, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda path: "wrong" if path.name.startswith(".") else digest(path))
    export.start(stick)
    export.wait()
    assert (export.progress.ended, export.progress.why) == ("faults", (6,))
    assert {fault for _, fault in export.progress.faults} == {module.DIFFERS}
    assert copied(stick) == set(), "nothing under its name"


def test_no_stick_no_export(export: Export, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stick"):
        export.start(tmp_path)


def test_it_can_be_stopped(export: Export, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = module.publish

    def stop_after(temporary: Path, path: Path, *, overwrite: bool) -> None:
        publish(temporary, path, overwrite=overwrite)
        export.stop()

    monkeypatch.setattr(module, "publish", stop_after)
    export.start(stick)
    export.wait()
    assert export.progress.ended == "stopped"
    assert len(copied(stick)) == 1
