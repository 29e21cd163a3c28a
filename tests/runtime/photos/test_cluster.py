"""Two real Dask workers, each a process, and a scheduler; `make test-cluster` installs what this needs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs the extra [cluster]; make test-cluster installs it")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
PROGRAM = "from edgematte.runtime.cli import main; main()"
START_S = 120  # a worker imports all of Dask; on a loaded machine that takes a while


@dataclass
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    def add_worker(self) -> None:
        command = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        self.workers.append(dask(*command))


def dask(*words: str) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "dask", *words], **quiet)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Started once, for that takes longest; a test that kills a worker starts another, the last kills the scheduler."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    started = Cluster(f"tcp://127.0.0.1:{port}", scheduler, [])
    try:
        wait_for_port(port)
        started.add_worker()
        started.add_worker()
        wait_for_workers(started.address, 2)
        yield started
    finally:
        for process in [*started.workers, scheduler]:
            process.kill()
            process.wait()


def wait_for_port(port: int) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def wait_for_workers(address: str, number: int) -> None:
    code = f"from distributed import Client; Client({address!r}).wait_for_workers({number}, timeout={START_S})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture
def many(tmp_path: Path, photos: Path) -> Path:
    """in/ with 24 photos in two folders, one of them damaged."""
    folder = tmp_path / "in"
    originals = sorted((photos / "images").glob("*.jpg"))
    for number in range(24):
        place = folder / f"day {number % 2}" / f"{number:02}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        data = originals[number % len(originals)].read_bytes()
        place.write_bytes(data[:9000] if number == 7 else data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_lost_workers_photos_are_cut_by_the_other_none_lost_none_doubled(
    cluster: Cluster, many: Path, tmp_path: Path, run_program: Run
) -> None:
    """One of two workers is killed, as by a power cut, after the first photos came back."""
    words = ["cut", str(many), "-o", str(tmp_path / "far"), "--dask", cluster.address, "--json"]
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    lines = [running.stdout.readline() for _ in range(4)]
    cluster.workers[0].send_signal(signal.SIGKILL)
    rest, said = running.communicate(timeout=240)
    told = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert running.returncode == 1, said.decode()
    assert sorted(line["input"] for line in told) == sorted(map(str, many.rglob("*.jpg"))), "each photo exactly once"
    (bad,) = (line for line in told if line["error"])
    assert "07.jpg: the JPEG is cut short" in bad["error"]
    assert said.decode().splitlines()[0].startswith("edgematte: "), "nothing of Dask's own words"
    assert len(said.decode().splitlines()) == 2

    here = run_program("cut", many, "-o", tmp_path / "near")
    assert here.returncode == 1
    assert len(contents(tmp_path / "near")) == 23
    assert contents(tmp_path / "far") == contents(tmp_path / "near"), "to the last byte"
    cluster.add_worker()


# The program, but all workers are killed when the third cut is finished and still lies with its worker.
KILL_BEFORE_RECEIVING = """
import os, signal, sys
from edgematte.runtime.photos import cluster
cluster.RECEIVE_S = 5.0
pids, receive, calls = map(int, sys.argv.pop(1).split(",")), cluster.Cluster._receive, iter(range(1000))
def _receive(self, future, sent):
    if next(calls) == 2:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        print("killed", file=sys.stderr, flush=True)
    return receive(self, future, sent)
cluster.Cluster._receive = _receive
from edgematte.runtime.cli import main
main()
"""


def test_cuts_that_are_lost_with_all_workers_are_made_again_by_a_new_one(
    cluster: Cluster, many: Path, tmp_path: Path
) -> None:
    """Dask then waits for a worker to make the result again, and would wait for ever for one that never comes."""
    pids = ",".join(str(worker.pid) for worker in cluster.workers if worker.poll() is None)
    words = [pids, "cut", str(many), "-o", str(tmp_path / "out"), "--dask", cluster.address, "--json"]
    running = subprocess.Popen(
        [sys.executable, "-c", KILL_BEFORE_RECEIVING, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stderr is not None
    assert any(line == b"killed\n" for line in running.stderr)
    cluster.add_worker()
    cluster.add_worker()
    printed, said = running.communicate(timeout=240)
    assert running.returncode == 1, said
    told = [json.loads(line) for line in printed.splitlines()]
    assert sorted(line["input"] for line in told) == sorted(map(str, many.rglob("*.jpg")))
    assert len(contents(tmp_path / "out")) == 23


def test_a_model_of_the_users_own_travels_with_the_photos(
    cluster: Cluster, flag_file: Path, model: Path, tmp_path: Path, run_program: Run
) -> None:
    far, near = tmp_path / "far.png", tmp_path / "near.png"
    assert run_program("cut", flag_file, "-m", model, "-o", near).returncode == 0
    done = run_program("cut", flag_file, "-m", model, "-o", far, "--dask", cluster.address)
    assert done.returncode == 0, done.stderr
    assert far.read_bytes() == near.read_bytes()


def test_nobody_at_the_address_is_named(run_program: Run, flag_file: Path, model: Path) -> None:
    for address, code, says in (
        ("tcp://127.0.0.1:9", 1, "no Dask scheduler answers at tcp://127.0.0.1:9"),
        ("nonsense://x", 2, "is not an address"),
    ):
        done = run_program("cut", flag_file, "-m", model, "--dask", address)
        assert done.returncode == code, done.stderr
        assert says in done.stderr.decode()
        assert len(done.stderr.decode().splitlines()) == 1


def test_ctrl_c_ends_the_run_and_leaves_the_cluster_working(
    cluster: Cluster, many: Path, tmp_path: Path, run_program: Run
) -> None:
    command = [sys.executable, "-u", "-c", PROGRAM, "cut", str(many), "-o", str(tmp_path / "out")]
    running = subprocess.Popen([*command, "--dask", cluster.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=240)
    assert running.returncode == 130, said
    assert said.decode().splitlines()[-1] == "edgematte: interrupted; what was written is whole"
    assert not list((tmp_path / "out").rglob(".*")), "no temporary file stays"
    again = run_program("cut", many, "-o", tmp_path / "out", "--dask", cluster.address, "--resume")
    assert again.returncode == 1
    assert len(contents(tmp_path / "out")) == 23


def test_a_scheduler_that_goes_is_named_and_resuming_finishes_the_rest(
    cluster: Cluster, many: Path, tmp_path: Path, run_program: Run
) -> None:
    words = ["cut", str(many), "-o", str(tmp_path / "out")]
    command = [sys.executable, "-u", "-c", PROGRAM, *words, "--dask", cluster.address]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    cluster.scheduler.kill()
    _, said = running.communicate(timeout=240)
    assert running.returncode == 1
    assert f"the Dask scheduler at {cluster.address} is gone" in said.decode().splitlines()[-1]
    assert "--resume" in said.decode()
    assert "Traceback" not in said.decode()
    done = run_program(*words, "--resume")
    assert done.returncode == 1
    assert len(contents(tmp_path / "out")) == 23
