from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import write
from edgematte.runtime.errors import UsageError
from edgematte.runtime.photos.plan import Job, plan


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
    assert found[2] == f"{out}/a.jpg.cutout.png", "the only one of its whole name"
    assert all(Path(name).name.startswith(("a.png-", "A.png-")) for name in (found[0], found[1], found[3]))
    assert len({name.casefold() for name in found}) == 4, "a disk may not tell A from a"
    assert outputs(given[::-1], out) == found[::-1], "nobody's name depends on who came first"


def test_a_photo_that_appears_never_gets_the_name_of_another(tree: Path, flag: NDArray[np.uint8]) -> None:
    """Else resuming would take the older photo's output for its own."""
    before = outputs([tree], None)
    write(tree / "sub" / "a.jpg", flag)
    after = outputs([tree], None)
    assert f"{tree}/sub/a.jpg.cutout.png" in after
    assert set(after) & set(before) == {f"{tree}/a.cutout.png", f"{tree}/sub/b.cutout.png"}


def test_a_photo_named_twice_is_cut_once(tree: Path) -> None:
    assert len(outputs([tree, tree / "a.png", tree / "sub" / ".." / "a.png"], None)) == 3


def test_a_second_run_does_not_cut_the_cut_outs(tree: Path) -> None:
    first = plan([str(tree)], None, "cutout")
    for job in first.jobs:
        assert job.output is not None
        job.output.write_bytes(b"an earlier run's")
    second = plan([str(tree)], None, "cutout")
    assert second.jobs == first.jobs
    assert (first.left_out, second.left_out) == (0, 3), "what is left out is counted, not passed over"


def test_a_single_photo_may_name_its_output(tree: Path, tmp_path: Path) -> None:
    assert outputs([tree / "a.png"], tmp_path / "cut.png") == [f"{tmp_path}/cut.png"]
    with pytest.raises(UsageError, match="several photos"):
        plan([str(tree)], str(tmp_path / "cut.png"), "cutout")
    with pytest.raises(UsageError, match="transparent"):
        plan([str(tree / "a.png")], str(tmp_path / "cut.jpg"), "cutout")
    with pytest.raises(UsageError, match="cannot write"):
        plan([str(tree / "a.png")], str(tmp_path / "cut.bmp"), "cutout")


