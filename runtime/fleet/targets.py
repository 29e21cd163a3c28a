"""The words `pi64`, `pi32`, `pc64` and a Python's version → what wheels and packages for such a device are called."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ..errors import UsageError

NEWEST_GLIBC_MINOR = {"3.11": 36, "3.13": 41}  # of the Debian release with that Python: 12 and 13
OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True)
class Target:
    """A kind of device."""

    name: str
    python: str  # "3.11": the system's own
    architecture: str  # as Debian says it
    machine: str  # as Python and wheels say it
    # Packages that no wheel exists of, by the name Python knows: these come with the device's own Debian.
    from_system: MappingProxyType[str, str]

    @property
    def platforms(self) -> tuple[str, ...]:
        """Names of platforms whose wheels run there, as pip takes them."""
        newest = NEWEST_GLIBC_MINOR[self.python]
        modern = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, OLDEST_GLIBC_MINOR - 1, -1)]
        return (*modern, f"manylinux2014_{self.machine}", f"linux_{self.machine}")

    @property
    def abis(self) -> tuple[str, ...]:
        """Binary interfaces that this Python loads, as pip takes them."""
        return (f"cp{self.python.replace('.', '')}", "abi3", "none")

    @property
    def markers(self) -> dict[str, str]:
        """What a requirement's marker asks of a device (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


_NONE: MappingProxyType[str, str] = MappingProxyType({})
_DEBIANS = MappingProxyType(
    {"numpy": "python3-numpy", "opencv-python-headless": "python3-opencv", "pillow": "python3-pil"}
)
_BOARDS = {
    "pi64": ("arm64", "aarch64", _NONE),
    "pi32": ("armhf", "armv7l", _DEBIANS),
    "pc64": ("amd64", "x86_64", _NONE),
}


def target(name: str, python: str) -> Target:
    """Raises UsageError for a device that cannot be built for."""
    if name not in _BOARDS:
        raise UsageError(f"--target {name}; expected one of: {', '.join(_BOARDS)}")
    if python not in NEWEST_GLIBC_MINOR:
        raise UsageError(f"--python {python}; expected one of: {', '.join(NEWEST_GLIBC_MINOR)} (Debian 12 and 13)")
    if name == "pi32" and python != "3.11":
        raise UsageError("--target pi32 --python 3.13: no interpreter has a wheel for it; expected --python 3.11")
    architecture, machine, from_system = _BOARDS[name]
    return Target(name, python, architecture, machine, from_system)
