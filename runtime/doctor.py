"""This device → what it has, what is wrong with it and how to put that right, and the frame rate to expect."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from .device.machine import HOT_C, ROOT, Machine, kernel_text, this_machine
from .errors import EdgeMatteError
from .live.backdrop import BlurBackdrop
from .live.pipeline import network_threads
from .live.program import find_ffmpeg
from .live.rate import measured
from .live.sources.virtual import VirtualCamera
from .matting.segmenter import Segmenter
from .network import LIVE_MODEL
from .network.installed import Installed, installed
from .network.interpreter import EDGE_TPU_LIBRARY, INTERPRETERS
from .picture.jpeg import tells_of_damage

State = Literal["well", "note", "wrong"]

LEAST_MEMORY_BYTES = 400 * 2**20
MEASURE_S = 3.0
FASTEST_FPS = 240.0  # of the virtual camera that the pipeline is measured with; no more is ever told
CORAL_USB = {("1a6e", "089a"), ("18d1", "9302")}  # before and after its firmware is loaded
# Bits of the Raspberry Pi firmware's answer (vcgencmd get_throttled); the same 16 higher: since it was started.
THROTTLE_BITS = {0: "the voltage is too low", 1: "the clock is capped", 2: "it is throttled", 3: "it is too warm"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    topic: str
    state: State  # wrong: edgematte will not work as asked; note: something is missing that may not be needed
    words: str
    remedy: str | None = None  # what to type or to do


@dataclass(frozen=True)
class Diagnosis:
    """Everything found on one device."""

    machine: Machine
    findings: tuple[Finding, ...]
    fps: float | None  # of a 1280x720 picture, blurred behind the subject; None: it does not run
    installed: Installed

    @property
    def well(self) -> bool:
        """Nothing is wrong."""
        return all(finding.state != "wrong" for finding in self.findings)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


def examine(root: Path = ROOT, *, model: str = LIVE_MODEL, seconds: float = MEASURE_S) -> Diagnosis:
    """Looks at everything and measures for `seconds`. `root` lets a test show another device's files."""
    machine = this_machine(root)
    findings = [
        *_board(machine),
        *_interpreters(),
        *_accelerators(root),
        *_cameras(root),
        *_programs(),
        *_pictures(),
    ]
    fps: float | None = None
    try:
        segmenter, camera = Segmenter(model, threads=network_threads(None)), VirtualCamera(fps=FASTEST_FPS)
        fps = measured(segmenter, camera.open, BlurBackdrop(), seconds=seconds).fps
        state: State = "well" if fps >= 15 else "note"
        advice = None if fps >= 15 else "ask the camera for less, e.g. --size 640x480"
        findings.append(Finding("speed", state, f"{model} makes {fps:.0f} frames a second of 1280x720", advice))
    except EdgeMatteError as error:
        findings.append(Finding("speed", "wrong", f"{model} does not run: {error}", "edgematte models verify"))
    return Diagnosis(machine, tuple(findings), fps, installed())


def _board(machine: Machine) -> Iterator[Finding]:
    name = machine.board or machine.cpu or machine.architecture
    features = ", ".join(machine.features) or "no instructions made for int8"
    yield Finding("board", "well", f"{name}, {machine.usable_cores} cores, {features}, {machine.system}")
    if machine.memory_bytes is not None:
        small = machine.memory_bytes < LEAST_MEMORY_BYTES
        words = f"{machine.memory_bytes / 2**20:.0f} MB"
        yield Finding("memory", "wrong" if small else "well", words, "stop other programs" if small else None)
    if machine.governor is not None:
        slow = any(word in machine.governor for word in ("powersave", "conservative"))
        remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("clock", "note" if slow else "well", f"governor {machine.governor}", remedy if slow else None)
    if machine.temperature_c is not None:
        hot = machine.temperature_c >= HOT_C
        words = f"{machine.temperature_c:.0f} °C"
        yield Finding("temperature", "wrong" if hot else "well", words, "give it a heat sink or a fan" if hot else None)
    if machine.throttled is not None:
        yield _throttling(machine.throttled)


