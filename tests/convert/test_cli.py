"""`edgematte convert` as it is typed: figures on stdout, one clear line for every mistake, and never half a file."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from warm_program import WarmProgram

from edgematte.convert.targets import pi32
from edgematte.runtime.network.model_file import read_card

from .bright import bright_unet

Run = Callable[..., subprocess.CompletedProcess[str]]
MEMORY_LIMIT_BYTES = 3 * 2**30  # of address space: half of it is mapped libraries


@pytest.fixture(scope="module")
def program() -> Iterator[WarmProgram]:
    modules = ("edgematte.convert.pipeline", "edgematte.convert.report.report", "edgematte.convert.report.tables")
    with WarmProgram(*modules) as program:
        yield program


@pytest.fixture
def run(program: WarmProgram, tmp_path: Path, photos: Path) -> Run:
    """Runs the program in an empty folder; `limits` are those of `resource`, in bytes."""

    def typed(
        *words: str | Path, calibrate: Path | None = None, limits: Mapping[int, int] | None = None
    ) -> subprocess.CompletedProcess[str]:
        folder = calibrate or photos / "images"
        done = program.run("convert", *words, "--calibrate", folder, cwd=tmp_path, limits=limits)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return typed


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It failed with that code and one line that holds the words."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("edgematte: ")
    for word in words:
        assert word in lines[0]


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_it_prints_what_the_conversion_cost(run: Run, network: Path, photos: Path, tmp_path: Path) -> None:
    done = run(network, "-o", "out.tflite", "--data", photos, "--name", "Bright", "--licence", "CC0")
    assert done.returncode == 0, done.stderr
    for word in ("float to ONNX", "int8 to float", "size, bytes", "latency, ms", "IoU to true masks"):
        assert word in done.stdout
    card = read_card((tmp_path / "out.tflite").read_bytes())
    assert card is not None
    assert (card.name, card.licence) == ("Bright", "CC0")
    assert left_in(tmp_path) == {"out.tflite"}


def test_json_is_all_that_goes_to_stdout(run: Run, network: Path) -> None:
    done = run(network, "-o", "out.tflite", "--json")
    figures = json.loads(done.stdout)
    assert figures["agreement_iou"] > 0.97
    assert figures["float_parity"] < 1e-4
    assert figures["int8_model"]["bytes"] < figures["float_model"]["bytes"] * 3
    assert figures["int8_model"]["operators"]["CONV_2D"] == 4


def test_normalisation_reaches_the_model(run: Run, network: Path, tmp_path: Path) -> None:
    done = run(network, "-o", "out.tflite", "--mean", "10,20,30", "--std", "250,255,260", "--color", "bgr")
    assert done.returncode == 0, done.stderr
    card = read_card((tmp_path / "out.tflite").read_bytes())
    assert card is not None
    assert card.reading is not None
    told = card.reading["preprocessing"]
    assert (told["mean"], told["color"]) == ([10, 20, 30], "bgr")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["-o", "out.onnx"], 2, ".tflite"),
        (["-o", "."], 1, "folder"),
        (["-o", "out.tflite", "--mean", "grey"], 2, "--mean"),
        (["-o", "out.tflite", "--std", "0"], 2, "--std 0: pixels are divided by it"),
        (["-o", "out.tflite", "--std", "-1"], 2, "numbers above 0"),
        (["-o", "out.tflite", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"], 2, "--units 0-1"),
        (["-o", "out.tflite", "--mean", "0.5"], 2, "255 times as much?"),
        (["-o", "out.tflite", "--std", "1"], 2, "--units 0-255 if not"),
        (["-o", "out.tflite", "--mean", "0.485,0.456,0.406", "--std", "58.4,57.1,57.4"], 2, "add --units 0-255 if"),
        (
            ["-o", "out.tflite", "--mean", "123.7,116.3,103.5", "--std", "0.229,0.224,0.225"],
            2,
            "write both in the same",
        ),
        (["-o", "out.tflite", "--units", "percent"], 2, "expected 0-1 or 0-255"),
        (["-o", "out.tflite", "--units", "0-255"], 2, "add --std 1 for pixels as they are"),
        (["-o", "out.tflite", "--color", "RGB"], 2, "expected rgb or bgr"),
        (["-o", "out.tflite", "--values", "probability"], 2, "alpha, logits, sigmoid, 0-255, signed, background"),
        (["-o", "out.tflite", "--values", "logits"], 1, "that is alpha already"),
        (["-o", "out.tflite", "--output", "nothing"], 2, "no tensor 'nothing'"),
        (["-o", "out.tflite", "--input", "state"], 2, "NAME=NUMBER"),
        (["-o", "out.tflite", "--input", "state=0"], 2, "no such input"),
        (["-o", "out.tflite", "--strict"], 3, "8 or more are needed"),
        (["-o", "out.tflite", "--imgsz", "256"], 2, "256x256"),
        (["-o", "out.tflite", "--imgsz", "32x32"], 1, "fixed"),
        (["-o", "out.tflite", "--target", "toaster"], 2, "generic, pi, pi32, coral"),
        (["-o", "out.tflite", "--color", "cmyk"], 2, "rgb or bgr"),
        (["-o", "out.tflite", "--channel", "3"], 1, "channel"),
        (["-o", "out.tflite", "--max-drop", "7"], 2, "0 to 1"),
        (["-o", "out.tflite", "--max-latency-ratio", "0.000001"], 3, "max-latency-ratio"),
        (["-o", "out.tflite", "--data", "nowhere"], 2, "images/ and masks/"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    run: Run, network: Path, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    assert_one_line(run(network, *words), code, says)
    assert left_in(tmp_path) == set()


def test_parity_can_be_asked_closer_than_float32_gets(run: Run, network: Path, tmp_path: Path) -> None:
    done = run(network, "-o", "out.tflite", "--tolerance", "1e-9")
    assert_one_line(done, 3, "differs by", "at most 1e-09 is allowed")
    assert left_in(tmp_path) == set()
    assert_one_line(run(network, "-o", "out.tflite", "--tolerance", "0"), 2, "tolerance")


def test_a_32_bit_board_is_proven_by_running_or_said_not_to_be(
    run: Run, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(network, "-o", "out.tflite", "--target", "pi32")
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)  # where the program looked for a Python
    ran = pi32.find_python() is not None
    assert ("was not here to run the model" in done.stderr) != ran
    assert ("runs it" in done.stdout) == ran


@pytest.mark.parametrize("name", ["out.tflite", "rep/index.html"])
def test_what_exists_is_not_replaced(run: Run, network: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("precious")
    before = left_in(tmp_path)
    assert_one_line(run(network, "-o", "out.tflite", "--report", "rep"), 1, "--overwrite")
    assert (tmp_path / name).read_text() == "precious"
    assert left_in(tmp_path) == before


def broken_networks() -> dict[str, tuple[Callable[[Path], None], str]]:
    """What a user may hand over, how to make it, and a word of the refusal."""

    def text(path: Path) -> None:
        path.write_text("this is no network")

    def truncated(path: Path) -> None:
        content = bright_unet().SerializeToString()
        path.write_bytes(content[: len(content) // 2])

    def without_weights(path: Path) -> None:
        onnx.save(bright_unet(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
        (path.parent / "weights.bin").unlink()

    def old(path: Path) -> None:
        model = bright_unet()
        model.opset_import[0].version = 5
        onnx.save(model, path)

    def cyclic(path: Path) -> None:
        model = bright_unet()
        model.graph.node[2].input[0] = "d"
        onnx.save(model, path)

    def disconnected(path: Path) -> None:
        model = bright_unet()
        model.graph.node[2].input[0] = "nobody"
        onnx.save(model, path)

    def open_size(path: Path) -> None:
        onnx.save(bright_unet(side="side"), path)

    def with_nan(path: Path) -> None:
        model = bright_unet()
        weights = numpy_helper.to_array(model.graph.initializer[2]).copy()
        weights.flat[7] = np.nan
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(weights, model.graph.initializer[2].name))
        onnx.save(model, path)

    def overflowing(path: Path) -> None:
        model = bright_unet()
        huge = numpy_helper.from_array(np.full((8, 3, 3, 3), 3e38, np.float32), "down.weight")
        model.graph.initializer[0].CopyFrom(huge)
        onnx.save(model, path)

    def strange(path: Path) -> None:
        model = bright_unet()
        model.graph.node[3].CopyFrom(helper.make_node("Shrink", ["c"], ["d"], name="oddity"))
        onnx.save(model, path)

    def vast(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(2**31)

    def almost_vast(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(2**31 - 1)  # what an ONNX file may have, but this one is all zeros

    return {
        "missing": (lambda path: path.unlink(missing_ok=True), "no such file"),
        "empty": (lambda path: path.touch(), "empty"),
        "text": (text, "not an ONNX network"),
        "truncated": (truncated, "truncated"),
        "without weights": (without_weights, "weights.bin"),
        "wrong opset": (old, "opset 5"),
        "cyclic": (cyclic, "cyclic"),
        "disconnected": (disconnected, "nobody"),
        "open size": (open_size, "--imgsz"),
        "NaN weight": (with_nan, "'deep'"),
        "infinite activations": (overflowing, "'down' (Conv) computes NaN or infinity"),
        "unknown operator": (strange, "Shrink"),
        "2 GB": (vast, "2 GB"),
        "2 GB of zeros": (almost_vast, "not an ONNX network"),
    }


@pytest.mark.parametrize("kind", broken_networks())
def test_a_broken_network_gets_one_line_and_little_memory(run: Run, tmp_path: Path, kind: str) -> None:
    make, says = broken_networks()[kind]
    make(tmp_path / "net.onnx")
    before = left_in(tmp_path)
    limits = {resource.RLIMIT_AS: MEMORY_LIMIT_BYTES}
    assert_one_line(run("net.onnx", "-o", "out.tflite", limits=limits), 1, says)
    assert left_in(tmp_path) == before


def test_a_folder_without_photos_is_named(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_line(run(network, "-o", "out.tflite", calibrate=tmp_path / "empty"), 2, "empty", ".jpg")
    assert_one_line(run(network, "-o", "out.tflite", calibrate=tmp_path / "nowhere"), 2, "nowhere")


def test_unreadable_photos_are_named_and_the_others_used(
    run: Run, network: Path, tmp_path: Path, astronaut: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(astronaut.read_bytes())
    (folder / "cut short.jpg").write_bytes(astronaut.read_bytes()[:2000])
    (folder / "empty.png").touch()
    done = run(network, "-o", "out.tflite", calibrate=folder)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.tflite").is_file()
    for name in ("cut short.jpg", "empty.png"):
        assert name in done.stderr
    (folder / "good.jpg").unlink()
    done = run(network, "-o", "other.tflite", calibrate=folder)
    assert_one_line(done, 2, "none of its 2 photos can be read")


def test_a_disk_that_fills_up_leaves_no_half_file(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "old.tflite").write_bytes(b"the old model")
    limits = {resource.RLIMIT_FSIZE: 4096}  # a write beyond it fails, as on a full disk
    done = run(network, "-o", "old.tflite", "--overwrite", limits=limits)
    assert done.returncode == 1, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "old.tflite").read_bytes() == b"the old model"
    assert left_in(tmp_path) == {"old.tflite"}


def test_a_model_that_cannot_be_written_leaves_no_report(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(network, "-o", "file/out.tflite", "--report", "rep")
    assert done.returncode == 1, done.stderr
    assert "cannot write file/out.tflite: its folder cannot be made" in done.stderr
    assert left_in(tmp_path) == {"file"}


def test_a_report_that_cannot_be_written_leaves_no_model(run: Run, network: Path, tmp_path: Path) -> None:
    limits = {resource.RLIMIT_FSIZE: 40_000}  # the model is 15 KB, the page's pictures are more
    done = run(network, "-o", "out.tflite", "--report", "rep", limits=limits)
    assert done.returncode == 1, done.stderr
    assert "cannot write rep" in done.stderr
    assert left_in(tmp_path) == set()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_calibration_folder_that_cannot_be_read_is_named(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o000)
    assert_one_line(run(network, "-o", "out.tflite", calibrate=tmp_path / "locked"), 1, "locked", "cannot be read")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(run: Run, network: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert_one_line(run(network, "-o", "locked/out.tflite"), 1, "cannot write", "locked")


def test_a_traceback_only_with_debug(run: Run) -> None:
    assert "Traceback" not in run("missing.onnx", "-o", "out.tflite").stderr
    assert "Traceback" in run("missing.onnx", "-o", "out.tflite", "--debug").stderr
