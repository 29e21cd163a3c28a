"""The doctor on this machine, and on boards that a test describes by their files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgematte.runtime.doctor import Finding, examine

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A Raspberry Pi with a weak power supply, a hot CPU, a webcam and a Coral stick."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/meminfo": "MemTotal:         255000 kB\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "84200\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/class/video4linux/video0/name": "HD Webcam\n",
        "sys/bus/usb/devices/1-1/idVendor": "18d1\n",
        "sys/bus/usb/devices/1-1/idProduct": "9302\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def of(findings: tuple[Finding, ...], topic: str) -> Finding:
    return next(finding for finding in findings if finding.topic == topic)


def test_what_is_wrong_with_a_board_is_named_with_its_remedy(board: Path, model: Path) -> None:
    found = examine(board, model=str(model), seconds=0.3)
    assert not found.well
    assert of(found.findings, "board").words.startswith("Raspberry Pi 4 Model B")
    assert of(found.findings, "memory").state == "wrong"
    assert of(found.findings, "temperature").state == "wrong"
    power = of(found.findings, "power")
    assert (power.state, power.words) == ("wrong", "the voltage is too low; it is throttled")
    assert "scaling_governor" in str(of(found.findings, "clock").remedy)
    assert of(found.findings, "camera").words == "/dev/video0 (HD Webcam)"
    coral = of(found.findings, "accelerator")
    assert coral.state == "wrong"
    assert "libedgetpu" in str(coral.remedy)


def test_this_machine_runs_and_says_how_fast(run_program: Run, model: Path) -> None:
    done = run_program("doctor", "--json", "-m", model)
    found = json.loads(done.stdout)
    assert found["fps"] > 0
    assert found["machine"]["usable_cores"] >= 1
    topics = {finding["topic"] for finding in found["findings"]}
    assert {"board", "interpreter", "accelerator", "camera", "ffmpeg", "speed"} <= topics
    wrong = [finding for finding in found["findings"] if finding["state"] == "wrong"]
    assert done.returncode == (1 if wrong else 0)


def test_a_model_that_does_not_run_is_the_diagnosis(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    speed = of(examine(model=str(broken), seconds=0.1).findings, "speed")
    assert speed.state == "wrong"
    assert "does not run" in speed.words
