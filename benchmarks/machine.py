"""What machine this is, as `runtime/machine.py` reads it: `edgematte doctor` needs it on devices without this room."""

from __future__ import annotations

from ..runtime.machine import (
    ROOT,
    Machine,
    Package,
    clock_mhz,
    kernel_text,
    peak_memory_bytes,
    remarks,
    temperature_c,
    this_machine,
)

__all__ = [
    "ROOT",
    "Machine",
    "Package",
    "clock_mhz",
    "kernel_text",
    "peak_memory_bytes",
    "remarks",
    "temperature_c",
    "this_machine",
]
