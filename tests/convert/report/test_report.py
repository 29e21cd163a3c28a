"""The evidence: one page that opens without a network, and the same figures for programs."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

import edgematte
from edgematte.convert.pipeline import Conversion
from edgematte.convert.recipe import Recipe
from edgematte.convert.report import charts, page
from edgematte.convert.report.report import report_files
from edgematte.runtime.device.files import write_together
from edgematte.runtime.errors import OutputExistsError
from edgematte.runtime.network.model_file import parse

COMMAND = "edgematte convert bright.onnx -o bright.tflite --calibrate 'my photos'"


@pytest.fixture(scope="module")
def conversion(network: Path, photos: Path) -> Conversion:
    return edgematte.convert(network, Recipe(calibrate=photos / "images", data=photos, target="coral"))


@pytest.fixture(scope="module")
def folder(conversion: Conversion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "evidence"
    write_together(report_files(conversion, path, command=COMMAND))
    return path


@pytest.fixture(scope="module")
def overlay(folder: Path) -> dict:
    return json.loads((folder / "node-data.json").read_text())


def test_model_explorer_gets_every_layer_s_error_by_its_tensor_s_name(overlay: dict, conversion: Conversion) -> None:
    names = {tensor.name for tensor in parse(conversion.tflite).tensors}
    assert set(overlay) == {"results", "thresholds"}
    assert len(overlay["results"]) >= 5
    assert set(overlay["results"]) <= names
    assert all(0 <= result["value"] < 5 for result in overlay["results"].values()), "per cent of the tensor's range"
    values = [threshold["value"] for threshold in overlay["thresholds"]]
    assert values == sorted(values)


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_anywhere(html: str, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"index.html", "report.json", "node-data.json"}
    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in html
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]{0,20})', html))


def test_every_tag_that_opens_closes(html: str) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
            if tag not in ("meta", "img"):
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(html)
    assert tags.open == []


def test_worst_photos_are_shown_with_both_mattes_and_their_difference(html: str, conversion: Conversion) -> None:
    pictures = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', html)
    shown = min(8, len(conversion.agreement.photos))
    assert [kind for kind, _ in pictures] == ["jpeg", "png", "png", "jpeg"] * shown
    photo, before, after, _ = (
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED) for _, data in pictures[:4]
    )
    assert photo.shape == (64, 64, 3)
    assert before.shape == after.shape == (64, 64)
    worst = conversion.agreement.worst(1)[0]
    assert html.index(worst.name) < html.index(f"IoU {worst.iou:.4f}")


def test_the_page_says_how_it_was_made(html: str, conversion: Conversion) -> None:
    for fact in (COMMAND.replace("'", "&#x27;"), conversion.sha256, conversion.card.source_sha256, "ai-edge-litert"):
        assert fact in html


def test_the_page_holds_every_section(html: str) -> None:
    for title in (
        "photos where int8 differs most", "Agreement with the float network", "Against the true masks",
        "Where the error comes from", "Size and time", "Operators", "Edge TPU", "Ranges", "How it was made",
    ):  # fmt: skip
        assert title in html


def test_programs_read_the_same_figures(folder: Path, conversion: Conversion) -> None:
    figures = json.loads((folder / "report.json").read_text())
    assert figures["agreement_iou"] == conversion.agreement.iou
    assert figures["command"] == COMMAND
    assert figures["int8_model"]["sha256"] == conversion.sha256
    assert figures["int8_model"]["operators"]["CONV_2D"] == 4
    assert len(figures["photos"]) == 4
    assert figures["photos"][0]["float_iou"] is not None
    assert {layer["tensor"] for layer in figures["layers"]} >= {"alpha"}
    assert len(figures["ranges"]) >= 8
    assert figures["latency_ratio"] > 0


def test_a_report_is_not_replaced_without_being_told(folder: Path, conversion: Conversion) -> None:
    before = (folder / "index.html").read_bytes()
    with pytest.raises(OutputExistsError):
        write_together(report_files(conversion, folder, command="another"))
    assert (folder / "index.html").read_bytes() == before


def test_names_cannot_break_the_page() -> None:
    evil = '<script>"&'
    assert "<script" not in page.table(("a",), [(evil,)])
    assert "<script" not in page.figures([(evil, evil, "plain")])
    assert "<script" not in charts.columns([1.0], [evil], unit="", label=evil)


@pytest.mark.parametrize(
    "drawn",
    [
        charts.histogram([0.1, 0.5, 0.51, 2.0], low=0, high=1, bins=10, label="shares"),
        charts.histogram([], low=0, high=1, bins=10, label="nothing"),
        charts.scatter([(0.5, 0.6, "one & two")], x_label="before", y_label="after"),
        charts.columns([1.0, 3.0], ["first", "second"], unit=" %", label="errors"),
        charts.ranges([("a tensor", -1.0, 5.0)], label="ranges"),
    ],
)
def test_charts_are_wellformed(drawn: str) -> None:
    ElementTree.fromstring(drawn)


def test_a_histogram_counts_what_it_is_given() -> None:
    drawn = charts.histogram([0.05, 0.95, 0.97, 3.0], low=0, high=1, bins=10, label="shares")
    assert re.findall(r": (\d)</title>", drawn) == ["1", *"00000000", "3"], "outliers count in the last bin"