def _throttling(text: str) -> Finding:
    try:
        bits = int(text, 16)
    except ValueError:
        return Finding("power", "note", f"the firmware says '{text}', which is not understood")
    now = [words for bit, words in THROTTLE_BITS.items() if bits >> bit & 1]
    before = [words for bit, words in THROTTLE_BITS.items() if bits >> (bit + 16) & 1]
    if now:
        return Finding("power", "wrong", "; ".join(now), "use the board's own power supply, and cool it")
    if before:
        words = f"since it was started: {'; '.join(before)}"
        return Finding("power", "note", words, "use the board's own power supply, and cool it")
    return Finding("power", "well", "enough, and cool enough")


def _interpreters() -> Iterator[Finding]:
    modules = {package: package.replace("-", "_") for package in INTERPRETERS}
    found = [package for package, module in modules.items() if find_spec(module) is not None]
    if not found:
        yield Finding("interpreter", "wrong", "none is installed", f"pip install {next(iter(INTERPRETERS))}")
    else:
        yield Finding("interpreter", "well", ", ".join(found))


def _accelerators(root: Path) -> Iterator[Finding]:
    devices = [
        "Coral on USB"
        for entry in (root / "sys/bus/usb/devices").glob("*")
        if (kernel_text(entry / "idVendor"), kernel_text(entry / "idProduct")) in CORAL_USB
    ]
    devices += [f"Coral on PCI ({path.name})" for path in sorted((root / "dev").glob("apex_*"))]
    try:
        ctypes.CDLL(EDGE_TPU_LIBRARY)
        library = True
    except OSError:
        library = False
    if devices and not library:
        words = f"{', '.join(devices)}, but its library {EDGE_TPU_LIBRARY} is missing"
        yield Finding("accelerator", "wrong", words, "sudo apt install libedgetpu1-std (Coral's own repository)")
    elif devices:
        yield Finding("accelerator", "well", ", ".join(devices))
    else:
        yield Finding("accelerator", "note", "none; the CPU does the work")


def _cameras(root: Path) -> Iterator[Finding]:
    names = {
        path.name: kernel_text(path / "name") or "camera"
        for path in sorted((root / "sys/class/video4linux").glob("video*"))
    }
    virtual = {path.name for path in (root / "sys/devices/virtual/video4linux").glob("video*")}
    real = [name for name in names if name not in virtual]
    for name in real:
        device = root / "dev" / name
        if device.exists() and not os.access(device, os.R_OK | os.W_OK):
            words = f"/dev/{name} ({names[name]}) may not be used by this user"
            yield Finding("camera", "wrong", words, "sudo usermod -aG video $USER, then log in again")
        else:
            yield Finding("camera", "well", f"/dev/{name} ({names[name]})")
    if not real:
        yield Finding("camera", "note", "none; is it plugged in, or the Pi camera's cable seated?", "rpicam-hello")
    if find_spec("picamera2") is not None:
        yield Finding("camera", "well", "picamera2 is installed: --source picamera")
    if virtual:
        yield Finding("virtual webcam", "well", ", ".join(f"/dev/{name}" for name in sorted(virtual)))
    else:
        yield Finding("virtual webcam", "note", "none", "sudo apt install v4l2loopback-dkms")
    if virtual and find_spec("pyvirtualcam") is None:
        words = "pyvirtualcam is missing, so nothing can be shown there"
        yield Finding("virtual webcam", "note", words, "pip install 'edgematte[virtualcam]'")


def _pictures() -> Iterator[Finding]:
    if tells_of_damage():
        yield Finding("pictures", "well", "damaged JPEGs are told from sound ones")
    else:
        yield Finding("pictures", "wrong", "damaged JPEGs are taken for sound ones", "sudo apt install libturbojpeg0")


def _programs() -> Iterator[Finding]:
    found = find_ffmpeg()
    words = (
        found or "not installed: no sound, no transparent video, no interlaced or damaged one read, no recording safe"
    )
    yield Finding("ffmpeg", "well" if found else "note", words, None if found else "sudo apt install ffmpeg")
    free = shutil.disk_usage(Path.cwd()).free
    full = free < 200 * 2**20
    yield Finding(
        "disk", "wrong" if full else "well", f"{free / 2**30:.1f} GB free here", "make room" if full else None
    )
