"""The computer this runs on → a `Machine`: everything that must be printed beside a latency for it to mean something.

What cannot be read is None, never guessed. Linux tells through files; `root` lets a test show another board's files.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path("/")
PACKAGES = ("edgematte", "ai-edge-litert", "tflite-runtime", "numpy", "opencv-python-headless", "onnxruntime")
# The instructions that decide how fast int8 is: x86 dot products and tiles, Arm dot products and matrix products.
INT8_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
# Arm kernels print numbers where x86 prints a name: (implementer, part) of the boards this project is for.
ARM_CORES = {
    ("0x41", "0xb76"): "Arm1176",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd4f"): "Neoverse-V2",
}
M_ARENA_MAX = -8  # of glibc's mallopt
MOST_THREADS = 4  # a Pi has four cores; small networks gain nothing from more
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
HOT_C = 70  # a Raspberry Pi slows down at 80
CPU_SENSORS = re.compile(r"cpu|soc|x86_pkg|coretemp|k10temp|zenpower", re.IGNORECASE)


@dataclass(frozen=True)
class Package:
    """An installed distribution."""

    name: str
    version: str


@dataclass(frozen=True)
class Machine:
    """What was measured on."""

    cpu: str | None  # "Cortex-A76", "AMD EPYC"
    architecture: str  # "aarch64", "x86_64"
    features: tuple[str, ...]  # of INT8_FEATURES, those this CPU has
    cores: int  # that the system has
    usable_cores: int  # that this process may run on
    board: str | None  # "Raspberry Pi 5 Model B Rev 1.0"
    gpus: tuple[str, ...]  # NVIDIA cards the driver lists, used or not
    memory_bytes: int | None
    governor: str | None  # "performance"; "ondemand, performance" when the cores differ
    throttled: str | None  # "0x50005": what a Raspberry Pi's firmware remembers of low voltage and heat; "0x0" is well
    temperature_c: float | None  # the CPU's hottest sensor when this was read
    load_1min: float | None  # processes that wanted the CPU in the last minute: others' work when it is high
    system: str  # "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
    python: str  # "CPython 3.11.2"
    packages: tuple[Package, ...]  # of PACKAGES, those installed


def default_threads() -> int:
    """Threads to use where nobody says how many: one per core, at most four."""
    return min(MOST_THREADS, available_cores())


def available_cores() -> int:
    """Cores this process may use, which in a container are fewer than the machine has."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def this_machine(root: Path = ROOT) -> Machine:
    """Read everything now; takes milliseconds."""
    cpuinfo = _fields(root / "proc/cpuinfo")
    return Machine(
        cpu=_cpu(cpuinfo),
        architecture=platform.machine(),
        features=_features(cpuinfo),
        cores=os.cpu_count() or 1,
        usable_cores=available_cores(),
        board=_board(root),
        gpus=tuple(_gpus(root)),
        memory_bytes=_memory_bytes(root),
        governor=_governor(root),
        throttled=kernel_text(root / THROTTLED),
        temperature_c=temperature_c(root),
        load_1min=_load_1min(root),
        system=_system(root),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=tuple(_packages()),
    )


def remarks(machine: Machine) -> list[str]:
    """What will spoil latencies measured on this machine now, each with what to do about it."""
    found = []
    if machine.load_1min is not None and machine.load_1min > machine.usable_cores / 2:
        found.append(
            f"other programs wanted {machine.load_1min:.1f} cores in the last minute, and {machine.usable_cores} are "
            "here: go by CPU times, or close them"
        )
    if machine.governor not in (None, "performance"):
        found.append(
            f"the CPU governor is '{machine.governor}', so the clock may change while measuring; for steady figures: "
            "sudo cpupower frequency-set -g performance"
        )
    if machine.temperature_c is not None and machine.temperature_c >= HOT_C:
        found.append(
            f"the CPU is at {machine.temperature_c:.0f} °C before the first call: it may throttle; let it cool down"
        )
    if machine.throttled not in (None, "0", "0x0"):
        found.append(
            f"the board has been throttled or short of voltage since it started ({machine.throttled}); "
            "check its power supply and cooling"
        )
    return found


