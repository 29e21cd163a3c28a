"""What is on the disk at each moment."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from edgematte.runtime.booth.album import JOURNAL, Album, Limits, Order
from edgematte.runtime.errors import StorageError, UsageError

NOW = datetime(2026, 11, 23, 18, 45, 7)
ORDER = Order("beach.jpg", "strip")


def test_an_original_and_all_names_above_it_are_synced_before_take_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    with Album(tmp_path) as album:
        monkeypatch.setattr("os.fsync", remember)
        shot = album.take(album.begin(ORDER, NOW), b"original", NOW)
    original = shot.path("original")
    assert original.read_bytes() == b"original"
    assert any(path.name.startswith(f".{original.name}") for path in synced), "the content"
    named = [path for path in synced if path.suffix != ".tmp"]
    assert {original.parent, original.parent.parent, tmp_path} <= set(named), "and each name on the way to it"


def test_names_sort_by_time_and_go_on_after_a_restart_even_with_a_wrong_clock(tmp_path: Path) -> None:
    with Album(tmp_path) as album:
        session = album.begin(ORDER, NOW)
        first, second = album.take(session, b"1", NOW), album.take(session, b"2", NOW)
    with Album(tmp_path) as album:
        earlier = datetime(2026, 11, 23, 1)
        third = album.take(album.begin(ORDER, earlier), b"3", earlier)
    assert first.name < second.name
    assert first.path("original").name == "20261123-184507-000001.original.jpg"
    assert first.session.folder == tmp_path / "2026-11-23" / "184507-000001"
    assert third.name.endswith("-000003"), "no number is given twice, whatever the clock says"


def test_a_restart_knows_what_was_in_hand_and_how_it_was_wanted(tmp_path: Path) -> None:
    with Album(tmp_path) as album:
        session = album.begin(ORDER, NOW)
        done, cut_off = album.take(session, b"1", NOW), album.take(session, b"2", NOW)
        album.settle(done, kept=True)
    with Album(tmp_path) as album:
        (found,) = album.unfinished()
        assert (found.name, found.session.order) == (cut_off.name, ORDER)
        album.settle(found, kept=True, recovered=True)
        assert album.unfinished() == []
        assert [[shot.name for shot in shots] for shots in album.without_sheet()] == [[done.name, cut_off.name]]


def test_a_line_that_a_power_cut_left_half_written_is_as_none(tmp_path: Path) -> None:
    with Album(tmp_path) as album:
        session = album.begin(ORDER, NOW)
        first, second = album.take(session, b"1", NOW), album.take(session, b"2", NOW)
        album.settle(first, kept=True)
        album.settle(second, kept=True)
    journal = tmp_path / "2026-11-23" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-9])
    with Album(tmp_path) as album:
        assert [shot.name for shot in album.unfinished()] == [second.name]
        album.settle(album.unfinished()[0], kept=True)
    lines = journal.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [first.name, second.name]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Album(tmp_path) as album:
        session = album.begin(ORDER, NOW)
        first, second = album.take(session, b"1", NOW), album.take(session, b"2", NOW)
        album.settle(first, kept=True)

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr("os.fsync", full)
            with pytest.raises(StorageError, match=r"No space left.*full, or unplugged"):
                album.settle(second, kept=True)
            with pytest.raises(StorageError, match="No space left"):
                album.take(session, b"3", NOW)
        assert album.settle(second, kept=True).name == second.name
    lines = (tmp_path / "2026-11-23" / JOURNAL).read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == [first.name, second.name]
    assert len(list(session.folder.glob("*.original.jpg"))) == 2


def test_the_disk_warns_before_it_is_full(tmp_path: Path) -> None:
    free = 3000
    with Album(tmp_path, limits=Limits(warn=2000, stop=1000), free=lambda _folder: free) as album:
        states = []
        for free in (3000, 1500, 999):  # noqa: B007 - the lambda reads it
            states.append(album.room().state)
    assert states == ["enough", "low", "full"]


def test_a_disk_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    def gone(_folder: Path) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    with Album(tmp_path, free=gone) as album, pytest.raises(StorageError, match="unplugged"):
        album.room()


def test_two_booths_do_not_share_a_folder(tmp_path: Path) -> None:
    with Album(tmp_path), pytest.raises(UsageError, match=r"another booth.*--data"), Album(tmp_path):
        pass


def test_what_a_kill_left_is_taken_away_at_the_next_start(tmp_path: Path) -> None:
    with Album(tmp_path) as album:
        shot = album.take(album.begin(ORDER, NOW), b"1", NOW)
    half = shot.session.folder / ".picture.jpg.0011aabb.tmp"
    half.write_bytes(b"half")
    counted = tmp_path / "..pages.json.0011aabb.tmp"
    counted.write_text("{")
    only_a_note = tmp_path / "2026-11-23" / "190000-000002"
    only_a_note.mkdir()
    (only_a_note / "session.json").write_text("{}")
    with Album(tmp_path):
        assert not half.exists()
        assert not counted.exists()
        assert not only_a_note.exists()
        assert shot.path("original").read_bytes() == b"1"


def test_what_is_removed_leaves_no_file_and_a_crash_in_between_is_made_good(tmp_path: Path) -> None:
    with Album(tmp_path) as album:
        session = album.begin(ORDER, NOW)
        first, second = album.take(session, b"1", NOW), album.take(session, b"2", NOW)
        album.settle_sheet([first, second], b"sheet")
        other = album.take(album.begin(ORDER, NOW), b"3", NOW)
        album.settle_sheet([other], b"other")
        album.remove(second.name)
        assert [entry.name for entry in album.entries()] == [other.name]
        assert album.sheet(second.name) is None
        assert not session.folder.exists()
        assert album.unfinished() == [other]
        album.remove(other.name)
        other.session.folder.mkdir()
        other.path("original").write_bytes(b"3")  # as if the power had gone before it was taken away
    with Album(tmp_path) as album:
        assert album.entries() == []
        assert album.unfinished() == []
        assert not other.path("original").exists()


def test_a_recording_counts_when_it_is_whole_and_is_found_after_a_crash(tmp_path: Path) -> None:
    frame = b"\xff\xd8\xff\xe0frame\xff\xd9"
    with Album(tmp_path) as album:
        session = album.begin(Order("blur", "boomerang"), NOW)
        whole, reel = album.record(session, NOW)
        for number in range(12):
            reel.add(frame, number / 10)
        reel.finish()
        cut_off, growing = album.record(session, NOW)
        for number in range(12):
            growing.add(frame, number / 10)
        growing.close()  # as the system does when the program is killed
    with Album(tmp_path) as album:
        assert [(shot.name, shot.reel) for shot in album.unfinished()] == [(whole.name, True), (cut_off.name, True)]
        assert not list(tmp_path.rglob(".*.part"))


def test_a_disk_is_tried_with_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Album(tmp_path) as album:
        album.probe()
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            album.probe()
    assert not (tmp_path / ".probe").exists()
