"""The program as a user meets it: a process, its exit code, what it says on stderr, what it leaves on the disk."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import read

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def complaints(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    lines = done.stderr.decode().splitlines()
    assert not any("Traceback" in line for line in lines), done.stderr.decode()
    return [line.removeprefix("edgematte: ") for line in lines if line.startswith("edgematte: ")]


def rgba_of(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)


def test_the_default_model_cuts_a_face_out(run_program: Run, astronaut: Path, tmp_path: Path) -> None:
    done = run_program("cut", astronaut, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    rgba = rgba_of(tmp_path / "astronaut.cutout.png")
    assert np.median(rgba[70:170, 185:255, 3]) >= 250, "her face is opaque"
    assert rgba[:60, -60:, 3].max() <= 30, "the wall behind her is transparent"


def test_the_default_model_cuts_the_astronaut_out(run_program: Run, astronaut: Path, tmp_path: Path) -> None:
    done = run_program("cut", astronaut, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    alpha = rgba_of(tmp_path / "astronaut.cutout.png")[..., 3]
    assert alpha[70:170, 185:255].min() >= 200, "her face"
    suit = alpha[330:490, 130:300]
    assert (suit >= 200).mean() >= 0.9, "her suit but for its straps, which test_segmenter.py speaks of"
    assert (alpha[:60, :60] <= 30).mean() >= 0.99, "the flag, but for a dozen pixels of its edge"
    assert alpha[:60, -60:].max() <= 30


def test_a_photo_becomes_a_transparent_png_beside_it(run_program: Run, flag_file: Path, model: Path) -> None:
    done = run_program("cut", flag_file, "-m", model)
    output = flag_file.with_name("flag.cutout.png")
    assert (done.returncode, done.stderr) == (0, b""), "no words of the interpreter's"
    assert done.stdout.decode().strip() == str(output)
    rgba = rgba_of(output)
    assert rgba[30, 20].tolist() == [255, 0, 0, 255]
    assert rgba[30, 70].tolist() == [0, 0, 0, 0]


def test_only_the_mask_is_grey(run_program: Run, flag_file: Path, model: Path) -> None:
    assert run_program("cut", flag_file, "-m", model, "--only-mask").returncode == 0
    mask = cv2.imread(str(flag_file.with_name("flag.mask.png")), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (60, 90)
    assert mask[30, 20] == 255
    assert mask[30, 70] == 0


def test_backgrounds_replace_what_was_behind(run_program: Run, flag_file: Path, model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "sea.png"), np.full((10, 10, 3), (200, 100, 50), np.uint8))
    for background, expected in (("#00ff00", [0, 255, 0]), (str(tmp_path / "sea.png"), [50, 100, 200])):
        done = run_program("cut", flag_file, "-m", model, "--background", background, "--overwrite")
        assert done.returncode == 0
        image = read(flag_file.with_name("flag.composite.png"))
        assert image[30, 20].tolist() == [255, 0, 0]
        assert image[30, 70].tolist() == expected
    assert run_program("cut", flag_file, "-m", model, "--background", "blur", "--overwrite").returncode == 0


def test_a_picture_flows_from_stdin_to_stdout(run_program: Run, flag_file: Path, model: Path) -> None:
    done = run_program("cut", "-", "-m", model, stdin=flag_file.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    rgba = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba is not None
    assert rgba.shape == (60, 90, 4)


def test_a_photo_can_go_to_stdout_and_stdin_to_a_file(
    run_program: Run, flag_file: Path, model: Path, tmp_path: Path
) -> None:
    assert run_program("cut", flag_file, "-o", "-", "-m", model).stdout.startswith(b"\x89PNG")
    done = run_program("cut", "-", "-o", tmp_path / "cut.png", "-m", model, stdin=flag_file.read_bytes())
    assert done.returncode == 0
    assert (tmp_path / "cut.png").is_file()


def test_every_bad_file_has_one_line_and_the_good_ones_are_done(
    run_program: Run, flag_file: Path, model: Path, astronaut: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.jpg").write_text("no picture\n")
    (tmp_path / "cut.jpg").write_bytes(astronaut.read_bytes()[:20_000])
    (tmp_path / "folder").mkdir()
    good = tmp_path / "good.png"
    good.write_bytes(flag_file.read_bytes())
    there = tmp_path / "there.png"
    there.write_bytes(flag_file.read_bytes())
    (tmp_path / "there.cutout.png").write_bytes(b"precious")
    inputs = [
        tmp_path / name for name in ("empty.jpg", "words.jpg", "cut.jpg", "folder", "gone.jpg", "there.png", "good.png")
    ]
    done = run_program("cut", *inputs, "-m", model)
    assert done.returncode == 1
    said = "\n".join(complaints(done))
    for name, words in (
        ("empty.jpg", "empty"),
        ("words.jpg", "not a picture"),
        ("cut.jpg", "cut short"),
        ("folder", "holds no pictures"),
        ("gone.jpg", "no such file"),
        ("there.png", "exists already; add --overwrite"),
    ):
        (line,) = (line for line in complaints(done) if f"{name}:" in line)
        assert words in line, said
    assert len(complaints(done)) == 6
    assert done.stderr.decode().splitlines()[-1].startswith("1 cut, 6 failed")
    assert (tmp_path / "good.cutout.png").is_file()
    assert (tmp_path / "there.cutout.png").read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*")), "no temporary file stays"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_files_without_permission_are_named(run_program: Run, flag_file: Path, model: Path) -> None:
    flag_file.chmod(0)
    done = run_program("cut", flag_file, "-m", model)
    assert done.returncode == 1
    assert "Permission denied" in complaints(done)[0]


def test_nothing_to_do_is_a_usage_error(run_program: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "gone.jpg"):
        done = run_program("cut", tmp_path / name, "-m", model)
        assert done.returncode == 2
        assert len(complaints(done)) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only-mask", "--background", "white"], "exclude each other"),
        (["--background", "nocolour"], "no file and no colour"),
        (["-m", "unet-nowhere"], "unknown model"),
        (["-m", "gone.tflite"], "no model file"),
        (["-o", "cut.jpg"], "transparent"),
        (["-o", "cut.gif.bmp"], "cannot write"),
        (["-o", "-", "--json"], "--json goes too"),
    ],
)
def test_a_wrong_command_is_explained(
    words: list[str], says: str, run_program: Run, flag_file: Path, model: Path, tmp_path: Path
) -> None:
    standard = [] if "-m" in words else ["-m", model]
    done = run_program("cut", flag_file, *standard, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert says in complaints(done)[0]


def test_unknown_options_and_verbs_are_usage_errors(run_program: Run) -> None:
    for words in (["cut", "--frobnicate"], ["cutt"], ["cut"], ["cut", "x.jpg", "--threads", "0"]):
        done = run_program(*words)
        assert done.returncode == 2, words
        assert b"Traceback" not in done.stderr


def test_models_that_cannot_run_exit_1(
    run_program: Run, flag_file: Path, make_float_network: Callable[..., bytes], tmp_path: Path
) -> None:
    custom, broken = tmp_path / "custom.tflite", tmp_path / "broken.tflite"
    custom.write_bytes(make_float_network("custom"))
    broken.write_bytes(make_float_network()[:200])
    for path, says in ((custom, "MyOwnSigmoid"), (broken, "damaged or cut short")):
        done = run_program("cut", flag_file, "-m", path)
        assert done.returncode == 1
        assert len(complaints(done)) == 1
        assert says in complaints(done)[0]


def test_json_has_a_line_per_photo(run_program: Run, flag_file: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    done = run_program("cut", flag_file, tmp_path / "bad.png", tmp_path / "gone.png", "-m", model, "--json")
    told = {Path(line["input"]).name: line for line in map(json.loads, done.stdout.splitlines())}
    assert set(told) == {"flag.png", "bad.png", "gone.png"}
    assert told["flag.png"]["error"] is None
    assert (told["flag.png"]["width"], told["flag.png"]["height"]) == (90, 60)
    assert told["flag.png"]["output"] == str(flag_file.with_name("flag.cutout.png"))
    assert "empty" in told["bad.png"]["error"]
    assert told["gone.png"]["output"] is None


def test_odd_file_names_are_no_obstacle(run_program: Run, flag_file: Path, model: Path, tmp_path: Path) -> None:
    names = [b"two words.png", b"[bold]markup.png", "snö.png".encode(), b"latin-\xf6.png", b"new\nline.png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(flag_file.read_bytes())
    flag_file.unlink()
    done = run_program("cut", tmp_path, "-m", model, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == len(names)
    assert b"latin-\xf6.cutout.png" in done.stdout, "the name comes out in the bytes it has on the disk"
    run_program("cut", tmp_path, "-m", model, "-o", tmp_path / "out", "--json", "--overwrite")


def test_interrupting_exits_130_and_leaves_whole_files(flag_file: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    large = cv2.resize(cv2.imread(str(flag_file)), (3000, 3000))
    for number in range(40):
        cv2.imwrite(str(folder / f"{number:02}.png"), large)
    code = "from edgematte.runtime.cli import main; main()"
    words = ["cut", str(folder), "-m", str(model), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # one is done, more are to come
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.decode().split("\n")[-2] == "edgematte: interrupted; what was written is whole"
    written = sorted((tmp_path / "out").iterdir())
    assert 1 <= len(written) < 40
    assert all(rgba_of(path).shape == (3000, 3000, 4) for path in written)


def test_a_terminal_is_not_filled_with_a_picture(flag_file: Path, model: Path) -> None:
    code = "from edgematte.runtime.cli import main; main()"
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code, "cut", str(flag_file), "-o", "-", "-m", str(model)],
        stdout=follower,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert "would fill the terminal" in complaints(done)[0]


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(flag_file: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "second.png").write_bytes(flag_file.read_bytes())
    code = "from edgematte.runtime.cli import main; main()"
    leader, follower = pty.openpty()
    words = ["cut", str(flag_file), str(tmp_path / "second.png"), "-m", str(model)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm"},
        check=True,
    )
    os.close(follower)
    time.sleep(0.1)
    shown = os.read(leader, 100_000)
    os.close(leader)
    assert b"cutting" in shown
    assert len(done.stdout.splitlines()) == 2, "the bar leaves stdout alone"
    assert b"2 cut, 0 failed" in shown


def test_inspect_shows_a_table_and_json(run_program: Run, model: Path) -> None:
    table = run_program("inspect", model).stdout.decode()
    for words in ("full integer", "image: uint8 1x32x48x3", "CONV_2D", "scale 0.0039215", "tiny"):
        assert words in table
    told = json.loads(run_program("inspect", model, "--json").stdout)
    assert dict(told["operators"])["QUANTIZE"] == 2
    assert told["outputs"][0]["dtype"] == "uint8"


def test_inspecting_what_is_no_model_exits_1_or_2(run_program: Run, flag_file: Path, tmp_path: Path) -> None:
    done = run_program("inspect", flag_file)
    assert done.returncode == 1
    assert "not a .tflite model" in complaints(done)[0]
    assert run_program("inspect", tmp_path / "gone.tflite").returncode == 2


def test_bundled_models_are_listed_and_located(run_program: Run) -> None:
    assert "unet-live" in run_program("models", "list").stdout.decode()
    (listed,) = [m for m in json.loads(run_program("models", "list", "--json").stdout) if m["name"] == "unet-live"]
    assert listed["size_bytes"] > 100_000
    assert Path(run_program("models", "path", "unet-live").stdout.decode().strip()).is_file()
    assert run_program("models", "path", "unet-nowhere").returncode == 2


def test_the_version_is_the_packages(run_program: Run) -> None:
    assert run_program("--version").stdout.decode().split()[0] == "edgematte"


@pytest.mark.parametrize(
    ("words", "module", "extra"),
    [
        (["convert", "net.onnx", "-o", "out.tflite", "--calibrate", "photos"], "onnx", "convert"),
        (["bench", "run", "tiny.tflite", "--against", "net.onnx"], "onnxruntime", "convert"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    words: list[str], module: str, extra: str, model: Path, flag_file: Path
) -> None:
    """The package is hidden from the import system, as on a device that never had it.

    Both extras bring onnxruntime; reading the ONNX network that `bench` compares with takes the larger one.
    """
    place = model.parent
    (place / "net.onnx").write_bytes(b"\x08\x03 not looked at")
    (place / "photos").mkdir()
    (place / "photos" / "flag.png").write_bytes(flag_file.read_bytes())
    code = f"import sys; sys.modules[{module!r}] = None; from edgematte.runtime.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False, cwd=place)
    assert done.returncode == 2, done.stderr
    assert f"pip install 'edgematte[{extra}]'" in complaints(done)[0]


def test_device_verbs_need_no_extra(flag_file: Path, model: Path) -> None:
    hidden = ["onnx", "onnxruntime", "ai_edge_quantizer", "flatbuffers", "matplotlib"]
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden!r})); from edgematte.runtime.cli import main; main()"
    for words in (["cut", str(flag_file), "-m", str(model)], ["inspect", str(model)], ["models", "list"], ["--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_debug_shows_the_traceback_wherever_it_stands(run_program: Run, tmp_path: Path) -> None:
    for words in (["--debug", "inspect", tmp_path / "x.tflite"], ["inspect", tmp_path / "x.tflite", "--debug"]):
        done = run_program(*words)
        assert b"Traceback" in done.stderr
        assert done.returncode == 1
