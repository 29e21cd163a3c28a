"""CUPS' programs, played by scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgematte.runtime.booth.config import PrintConfig
from edgematte.runtime.booth.offer import words_of
from edgematte.runtime.booth.paper import printer as module
from edgematte.runtime.booth.paper.printer import Printer, check_printer
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
    config = PrintConfig(enabled=True, printer="Booth", options=("media=4x6", "fit-to-page"), most_copies=2)
    printer = Printer(config, sheet.parent)
    assert printer.send(sheet, copies=9, title="A & B") == 2
    assert fake_printer.asked == [f"-n 2 -t A & B -d Booth -o media=4x6 -o fit-to-page -- {sheet}"], "two at most"
    assert fake_printer.sheets[0].read_bytes() == b"a sheet"
    wait_until(lambda: printer.queue.waiting == 0)
    assert printer.queue.trouble is None
    printer.close()


def test_what_the_printer_says_is_shown_until_it_is_mended(fake_printer: FakePrinter, sheet: Path) -> None:
    fake_printer.break_down("out of paper")
    printer = Printer(PrintConfig(enabled=True), sheet.parent)
    printer.send(sheet, copies=1, title="A")
    wait_until(lambda: printer.queue.trouble is not None)
    assert printer.queue.said == "out of paper", "nothing but what guests can tell the hosts"
    assert printer.queue.trouble == "paper", "which every language has a word for"
    assert printer.queue.waiting == 1
    fake_printer.mend()
    wait_until(lambda: printer.queue.waiting == 0 and printer.queue.trouble is None)
    printer.close()


@pytest.mark.parametrize(
    ("alerts", "trouble"),
    [
        ("media-empty-error marker-supply-low-warning", "paper"),
        ("media-jam", "jam"),
        ("offline-report", "offline"),
        ("spool-area-full-error", "other"),
        ("connecting-to-device cups-waiting-for-job-completed", None),
        ("none", None),
    ],
)
def test_a_printer_that_runs_and_waits_for_paper_says_so_too(
    fake_printer: FakePrinter, sheet: Path, alerts: str, trouble: str | None
) -> None:
    printer = Printer(PrintConfig(enabled=True), sheet.parent)
    printer.send(sheet, copies=2, title="A")
    fake_printer.lack(alerts)
    wait_until(lambda: printer.queue.waiting == 1)  # as lpstat says, not as it was sent: it was asked
    assert printer.queue.trouble == trouble
    fake_printer.mend()
    wait_until(lambda: printer.queue.waiting == 0)
    printer.close()


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("lp: Error - No default destination.", "none"),
        ("lp: Error - The printer or class does not exist.", "none"),
        ("lp: Error - Scheduler is not running.", "cups"),
        ("lp: Bad file descriptor", "cups"),
        ("lp: something new", "other"),
    ],
)
def test_what_lp_says_becomes_a_word_that_is_translated_and_a_line_in_the_log(
    fake_printer: FakePrinter, sheet: Path, caplog: pytest.LogCaptureFixture, said: str, trouble: str
) -> None:
    fake_printer.refuse(said)
    printer = Printer(PrintConfig(enabled=True), sheet.parent)
    assert printer.send(sheet, copies=1, title="A") == 0
    assert (printer.queue.trouble, printer.queue.said) == (trouble, said)
    assert said in caplog.text
    printer.close()
    english = json.loads(words_of("en").read_text())
    assert english[f"printer_{trouble}"], "guests read this"


def test_pages_are_counted_across_restarts_until_paper_is_put_in(fake_printer: FakePrinter, sheet: Path) -> None:
    config = PrintConfig(enabled=True, most_copies=5, max_pages=4)
    printer = Printer(config, sheet.parent)
    assert (printer.send(sheet, copies=3, title="A"), printer.pages_left) == (3, 1)
    printer.close()
    printer = Printer(config, sheet.parent)
    assert printer.pages_left == 1
    assert printer.send(sheet, copies=2, title="A") == 1, "what paper there is"
    assert printer.send(sheet, copies=1, title="A") == 0
    assert printer.queue.trouble == "pages"
    printer.refill()
    assert (printer.pages_left, printer.queue.trouble) == (4, None)
    printer.close()
    assert len(fake_printer.asked) == 2


def test_a_stopped_queue_is_started_again(fake_printer: FakePrinter, tmp_path: Path) -> None:
    printer = Printer(PrintConfig(enabled=True), tmp_path)
    assert printer.resume() is None
    assert fake_printer.enabled == ["cupsenable Booth", "cupsaccept Booth"]
    fake_printer.have_no_default()
    assert "default" in str(printer.resume())
    printer.close()


def test_a_sheet_that_is_gone_is_the_printers_trouble_not_ours(fake_printer: FakePrinter, tmp_path: Path) -> None:
    printer = Printer(PrintConfig(enabled=True), tmp_path)
    printer.send(tmp_path / "gone.jpg", copies=1, title="A")
    assert "gone.jpg" in str(printer.queue.said)
    printer.close()
    assert fake_printer.sheets == []


def test_a_printer_that_cannot_print_is_said_before_the_evening_begins(fake_printer: FakePrinter) -> None:
    check_printer(PrintConfig(enabled=True))
    check_printer(PrintConfig(enabled=True, printer="Booth"))
    with pytest.raises(UsageError, match=r"no printer 'Both'; the system has: Booth"):
        check_printer(PrintConfig(enabled=True, printer="Both"))
    fake_printer.have_no_default()
    with pytest.raises(UsageError, match=r"no default; name one of: Booth"):
        check_printer(PrintConfig(enabled=True))
    check_printer(PrintConfig(printer="Both"))


def test_printing_without_lp_is_said_before_the_evening_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install cups"):
        check_printer(PrintConfig(enabled=True))
