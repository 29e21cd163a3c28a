"""A Raspberry Pi's processor → the files its kernel shows of it, which interpreters read to choose their kernels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COUNT = 4  # every board since the Pi 2


@dataclass(frozen=True)
class Core:
    """One of the processors that the boards have."""

    name: str  # as Arm writes it
    board: str
    part: str  # in /proc/cpuinfo
    features: str  # in /proc/cpuinfo
    architecture: int  # 7: 32 bits; 8: 64
    dot_products: bool  # has SDOT and UDOT: four int8 products and their sum per lane and instruction
    qemu: str  # QEMU's name of it


A7 = Core(
    "Cortex-A7",
    "Raspberry Pi 2",
    "0xc07",
    "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm",
    7,
    False,
    "cortex-a7",
)
A53 = Core("Cortex-A53", "Raspberry Pi Zero 2 W", "0xd03", "fp asimd evtstrm crc32 cpuid", 8, False, "cortex-a53")
A72 = Core("Cortex-A72", "Raspberry Pi 4", "0xd08", "fp asimd evtstrm crc32 cpuid", 8, False, "cortex-a72")
A76 = Core(
    "Cortex-A76",
    "Raspberry Pi 5",
    "0xd0b",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    8,
    True,
    "cortex-a76",
)


def describe(core: Core, root: Path) -> None:
    """Writes /proc/cpuinfo and /sys/devices/system/cpu under `root`.

    Without them ai-edge-litert 2.3 reads the PC's, and ends with a segmentation fault when these are of another kind.
    """
    cpuinfo = "".join(
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {core.features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: {core.architecture}\nCPU variant\t: 0x0\nCPU part\t: {core.part}\nCPU revision\t: 3\n\n"
        for number in range(COUNT)
    )
    everybody = f"0-{COUNT - 1}"
    cpus = "sys/devices/system/cpu"
    files = {"proc/cpuinfo": cpuinfo, f"{cpus}/kernel_max": "7"}
    files |= {f"{cpus}/{name}": everybody for name in ("possible", "present", "online")}
    for number in range(COUNT):
        cpu = f"{cpus}/cpu{number}"
        alone = str(number)
        files |= {f"{cpu}/topology/physical_package_id": "0", f"{cpu}/topology/core_id": alone}
        for name in ("core_siblings_list", "cluster_cpus_list", "package_cpus_list"):
            files[f"{cpu}/topology/{name}"] = everybody
        for name in ("thread_siblings_list", "core_cpus_list"):
            files[f"{cpu}/topology/{name}"] = alone
        files |= {f"{cpu}/cpufreq/cpuinfo_max_freq": "1500000", f"{cpu}/cpufreq/cpuinfo_min_freq": "600000"}
        for index, (level, kind, size, shared) in enumerate(
            (("1", "Data", "32K", alone), ("1", "Instruction", "32K", alone), ("2", "Unified", "1024K", everybody))
        ):
            cache = f"{cpu}/cache/index{index}"
            files |= {f"{cache}/level": level, f"{cache}/type": kind, f"{cache}/size": size}
            files[f"{cache}/shared_cpu_list"] = shared
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.rstrip("\n") + "\n")
