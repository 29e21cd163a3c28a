from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from edgematte.runtime.errors import EdgeMatteError
from edgematte.runtime.photos.batch import Outcome
from edgematte.runtime.photos.cutter import CutOptions
from edgematte.runtime.photos.plan import plan
from edgematte.runtime.photos.processes import Workers


@pytest.fixture
def many(tree: Path) -> Path:
    """Nine photos, the fourth of them damaged."""
    for number in range(6):
        shutil.copy(tree / "a.png", tree / f"{number}.png")
    (tree / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return tree


def test_every_photo_is_cut_once_and_a_bad_one_is_named(many: Path, model: Path) -> None:
    jobs = plan([str(many)], None, "cutout").jobs
    with Workers(CutOptions(str(model)), 2) as workers:
        outcomes = list(workers.run(jobs))
        again = list(workers.run(jobs))
    assert sorted(outcome.job.name for outcome in outcomes) == sorted(job.name for job in jobs)
    (bad,) = (outcome for outcome in outcomes if outcome.error)
    assert "3.png: the picture is damaged" in str(bad.error)
    assert len(list(many.rglob("*.cutout.png"))) == 8
    assert sum("exists already" in str(outcome.error) for outcome in again) == 8, "a pool can be used again"


def test_a_process_that_is_killed_costs_one_photo_and_is_replaced(many: Path, model: Path) -> None:
    """As the kernel does when memory runs out. The photo in the killed process's hands is named."""
    for copy in range(40):
        shutil.copy(many / "a.png", many / f"more{copy}.png")
    jobs = plan([str(many)], None, "cutout").jobs
    outcomes: list[Outcome] = []
    victim: int | None = None
    with Workers(CutOptions(str(model)), 2) as workers:
        for outcome in workers.run(jobs):
            if victim is None:
                victim = multiprocessing.active_children()[0].pid
                assert victim is not None
                os.kill(victim, signal.SIGKILL)
            outcomes.append(outcome)
    assert sorted(outcome.job.name for outcome in outcomes) == sorted(job.name for job in jobs)
    killed = [outcome for outcome in outcomes if "SIGKILL; perhaps for want of memory" in str(outcome.error)]
    # It may have sent its last outcome just before it died; then the photo given to it next is the one that is lost.
    assert len(killed) == 1
    assert len(list(many.rglob("*.cutout.png"))) in (47, 48), "48 sound photos; the lost one may have been written"


def test_a_network_that_cannot_be_loaded_is_said_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(EdgeMatteError, match=r"broken\.tflite"), Workers(CutOptions(str(broken)), 2):
        pass
    assert multiprocessing.active_children() == []


def test_the_cores_are_shared_out(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgematte.runtime.photos.processes.available_cores", lambda: 8)
    assert Workers(CutOptions(str(model)), 2).options.threads == 4
    assert Workers(CutOptions(str(model)), 3).options.threads == 2
    assert Workers(CutOptions(str(model)), 20).options.threads == 1
    assert Workers(CutOptions(str(model), threads=3), 20).options.threads == 3
