"""This machine as it is, and a Raspberry Pi by the files its kernel shows."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from edgematte.runtime.device.machine import Machine, this_machine

PI_5 = {  # as a Raspberry Pi 5 with 8 GB shows them, shortened
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n"
    "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
    "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nRevision\t: d04170\n",
    "proc/meminfo": "MemTotal:        8256112 kB\nMemFree:         6543210 kB\n",
    "proc/loadavg": "0.42 0.30 0.12 1/213 1234\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n',
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51250\n",
    "sys/class/hwmon/hwmon0/name": "rp1_adc\n",
    "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
}


def show(files: dict[str, str], root: Path) -> Machine:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return this_machine(root)


def test_a_raspberry_pi_5_is_recognised_by_its_files(tmp_path: Path) -> None:
    pi = show(PI_5, tmp_path)
    assert pi.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert pi.cpu == "Cortex-A76"
    assert pi.features == ("asimd", "asimddp"), "asimddp is what makes int8 fast there"
    assert pi.memory_bytes == 8256112 * 1024
    assert pi.governor == "ondemand, performance", "cores that differ are both named"
    assert pi.temperature_c == 51.25, "the CPU's, not that of the I/O chip beside it"
    assert pi.load_1min == 0.42
    assert pi.system.startswith("Debian GNU/Linux 12 (bookworm), ")


def test_a_graphics_card_is_listed_by_its_name(tmp_path: Path) -> None:
    card = {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nIRQ:   \t\t 123\n"}
    assert show(card, tmp_path).gpus == ("NVIDIA H200",)


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx2\n", "AMD EPYC"),
        ("model name\t: ARMv7 Processor rev 3 (v7l)\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n", "Cortex-A72"),
        ("model name\t: ARMv7 Processor rev 9 (v7l)\nCPU part\t: 0xfff\n", "ARMv7 Processor rev 9 (v7l)"),
    ],
)
def test_the_cpu_has_a_name_wherever_the_kernel_knows_one(tmp_path: Path, cpuinfo: str, name: str) -> None:
    assert show({"proc/cpuinfo": cpuinfo}, tmp_path).cpu == name


def test_what_cannot_be_read_is_absent_and_not_guessed(tmp_path: Path) -> None:
    bare = this_machine(tmp_path)
    assert (bare.board, bare.memory_bytes, bare.governor, bare.temperature_c, bare.load_1min) == (None,) * 5
    assert (bare.features, bare.gpus) == ((), ())
    assert bare.system, "the kernel's name is known without files"


def test_this_machine_tells_its_cores_and_packages() -> None:
    machine = this_machine()
    assert 1 <= machine.usable_cores <= machine.cores == os.cpu_count()
    versions = {package.name: package.version for package in machine.packages}
    assert versions["numpy"] == metadata.version("numpy")
    assert "ai-edge-litert" in versions or "tflite-runtime" in versions


HEAPS = """
import ctypes
from edgematte.runtime.device.machine import give_back_memory, use_one_heap

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

use_one_heap()
held = [bytes(60_000) for _ in range(4000)]
last = held.pop()  # the heap cannot end before it
del held
before = resident()
give_back_memory()
print(before - resident())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library gives memory back by itself")
def test_freed_memory_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HEAPS], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100_000_000
