"""A Debian kernel and an unpacked Debian → a kiosk with systemd whose power can be cut, and whose disk stays as it was.

A board is played by QEMU, which takes seconds for what a board does in one. Where only the kernel, its file system and
systemd matter, user-mode Linux plays this PC's own kind of machine, nearly as fast as the PC itself.

Two disks: the system's own, which keeps what was written to it, and a stick that is read only. What the kiosk does is a
script on the stick; its name comes on the kernel's command line. Everything it says comes out of its console.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from . import debian
from .boot import archive
from .cores import Core
from .emulator import LAST_WORDS, BoardError, unpacked_program
from .needs import output_of, tool

# All that an update asks of a system; Raspberry Pi OS has it.
PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "apt", "dpkg", "gpg", "gpgv", "python3", "libstdc++6", "libgomp1", "mawk"),
    *("coreutils", "util-linux", "mount", "bash", "dash", "grep", "sed", "tar", "findutils", "kmod"),
)
DISK_MIB = 3072  # sparse: it takes what is in it
MODULES = ("virtio", "virtio_ring", "virtio_mmio", "virtio_blk")
# The stick's script runs when the system is up; after it the kiosk is off.
SERVICE = """[Unit]
Description=What the test asks for
After=basic.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
ExecStartPre=/bin/mount -o ro LABEL=stick /media/stick
ExecStart=/bin/sh /media/stick/kiosk.sh
ExecStopPost=/bin/sh -c 'echo ENDED $EXIT_STATUS; sync; exec /bin/systemctl poweroff -ff'
"""
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /disk
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for module in {modules}; do /bin/busybox insmod /$module.ko; done
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 $(/bin/busybox findfs LABEL=system) /disk
/bin/busybox mount --move /dev /disk/dev
init=/usr/lib/systemd/systemd
/bin/busybox grep -q quick /proc/cmdline && init=/usr/sbin/quick-init
exec /bin/busybox switch_root /disk $init
"""
# Instead of systemd: what a kiosk does at boot and nothing else. It is up in seconds.
QUICK_INIT = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
exec </dev/console >/dev/console 2>&1
mount -o ro "$(findfs LABEL=stick)" /media/stick
[ ! -f /opt/edgematte/recover ] || sh /opt/edgematte/recover
sh /media/stick/kiosk.sh
echo "ENDED $?"
sync
exec busybox poweroff -f
"""


class Kiosk:
    """A machine that is off. `work` keeps downloads; `folder` is the kiosk's own."""

    def __init__(self, *, core: Core | None, work: Path, folder: Path) -> None:
        """`core` None: user-mode Linux, which only a PC with an x86 processor can be."""
        self.core, self.folder = core, folder
        folder.mkdir(parents=True, exist_ok=True)
        architecture = "arm64" if core else "amd64"
        system = debian.unpack(architecture, PACKAGES, work / f"kiosk-{architecture}")
        kernel = debian.unpack(
            architecture, [f"linux-image-cloud-{architecture}", "busybox-static"], work / f"kernel-{architecture}"
        )
        if core:
            self._player = debian.unpack(debian.this_architecture(), ["qemu-system-arm"], work / "qemu-system")
            (self._kernel,) = (kernel / "boot").glob("vmlinuz-*")
            self._initramfs = folder / "initramfs.gz"
            self._initramfs.write_bytes(gzip.compress(archive(self._first_files(kernel))))
        else:
            self._player = debian.unpack(architecture, ["user-mode-linux"], work / "user-mode-linux")
        self.disk, self.stick = folder / "disk.ext4", folder / "stick.ext4"
        staging = folder / "system"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(system, staging, symlinks=True, copy_function=os.link)
        _configure(staging)
        shutil.copy(kernel / "bin" / "busybox", staging / "usr/bin/busybox")
        self.disk.unlink(missing_ok=True)
        _make_disk(self.disk, "system", staging, DISK_MIB)
        shutil.rmtree(staging)

    def _first_files(self, kernel: Path) -> Mapping[str, bytes]:
        init = INIT.format(modules=" ".join(MODULES))
        files = {"init": init.encode(), "bin/busybox": (kernel / "bin" / "busybox").read_bytes()}
        for module in MODULES:
            (found,) = (kernel / "usr" / "lib" / "modules").rglob(f"{module}.ko")
            files[f"{module}.ko"] = found.read_bytes()
        return files

    def plug_in(self, stick: Path) -> None:
        """Makes the folder the stick; its kiosk.sh is what the kiosk does when it is switched on."""
        self.stick.unlink(missing_ok=True)
        size = sum(path.stat().st_size + 8192 for path in stick.rglob("*") if path.is_file())
        _make_disk(self.stick, "stick", stick, round(size * 1.1) // 2**20 + 24)

    def run(
        self, words: str, *, seconds: float, cut_s: float | None = None, quick: bool = False, clock: str = "utc"
    ) -> str:
        """Switches it on and returns what it said until it was off.

        `words` go onto the kernel's command line as `kiosk=WORDS`. With `cut_s` the power is cut so long after it said
        BEGIN, unless it is off by then. `quick` leaves systemd out. Raises BoardError when it is not off in time.
        """
        console = self.folder / "console.txt"
        command = (
            self._by_qemu(words, clock, quick=quick) if self.core else self._by_user_mode_linux(words, quick=quick)
        )
        with console.open("wb") as said_there:
            # A group of its own: user-mode Linux is several processes, and all lose their power at once.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said_there, stderr=subprocess.PIPE, start_new_session=True
            )
        until, cut_at = time.monotonic() + seconds, None
        try:
            while process.poll() is None:
                said = console.read_text(errors="replace")
                if cut_s is not None and cut_at is None and "BEGIN" in said:
                    cut_at = time.monotonic() + cut_s
                if cut_at is not None and time.monotonic() >= cut_at:
                    break
                if time.monotonic() > until:
                    raise BoardError(f"the kiosk was not off after {seconds:.0f} s; it said: {said[-LAST_WORDS:]}")
                time.sleep(0.02)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, complaint = process.communicate()
        if process.returncode not in (0, -9):
            raise BoardError(f"it ended with {process.returncode}: {complaint.decode(errors='replace')[-LAST_WORDS:]}")
        return console.read_text(errors="replace")

    def _by_qemu(self, words: str, clock: str, *, quick: bool) -> list[str | Path]:
        assert self.core is not None
        how = " quick" if quick else ""
        return [
            *unpacked_program(self._player, "qemu-system-aarch64"),
            *("-machine", "virt", "-cpu", self.core.qemu, "-m", "1024M", "-smp", "2", "-rtc", f"base={clock}"),
            *("-kernel", self._kernel, "-initrd", self._initramfs),
            *("-append", f"console=ttyAMA0 panic=-1 quiet systemd.show_status=0 kiosk={words}{how}"),
            *("-drive", f"if=none,id=disk,format=raw,file={self.disk}", "-device", "virtio-blk-device,drive=disk"),
            *("-drive", f"if=none,id=stick,format=raw,readonly=on,file={self.stick}"),
            *("-device", "virtio-blk-device,drive=stick", "-nic", "none", "-display", "none", "-monitor", "none"),
            *("-serial", "stdio", "-no-reboot"),
        ]

    def _by_user_mode_linux(self, words: str, *, quick: bool) -> list[str | Path]:
        init = "/usr/sbin/quick-init" if quick else "/usr/lib/systemd/systemd"
        return [
            self._player / "usr/bin/linux.uml",
            *(f"ubda={self.disk}", f"ubdbr={self.stick}", "root=/dev/ubda", "rw", "rootfstype=ext4", f"init={init}"),
            *("mem=512M", "con=null", "con0=null,fd:1", "quiet", "panic=-1", "systemd.show_status=0", f"kiosk={words}"),
        ]


