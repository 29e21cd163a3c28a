"""Networks are found with what they expect of pixels, and a mistake in the list is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.studies.networks import gather, listed, subject
from edgematte.runtime.errors import UsageError


def test_a_network_is_named_with_its_conventions() -> None:
    found = subject("nets/people.onnx,mean=102.5/111/127,std=16000,color=bgr,channel=1,imgsz=320x240")
    assert (found.path, found.channel, found.size) == (Path("nets/people.onnx"), 1, (320, 240))
    assert found.preprocessing.mean == (102.5, 111.0, 127.0)
    assert (found.preprocessing.std, found.preprocessing.color) == ((16000.0,), "bgr")


def test_a_network_without_settings_takes_pixels_as_0_to_1() -> None:
    found = subject("unet.onnx")
    assert (found.preprocessing.mean, found.preprocessing.std) == ((0.0,), (255.0,))
    assert (found.channel, found.size) == (None, None)


@pytest.mark.parametrize(
    "text", ["unet.onnx,meen=3", "unet.onnx,mean=half", "unet.onnx,channel=two", "unet.onnx,imgsz=256"]
)
def test_a_setting_that_means_nothing_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"unet\.onnx"):
        subject(text)


def test_every_network_beside_the_project_is_listed(shared: Path) -> None:
    found = gather(shared / "networks")
    assert len(found) == 8
    assert {network.path.name for network in found} <= set(listed())


def test_a_network_that_nobody_listed_is_fed_as_most_are(orange: Path) -> None:
    (found,) = gather(orange)
    assert (found.path, found.preprocessing.std, found.channel) == (orange, (255.0,), None)


def test_a_mistake_in_the_list_is_named_by_its_line(orange: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.txt"
    settings.write_text("# a comment\n\norange.onnx,std=0\n")
    with pytest.raises(UsageError, match=r"settings\.txt, line 3: .*--std"):
        gather(orange, settings)
    with pytest.raises(UsageError, match="cannot read"):
        gather(orange, tmp_path / "missing.txt")


def test_a_folder_without_networks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no networks"):
        gather(tmp_path)
