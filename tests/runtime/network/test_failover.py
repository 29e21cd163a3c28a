"""A real external delegate, built by gcc, that vanishes, hangs and comes back: the CPU takes over within a second."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import ModelError, UsageError
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.failover import Failover, cpu_file
from edgematte.runtime.network.interpreter import Accelerator, parse_device

from ..live_parts import wait_until


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The delegate's library."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: sudo apt install gcc")
    path = tmp_path_factory.mktemp("delegate") / "libvisible.so"
    source = Path(__file__).with_name("delegate.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", str(path), str(source)], check=True)
    return path


@pytest.fixture
def switches(tmp_path: Path) -> tuple[Path, Path]:
    """Files that break the device and make it hang, by being there."""
    return tmp_path / "broken", tmp_path / "hang"


@pytest.fixture
def failover(library: Path, switches: tuple[Path, Path], model: Path) -> Iterator[Failover]:
    device = f"delegate:{library},broken={switches[0]},hang={switches[1]}"
    made = Failover(
        lambda: Segmenter(model, device=device, threads=1).matte,
        Segmenter(model, threads=1).matte,
        name="delegate",
        first_retry_s=0.05,
    )
    yield made
    for switch in switches:
        switch.unlink(missing_ok=True)
    made.close()


def is_accelerated(failover: Failover, flag: NDArray[np.uint8]) -> bool:
    """The delegate computes nothing, so the matte holds what lay in memory; only the CPU finds the red half opaque."""
    return failover(flag).max() < 200


def test_the_delegate_really_runs(failover: Failover, flag: NDArray[np.uint8]) -> None:
    assert is_accelerated(failover, flag)
    assert (failover.device, failover.failovers) == ("delegate", 0)


def test_a_lost_accelerator_is_replaced_at_once_and_used_again_when_it_is_back(
    failover: Failover, switches: tuple[Path, Path], flag: NDArray[np.uint8]
) -> None:
    assert is_accelerated(failover, flag)
    switches[0].touch()
    start = time.monotonic()
    assert failover(flag)[:, :20].min() == 255, "the CPU's matte"
    assert time.monotonic() - start < 1.0
    assert (failover.device, failover.failovers, failover.returns) == ("cpu", 1, 0)
    switches[0].unlink()
    wait_until(lambda: failover.returns == 1)
    assert is_accelerated(failover, flag)
    assert failover.trouble is None


def test_a_hanging_accelerator_is_left_behind_within_a_second(
    failover: Failover, switches: tuple[Path, Path], flag: NDArray[np.uint8]
) -> None:
    assert is_accelerated(failover, flag)
    switches[1].touch()
    start = time.monotonic()
    assert failover(flag)[:, :20].min() == 255
    assert time.monotonic() - start < 1.0
    assert "did not answer" in str(failover.trouble) or failover.returns


def test_a_missing_accelerator_at_the_start_is_waited_for(
    library: Path, switches: tuple[Path, Path], model: Path, flag: NDArray[np.uint8]
) -> None:
    switches[0].touch()
    device = f"delegate:{library},broken={switches[0]}"
    with pytest.raises(ModelError, match="does not start"):
        Segmenter(model, device=device)
    failover = Failover(
        lambda: Segmenter(model, device=device, threads=1).matte,
        Segmenter(model, threads=1).matte,
        name="delegate",
        first_retry_s=0.05,
    )
    assert not is_accelerated(failover, flag)
    switches[0].unlink()
    wait_until(lambda: failover.returns == 1)
    assert is_accelerated(failover, flag)
    failover.close()


def test_devices_are_read_or_refused() -> None:
    assert parse_device("cpu") is None
    assert parse_device("coral:pci") == Accelerator("libedgetpu.so.1", (("device", "pci"),))
    assert parse_device("delegate:/a.so,b=c,d=e=f") == Accelerator("/a.so", (("b", "c"), ("d", "e=f")))
    for words in ("gpu", "coral:isa", "delegate:", "delegate:/a.so,b"):
        with pytest.raises(UsageError, match="expected cpu, coral"):
            parse_device(words)


def test_the_cpu_file_lies_beside_the_compiled_one(tmp_path: Path) -> None:
    assert cpu_file(tmp_path / "a.tflite") == tmp_path / "a.tflite"
    with pytest.raises(UsageError, match=r"a\.tflite is missing beside a_edgetpu\.tflite"):
        cpu_file(tmp_path / "a_edgetpu.tflite")
    (tmp_path / "a.tflite").touch()
    assert cpu_file(tmp_path / "a_edgetpu.tflite") == tmp_path / "a.tflite"
