"""An int8 .tflite → what Google's own `edgetpu_compiler` makes of it, where that program is installed.

Its words are documented in "Edge TPU Compiler" (coral.ai/docs/edgetpu/compiler). It exists for x86-64 Linux only.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ...runtime.errors import ConversionError
from .coverage import Compiled

PROGRAM = "edgetpu_compiler"
TIMEOUT_S = 300
_UNITS = {"B": 1, "KiB": 1024, "KB": 1000, "MiB": 1024**2, "MB": 1000**2, "GiB": 1024**3}
_OPERATION = re.compile(r"^([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE)


def compile_model(model: bytes) -> Compiled | None:
    """Runs the compiler; None where it is not on PATH. Raises ConversionError when it fails."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    with TemporaryDirectory(prefix="edgematte-coral-") as folder:
        source = Path(folder) / "model.tflite"
        source.write_bytes(model)
        try:
            command = [program, "-s", "-o", folder, str(source)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            message = f"{PROGRAM} did not finish in {TIMEOUT_S} s; try a smaller input (--imgsz)"
            raise ConversionError(message) from error
        compiled = Path(folder) / "model_edgetpu.tflite"
        if done.returncode or not compiled.is_file():
            lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
            raise ConversionError(f"{PROGRAM} failed: {lines[-1]}")
        return parse_log(done.stdout, compiled.read_bytes())


def parse_log(text: str, model: bytes) -> Compiled:
    """The compiler's printed log (or its .log file) and what it wrote → facts. Lines a release does not print are 0."""
    version = re.search(r"Edge TPU Compiler version (\S+)", text)
    subgraphs = re.search(r"Number of Edge TPU subgraphs: (\d+)", text)
    on_chip = _size(text, "On-chip memory used for caching model parameters")
    streamed = _size(text, "Off-chip memory used for streaming uncached model parameters")
    facts = (
        ("parameters kept on the chip", f"{on_chip:,} bytes"),
        ("parameters streamed at every run", f"{streamed:,} bytes"),
        ("Edge TPU subgraphs", subgraphs.group(1) if subgraphs else "0"),
    )
    counts = tuple((name, int(count), status) for name, count, status in _OPERATION.findall(text))
    return Compiled(
        f"Google's compiler {version.group(1) if version else 'of an unknown version'}", model, "_edgetpu", facts,
        counts, sram_bytes=on_chip, outer_bytes=streamed,
    )  # fmt: skip


def _size(text: str, label: str) -> int:
    found = re.search(re.escape(label) + r":\s*([\d.]+)\s*([KMG]?i?B)", text)
    return int(float(found.group(1)) * _UNITS[found.group(2)]) if found else 0
