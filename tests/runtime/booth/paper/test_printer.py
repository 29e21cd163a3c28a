"""CUPS' programs, played by scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.runtime.booth.config import PrintConfig
from edgematte.runtime.booth.paper import printer as module
from edgematte.runtime.booth.paper.printer import Printer
from edgematte.runtime.errors import UsageError

from ...live_parts import wait_until
from ..conftest import FakePrinter


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "sheet.jpg"
    path.write_bytes(b"a sheet")
    return path


def test_a_sheet_is_sent_as_configured_and_the_queue_empties(fake_printer: FakePrinter, sheet: Path) -> None:
    printer = Printer(PrintConfig(enabled=True, printer="Booth", options=("media=4x6", "fit-to-page"), most_copies=2))
    printer.send(sheet, copies=9, title="A & B")
    assert fake_printer.asked == [f"-n 2 -t A & B -d Booth -o media=4x6 -o fit-to-page -- {sheet}"], "two at most"
    assert fake_printer.sheets[0].read_bytes() == b"a sheet"
    wait_until(lambda: printer.queue.waiting == 0)
    assert printer.queue.trouble is None
    printer.close()


def test_what_the_printer_says_is_shown_until_it_is_mended(fake_printer: FakePrinter, sheet: Path) -> None:
    fake_printer.break_down("out of paper")
    printer = Printer(PrintConfig(enabled=True))
    printer.send(sheet, copies=1, title="A")
    wait_until(lambda: printer.queue.trouble is not None)
    assert printer.queue.trouble == "out of paper", "nothing but what guests can tell the hosts"
    assert printer.queue.waiting == 1
    fake_printer.mend()
    wait_until(lambda: printer.queue.waiting == 0 and printer.queue.trouble is None)
    printer.close()


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ("media-empty-error marker-supply-low-warning", "media empty"),
        ("media-empty-warning offline-report", "media empty, offline"),
        ("connecting-to-device cups-waiting-for-job-completed", None),
        ("none", None),
    ],
)
def test_a_printer_that_runs_and_waits_for_paper_says_so_too(
    fake_printer: FakePrinter, sheet: Path, alerts: str, said: str | None
) -> None:
    printer = Printer(PrintConfig(enabled=True))
    printer.send(sheet, copies=2, title="A")
    fake_printer.lack(alerts)
    wait_until(lambda: printer.queue.waiting == 1)  # as lpstat says, not as it was sent: it was asked
    assert printer.queue.trouble == said
    fake_printer.mend()
    wait_until(lambda: printer.queue.waiting == 0)
    printer.close()


def test_an_unknown_sheet_is_the_printers_trouble_not_ours(fake_printer: FakePrinter, tmp_path: Path) -> None:
    printer = Printer(PrintConfig(enabled=True))
    printer.send(tmp_path / "gone.jpg", copies=1, title="A")
    assert "gone.jpg" in str(printer.queue.trouble)
    printer.close()
    assert fake_printer.sheets == []


def test_printing_without_lp_is_said_before_the_evening_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install cups"):
        Printer(PrintConfig(enabled=True))
    Printer(PrintConfig())
