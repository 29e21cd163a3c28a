from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.runtime.errors import UsageError
from edgematte.runtime.photos.ledger import Entry, Ledger, Stamp

STAMP = Stamp(1000, 1_700_000_000_000_000_000)


def test_what_was_noted_is_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "done.jsonl"
    with Ledger(path) as ledger:
        ledger.begin("/in/a.jpg", STAMP, "/out/a.png")
        ledger.finish("/in/a.jpg", failed=False)
        ledger.begin("/in/b.jpg", STAMP, "/out/b.png")
        ledger.finish("/in/b.jpg", failed=True)
        ledger.begin("/in/c.jpg", STAMP, "/out/c.png")
    with Ledger(path) as ledger:
        assert {photo: entry.state for photo, entry in ledger.entries.items()} == {
            "/in/a.jpg": "done",
            "/in/b.jpg": "failed",
            "/in/c.jpg": "begun",
        }
        assert ledger.entries["/in/a.jpg"] == Entry("/in/a.jpg", STAMP, "/out/a.png", "done")


def test_a_line_that_a_power_cut_left_unfinished_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "done.jsonl"
    with Ledger(path) as ledger:
        for name in ("a", "b"):
            ledger.begin(name, STAMP, f"{name}.png")
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 4, len(whole) // 2 - 1, len(whole) // 2, len(whole) // 2 + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        with Ledger(path) as ledger:
            assert set(ledger.entries) in (set(), {"a"}, {"a", "b"})
            ledger.begin("later", STAMP, "later.png")
        with Ledger(path) as ledger:
            assert "later" in ledger.entries, "what is noted next is not swallowed by half a line"


def test_odd_names_come_back_as_they_were(tmp_path: Path) -> None:
    names = ["new\nline.jpg", "snö.jpg", "latin-\udcf6.jpg", '"quoted".jpg']
    with Ledger(tmp_path / "done.jsonl") as ledger:
        for name in names:
            ledger.begin(name, STAMP, "out.png")
    with Ledger(tmp_path / "done.jsonl") as ledger:
        assert list(ledger.entries) == names


def test_it_has_one_line_per_photo_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "done.jsonl"
    with Ledger(path) as ledger:
        for _ in range(50):
            ledger.begin("a", STAMP, "a.png")
            ledger.finish("a", failed=False)
    with Ledger(path):
        assert len(path.read_bytes().splitlines()) == 1


def test_two_processes_cannot_have_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "done.jsonl"
    with Ledger(path), pytest.raises(UsageError, match="another edgematte watches"), Ledger(path):
        pass
    with Ledger(path):
        pass
