"""The page and the tables: they open offline, say what was not measured, and call a reference what it is."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from edgematte.benchmarks import report
from edgematte.benchmarks.measure.fresh import ColdStart
from edgematte.benchmarks.measure.operator_times import OperatorTime
from edgematte.benchmarks.measure.stages import STAGES
from edgematte.benchmarks.measure.stats import Interval
from edgematte.benchmarks.measure.sustained import Sustained, Window
from edgematte.benchmarks.peers_result import Missing, Peers, Row
from edgematte.benchmarks.peers_result import to_json as peers_json
from edgematte.benchmarks.result import CallTimings, Operators, Result, Shown, Stage, Starts, ThreadsPoint, to_json
from edgematte.benchmarks.summary import Entry, cost, overview
from edgematte.convert.latency import Timing
from edgematte.runtime.errors import UsageError

PIXEL = "data:image/png;base64,iVBORw0KGgo="
COMMAND = "edgematte bench report a.json -o report.html"


class Checker(HTMLParser):
    """Collects what a browser would fetch, and what was opened but never closed."""

    VOID = frozenset({"meta", "img", "br", "line", "circle", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            self.open.append(f"/{tag}")


@pytest.fixture
def pi(result: Result) -> Result:
    """A board that measured everything, against a reference on its CPU."""
    model = CallTimings(
        Timing((10.0, 12.0, 14.0), (9.0, 10.0, 11.0)),
        Timing((20.0, 22.0, 24.0), (18.0, 19.0, 20.0)),
        tuple(Stage(name, Timing((2.0 + n, 3.0 + n), (2.0, 2.5))) for n, name in enumerate(STAGES)),
    )
    slow = CallTimings(Timing((20.0, 24.0, 28.0), (18.0, 20.0, 22.0)), Timing((30.0, 32.0, 34.0), (27.0, 29.0, 30.0)))
    latency = replace(
        result.latency,
        model=model,
        reference=replace(slow, stages=model.stages),
        network_ratio=Interval(0.5, 0.45, 0.55),
        network_cpu_ratio=Interval(0.49, 0.48, 0.5),
        whole_ratio=Interval(0.6, 0.6, 0.6),
    )
    start = ColdStart(Timing((400.0,), (300.0,)), Timing((50.0,)), Timing((20.0,)), 91_000_000)
    assert result.accuracy is not None
    return replace(
        result,
        latency=latency,
        accuracy=replace(result.accuracy, shown=(Shown("photo<0>", "IoU 0.9", PIXEL, PIXEL, PIXEL, PIXEL),)),
        threads=(ThreadsPoint(1, model.network, slow.network), ThreadsPoint(2, model.network, slow.network)),
        sustained=Sustained(60.0, tuple(Window(t, 9, 8.0 + t, 9.0, 7.5, 50 + t, 1500) for t in (10.0, 20.0, 30.0))),
        starts=Starts(start, start),
        operators=Operators(None, (OperatorTime("Conv", "stem", 0.4), OperatorTime("Sigmoid", "head", 0.1))),
    )


def test_the_page_needs_nothing_but_itself(pi: Result) -> None:
    page = report.html([Entry("pi5", pi)], command=COMMAND)
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == [], "every element is closed"
    assert checker.sources, "there are pictures"
    assert all(source.startswith("data:image/") for source in checker.sources)
    assert "<script" not in page
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_page_holds_every_part_that_was_measured(pi: Result) -> None:
    page = report.html([Entry("pi5", pi)], command=COMMAND)
    for words in (
        "Accuracy and latency", "All runs", "The worst photos", "From a JPEG to a transparent PNG", "Threads",
        "Without a pause", "Time per operator", "its engine has no profiler", "Conv 80%", COMMAND,
        "edgematte bench run a.tflite", "ab" * 8, "0.490 [0.480, 0.500]", "p, Wilcoxon", "91",
    ):  # fmt: skip
        assert words in page, words
    assert "photo<0>" not in page, "names are escaped"
    assert "photo&lt;0&gt;" in page


def test_what_was_not_measured_has_no_section(result: Result) -> None:
    bare = replace(result, reference=None, accuracy=None, data=None)
    page = report.html([Entry("pi5", bare)], command=COMMAND)
    for words in ("The worst photos", "Threads</h2>", "Without a pause", "Time per operator", "From a JPEG"):
        assert words not in page
    assert "No run measured accuracy" in page


def test_without_a_gpu_title_and_tables_say_cpu_reference_and_the_gpu_is_not_measured(pi: Result) -> None:
    page = report.html([Entry("pi5", pi)], command=COMMAND)
    title = re.search(r"<h1>(.*?)</h1>", page)
    assert title is not None
    assert title[1] == "a.tflite against full precision (CPU reference)"
    for table in re.findall(r"<table>(.*?)</table>", page):
        if "0.8650" in table or "24.0" in table:  # the reference's IoU and its median
            assert "CPU reference" in table
    for text in (page, report.markdown([Entry("pi5", pi)])):
        assert "GPU reference" in text
        assert "not measured" in text
        assert "CPU reference" in text


def test_a_gpu_is_called_one_and_what_it_computes_in_is_said(pi: Result) -> None:
    assert pi.reference is not None
    gpu = replace(pi, reference=replace(pi.reference, device="CUDA", precision="tf32"))
    page = report.html([Entry("workstation", gpu)], command=COMMAND)
    assert "<h1>a.tflite against full precision (GPU reference)</h1>" in page
    assert "tf32" in page
    assert not [row for row in overview([Entry("workstation", gpu)]).rows if row[0] == "GPU reference"]


def test_a_board_without_a_reference_is_compared_with_a_gpu_that_saw_the_same_photos(pi: Result) -> None:
    assert pi.accuracy is not None
    assert pi.reference is not None
    alone = replace(
        pi,
        reference=None,
        accuracy=replace(pi.accuracy, reference=None, difference=None, agreement=None, significance=None),
    )
    gpu = replace(pi, reference=replace(pi.reference, device="CUDA"))
    entries = [Entry("pi5", alone), Entry("gpu", gpu)]
    found = cost(entries[0], entries)
    assert found is not None
    # 0.90 - 0.92 and 0.80 - 0.81, photo by photo, although they were measured on two machines.
    assert (found.iou.value, found.iou.low, found.iou.high) == pytest.approx((-0.015, -0.02, -0.01))
    assert found.reference == "GPU reference of gpu"
    assert "-0.0150 [-0.0200, -0.0100]" in report.markdown(entries)

    assert alone.data is not None
    others = [Entry("pi5", replace(alone, data=replace(alone.data, sha256="ef" * 32))), entries[1]]
    assert cost(others[0], others) is None, "other photos prove nothing"
    assert "The runs used different photos" in report.html(others, command=COMMAND)


def test_the_same_photo_of_several_machines_is_shown_once(pi: Result) -> None:
    page = report.html([Entry("pi4", pi), Entry("pi5", pi)], command=COMMAND)
    assert page.count("photo&lt;0&gt;</b>") == 1


def test_a_picture_that_would_be_fetched_is_left_out(pi: Result) -> None:
    assert pi.accuracy is not None
    spy = Shown("spy", "IoU 0", "https://example.org/spy.png", PIXEL, PIXEL, PIXEL)
    page = report.html([Entry("x", replace(pi, accuracy=replace(pi.accuracy, shown=(spy,))))], command=COMMAND)
    assert "example.org" not in page


def test_markdown_rows_have_as_many_cells_as_their_head(pi: Result) -> None:
    rows = [line for line in report.markdown([Entry("pi5", pi)]).splitlines() if line.startswith("|")]
    widths = [line.count(" | ") for line in rows]
    assert len(set(widths[:5])) == 1
    assert len(rows) > 8


def test_files_are_named_by_their_stems_and_no_two_alike(result: Result, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pi5.json").write_text(to_json(result))
    assert [entry.name for entry in report.load_all([tmp_path / "a" / "pi5.json"])] == ["pi5"]
    with pytest.raises(UsageError, match="two files are called pi5"):
        report.load_all([tmp_path / "a" / "pi5.json", tmp_path / "b" / "pi5.json"])


def test_other_tools_beside_ours_are_part_of_the_page(pi: Result, tmp_path: Path) -> None:
    timing = Timing((20.0, 22.0), (7.0, 8.0))
    row = Row("opencv, u.onnx", "OpenCV 5 DNN", "ab", 1, *[Interval(0.8, 0.7, 0.9)] * 3, timing, 50.0, None)
    found = Peers("now", "python -m peers", pi.machine, 4, "cd", 1, (row,), (Missing("rembg, m.onnx", "it <ended>"),))
    (tmp_path / "tools.json").write_text(peers_json(found))
    (tmp_path / "pi5.json").write_text(to_json(pi))
    entries, beside = report.load_with_peers([tmp_path / "tools.json", tmp_path / "pi5.json"])
    page = report.html(entries, beside, command=COMMAND)
    for words in ("Other tools, tools", "OpenCV 5 DNN", "0.800", "not readable", "it &lt;ended&gt;", "python -m peers"):
        assert words in page, words
    assert "OpenCV 5 DNN" in report.markdown(entries, beside)
    with pytest.raises(UsageError, match=r"holds edgematte\.bench\.peers; expected edgematte\.bench\.run"):
        report.load_all([tmp_path / "tools.json"])
