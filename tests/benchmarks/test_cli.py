"""`edgematte bench run` as somebody types it: on real photos, through the whole program."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from edgematte.benchmarks.measure.accuracy import METRICS
from edgematte.benchmarks.result import SCHEMA_VERSION
from edgematte.convert.onnx.evidence import assumed
from edgematte.convert.onnx.graph import load
from edgematte.convert.onnx.lower import lower
from edgematte.convert.onnx.reading import Preprocessing
from edgematte.convert.quantise.calibrate import calibrate
from edgematte.convert.quantise.emit import quantize
from edgematte.convert.tflite.builder import add_metadata
from edgematte.runtime.cli import main
from edgematte.runtime.network.interpreter import CHOICE_VARIABLE
from edgematte.runtime.network.model_file import CARD_NAME, ModelCard
from edgematte.runtime.picture.folders import find_photos
from edgematte.runtime.picture.images import read
from edgematte.runtime.picture.scale import resize

from .conftest import SaveOnnx

QUICK = (
    "--seconds",
    "0",
    "--threads",
    "1",
    "--starts",
    "0",
    "--live-frames",
    "0",
)  # the least number of rounds, and no more processes


@dataclass(frozen=True)
class Ended:
    """How the program ended; what it says of the machine the tests run on is left out."""

    code: int
    out: str
    err: str


Bench = Callable[..., Ended]


@pytest.fixture(scope="session")
def bench() -> Bench:
    """Types `edgematte bench` and the given words."""

    def run(*words: str | Path) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["edgematte", "bench", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code
        said = "".join(line for line in err.getvalue().splitlines(True) if "before measuring:" not in line)
        return Ended(code if isinstance(code, int) else 0, out.getvalue(), said)

    return run


@dataclass(frozen=True)
class Measured:
    """One run of a network against its own original, and what it wrote."""

    ended: Ended
    json: Path
    csv: Path


@pytest.fixture(scope="session")
def measured(
    bench: Bench, orange: Path, orange_tflite: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    wanted, table = folder / "pc.json", folder / "photos.csv"
    outputs = ("--json", wanted, "--csv", table)
    return Measured(bench("run", orange_tflite, "--against", orange, "--data", photos, *outputs, *QUICK), wanted, table)


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """A copy of the repository's photos that a test may damage."""
    for room in ("images", "masks"):
        shutil.copytree(photos / room, tmp_path / "data" / room)
    return tmp_path / "data"


