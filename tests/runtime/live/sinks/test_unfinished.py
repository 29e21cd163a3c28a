"""A file that grows has a hidden name; what a kill left under one is gone at the next try, and nothing else."""

from __future__ import annotations

from pathlib import Path

from edgematte.runtime.live.sinks.unfinished import UnfinishedFile


def test_what_a_kill_left_goes_when_the_same_file_is_begun_again(tmp_path: Path) -> None:
    left = tmp_path / ".talk [1].0123abcd.part.mp4"
    left.write_bytes(b"a video without an index")
    others = [tmp_path / name for name in (".talk 2.0123abcd.part.mp4", ".talk [1].0123abcd.part.webm", "talk [1].mov")]
    for other in others:
        other.write_bytes(b"of somebody else")
    file = UnfinishedFile(tmp_path / "talk [1].mp4", overwrite=False)
    file.begin()
    assert not left.exists()
    assert all(other.exists() for other in others)
    file.discard()


def test_what_still_grows_stays(tmp_path: Path) -> None:
    one, other = (UnfinishedFile(tmp_path / "a.mp4", overwrite=True) for _ in range(2))
    one.begin()
    other.begin()
    assert one.temporary.exists()
    assert other.temporary.exists()
    one.discard()
    other.discard()
    assert not list(tmp_path.iterdir())