def temperature_c(root: Path = ROOT) -> float | None:
    """The CPU's hottest sensor in degrees Celsius; None where the system shows none, as in most virtual machines."""
    zones = [
        zone / "temp"
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
        if CPU_SENSORS.search(kernel_text(zone / "type") or "")
    ]
    chips = [
        sensor
        for chip in (root / "sys/class/hwmon").glob("hwmon*")
        if CPU_SENSORS.search(kernel_text(chip / "name") or "")
        for sensor in chip.glob("temp*_input")
    ]
    readings = [kernel_text(sensor) for sensor in zones + chips]
    millidegrees = [int(reading) for reading in readings if reading and re.fullmatch(r"-?\d+", reading)]
    return max(millidegrees) / 1000 if millidegrees else None


def clock_mhz(root: Path = ROOT) -> float | None:
    """The fastest core's clock now; None where the system does not tell, as in most virtual machines."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    readings = [reading for file in files if (reading := kernel_text(file)) and reading.isdecimal()]
    return max(map(int, readings)) / 1000 if readings else None


def use_one_heap() -> None:
    """No heap for every thread from now on, where the C library makes them (glibc): each keeps what was freed in it."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_ARENA_MAX, 1)


def give_back_memory() -> None:
    """What was freed back to the system, where the C library keeps it for later (glibc); nothing elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak_memory_bytes(root: Path = ROOT) -> int | None:
    """The most memory this process has held at once (VmHWM); unlike getrusage's, without what its parent held."""
    peak = re.match(r"(\d+) kB", _fields(root / "proc/self/status").get("VmHWM", ""))
    return int(peak[1]) * 1024 if peak else None


def kernel_text(path: Path) -> str | None:
    """A kernel's file without its final newline or NUL; None when it is absent or refuses to be read."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n ")
    except OSError:
        return None


def _fields(path: Path) -> dict[str, str]:
    """`name : value` lines; the first of each name, which is the first core's."""
    found: dict[str, str] = {}
    for line in (kernel_text(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def _cpu(cpuinfo: dict[str, str]) -> str | None:
    name = cpuinfo.get("model name", "")
    # 32-bit Arm kernels do print a name, but only the family's ("ARMv7 Processor rev 3 (v7l)").
    if name and not name.startswith("ARMv"):
        return name
    part = (cpuinfo.get("CPU implementer", ""), cpuinfo.get("CPU part", ""))
    if part in ARM_CORES:
        return ARM_CORES[part]
    return name or platform.processor() or None


def _features(cpuinfo: dict[str, str]) -> tuple[str, ...]:
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    return tuple(feature for feature in INT8_FEATURES if feature in flags)


def _board(root: Path) -> str | None:
    return (
        kernel_text(root / "proc/device-tree/model")
        or kernel_text(root / "sys/devices/virtual/dmi/id/product_name")
        or None
    )


def _gpus(root: Path) -> Iterator[str]:
    for information in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        if model := _fields(information).get("Model"):
            yield model


def _memory_bytes(root: Path) -> int | None:
    total = re.match(r"(\d+) kB", _fields(root / "proc/meminfo").get("MemTotal", ""))
    return int(total[1]) * 1024 if total else None


def _governor(root: Path) -> str | None:
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    governors = {governor for file in files if (governor := kernel_text(file))}
    return ", ".join(sorted(governors)) or None


def _load_1min(root: Path) -> float | None:
    first = (kernel_text(root / "proc/loadavg") or "").partition(" ")[0]
    return float(first) if re.fullmatch(r"\d+\.\d+", first) else None


def _system(root: Path) -> str:
    kernel = f"{platform.system()} {platform.release()}"
    for line in (kernel_text(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return f"{value.strip(chr(34))}, {kernel}"
    return kernel


def _packages() -> Iterator[Package]:
    for name in PACKAGES:
        try:
            yield Package(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
