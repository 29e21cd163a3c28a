from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read, write
from edgematte.runtime.batch import Job, cut_all, plan
from edgematte.runtime.errors import UsageError


def keep_everything(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.full(image.shape[:2], 255, np.uint8)


@pytest.fixture
def tree(tmp_path: Path, flag: NDArray[np.uint8]) -> Path:
    """in/ with a.png, sub/a.png and sub/b.jpg."""
    for name in ("a.png", "sub/a.png", "sub/b.jpg"):
        write(tmp_path / "in" / name, flag)
    return tmp_path / "in"


def outputs(inputs: list[Path], output: Path | None, kind: str = "cutout") -> list[str]:
    jobs = plan([str(path) for path in inputs], None if output is None else str(output), kind).jobs  # type: ignore[arg-type]
    return [str(job.output) for job in jobs]


def test_outputs_lie_beside_their_photos(tree: Path) -> None:
    assert outputs([tree], None) == [
        f"{tree}/a.cutout.png", f"{tree}/sub/a.cutout.png", f"{tree}/sub/b.cutout.png",
    ]  # fmt: skip
    assert outputs([tree / "sub" / "b.jpg"], None, "mask") == [f"{tree}/sub/b.mask.png"]


def test_a_composite_keeps_its_photos_format(tree: Path) -> None:
    assert outputs([tree], None, "composite") == [
        f"{tree}/a.composite.png", f"{tree}/sub/a.composite.png", f"{tree}/sub/b.composite.jpg",
    ]  # fmt: skip


def test_a_folders_tree_is_kept_under_the_output(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert outputs([tree], out) == [f"{out}/a.cutout.png", f"{out}/sub/a.cutout.png", f"{out}/sub/b.cutout.png"]


def test_two_photos_of_one_name_get_two_outputs(tree: Path, tmp_path: Path, flag: NDArray[np.uint8]) -> None:
    out = tmp_path / "out"
    write(tree / "a.jpg", flag)
    (tree / "A.png").write_bytes((tree / "a.png").read_bytes())
    given = [tree / "a.png", tree / "sub" / "a.png", tree / "a.jpg", tree / "A.png"]
    found = outputs(given, out)
    assert found[:3] == [f"{out}/a.cutout.png", f"{out}/a.png.cutout.png", f"{out}/a.jpg.cutout.png"]
    assert len({name.casefold() for name in found}) == 4, "a disk may not tell A from a"


def test_a_photo_named_twice_is_cut_once(tree: Path) -> None:
    assert len(outputs([tree, tree / "a.png", tree / "sub" / ".." / "a.png"], None)) == 3


def test_a_second_run_does_not_cut_the_cut_outs(tree: Path) -> None:
    jobs = plan([str(tree)], None, "cutout").jobs
    assert all(outcome.error is None for outcome in cut_all(jobs, keep_everything))
    assert plan([str(tree)], None, "cutout").jobs == jobs


def test_a_single_photo_may_name_its_output(tree: Path, tmp_path: Path) -> None:
    assert outputs([tree / "a.png"], tmp_path / "cut.png") == [f"{tmp_path}/cut.png"]
    with pytest.raises(UsageError, match="several photos"):
        plan([str(tree)], str(tmp_path / "cut.png"), "cutout")
    with pytest.raises(UsageError, match="transparent"):
        plan([str(tree / "a.png")], str(tmp_path / "cut.jpg"), "cutout")
    with pytest.raises(UsageError, match="cannot write"):
        plan([str(tree / "a.png")], str(tmp_path / "cut.bmp"), "cutout")


def test_streams_are_told_apart_from_files() -> None:
    assert plan(["-"], None, "cutout").jobs == (Job(None, None),)
    assert plan(["-"], "out.png", "cutout").jobs == (Job(None, Path("out.png")),)
    assert plan(["-"], "folder", "mask").jobs == (Job(None, Path("folder/stdin.mask.png")),)


def test_stdin_beside_other_photos_needs_a_folder(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name a folder"):
        plan(["-", str(tree / "a.png")], None, "cutout")
    assert len(plan(["-", str(tree / "a.png")], str(tmp_path / "out"), "cutout").jobs) == 2


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_planned(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def locked(path: str) -> object:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("os.scandir", locked)
    planned = plan([str(tree)], None, "cutout")
    assert [job.source for job in planned.jobs] == [tree / "a.png"]
    (failure,) = planned.failures
    assert failure.error == f"{tree / 'sub'}: the folder cannot be read: Permission denied"


def test_a_name_that_cannot_be_a_file_is_just_not_there(tree: Path) -> None:
    (failure,) = plan(["n" * 5000], None, "cutout").failures
    assert failure.error is not None
    assert "no such file" in failure.error
    (tree / "link.png").symlink_to(tree / "nowhere.png")
    (outcome,) = cut_all(plan([str(tree / "link.png")], None, "cutout").jobs, keep_everything)
    assert outcome.error is not None
    assert "link.png: cannot be read" in outcome.error


def test_inputs_without_photos_are_named_and_the_rest_is_planned(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    planned = plan([str(tmp_path / "empty"), str(tree / "a.png"), str(tmp_path / "gone.jpg")], None, "cutout")
    assert len(planned.jobs) == 1
    first, second = (failure.error for failure in planned.failures)
    assert first is not None
    assert "holds no pictures" in first
    assert second is not None
    assert "no such file" in second


def test_one_bad_photo_never_stops_the_rest(tree: Path) -> None:
    (tree / "sub" / "a.png").write_bytes(b"not a picture")
    first, second, third = cut_all(plan([str(tree)], None, "cutout").jobs, keep_everything)
    assert (first.error, third.error) == (None, None)
    assert second.error is not None
    assert str(tree / "sub" / "a.png") in second.error
    assert (first.width, first.height) == (90, 60)
    assert not (tree / "sub" / "a.cutout.png").exists()
    assert read(tree / "sub" / "b.cutout.png").shape == (60, 90, 3)


def test_running_out_of_memory_on_one_photo_is_told(tree: Path) -> None:
    def no_room(_image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        raise MemoryError

    errors = [outcome.error for outcome in cut_all(plan([str(tree)], None, "cutout").jobs, no_room)]
    assert all(error and "memory" in error for error in errors)


def test_the_photo_itself_is_never_replaced(tree: Path) -> None:
    photo = tree / "a.png"
    before = photo.read_bytes()
    (outcome,) = cut_all([Job(photo, tree / "sub" / ".." / "a.png")], keep_everything, overwrite=True)
    assert outcome.error is not None
    assert "the photo itself" in outcome.error
    assert photo.read_bytes() == before


def test_an_output_that_exists_is_refused_before_the_network_runs(tree: Path) -> None:
    (tree / "a.cutout.png").write_bytes(b"precious")
    calls: list[int] = []

    def counting(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        calls.append(1)
        return keep_everything(image)

    (outcome,) = cut_all([Job(tree / "a.png", tree / "a.cutout.png")], counting)
    assert outcome.error is not None
    assert "--overwrite" in outcome.error
    assert not calls
    assert (tree / "a.cutout.png").read_bytes() == b"precious"
