"""`edgematte cut` over folders, streams and time: a process, its exit code, its words, what it leaves on the disk."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from edgematte.runtime.cli import main

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
PROGRAM = "from edgematte.runtime.cli import main; main()"
COPYRIGHT, ORIENTATION, GPS = 0x8298, 0x0112, 0x8825


def lines(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    said = done.stderr.decode().splitlines()
    assert not any("Traceback" in line for line in said), done.stderr.decode()
    return said


@pytest.fixture
def camera_photo(tmp_path: Path) -> Path:
    """A JPEG as a phone writes it: on its side, red on the left once upright, with a profile, an owner and a place."""
    upright = Image.new("RGB", (60, 90), (0, 0, 255))
    upright.paste((255, 0, 0), (0, 0, 30, 90))
    exif = Image.Exif()
    exif[ORIENTATION], exif[COPYRIGHT] = 6, "Jane"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    path = tmp_path / "phone.jpg"
    profile = struct.pack(">I12s4s16s4s", 128, b"", b"RGB ", b"", b"acsp") + bytes(88)
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=exif, icc_profile=profile)
    return path


@pytest.mark.parametrize(("words", "suffix"), [([], "png"), (["--format", "webp"], "webp")])
def test_orientation_profile_and_owner_go_with_the_cut_out_and_the_place_does_not(
    words: list[str], suffix: str, run_program: Run, camera_photo: Path, model: Path
) -> None:
    assert run_program("cut", camera_photo, "-m", model, *words).returncode == 0
    with Image.open(camera_photo.with_name(f"phone.cutout.{suffix}")) as cut:
        assert cut.size == (60, 90), "upright"
        assert cut.getpixel((10, 45))[3] == 255  # type: ignore[index]
        assert cut.getpixel((50, 45))[3] == 0  # type: ignore[index]
        assert len(cut.info["icc_profile"]) == 128
        assert dict(cut.getexif()) == {COPYRIGHT: "Jane"}, "no orientation, no place"


def test_a_trimmed_cut_out_ends_where_the_subject_does(run_program: Run, flag_file: Path, model: Path) -> None:
    """The left half of 90x60 is the subject; the network sees 48x32, so its edge is known to a few pixels."""
    assert run_program("cut", flag_file, "-m", model, "--trim", "--refine", "off").returncode == 0
    with Image.open(flag_file.with_name("flag.cutout.png")) as cut:
        assert cut.height == 60
        assert 44 <= cut.width <= 50


def test_a_jpeg_goes_over_a_colour(run_program: Run, camera_photo: Path, model: Path) -> None:
    refused = run_program("cut", camera_photo, "-m", model, "--format", "jpeg")
    assert refused.returncode == 2
    assert "transparent" in lines(refused)[0]
    assert run_program("cut", camera_photo, "-m", model, "--format", "jpeg", "--background", "white").returncode == 0
    with Image.open(camera_photo.with_name("phone.composite.jpg")) as cut:
        assert cut.format == "JPEG"
        assert min(cut.getpixel((55, 45))) > 240  # type: ignore[type-var]
        assert dict(cut.getexif()) == {COPYRIGHT: "Jane"}


def test_stdout_carries_the_format_that_was_asked_for(run_program: Run, flag_file: Path, model: Path) -> None:
    done = run_program("cut", "-", "-m", model, "--format", "webp", stdin=flag_file.read_bytes())
    assert done.returncode == 0
    with Image.open(io.BytesIO(done.stdout)) as cut:
        assert (cut.format, cut.mode) == ("WEBP", "RGBA")


def test_a_full_pipe_is_an_error_in_one_line(flag_file: Path, model: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "cut", str(flag_file), "-o", "-", "-m", str(model)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert len(lines(done)) == 1
    assert "No space left on device" in lines(done)[0]


def test_the_pixel_limit_refuses_before_decoding_and_has_an_option(
    run_program: Run, flag_file: Path, model: Path, tmp_path: Path
) -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(5000))), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    done = run_program("cut", tmp_path / "bomb.png", "-m", model)
    assert done.returncode == 1
    assert "40000x40000" in lines(done)[0]
    done = run_program("cut", flag_file, "-m", model, "--max-megapixels", "0.005")
    assert "more than 0.005 megapixels" in lines(done)[0]
    assert run_program("cut", flag_file, "-m", model, "--max-megapixels", "0.006").returncode == 0


def test_a_run_can_be_resumed(run_program: Run, tree: Path, model: Path, tmp_path: Path) -> None:
    (tree / "broken.png").write_bytes(b"")
    out = tmp_path / "out"
    assert run_program("cut", tree, "-o", out, "-m", model).returncode == 1
    (out / "sub" / "b.cutout.png").unlink()
    shutil.copy(tree / "a.png", tree / "broken.png")
    done = run_program("cut", tree, "-o", out, "-m", model, "--resume", "--json")
    assert done.returncode == 0, lines(done)
    told = {Path(line["input"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert {name for name, line in told.items() if not line.get("skipped")} == {"broken.png", "b.jpg"}
    assert lines(done)[-1].startswith("2 cut, 0 failed, 2 done before")


def test_several_processes_do_the_same_work(run_program: Run, tree: Path, model: Path, tmp_path: Path) -> None:
    (tree / "sub" / "bad.png").write_bytes(b"no picture")
    for jobs in (1, 2):
        done = run_program("cut", f"{tree}/**/*", "-o", tmp_path / str(jobs), "-m", model, "--jobs", jobs)
        assert done.returncode == 1
        assert [line for line in lines(done) if "bad.png" in line]
        assert lines(done)[-1].startswith("3 cut, 1 failed")
    written = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}
        for folder in (tmp_path / "1", tmp_path / "2")
    ]
    assert len(written[0]) == 3
    assert written[0] == written[1]


def everybody_left(group: int) -> bool:
    """Python's own helper of multiprocessing notices a moment later that the others have ended."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_several_processes_leaves_whole_files_and_nobody_behind(
    number: signal.Signals, tree: Path, model: Path, tmp_path: Path
) -> None:
    """The signal goes to the whole group, as a terminal sends Ctrl-C."""
    for copy in range(60):
        shutil.copy(tree / "a.png", tree / f"{copy}.png")
    words = ["cut", str(tree), "-o", str(tmp_path / "out"), "-m", str(model), "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.decode().splitlines()[-1] == "edgematte: interrupted; what was written is whole"
    assert "Traceback" not in said.decode()
    for path in (tmp_path / "out").rglob("*"):
        assert path.name.endswith(".cutout.png"), "no temporary file stays"
        with Image.open(path) as cut:
            cut.load()
    assert everybody_left(process.pid)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "tiff"], "unknown format"),
        (["--refine", "worst"], "'worst'"),
        (["--trim", "--background", "white"], "leave one out"),
        (["--watch"], "name one with -o"),
        (["--watch", "-o", "out"], "name folders"),
        (["--format", "jpeg"], "transparent"),
        (["--dask", "tcp://127.0.0.1:8786", "--jobs", "2"], "--jobs is for this machine"),
        (["-o", "cut.png", "--format", "webp"], "differ"),
    ],
)
def test_a_wrong_command_is_explained(
    words: list[str],
    says: str,
    flag_file: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["edgematte", "cut", str(flag_file), "-m", str(model), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_terminal_shows_rate_and_time_left_and_lines_of_their_own(tree: Path, model: Path) -> None:
    """What goes to a terminal is drawn as one: text that is not erased or moved away from stays on its line."""
    (tree / "bad.png").write_bytes(b"")
    leader, follower = pty.openpty()
    # Wider than any path of this test.
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 400, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "cut", str(tree), "-m", str(model)],
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "400"},  # which pytest-xdist sets to 80
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # how a terminal ends when its last writer has gone
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    assert process.wait() == 1
    drawn = re.sub(rb"\x1b\[[0-9;]*m", b"", shown)  # without colours
    assert re.search(rb"4/4 [\d.]+ photos/(s|min) +\d:\d\d:\d\d left", drawn)
    for text in (b".cutout.png", b"edgematte: "):
        for line in re.split(rb"[\r\n]|\x1b\[2K|\x1b\[1A", drawn):
            assert not (text in line and b"cutting" in line), line
    assert drawn.count(b".cutout.png") == 3


