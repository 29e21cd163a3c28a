"""An int8 .tflite and an Ethos-U → what Arm's own compiler, Vela, makes of it, where it is installed.

Vela (the package `ethos-u-vela`, Apache-2.0) runs in a process of its own: it prints, and it compiles in native code.
Its times are estimates from a model of the chip, the memories and the clock that the system configuration names.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ...runtime.errors import ConversionError, UsageError
from ...runtime.network.compiled import ETHOS_U_OPERATOR
from .coverage import Compiled
from .operators import Operator, read_operators

VARIABLE = "EDGEMATTE_VELA"  # names the program where it is in an environment of its own
HOW_TO_GET_IT = "pip install 'edgematte[ethos-u]'"
TIMEOUT_S = 600
KIB = 1024
_REFUSED = re.compile(r"^Warning \(supported operators\) operator: \S+, ofm: '(.*)'\nReason: (.*)$", re.MULTILINE)
_FAILURE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b:? *(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """What to compile for. The names are Vela's own."""

    accelerator: str  # "ethos-u65-256"
    system: str  # clock and memories: "Ethos_U65_Client_Server"
    memory: str  # what lies where: "Dedicated_Sram_384KB"
    sram_kib: int | None  # SRAM to keep to; None: as the memory mode says


@dataclass(frozen=True)
class Compilation:
    """What Vela made."""

    compiled: Compiled
    left: Mapping[str, str]  # output of each operator that stays on the CPU → why, in Vela's words
    ms: Mapping[str, float]  # output of each operator → its estimated time
    largest: str  # output of the operator that needs most SRAM


def command() -> list[str] | None:
    """How Vela is started: the program the variable names, this Python's package, `vela` on PATH; None without it.

    Raises UsageError where the variable names no program.
    """
    if named := os.environ.get(VARIABLE, ""):
        found = shutil.which(named)
        if found is None:
            raise UsageError(f"{VARIABLE} names {named}, which cannot be run; expected the path of Vela's program")
        return [found]
    if importlib.util.find_spec("ethosu") and importlib.util.find_spec("ethosu.vela"):
        return [sys.executable, "-m", "ethosu.vela"]
    found = shutil.which("vela")
    return [found] if found else None


def compile_model(model: bytes, job: Job) -> Compilation | None:
    """Runs Vela; None where it is not installed. Raises ConversionError with its own last words when it fails."""
    program = command()
    if program is None:
        return None
    with TemporaryDirectory(prefix="edgematte-vela-") as name:
        folder = Path(name)
        source = folder / "model.tflite"
        source.write_bytes(model)
        said = _run([*program, str(source), *_options(job, folder)])
        compiled = (folder / "model_vela.tflite").read_bytes()
        (totals,) = _rows(next(folder.glob("model_summary_*.csv")))
        layers = _rows(folder / "model_per-layer.csv")
    reasons = dict(_REFUSED.findall(said))
    left = {
        tensor.name: reasons.get(tensor.name, "Vela left it to the CPU")
        for operator in read_operators(compiled)
        if operator.name != ETHOS_U_OPERATOR
        for tensor in operator.outputs
    }
    times: dict[str, float] = {}
    owners = _owners(layers, read_operators(model))
    for row, owner in zip(layers, owners, strict=True):
        times[owner] = times.get(owner, 0.0) + float(row["Op Cycles"]) / float(totals["core_clock"]) * 1e3
    staged = [(float(row["Staging Usage"]), owner) for row, owner in zip(layers, owners, strict=True)]
    return Compilation(_compiled(_version(tuple(program)), job, totals, compiled), left, times, max(staged)[1])


@cache
def _version(program: tuple[str, ...]) -> str:
    return _run([*program, "--version"]).strip()


def _options(job: Job, folder: Path) -> list[str]:
    options = [
        "--accelerator-config", job.accelerator, "--config", "Arm/vela.ini", "--system-config", job.system,
        "--memory-mode", job.memory, "--verbose-performance", "--output-dir", str(folder),
    ]  # fmt: skip
    return options if job.sram_kib is None else [*options, "--arena-cache-size", str(job.sram_kib * KIB)]


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"Vela did not finish in {TIMEOUT_S} s; try a smaller input (--imgsz)") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it ended without a word"]
        failures = _FAILURE.findall(done.stderr)
        raise ConversionError(f"Vela failed: {failures[-1] if failures else lines[-1]}")
    return done.stdout


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _owners(layers: Sequence[Mapping[str, str]], operators: Sequence[Operator]) -> list[str]:
    """For each of Vela's steps the output of our operator that it is a part of.

    Vela names a step by the tensor it writes. Where one operator became several steps, all but the last may write
    tensors of Vela's own, or copies of the input under the input's name: they belong to the next output of a new name.
    """
    outputs = {tensor.name for operator in operators for tensor in operator.outputs}
    kinds: dict[str, str] = {}
    owners: list[str] = []
    waiting = 0
    for row in layers:
        name, kind = row["Name"], row["Original Operator"]
        if name in outputs and kinds.setdefault(name, kind) == kind:
            owners += [name] * (waiting + 1)
            waiting = 0
        else:
            waiting += 1
    return owners + [owners[-1] if owners else ""] * waiting


def _compiled(version: str, job: Job, totals: Mapping[str, str], model: bytes) -> Compiled:
    def kib(name: str) -> int:
        return round(float(totals[f"{name}_memory_used"]) * KIB)

    outside = {"DRAM": kib("dram"), "on-chip flash": kib("on_chip_flash"), "off-chip flash": kib("off_chip_flash")}
    ms = float(totals["inference_time"]) * 1e3
    memories = [f"{used / KIB:,.0f} KiB of {name}" for name, used in outside.items() if used]
    facts = (
        ("estimated time", f"{ms:.2f} ms at {float(totals['core_clock']) / 1e6:.0f} MHz"),
        ("memory", ", ".join([f"{kib('sram') / KIB:,.0f} KiB of SRAM", *memories])),
        ("system configuration", f"{job.system}, {job.memory}"),
    )
    return Compiled(
        f"Vela {version}", model, "_vela", facts, inference_ms=ms, sram_bytes=kib("sram"),
        outer_bytes=sum(outside.values()),
    )  # fmt: skip