def test_an_output_that_is_a_file_of_another_kind_is_refused_before_any_work(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(UsageError, match="is a file"):
        plan([str(tree)], str(tmp_path / "notes"), "cutout")


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
    assert f"{failure.name}: {failure.why}" == f"{tree / 'sub'}: the folder cannot be read: Permission denied"


def test_a_name_that_cannot_be_a_file_is_just_not_there(tree: Path) -> None:
    (failure,) = plan(["n" * 5000], None, "cutout").failures
    assert "no such file" in failure.why
    (tree / "link.png").symlink_to(tree / "nowhere.png")
    assert len(plan([str(tree / "link.png")], None, "cutout").jobs) == 1, "it fails when it is read, by its name"


def test_inputs_without_photos_are_named_and_the_rest_is_planned(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    planned = plan([str(tmp_path / "empty"), str(tree / "a.png"), str(tmp_path / "gone.jpg")], None, "cutout")
    assert len(planned.jobs) == 1
    first, second = (failure.why for failure in planned.failures)
    assert "holds no pictures" in first
    assert "no such file" in second


def test_a_pattern_keeps_the_tree_behind_its_fixed_part(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert outputs([tree / "**" / "*.png"], out) == [f"{out}/a.cutout.png", f"{out}/sub/a.cutout.png"]
    assert outputs([tree / "*.png"], out) == [f"{out}/a.cutout.png"]
    assert outputs([tree / "s?b"], out) == [f"{out}/sub/a.cutout.png", f"{out}/sub/b.cutout.png"], "a folder that fits"
    assert outputs([tree / "sub" / "[ab].jpg"], out) == [f"{out}/b.cutout.png"]
    (failure,) = plan([f"{tree}/*.webp"], None, "cutout").failures
    assert failure.why.startswith("the pattern matches no pictures")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path, flag: NDArray[np.uint8]) -> None:
    write(tree / "[a].png", flag)
    assert outputs([tree / "[a].png"], None) == [f"{tree}/[a].cutout.png"]


def test_links_that_go_round_in_circles_end(tree: Path) -> None:
    (tree / "sub" / "again").symlink_to(tree)
    (tree / "sub" / "more").symlink_to(tree / "sub")
    (tree / "self.png").symlink_to(tree / "self.png")
    for given in (str(tree), f"{tree}/**/*"):
        names = [job.name for job in plan([given], None, "cutout").jobs]
        assert names == [str(tree / name) for name in ("a.png", "self.png", "sub/a.png", "sub/b.jpg")]


def test_a_pipe_in_a_folder_does_not_wait_for_ever(tree: Path) -> None:
    os.mkfifo(tree / "pipe.png")
    assert len(plan([str(tree)], None, "cutout").jobs) == 3


def test_an_output_folder_inside_the_input_does_not_feed_itself(tree: Path, flag: NDArray[np.uint8]) -> None:
    write(tree / "out" / "any name.png", flag)
    assert len(plan([str(tree)], None, "cutout").jobs) == 4
    assert len(plan([str(tree)], str(tree / "out"), "cutout").jobs) == 3
    assert len(plan([str(tree)], str(tree / "sub" / ".." / "out"), "cutout").jobs) == 3


def test_pictures_that_nobody_here_can_read_are_not_passed_over(tree: Path) -> None:
    for name in ("phone.heic", "raw.dng", "RAW.NEF", "layers.psd", "notes.txt", "Thumbs.db", "more.txt"):
        (tree / name).write_bytes(b"no picture")
    planned = plan([str(tree)], None, "cutout")
    names = {Path(job.name).name for job in planned.jobs}
    assert names == {"a.png", "b.jpg", "phone.heic", "raw.dng", "RAW.NEF", "layers.psd"}, "they will fail by name"
    assert planned.others == ((".txt", 2), (".db", 1))


def test_a_folder_reads_what_a_name_reads(tree: Path) -> None:
    """Whatever a picture is called: its first bytes tell."""
    photo = (tree / "sub" / "b.jpg").read_bytes()
    names = {"1.jfif", "2.mpo", "3.jpe", "4.JPG_large", "no ending", "5.bin"}
    for name in names:
        (tree / name).write_bytes(photo)
    assert names < {Path(job.name).name for job in plan([str(tree)], None, "cutout").jobs}


def test_no_photo_is_replaced_before_it_is_read(tree: Path) -> None:
    """`cut a.jpg a.cutout.png --overwrite`: the second is an input, whatever else it is."""
    (tree / "a.cutout.png").write_bytes((tree / "a.png").read_bytes())
    planned = plan([str(tree / "a.png"), str(tree / "a.cutout.png")], None, "cutout")
    assert [job.name for job in planned.jobs] == [str(tree / "a.cutout.png")]
    (failure,) = planned.failures
    assert "is among the photos to cut" in failure.why
    assert failure.name == str(tree / "a.png")
    elsewhere = plan([str(tree / "a.png"), str(tree / "a.cutout.png")], str(tree / "out"), "cutout")
    assert len(elsewhere.jobs) == 2


@pytest.mark.parametrize("stem", ["n" * 251, "ü" * 125])
def test_a_name_as_long_as_a_disk_allows_gives_an_output_of_its_own(stem: str, tree: Path) -> None:
    for name in (f"{stem}.png", f"{stem[:-1]}x.png"):
        (tree / name).write_bytes((tree / "a.png").read_bytes())
    found = [Path(name).name for name in outputs([tree / f"{stem}.png", tree / f"{stem[:-1]}x.png"], None)]
    assert len(set(found)) == 2
    assert all(len(os.fsencode(name)) <= 255 and name.endswith(".cutout.png") for name in found)
    write(tree / found[0], np.zeros((2, 2, 3), np.uint8))


def test_the_format_decides_the_suffix(tree: Path, tmp_path: Path) -> None:
    jobs = plan([str(tree / "a.png")], None, "cutout", format_suffix=".webp").jobs
    assert jobs == (Job(tree / "a.png", tree / "a.cutout.webp", ".webp"),)
    assert plan(["-"], None, "mask", format_suffix=".webp").jobs == (Job(None, None, ".webp"),)
    named = str(tmp_path / "cut.jpeg")
    assert plan([str(tree / "a.png")], named, "composite", format_suffix=".jpg").jobs[0].suffix == ".jpeg"
    with pytest.raises(UsageError, match="differ"):
        plan([str(tree / "a.png")], str(tmp_path / "cut.png"), "cutout", format_suffix=".webp")
    with pytest.raises(UsageError, match="transparent"):
        plan([str(tree)], None, "cutout", format_suffix=".jpg")