def test_a_missing_dask_says_what_to_install(flag_file: Path, model: Path) -> None:
    code = f"import sys; sys.modules['dask'] = None; {PROGRAM}"
    words = ["cut", str(flag_file), "-m", str(model), "--dask", "tcp://127.0.0.1:8786"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
    assert done.returncode == 2
    assert "pip install 'edgematte[cluster]'" in lines(done)[0]


def next_line(stream: Iterator[bytes]) -> str:
    return next(stream).decode().strip()


def test_a_watch_picks_up_new_photos_and_survives_being_killed(
    flag_file: Path, model: Path, tmp_path: Path, astronaut: Path
) -> None:
    """A real folder, real time, SIGKILL; then a new watch finds what came meanwhile and redoes nothing."""
    inbox, out = tmp_path / "in", tmp_path / "out"
    inbox.mkdir()
    command = [sys.executable, "-u", "-c", PROGRAM, "cut", "--watch", str(inbox), "-o", str(out), "-m", str(model)]

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr is not None
        assert b"watching" in process.stderr.readline()
        return process

    first = start()
    assert first.stdout is not None
    shutil.copy(flag_file, inbox / "one.png")
    assert next_line(first.stdout) == str(out / "one.cutout.png")
    second_watcher = subprocess.run(command, capture_output=True, check=False)
    assert second_watcher.returncode == 2
    assert b"another edgematte watches" in second_watcher.stderr
    first.kill()
    first.communicate()
    written = (out / "one.cutout.png").stat().st_mtime_ns
    shutil.copy(flag_file, inbox / "two.png")

    again = start()
    assert again.stdout is not None
    growing = (inbox / "three.jpg").open("wb", buffering=0)
    data = astronaut.read_bytes()
    growing.write(data[: len(data) // 2])
    assert next_line(again.stdout) == str(out / "two.cutout.png")
    time.sleep(0.5)
    growing.write(data[len(data) // 2 :])
    growing.close()
    assert next_line(again.stdout) == str(out / "three.cutout.png")
    again.send_signal(signal.SIGTERM)
    _, said = again.communicate(timeout=60)
    assert again.returncode == 130
    assert said.decode().splitlines() == ["edgematte: interrupted; what was written is whole"]
    assert (out / "one.cutout.png").stat().st_mtime_ns == written
    assert sorted(path.name for path in out.glob("*.png")) == [f"{n}.cutout.png" for n in ("one", "three", "two")]


def test_photos_of_kinds_that_are_not_read_are_counted_with_the_next_command(
    run_program: Run, tree: Path, model: Path
) -> None:
    for name in ("1.NEF", "2.NEF", "3.dng"):
        (tree / name).write_bytes(b"II*\0" + bytes(40))
    (tree / "notes.txt").touch()
    done = run_program("cut", tree, "-m", model)
    said = lines(done)
    assert done.returncode == 1
    assert sum("raw file of a camera; develop it" in line for line in said) == 3
    assert any(line.startswith("edgematte: 3 raw files of a camera were not cut (") for line in said)
    assert any("darktable-cli" in line for line in said)
    assert "3 cut, 3 failed, left out, for they are no pictures: 1 .txt" in said[-1]


def test_a_full_standard_output_loses_words_and_no_picture(tree: Path, model: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "cut", str(tree), "-m", str(model)]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert len(list(tree.rglob("*.cutout.png"))) == 3
    assert done.returncode == 1
    said = lines(done)  # type: ignore[arg-type]
    assert "cannot write to standard output: No space left on device" in said[0]
    assert "3 cut" in said[-1]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([*command[:-3], str(tree / "a.png"), "-m", str(model), "-o", "-"], stdout=full,
                              stderr=subprocess.PIPE, check=False)  # fmt: skip
    assert (done.returncode, len(lines(done))) == (1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "says"), [("cut {} -o - >&-", "which is closed; name an output"), ("cut - <&-", "which is closed; pipe")]
)
def test_closed_streams_are_said(words: str, says: str, tree: Path) -> None:
    program = f"{sys.executable} -c '{PROGRAM}' " + words.format(tree / "a.png")
    done = subprocess.run(["sh", "-c", program], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2
    (line,) = lines(done)  # type: ignore[arg-type]
    assert says in line


def test_names_go_through_any_encoding_and_no_limit_of_opencv_holds(tree: Path, model: Path) -> None:
    name = "猫 ü.png"
    (tree / name).write_bytes((tree / "a.png").read_bytes())
    surroundings = os.environ | {"PYTHONIOENCODING": "latin-1", "OPENCV_IO_MAX_IMAGE_PIXELS": "10"}
    command = [sys.executable, "-c", PROGRAM, "cut", str(tree), "-m", str(model)]
    done = subprocess.run(command, capture_output=True, env=surroundings, check=False)
    assert done.returncode == 0, done.stderr
    assert "猫".encode() in done.stdout


def test_a_user_without_name_and_home_cuts_photos(tree: Path, model: Path) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become a user that nobody knows")
    out = tree / "out"
    out.mkdir()
    for folder in (out, tree, model.parent, *tree.parents[:-2]):
        folder.chmod(0o777)
    user = ["setpriv", "--reuid", "54321", "--clear-groups", "env", "-u", "HOME", sys.executable, "-c"]
    if subprocess.run([*user, "import edgematte.runtime.photos.cutter"], capture_output=True, check=False).returncode:
        pytest.skip("that user may not read this Python")
    command = [*user, PROGRAM, "cut", str(tree / "a.png"), "-m", str(model), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_hint_is_obeyed_and_is_for_one_photo(run_program: Run, tree: Path, model: Path) -> None:
    """The subject is red on the left, blue on the right; the hint says that blue is kept and red removed."""
    hint = Image.new("L", (90, 60), 128)
    hint.paste(255, (60, 20, 80, 40))
    hint.paste(0, (10, 20, 30, 40))
    hint.save(tree.parent / "hint.png")
    words = "--hint", tree.parent / "hint.png", "-m", model
    assert run_program("cut", tree / "a.png", *words).returncode == 0
    with Image.open(tree / "a.cutout.png") as cut:
        assert cut.getpixel((20, 30))[3] == 0  # type: ignore[index]
        assert cut.getpixel((70, 30))[3] == 255  # type: ignore[index]
    assert run_program("cut", tree, *words).returncode == 2
    Image.new("L", (9, 9)).save(tree.parent / "hint.png")
    done = run_program("cut", tree / "a.png", *words, "--overwrite")
    assert (done.returncode, "have 90x60 and 9x9 pixels" in lines(done)[0]) == (1, True)
