"""Five thousand requests without growing, and what the way through HTTP costs; `make test-serve`, many minutes."""

from __future__ import annotations

import os
import resource
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="pip install 'edgematte[booth]'")
pytest.importorskip("python_multipart", reason="pip install 'edgematte[booth]'")

from edgematte.benchmarks.studies.batch import resident_mb
from edgematte.runtime.photos.cutter import CutOptions, Cutter, load_cutter

from ..serve_parts import program, smaller

if "EDGEMATTE_ENDURANCE" not in os.environ:
    pytest.skip("takes many minutes: make test-serve", allow_module_level=True)

REQUESTS = 5_000
CLIENTS = 4
MOST_GROWTH_MB = 5.0
ROUNDS = 7
LEAST_SHARE = 0.9


def test_five_thousand_requests_do_not_grow_the_memory(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures of many sizes, cut-outs, masks and colours, one in eleven damaged; of all processes together.

    The second fifth is compared with the last: by then every buffer has been as large as it gets.
    """
    files = sorted((photos / "images").glob("*.jpg"))
    wishes: list[dict[str, str]] = [{}, {"om": "true"}, {"bgc": "255,0,255,255"}, {}, {}]
    work = [
        (smaller(file, side_px), wish)
        for file in files
        for side_px, wish in zip((64, 100, 150, 220, 320), wishes, strict=True)
    ]
    work += [(photo[: len(photo) // 2], {}) for photo, _ in work[::10]]
    resident: list[float] = []
    states: list[int] = []
    with program("--queue", 8) as running:
        numbers = count()

        def ask() -> None:
            while (number := next(numbers)) < REQUESTS:
                photo, fields = work[number % len(work)]
                states.append(running.client.remove(photo, **fields).status)
                if number % 10 == 0:
                    resident.append(resident_mb(running.process.pid))

        begun_s = time.monotonic()
        run_threads([ask] * CLIENTS)
        taken_s = time.monotonic() - begun_s
        assert running.stop() == 0
    fifth = len(resident) // 5
    early, late = statistics.median(resident[fifth : 2 * fifth]), statistics.median(resident[-fifth:])
    with capsys.disabled():
        print(
            f"\n{len(states)} requests in {taken_s:.0f} s: {states.count(200)} pictures, {states.count(400)} refused; "
            f"{early:.1f} MB in the second fifth, {late:.1f} MB in the last, {max(resident):.1f} MB at most"
        )
    assert set(states) == {200, 400}
    assert late - early < MOST_GROWTH_MB


@pytest.mark.parametrize("side_px", [512, 1600])
def test_the_way_through_http_costs_little(photos: Path, side_px: int, capsys: pytest.CaptureFixture[str]) -> None:
    """As many pictures a second as four threads that call the function itself; measured by turns, ratio of each turn.

    Both use one thread per network; `cut` has a network for each of its four threads, the service one for each of two
    processes. CPU time beside it, because a build machine is shared.
    """
    photo = smaller(photos / "images" / "hopper.jpg", side_px)
    each = max(1, 8 * 512 // side_px)
    cutters = [load_cutter(CutOptions(threads=1)) for _ in range(CLIENTS)]
    walls: list[float] = []
    processors: list[float] = []
    with program("--threads", 1) as running:

        def bare(cutter: Cutter) -> None:
            for _ in range(each):
                cutter(photo, name="photo", suffix=".png")

        def served() -> None:
            for _ in range(each):
                assert running.client.remove(photo).status == 200

        for number in range(ROUNDS + 1):
            bare_s, bare_cpu_s = timed([partial(bare, cutter) for cutter in cutters], running.process.pid)
            served_s, served_cpu_s = timed([served] * CLIENTS, running.process.pid)
            if number:  # the first warms up
                walls.append(bare_s / served_s)
                processors.append(bare_cpu_s / served_cpu_s)
    pictures = CLIENTS * each
    with capsys.disabled():
        print(
            f"\n{side_px} px, {CLIENTS} clients: {pictures / served_s:.1f} pictures a second through HTTP; throughput "
            f"{statistics.median(walls):.2f} of the bare function's (each turn: "
            f"{' '.join(f'{ratio:.2f}' for ratio in walls)}), CPU time {1 / statistics.median(processors):.2f} of its"
        )
    assert statistics.median(walls) >= LEAST_SHARE


def timed(work: list[Callable[[], None]], pid: int) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time: of this process or of the service, whichever did it."""
    clock, cpu = time.monotonic(), processor_s(pid)
    run_threads(work)
    return time.monotonic() - clock, processor_s(pid) - cpu


def processor_s(pid: int) -> float:
    """CPU seconds of this process and of a service's processes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = used.ru_utime + used.ru_stime
    for process in [pid, *children(pid)]:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run_threads(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
