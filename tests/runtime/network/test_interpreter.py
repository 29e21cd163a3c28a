from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.device.machine import available_cores
from edgematte.runtime.errors import ModelError, UsageError
from edgematte.runtime.network import interpreter
from edgematte.runtime.network.interpreter import load


def test_a_loaded_network_tells_its_input_and_output_and_runs(make_integer_network: Callable[..., bytes]) -> None:
    network = load(make_integer_network(), threads=1)
    (picture,), (alpha,) = network.inputs, network.outputs
    assert (picture.name, picture.shape, picture.dtype) == ("image", (1, 32, 48, 3), np.uint8)
    assert (alpha.shape, alpha.zero_point) == ((1, 32, 48, 1), 0)
    assert alpha.scale == pytest.approx(1 / 256)
    red = np.zeros(picture.shape, np.uint8)
    red[..., 0] = 255
    assert network.run(red).min() == 255
    assert network.run(red[..., ::-1].copy()).max() == 0, "blue is what this network calls background"


def test_operators_are_those_of_the_file_not_of_the_delegate(make_integer_network: Callable[..., bytes]) -> None:
    assert load(make_integer_network()).operators() == ["QUANTIZE", "CONV_2D", "LOGISTIC", "QUANTIZE"]


def test_a_result_outlives_the_next_run(make_integer_network: Callable[..., bytes]) -> None:
    network = load(make_integer_network())
    blank = np.zeros(network.inputs[0].shape, np.uint8)
    first = network.run(blank)
    kept = first.copy()
    network.run(blank + np.array([255, 0, 0], np.uint8))
    assert np.array_equal(first, kept)


def test_a_tensor_of_another_shape_or_type_is_refused(make_integer_network: Callable[..., bytes]) -> None:
    network = load(make_integer_network())
    with pytest.raises(ModelError, match=r"uint8 \(1, 32, 48, 3\).*float32"):
        network.run(np.zeros((1, 32, 48, 3), np.float32))
    with pytest.raises(ModelError, match=r"\(1, 8, 8, 3\)"):
        network.run(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_custom_operator_is_named(make_float_network: Callable[..., bytes]) -> None:
    with pytest.raises(ModelError, match="MyOwnSigmoid"):
        load(make_float_network("custom"))


def test_an_edge_tpu_binary_is_recognised(shared: Path) -> None:
    with pytest.raises(ModelError, match=r"Edge TPU.*compiled from"):
        load(shared / "networks" / "prisma_quant_edgetpu.tflite")


def test_a_missing_edge_tpu_runtime_says_what_to_install(
    make_integer_network: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interpreter, "EDGE_TPU_LIBRARY", "libnowhere-edgetpu.so.1")
    with pytest.raises(ModelError, match="libedgetpu1-std"):
        load(make_integer_network(), device="coral")
    assert capfd.readouterr().err == "", "the delegate's destructor must not add a second, unreadable error"


def test_unknown_devices_and_thread_counts_are_usage_errors(make_integer_network: Callable[..., bytes]) -> None:
    with pytest.raises(UsageError, match="expected cpu, coral"):
        load(make_integer_network(), device="gpu")
    with pytest.raises(UsageError, match="0 threads"):
        load(make_integer_network(), threads=0)


def test_threads_are_one_per_core_and_at_most_four(make_integer_network: Callable[..., bytes]) -> None:
    assert load(make_integer_network()).threads == min(4, available_cores())
    assert load(make_integer_network(), threads=2).threads == 2


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.tflite"):
        load(tmp_path / "nothing.tflite")


def test_an_unknown_interpreter_is_refused_with_the_choices(
    make_integer_network: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMATTE_INTERPRETER", "tensorflow")
    with pytest.raises(UsageError, match="ai-edge-litert, tflite-runtime"):
        load(make_integer_network())


def test_a_chosen_interpreter_that_is_not_installed_says_how_to_get_it(
    make_integer_network: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMATTE_INTERPRETER", "tflite-runtime")
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(UsageError, match="pip install tflite-runtime"):
        load(make_integer_network())


def test_loading_and_running_print_nothing(make_integer_network: Callable[..., bytes], tmp_path: Path) -> None:
    """In a fresh process: the interpreters announce their delegate once, on the first load."""
    path = tmp_path / "model.tflite"
    path.write_bytes(make_integer_network())
    code = (
        "import sys, numpy as np; from pathlib import Path; from edgematte.runtime.network.interpreter import load; "
        "n = load(Path(sys.argv[1])); n.run(np.zeros(n.inputs[0].shape, np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
