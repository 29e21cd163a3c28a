"""The quantisation table knows which network it measures and how that is fed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.quantization import Row, subject, table
from edgematte.runtime.errors import UsageError


def test_a_network_is_named_with_its_conventions() -> None:
    found = subject("nets/people.onnx,mean=102.5/111/127,std=16000,color=bgr,channel=1")
    assert (found.path, found.channel) == (Path("nets/people.onnx"), 1)
    assert found.preprocessing.mean == (102.5, 111.0, 127.0)
    assert (found.preprocessing.std, found.preprocessing.color) == ((16000.0,), "bgr")


def test_a_network_without_settings_takes_pixels_as_0_to_1() -> None:
    found = subject("unet.onnx")
    assert (found.preprocessing.mean, found.preprocessing.std, found.channel) == ((0.0,), (255.0,), None)


@pytest.mark.parametrize("text", ["unet.onnx,meen=3", "unet.onnx,mean=half", "unet.onnx,channel=two"])
def test_a_setting_that_means_nothing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"unet\.onnx"):
        subject(text)


def test_the_table_has_a_line_for_every_way() -> None:
    rows = [Row("unet", way, 0.99, 0.9, 0.002, 0.4, 1_000_000, 2, 1, 0) for way in ("plain", "default")]
    assert table(rows).row_count == 2
