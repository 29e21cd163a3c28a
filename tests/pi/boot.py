"""A Debian kernel, an unpacked Debian and what pip installed → a whole 64-bit board that boots, runs one program, ends.

The board's disk is an image made here, its kernel Debian's for virtual machines, its processor and memory those named.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cores import Core
from .device_install import PYTHON
from .emulator import LAST_WORDS, BoardError, unpacked_program
from .needs import output_of, tool

# In this order: what the board's disk hangs on. Everything else is built into Debian's kernel.
MODULES = ("virtio", "virtio_ring", "virtio_mmio", "virtio_blk")
DISK_MIB = 1024  # sparse: it takes what is in it
REGULAR, EXECUTABLE, FOLDER = 0o100644, 0o100755, 0o040755
# A file system in memory that loads four modules, and goes over to the disk.
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /disk
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /$module.ko; done
/bin/busybox mount -t ext4 /dev/vda /disk
for kind in proc sysfs devtmpfs; do
  case $kind in sysfs) place=sys;; devtmpfs) place=dev;; *) place=$kind;; esac
  /bin/busybox mkdir -p /disk/$place
  /bin/busybox mount -t $kind $kind /disk/$place
done
export PATH=/usr/bin:/bin LANG=C.UTF-8 HOME=/root PYTHONPATH=/opt/packages
/bin/busybox chroot /disk /usr/bin/python{python} {program}
echo "ENDED $?"
/bin/busybox poweroff -f
"""


@dataclass(frozen=True)
class Machine:
    """The parts of an emulated board."""

    core: Core
    cores: int
    memory_mib: int
    kernel: Path  # vmlinuz
    initramfs: Path
    disk: Path


def build(
    folder: Path,
    *,
    debian: Path,
    kernel: Path,
    packages: Path,
    files: Mapping[str, Path],
    program: Sequence[str],
    core: Core,
    cores: int,
    memory_mib: int,
) -> Machine:
    """A board whose disk holds `debian`, `packages` under /opt/packages, and `files` where they are named.

    `kernel` is a folder with linux-image-cloud-arm64 and busybox-static, unpacked; `program` what Python is to run.
    Raises MissingToolError without mkfs.ext4.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging, disk = folder / "disk", folder / "disk.ext4"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(debian, staging, symlinks=True, copy_function=os.link)
    shutil.copytree(packages, staging / "opt" / "packages", symlinks=True, copy_function=os.link)
    for name, file in files.items():
        place = staging / name.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    (staging / "var" / "tmp").mkdir(parents=True, exist_ok=True)
    disk.unlink(missing_ok=True)
    mkfs = tool("mkfs.ext4", "e2fsprogs")
    output_of([mkfs, "-q", "-E", "root_owner=0:0", "-d", staging, disk, f"{DISK_MIB}M"], seconds=300)
    shutil.rmtree(staging)

    (image,) = (kernel / "boot").glob("vmlinuz-*")
    initramfs = folder / "initramfs.gz"
    init = INIT.format(modules=" ".join(MODULES), python=PYTHON, program=" ".join(program))
    contents: dict[str, bytes] = {"init": init.encode(), "bin/busybox": (kernel / "bin" / "busybox").read_bytes()}
    for module in MODULES:
        (found,) = (kernel / "usr" / "lib" / "modules").rglob(f"{module}.ko")
        contents[f"{module}.ko"] = found.read_bytes()
    initramfs.write_bytes(gzip.compress(archive(contents)))
    return Machine(core, cores, memory_mib, image, initramfs, disk)


def archive(files: Mapping[str, bytes]) -> bytes:
    """The kernel's format of a first file system, "newc" (its Documentation/driver-api/early-userspace)."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    entries = [(name, FOLDER, b"") for name in folders]
    entries += [(name, REGULAR if name.endswith(".ko") else EXECUTABLE, content) for name, content in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    packed = bytearray()
    for number, (name, mode, content) in enumerate(entries, start=1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        packed += b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
        packed += bytes(-len(packed) % 4)
        packed += content
        packed += bytes(-len(packed) % 4)
    return bytes(packed)


def run(machine: Machine, qemu: Path, *, seconds: float) -> str:
    """Boots, and returns all that the board said on its console until it was off. The disk stays as it is.

    The board's clock advances by a nanosecond per instruction, so that what waits or gives up there does so as on a
    board of about that speed, however busy this PC is. Raises BoardError when it is not off in time.
    """
    console = machine.disk.with_name("console.txt")  # to look at while it runs
    command = [
        *unpacked_program(qemu, "qemu-system-aarch64"),
        *("-machine", "virt", "-cpu", machine.core.qemu, "-smp", str(machine.cores), "-m", f"{machine.memory_mib}M"),
        *("-icount", "shift=0,sleep=off"),
        *("-kernel", machine.kernel, "-initrd", machine.initramfs, "-append", "console=ttyAMA0 panic=-1 quiet"),
        *("-drive", f"if=none,id=disk,format=raw,snapshot=on,file={machine.disk}"),
        *("-device", "virtio-blk-device,drive=disk", "-nic", "none", "-display", "none", "-monitor", "none"),
        *("-serial", f"file:{console}", "-no-reboot"),
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise BoardError(f"the board was not off after {seconds:.0f} s; it said: {_last_words(console)}") from error
    if done.returncode:
        raise BoardError(f"QEMU ended with {done.returncode}: {done.stderr.decode(errors='replace')[-LAST_WORDS:]}")
    return console.read_text(errors="replace")


def _last_words(console: Path) -> str:
    return console.read_text(errors="replace")[-LAST_WORDS:] if console.is_file() else "nothing"
