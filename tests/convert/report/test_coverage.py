"""What a chip makes of a network, on the page, on a terminal and in JSON."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict

import pytest
from rich.console import Console

from edgematte.convert.report import coverage
from edgematte.convert.targets.coverage import Compiled, Coverage, OperatorVerdict

OPERATORS = (
    OperatorVerdict("CONV_2D", "features", (1, 8, 8, 4), "mapped", "", ms=3.0),
    OperatorVerdict("ADD", "<sum>", (1, 8, 8, 4), "mapped", "", ms=0.5),
    OperatorVerdict("GATHER", "chosen", (1, 8, 8, 1), "refused", "not in Arm's table", ms=0.0),
)
COMPILED = Compiled(
    "Vela 5.2.0", b"\x00model", "_vela", (("estimated time", "3.50 ms at 500 MHz"),), inference_ms=3.5, sram_bytes=1024
)
CHECKED = Coverage(
    "an Ethos-U55-128", "Vela 5.2.0", OPERATORS, 2**20, 2**19, suggestions=("slices",), compiled=COMPILED
)


def on_a_terminal(found: Coverage) -> str:
    console = Console(file=io.StringIO(), width=120)
    coverage.show(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_page_says_what_runs_where_why_not_and_how_long() -> None:
    html = coverage.section(CHECKED)
    assert "<h2>Ethos-U55-128</h2>" in html
    assert "2 of 3 operators map to an Ethos-U55-128 by Vela 5.2.0; not GATHER" in html
    assert "1.00 MB" in html, "of parameters"
    assert "3.50 ms at 500 MHz" in html
    assert "not in Arm&#x27;s table" in html
    assert "&lt;sum&gt;" in html, "names in files may look like HTML"
    times = re.findall(r"<td class=n>([\d.]+)</td><td class=n>(\d+)%", html)
    assert times == [("3.000", "86"), ("0.500", "14"), ("0.000", "0")]


def test_the_terminal_says_the_same() -> None:
    text = on_a_terminal(CHECKED)
    for words in ("2 of 3 operators", "GATHER", "3.50 ms at 500 MHz", "86%", "try: slices"):
        assert words in text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Coverage("an Ethos-U65-256", "Arm's table", (), 0, 0, missing="pip install x"), "pip install x"),
        (Coverage("an STM32N6", "ST's documents", (), 0, 0, next_steps=("stedgeai generate",)), "stedgeai generate"),
    ],
)
def test_what_was_not_run_is_said_with_what_to_type(found: Coverage, words: str) -> None:
    assert words in coverage.section(found)
    assert words in on_a_terminal(found)


def test_a_report_leaves_out_the_compiled_file() -> None:
    told = json.loads(json.dumps(asdict(CHECKED.without_model())))
    assert told["compiled"]["model"] is None
    assert told["compiled"]["inference_ms"] == 3.5
    assert [operator["status"] for operator in told["operators"]] == ["mapped", "mapped", "refused"]


def test_a_target_that_is_no_accelerator_has_no_section() -> None:
    assert coverage.section(None) == ""
