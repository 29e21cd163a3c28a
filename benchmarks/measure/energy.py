"""A board that measures its own power → joules per call. Where none does, there is no meter and no figure.

Intel and AMD count energy (powercap); Jetsons and boards with an INA sensor show power (hwmon); a Raspberry Pi 5 tells
the current and voltage of each rail of its power chip. `root` and `command` let a test show another board's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from ...convert.latency import Call
from ...runtime.device.machine import ROOT, kernel_text

POWERCAP_PACKAGE = re.compile(r"package-\d+|psys")
INA_CHIP = re.compile(r"ina\d+")
PMIC_COMMAND = ("vcgencmd", "pmic_read_adc")
PMIC_LINE = re.compile(r"\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([\d.]+)[AV]")
BLOCK_S = 1.0  # of one call's repetitions between two readings; powercap counts every millisecond
MICRO = 1e-6


@dataclass(frozen=True)
class Energy:
    """What one call costs, everything the meter sees included: an idle board costs `idle_w` as well."""

    meter: str  # "powercap package-0", "ina3221 VDD_IN", "Raspberry Pi PMIC, 12 rails"
    idle_w: float
    joules_per_call: float


@dataclass(frozen=True)
class Meter:
    """A reading of joules used since some moment, or of watts at this one."""

    name: str
    read: Callable[[], float | None]  # None: the board refuses
    counts: bool  # joules so far; else watts now
    wraps_at_j: float | None = None  # where a counter begins again


def find_meter(root: Path = ROOT, command: Callable[[], str | None] | None = None) -> Meter | None:
    """The board's meter; None where there is none, or where only root may read it."""
    meters = (_powercap(root), _ina(root), _pmic(command or _ask_pmic))
    return next((meter for meter in meters if meter is not None and meter.read() is not None), None)


def measure(
    meter: Meter,
    calls: Mapping[str, Call],
    *,
    blocks: int = 5,
    block_s: float = BLOCK_S,
    clock_s: Callable[[], float] = monotonic,
    rest: Callable[[float], object],
) -> dict[str, Energy] | None:
    """Joules of every call, `blocks` times by turns with as long a rest; None when the meter stops answering.

    `rest(seconds)` lets the machine idle: `time.sleep`.
    """
    joules = dict.fromkeys(calls, 0.0)
    times = dict.fromkeys(calls, 0)
    idle_j = idle_s = 0.0
    for _ in range(blocks):
        for name, call in calls.items():
            used = _block(meter, call, block_s, clock_s)
            rested = _block(meter, lambda: rest(block_s / 10), block_s, clock_s)
            if used is None or rested is None:
                return None
            joules[name] += used.joules
            times[name] += used.calls
            idle_j += rested.joules
            idle_s += rested.seconds
    idle_w = idle_j / idle_s
    return {name: Energy(meter.name, idle_w, joules[name] / times[name]) for name in calls}


@dataclass(frozen=True)
class _Used:
    joules: float
    seconds: float
    calls: int


def _block(meter: Meter, call: Call, block_s: float, clock_s: Callable[[], float]) -> _Used | None:
    """Calls again and again for `block_s`; a meter of watts is read after each call."""
    first = meter.read()
    began, calls, watts = clock_s(), 0, list[float]()
    while calls == 0 or clock_s() - began < block_s:
        call()
        calls += 1
        if not meter.counts:
            reading = meter.read()
            if reading is None:
                return None
            watts.append(reading)
    seconds = clock_s() - began
    if not meter.counts:
        return _Used(sum(watts) / len(watts) * seconds, seconds, calls)
    last = meter.read()
    if first is None or last is None:
        return None
    joules = last - first
    if joules < 0 and meter.wraps_at_j is not None:
        joules += meter.wraps_at_j
    return _Used(joules, seconds, calls)


def _powercap(root: Path) -> Meter | None:
    for zone in sorted((root / "sys/class/powercap").glob("*:[0-9]*")):
        name = kernel_text(zone / "name")
        if name is not None and POWERCAP_PACKAGE.fullmatch(name):
            most = _number(zone / "max_energy_range_uj")
            wraps_at_j = None if most is None else most * MICRO
            return Meter(f"powercap {name}", partial(_micro, zone / "energy_uj"), counts=True, wraps_at_j=wraps_at_j)
    return None


def _ina(root: Path) -> Meter | None:
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        name = kernel_text(chip / "name")
        if name is None or not INA_CHIP.fullmatch(name):
            continue
        for power in sorted(chip.glob("power*_input")):  # microwatts
            label = kernel_text(chip / power.name.replace("_input", "_label")) or power.name.removesuffix("_input")
            return Meter(f"{name} {label}", partial(_micro, power), counts=False)
    return None


def _pmic(command: Callable[[], str | None]) -> Meter | None:
    def watts() -> float | None:
        rails: dict[str, dict[str, float]] = {}
        for name, kind, value in PMIC_LINE.findall(command() or ""):
            rails.setdefault(name, {})[kind] = float(value)
        powers = [rail["A"] * rail["V"] for rail in rails.values() if {"A", "V"} <= rail.keys()]
        return sum(powers) if powers else None

    return Meter("Raspberry Pi PMIC, sum of its rails", watts, counts=False)


def _ask_pmic() -> str | None:
    if shutil.which(PMIC_COMMAND[0]) is None:
        return None
    try:
        return subprocess.run(PMIC_COMMAND, capture_output=True, text=True, check=True, timeout=2).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # a Pi 4 knows the command but has no such chip


def _micro(path: Path) -> float | None:
    """A kernel's file in millionths of a unit, in that unit."""
    count = _number(path)
    return None if count is None else count * MICRO


def _number(path: Path) -> float | None:
    text = kernel_text(path)
    return float(text) if text is not None and re.fullmatch(r"\d+", text) else None
