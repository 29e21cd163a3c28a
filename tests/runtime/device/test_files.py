from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edgematte.runtime.device.files import write_bytes, write_together
from edgematte.runtime.errors import EdgeMatteError, OutputExistsError


def test_missing_folders_are_made_and_the_umask_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    old = os.umask(0o027)
    try:
        write_bytes(path, b"content")
    finally:
        os.umask(old)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_old_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.bin"
    sync = os.fsync

    def somebody_is_faster(descriptor: int) -> None:
        sync(descriptor)
        path.write_bytes(b"theirs")

    monkeypatch.setattr("os.fsync", somebody_is_faster)
    with pytest.raises(OutputExistsError, match="meanwhile"):
        write_bytes(path, b"ours")
    assert path.read_bytes() == b"theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.bin"]


def test_a_disk_without_links_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    write_bytes(tmp_path / "file.bin", b"content")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.bin"]


def test_a_dangling_link_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError):
        write_bytes(tmp_path / "link", b"content")


def test_a_folder_is_never_replaced_and_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputExistsError, match="is a folder"):
        write_bytes(tmp_path / "folder", b"content", overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(EdgeMatteError, match="cannot write"):
        write_bytes(tmp_path / "file" / "inside.bin", b"content")


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "ö" * 127):
        write_bytes(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"


def test_files_that_belong_together_are_written_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {tmp_path / "report" / "deep" / "page.html": b"page", tmp_path / "model.tflite": b"model"}
    sync, calls = os.fsync, []

    def full_at_the_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as full:
        full.setattr("os.fsync", full_at_the_second)
        with pytest.raises(EdgeMatteError, match=r"cannot write .*model\.tflite: No space left"):
            write_together(files)
    assert list(tmp_path.iterdir()) == [], "neither a file nor the folders made for one"
    write_together(files)
    assert {path.read_bytes() for path in files} == {b"page", b"model"}


def test_one_file_in_the_way_keeps_all_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "second").write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="second"):
        write_together({tmp_path / "first": b"1", tmp_path / "second": b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["second"]


def test_the_names_of_new_folders_are_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    sync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr("os.fsync", remember)
    write_bytes(tmp_path / "day" / "session" / "photo.jpg", b"content")
    # The file's content, then its name in its folder, then that folder's name in the one above, up to what was there.
    assert synced[0].suffix == ".tmp"
    assert synced[1:] == [tmp_path / "day" / "session", tmp_path / "day", tmp_path]