def _make_disk(image: Path, label: str, content: Path, mib: int) -> None:
    mkfs = tool("mkfs.ext4", "e2fsprogs")
    output_of([mkfs, "-q", "-L", label, "-E", "root_owner=0:0", "-d", content, image, f"{mib}M"], seconds=300)


def _configure(system: Path) -> None:
    """What Debian's installer would leave in a system that was only unpacked."""
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
        "etc/group": "root:x:0:\ntty:x:5:\ndisk:x:6:\nvideo:x:44:\nnogroup:x:65534:\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/fstab": "",
        "var/lib/dpkg/status": "Package: python3\nStatus: install ok installed\nArchitecture: all\nVersion: 3.11.2-1\n"
        "Maintainer: nobody\nDescription: here\n",
        "etc/systemd/system/kiosk.service": SERVICE,
        "usr/sbin/quick-init": QUICK_INIT,
    }
    for name, content in files.items():
        place = system / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # never through a link to what all kiosks share
        place.write_text(content)
    (system / "usr/sbin/quick-init").chmod(0o755)
    for folder in ("media/stick", "proc", "sys", "dev", "run", "tmp", "root", "opt", "usr/local/bin", "var/tmp"):
        (system / folder).mkdir(parents=True, exist_ok=True)
    wanted = system / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    (wanted / "kiosk.service").symlink_to("/etc/systemd/system/kiosk.service")
    for needless in ("getty.target", "systemd-random-seed.service", "systemd-update-utmp.service"):
        (system / "etc/systemd/system" / needless).symlink_to("/dev/null")
    (system / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    if not (system / "usr/bin/awk").exists():
        (system / "usr/bin/awk").symlink_to("mawk")
