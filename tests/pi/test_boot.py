"""A whole board with as little memory as the smallest 64-bit Raspberry Pi: a photo and live frames fit into it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edgematte import read, write

from . import boot, debian
from .conftest import LITERT
from .cores import A53
from .emulator import unpacked_program, version
from .record import write as write_record

MEMORY_MIB = 512
CORES = 1  # of the board's four, which QEMU would run by turns
PHOTO = (3280, 2464)  # of the Raspberry Pi Camera Module 2
FRAME = "1280x720"
FRAMES_PER_S = 2  # of the board's time: as many as one emulated core keeps up with. At 30, nine in ten are made in vain
FRAMES = 50
SECONDS = 7200  # two hours for what takes some minutes on a PC with nothing else to do
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def qemu_system(work: Path) -> Path:
    """A folder with QEMU's whole-system emulator for this PC."""
    return debian.unpack(debian.this_architecture(), ["qemu-system-arm"], work / "qemu-system")


@pytest.fixture(scope="module")
def said(qemu_system: Path, debian_arm64: Path, installed: Callable[[str], Path], astronaut: Path, work: Path) -> str:
    """All that the board said between power-on and power-off."""
    photo = work / "boot" / "photo.jpg"
    photo.parent.mkdir(parents=True, exist_ok=True)
    write(photo, cv2.resize(read(astronaut), PHOTO, interpolation=cv2.INTER_CUBIC), overwrite=True)
    machine = boot.build(
        work / "boot",
        debian=debian_arm64,
        kernel=debian.unpack("arm64", ["linux-image-cloud-arm64", "busybox-static"], work / "kernel-arm64"),
        packages=installed(LITERT),
        files={
            "/opt/photo.jpg": photo,
            "/opt/person.jpg": astronaut,
            "/opt/whole_system.py": HERE / "inside" / "whole_system.py",
        },
        program=[
            "/opt/whole_system.py",
            "/opt/photo.jpg",
            f"virtual:/opt/person.jpg,size={FRAME},fps={FRAMES_PER_S}",
        ],
        core=A53,
        cores=CORES,
        memory_mib=MEMORY_MIB,
    )
    return boot.run(machine, qemu_system, seconds=SECONDS)


def test_a_photo_and_live_frames_fit_into_half_a_gigabyte(said: str, qemu_system: Path, results: Path) -> None:
    found = re.search(r"^RESULT (\{.*\})", said, re.MULTILINE)
    assert found, said[-3000:]
    result = json.loads(found[1])
    assert result["machine"] == "aarch64"
    assert result["memory_mib"] <= MEMORY_MIB
    assert result["cut"]["exit_code"] == 0, result["cut"]["said"]
    assert result["cut"]["written_bytes"] > 100_000, "eight megapixels of a portrait"
    assert result["live"]["exit_code"] == 0, result["live"]["said"]
    assert result["live"]["frames"] >= FRAMES
    assert result["killed_for_memory"] == 0
    assert "Out of memory" not in said
    facts = {
        "emulator": version(unpacked_program(qemu_system, "qemu-system-aarch64")),
        "core": A53.name,
        "cores": CORES,
        "photo": {"width": PHOTO[0], "height": PHOTO[1]},
        "frame": FRAME,
        "frames_per_s": FRAMES_PER_S,
        **result,
    }
    write_record(results, "pi-boot", "make test-pi-boot", facts)


def test_the_first_file_system_has_what_the_kernel_looks_for() -> None:
    packed = boot.archive({"init": b"#!/bin/sh\n", "bin/busybox": b"\x7fELF"})
    assert packed.startswith(b"070701")
    assert len(packed) % 4 == 0
    assert b"init\0" in packed
    assert packed.index(b"bin\0") < packed.index(b"bin/busybox\0"), "a folder comes before what is in it"