def test_a_network_agrees_with_its_own_lowering_on_real_photos(measured: Measured, photos: Path) -> None:
    ended = measured.ended
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(measured.json.read_text())
    pairs = len(list((photos / "masks").glob("*.png")))
    assert found["data"]["used"] == found["data"]["found"] == len(found["accuracy"]["photos"]) == pairs
    # Float TFLite against onnxruntime: alphas differ by a rounding at most, which moves hardly a pixel across 0.5.
    assert found["accuracy"]["agreement"]["iou"]["low"] > 0.999
    assert found["accuracy"]["agreement"]["mae"]["high"] < 1 / 255
    assert abs(found["accuracy"]["difference"]["iou"]["value"]) < 1e-3
    assert 0 < found["accuracy"]["model"]["iou"]["value"] < 0.6, "it finds orange, not people"
    # Both were timed, as often and by turns, and the whole call holds the network.
    latency = found["latency"]
    assert len(latency["model"]["network"]["samples_ms"]) == len(latency["reference"]["whole"]["samples_ms"]) >= 30
    assert latency["model"]["whole"]["median_ms"] > latency["model"]["network"]["median_ms"]
    ratio = latency["network_ratio"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert found["reference"]["device"] == "CPU"
    assert "CPU reference" in ended.out, "a reference without a GPU is named as what it is"
    for word in ("IoU", "boundary IoU", "MAE", "0.00 MB", "median"):
        assert word in ended.out


def test_a_difference_in_the_network_is_found(
    bench: Bench, save_onnx: SaveOnnx, orange_tflite: Path, photos: Path, tmp_path: Path
) -> None:
    blue = save_onnx([[-12.0, 0.0, 12.0]], bias=[-3.0], name="blue")
    wanted = tmp_path / "bench.json"
    assert bench("run", orange_tflite, "--against", blue, "--data", photos, "--json", wanted, *QUICK).code == 0
    agreement = json.loads(wanted.read_text())["accuracy"]["agreement"]
    assert agreement["iou"]["value"] < 0.5
    assert agreement["mae"]["value"] > 0.02


def test_the_csv_holds_what_the_means_are_made_of(measured: Measured) -> None:
    rows = list(csv.DictReader(measured.csv.read_text().splitlines()))
    means = json.loads(measured.json.read_text())["accuracy"]["model"]
    for metric in METRICS:
        mean = sum(float(row[f"model_{metric}"]) for row in rows) / len(rows)
        # Columns have nine digits.
        assert mean == pytest.approx(means[metric]["value"], rel=1e-7)


def test_without_photos_latency_alone_is_measured_and_that_is_said(bench: Bench, orange_tflite: Path) -> None:
    ended = bench("run", orange_tflite, *QUICK)
    assert ended.code == 0
    assert "Accuracy: not measured; give photos and masks with --data DIR." in ended.out
    assert "photo to alpha" in ended.out


def test_json_to_stdout_is_nothing_but_json(bench: Bench, orange_tflite: Path) -> None:
    ended = bench("run", orange_tflite, "--json", "-", *QUICK)
    assert json.loads(ended.out)["accuracy"] is None
    assert "photo to alpha" in ended.err, "the tables go to stderr then"


def test_a_limit_takes_photos_from_the_whole_folder(
    bench: Bench, orange_tflite: Path, photos: Path, tmp_path: Path
) -> None:
    wanted = tmp_path / "bench.json"
    assert bench("run", orange_tflite, "--data", photos, "--limit", "2", "--json", wanted, *QUICK).code == 0
    stems = sorted(path.stem for path in (photos / "masks").glob("*.png"))
    used = [photo["stem"] for photo in json.loads(wanted.read_text())["accuracy"]["photos"]]
    assert used == [stems[0], stems[-1]]


def test_an_int8_model_s_card_tells_how_to_feed_its_original(
    bench: Bench, save_onnx: SaveOnnx, photos: Path, tmp_path: Path
) -> None:
    # As trained on BGR with means and deviations of its own: fed in any other way, the original finds other things.
    told = Preprocessing((10.0, 20.0, 30.0), (60.0, 50.0, 40.0), "bgr")
    original = save_onnx([[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0]], bias=[-1.0, 0.0], end=None)
    graph = load(original)
    reading = assumed(graph, told, channel=0)
    network = lower(graph, reading)
    pictures = [resize(read(path), network.size) for path in find_photos(photos / "images")]
    int8 = quantize(network, calibrate(network, pictures)).to_bytes()
    card = ModelCard(name="network", source_sha256=graph.sha256, reading=reading.to_card())
    model, wanted = tmp_path / "model.tflite", tmp_path / "bench.json"
    model.write_bytes(add_metadata(int8, CARD_NAME, card.to_json()))

    ended = bench("run", model, "--against", original, "--data", photos, "--json", wanted, *QUICK)
    assert ended.code == 0, ended.err
    found = json.loads(wanted.read_text())
    assert found["same_source"] is True
    told = found["reference"]["conventions"]
    assert "(pixel - 10, 20, 30) / 60, 50, 40, channels swapped to BGR" in told
    assert "softmax of class 0 of 2 is alpha" in told
    # What is left is int8's rounding: the logits span some 20 units in 256 steps, so alpha is off by 0.02 at worst.
    assert found["accuracy"]["agreement"]["mae"]["high"] < 0.02

    misled = ("--mean", "127.5", "--std", "127.5", "--color", "rgb", "--channel", "0", "--overwrite")
    ended = bench("run", model, "--against", original, "--data", photos, "--json", wanted, *misled, *QUICK)
    assert ended.code == 0, ended.err
    assert json.loads(wanted.read_text())["accuracy"]["agreement"]["mae"]["low"] > 0.1, "options win over the card"


def test_another_original_than_the_card_names_is_remarked_upon(
    bench: Bench, orange: Path, orange_tflite: Path, tmp_path: Path
) -> None:
    graph = load(orange)
    card = ModelCard(name="network", source_sha256="0" * 64, reading=assumed(graph, None).to_card())
    model = tmp_path / "model.tflite"
    model.write_bytes(add_metadata(orange_tflite.read_bytes(), CARD_NAME, card.to_json()))
    ended = bench("run", model, "--against", orange, *QUICK)
    assert ended.code == 0
    assert "card names another file" in ended.out


def test_a_card_that_does_not_say_how_the_original_is_fed_is_no_guess(
    bench: Bench, orange: Path, orange_tflite: Path, tmp_path: Path
) -> None:
    card = ModelCard(name="network", source_sha256="0" * 64)
    model = tmp_path / "model.tflite"
    model.write_bytes(add_metadata(orange_tflite.read_bytes(), CARD_NAME, card.to_json()))
    ended = bench("run", model, "--against", orange, *QUICK)
    assert ended.code == 2
    assert "convert it again, or say it with --mean" in ended.err
    assert bench("run", model, "--against", orange, "--mean", "0", "--std", "255", *QUICK).code == 0


def test_a_damaged_photo_is_named_and_the_others_are_measured(
    bench: Bench, orange_tflite: Path, folder: Path, tmp_path: Path
) -> None:
    whole = (folder / "images" / "astronaut.jpg").read_bytes()
    (folder / "images" / "astronaut.jpg").write_bytes(whole[: len(whole) // 2])
    wanted = tmp_path / "bench.json"
    ended = bench("run", orange_tflite, "--data", folder, "--json", wanted, *QUICK)
    assert ended.code == 1
    assert "astronaut.jpg: the JPEG is cut short" in ended.err
    found = json.loads(wanted.read_text())
    assert found["data"]["used"] == found["data"]["found"] - 1
    assert [skipped["stem"] for skipped in found["data"]["skipped"]] == ["astronaut"]
    assert "1 of the photos could not be used" in ended.out


def test_a_mask_of_another_size_is_named(bench: Bench, orange_tflite: Path, folder: Path) -> None:
    mask = cv2.imread(str(folder / "masks" / "cat.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    cv2.imwrite(str(folder / "masks" / "cat.png"), mask[::2, ::2])
    ended = bench("run", orange_tflite, "--data", folder, *QUICK)
    assert ended.code == 1
    assert "cat.png: is 226x150 but" in ended.err


def test_a_photo_without_its_mask_stops_the_run_before_it_starts(
    bench: Bench, orange_tflite: Path, folder: Path
) -> None:
    (folder / "masks" / "cat.png").unlink()
    ended = bench("run", orange_tflite, "--data", folder, *QUICK)
    assert ended.code == 2
    assert "images holds cat without a partner" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_the_interpreter_is_chosen_by_an_option(
    bench: Bench, orange_tflite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE_VARIABLE, "tflite-runtime")
    ended = bench("run", orange_tflite, "--interpreter", "ai-edge-litert", "--json", "-", *QUICK)
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)["model"]
    assert facts["engine"].startswith("ai-edge-litert ")
    assert facts["arena_bytes"] is None, "which only tflite-micro knows"
    ended = bench("run", orange_tflite, "--interpreter", "tensorflow", *QUICK)
    assert ended.code == 2
    assert "expected one of: ai-edge-litert, tflite-runtime, tflite-micro" in ended.err


def test_nothing_is_overwritten_unasked_and_that_is_known_before_measuring(
    bench: Bench, orange_tflite: Path, tmp_path: Path
) -> None:
    there = tmp_path / "bench.json"
    there.write_text("precious")
    ended = bench("run", orange_tflite, "--json", there, *QUICK)
    assert (ended.code, ended.out) == (1, "")
    assert "bench.json exists already; add --overwrite" in ended.err
    assert there.read_text() == "precious"
    assert bench("run", orange_tflite, "--json", there, "--overwrite", *QUICK).code == 0
    assert json.loads(there.read_text())["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.tflite",), "there is no model file missing.tflite"),
        (("{model}", "--against", "missing.onnx"), "missing.onnx: no such file"),
        (("{model}", "--data", "missing"), "missing/images is not a folder"),
        (("{model}", "--mean", "127.5"), "are for the network of --against"),
        (("{model}", "--against", "{onnx}", "--mean", "1,2"), "--mean 1.0,2.0: expected one number or three, R,G,B"),
        (("{model}", "--against", "{onnx}", "--std", "grey"), "--std grey: expected one number"),
        (("{model}", "--against", "{onnx}", "--std", "0"), "--std 0"),
        (("{model}", "--csv", "photos.csv"), "--csv and --limit are about photos"),
        (("{model}", "--limit", "5"), "--csv and --limit are about photos"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    bench: Bench, orange: Path, orange_tflite: Path, words: tuple[str, ...], said: str
) -> None:
    ended = bench("run", *(word.format(model=orange_tflite, onnx=orange) for word in words), *QUICK)
    assert ended.code in (1, 2)
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "Traceback" not in ended.err


def without(packages: Sequence[str], *words: str) -> subprocess.CompletedProcess[str]:
    """`edgematte bench run` with packages hidden from the import system, as on a device that never had them."""
    code = f"import sys; sys.modules |= dict.fromkeys({packages!r}); from edgematte.runtime.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", "run", *words, *QUICK]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_the_extra_a_model_alone_is_measured(orange_tflite: Path) -> None:
    alone = without(("onnx", "onnxruntime"), str(orange_tflite))
    assert alone.returncode == 0
    assert "Traceback" not in alone.stderr


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra_a_reference_says_what_to_install(orange: Path, orange_tflite: Path, package: str) -> None:
    compared = without((package,), str(orange_tflite), "--against", str(orange))
    assert compared.returncode == 2
    assert f"'edgematte bench run --against' needs {package}; install it with: pip install" in compared.stderr


def test_ctrl_c_ends_the_run_with_130(
    bench: Bench, orange_tflite: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # The keyboard is faked, nothing else: the signal arrives while photos are scored.
    monkeypatch.setattr("edgematte.benchmarks.run.score", interrupt)
    wanted = tmp_path / "bench.json"
    assert bench("run", orange_tflite, "--data", photos, "--json", wanted, *QUICK).code == 130
    assert not wanted.exists()


def test_a_run_becomes_a_page_a_table_and_a_verdict(bench: Bench, measured: Measured, tmp_path: Path) -> None:
    run, page = measured.json, tmp_path / "report.html"
    ended = bench("report", run, "-o", page, "--markdown")
    assert (ended.code, ended.err) == (0, "")
    assert "CPU reference" in ended.out.splitlines()[0]
    assert page.read_text().count("data:image/") >= 4
    assert bench("report", run, "-o", page).code == 1, "it is there already"
    assert bench("report", run).code == 2, "nothing to make"

    # The same network twice: no IoU is lost beyond a rounding at a few pixels.
    held = bench("gate", run, "--max-drop", "0.001", "--min-agreement", "0.99", "--max-latency-ratio", "1000")
    assert (held.code, held.err) == (0, "")
    assert held.out.count("holds") == 3
    missed = bench("gate", run, "--max-latency-ratio", "0.001", "--max-drop", "0.001")
    assert missed.code == 3
    assert "MISSED pc: time of the network / reference" in missed.out
    assert "1 of the limits missed: pc: time of the network / reference" in missed.err
    assert bench("gate", run).code == 2, "a gate without a limit is a mistake"
    assert bench("gate", tmp_path / "other.json", "--max-drop", "1").code == 2
    as_json = bench("gate", run, "--max-drop", "0.001", "--json")
    assert json.loads(as_json.out)["pc"][0]["holds"] is True
