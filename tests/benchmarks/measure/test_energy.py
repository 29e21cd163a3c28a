"""Joules per call on three kinds of meters. The boards are faked, file by file; no machine that runs tests has all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgematte.benchmarks.measure.energy import Meter, find_meter, measure

PMIC = """\
 3V7_WL_SW_A current(0)=0.10000000A
 VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=3.70000000V
 VDD_CORE_V volt(15)=0.90000000V
 EXT5V_V volt(24)=5.15800000V
"""


def no_command() -> str | None:
    return None


def put(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return folder


class Board:
    """A clock that calls move, and the watts that flow meanwhile."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.joules = 0.0

    def spend(self, seconds: float, watts: float) -> None:
        self.now_s += seconds
        self.joules += seconds * watts

    def clock_s(self) -> float:
        return self.now_s


@pytest.fixture
def board() -> Board:
    return Board()


def test_a_machine_without_a_meter_has_no_figure(tmp_path: Path) -> None:
    assert find_meter(tmp_path, no_command) is None


def test_powercap_counts_the_whole_package_and_not_a_part_of_it(tmp_path: Path) -> None:
    zones = tmp_path / "sys/class/powercap"
    put(zones / "intel-rapl:0", name="package-0", energy_uj="5000000", max_energy_range_uj="262143328850")
    put(zones / "intel-rapl:0:0", name="core", energy_uj="1", max_energy_range_uj="2")
    meter = find_meter(tmp_path, no_command)
    assert meter is not None
    assert (meter.name, meter.read(), meter.counts) == ("powercap package-0", 5.0, True)


def test_a_counter_that_only_root_may_read_is_no_meter(tmp_path: Path) -> None:
    zone = put(tmp_path / "sys/class/powercap/intel-rapl:0", name="package-0", max_energy_range_uj="1000")
    (zone / "energy_uj").mkdir()  # reading a folder fails as reading without permission does, for root too
    assert find_meter(tmp_path, no_command) is None


def test_an_ina_sensor_shows_watts(tmp_path: Path) -> None:
    chips = tmp_path / "sys/class/hwmon"
    put(chips / "hwmon0", name="cpu_thermal", temp1_input="50000")
    put(chips / "hwmon1", name="ina3221", power1_input="4250000", power1_label="VDD_IN")
    meter = find_meter(tmp_path, no_command)
    assert meter is not None
    assert (meter.name, meter.read(), meter.counts) == ("ina3221 VDD_IN", 4.25, False)


def test_a_raspberry_pi_5_sums_current_times_voltage_over_its_rails(tmp_path: Path) -> None:
    meter = find_meter(tmp_path, lambda: PMIC)
    assert meter is not None
    # 0.1 A · 3.7 V + 2 A · 0.9 V; the 5 V input has no current reading and counts nothing.
    assert meter.read() == pytest.approx(2.17)


def test_joules_per_call_from_a_counter_that_wraps_around(board: Board) -> None:
    meter = Meter("counter", lambda: (90.0 + board.joules) % 100.0, counts=True, wraps_at_j=100.0)
    calls: dict[str, Callable[[], object]] = {
        "int8": lambda: board.spend(0.1, 5.0),
        "float": lambda: board.spend(0.25, 6.0),
    }
    found = measure(meter, calls, blocks=4, clock_s=board.clock_s, rest=lambda seconds: board.spend(seconds, 2.0))
    assert found is not None
    assert found["int8"].joules_per_call == pytest.approx(0.5)
    assert found["float"].joules_per_call == pytest.approx(1.5)
    assert found["int8"].idle_w == pytest.approx(2.0)
    assert found["int8"].meter == "counter"


def test_joules_per_call_from_a_meter_of_watts(board: Board) -> None:
    watts = 0.0

    def draw(seconds: float, power: float) -> None:
        nonlocal watts
        watts = power
        board.spend(seconds, power)

    meter = Meter("ina219 power1", lambda: watts, counts=False)
    found = measure(
        meter, {"int8": lambda: draw(0.125, 4.0)}, blocks=2, clock_s=board.clock_s, rest=lambda s: draw(s, 1.5)
    )
    assert found is not None
    assert found["int8"].joules_per_call == pytest.approx(0.5)
    assert found["int8"].idle_w == pytest.approx(1.5)


def test_a_meter_that_stops_answering_gives_no_figure_at_all(board: Board) -> None:
    readings = iter([1.0, 2.0, None])
    meter = Meter("counter", lambda: next(readings, None), counts=True)
    found = measure(
        meter, {"int8": lambda: board.spend(1, 1)}, blocks=2, clock_s=board.clock_s, rest=lambda s: board.spend(s, 1)
    )
    assert found is None
