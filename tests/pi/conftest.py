"""The boards that tests run on, built once in build/pi/ and kept there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgematte.convert.targets import pi32
from edgematte.runtime.network.interpreter import CHOICE_VARIABLE

from . import debian
from .cores import A72, A76, Core
from .device_install import build_wheel, install, requirements, unpacked
from .emulator import Guest, board, unpacked_program, version
from .needs import MissingToolError
from .record import Cut, NetworkCount, write, write_counts

COMMAND = "make test-pi RESULTS=benchmarks/results"
ARM64 = "aarch64"
LITERT, OLDER = "ai-edge-litert", "tflite-runtime"
DEBIAN_PACKAGES = ("python3", "libstdc++6", "libgomp1")  # all that the device's wheels expect of a system


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--results", type=Path, metavar="FOLDER", help="where the boards' JSON files go; default: build/pi/results"
    )
    parser.addoption(
        "--boards-optional", action="store_true", help="where a board cannot be built, skip its tests and say why"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with plainly(item.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with plainly(item.config):
        return (yield)


@contextmanager
def plainly(config: pytest.Config) -> Iterator[None]:
    """What this PC lacks ends the run in one line that says what to install: no test could say more."""
    try:
        yield
    except MissingToolError as error:
        reason = f"the board cannot be built here: {error}"
        if config.getoption("--boards-optional"):
            pytest.skip(reason)
        pytest.exit(reason, returncode=2)


@pytest.fixture(scope="session")
def work(root: Path) -> Path:
    """Where downloads and boards are kept."""
    return root / "build" / "pi"


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest, work: Path) -> Path:
    """Where JSON files go."""
    return request.config.getoption("--results") or work / "results"


@pytest.fixture(scope="session")
def found(request: pytest.FixtureRequest, results: Path, qemu_user: Path) -> Iterator[list[Cut | NetworkCount]]:
    """What tests of the 64-bit boards measure; written down when all is done and nothing failed."""
    measured: list[Cut | NetworkCount] = []
    yield measured
    if measured and not request.session.testsfailed:
        counts = [one for one in measured if isinstance(one, NetworkCount)]
        facts = {
            "emulator": version(unpacked_program(qemu_user, f"qemu-{ARM64}")),
            "cuts": [one for one in measured if isinstance(one, Cut)],
            "counts": counts,
        }
        write(results, "pi", COMMAND, facts)
        if counts:
            write_counts(results, "pi", COMMAND, counts)


@pytest.fixture(scope="session")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` gives a device, of the working tree."""
    return build_wheel(root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def qemu_user(work: Path) -> Path:
    """A folder with QEMU's user-mode emulators for this PC."""
    return debian.unpack(debian.this_architecture(), ["qemu-user"], work / "qemu-user")


@pytest.fixture(scope="session")
def debian_arm64(work: Path) -> Path:
    """A 64-bit Raspberry Pi's system, as far as a Python program sees it."""
    return debian.unpack("arm64", DEBIAN_PACKAGES, work / "debian-arm64")


@pytest.fixture(scope="session")
def installed(wheel: Path, work: Path) -> Callable[[str], Path]:
    """Interpreter → a folder where pip installed edgematte with it, for a 64-bit board."""
    # As the wheel asks on the boards that have no other interpreter, so that one list says what goes together.
    needs = [need for need in requirements(wheel, "armv7l") if need.name in (OLDER, "numpy", "opencv-python-headless")]
    others = {LITERT: [], OLDER: [f"{need.name}{need.specifier}" for need in needs]}

    def install_for(interpreter: str) -> Path:
        return install(wheel, others[interpreter], work / f"{interpreter}-{ARM64}", machine=ARM64)

    return install_for


@pytest.fixture(scope="session")
def guest(
    qemu_user: Path, debian_arm64: Path, work: Path, installed: Callable[[str], Path]
) -> Callable[[Core, str], Guest]:
    """A core and an interpreter → the board."""
    emulator = unpacked_program(qemu_user, f"qemu-{ARM64}")

    def guest_of(core: Core, interpreter: str) -> Guest:
        root = board(core, debian_arm64, work / core.qemu)
        return Guest(emulator, root, core, [installed(interpreter)], {CHOICE_VARIABLE: interpreter})

    return guest_of


@pytest.fixture(
    scope="session",
    params=[(A72, LITERT), (A76, LITERT), (A72, OLDER), (A76, OLDER)],
    ids=lambda chosen: f"{chosen[0].qemu}-{chosen[1]}",
)
def any_guest(request: pytest.FixtureRequest, guest: Callable[[Core, str], Guest]) -> Guest:
    """Every 64-bit board with every interpreter."""
    return guest(*request.param)


@pytest.fixture(scope="session", params=[A72, A76], ids=lambda core: core.qemu)
def litert_guest(request: pytest.FixtureRequest, guest: Callable[[Core, str], Guest]) -> Guest:
    """Every 64-bit board with the interpreter that its users get."""
    return guest(request.param, LITERT)


@pytest.fixture(scope="session")
def this_pc(wheel: Path) -> Callable[[str], tuple[list[str], dict[str, str]]]:
    """Interpreter → the words that start `edgematte` on this PC with it, and the environment they need.

    The program is the wheel's, as on the board, so that processors are compared and not two states of the repository.
    """

    def program(interpreter: str) -> tuple[list[str], dict[str, str]]:
        python = Path(sys.executable) if interpreter == LITERT else pi32.find_python()
        if python is None:
            raise MissingToolError(f"no Python with tflite-runtime to compare with: {pi32.HOW_TO_GET_IT}")
        command = [str(python), "-c", "from edgematte.runtime.cli import main; main()"]
        return command, os.environ | {CHOICE_VARIABLE: interpreter, "PYTHONPATH": str(unpacked(wheel))}

    return program
