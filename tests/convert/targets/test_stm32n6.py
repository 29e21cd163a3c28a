"""ST's documented rules, each tried on a network of one operator. ST's own compiler is in no package index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgematte.convert.targets import accelerators, stm32n6

from .one_operator import FLOAT, ints, model_of, options

PICTURE = (1, 8, 8, 4)
WEIGHTS = np.ones((4, 3, 3, 4), np.int8)
CONVOLUTION = ("CONV_2D", [PICTURE, WEIGHTS, ints(0, 0, 0, 0)], PICTURE, options("Conv2D"))
BILINEAR = ("RESIZE_BILINEAR", [PICTURE, ints(16, 16)], (1, 16, 16, 4), options("ResizeBilinear"))


def pool(size: int) -> tuple:
    return "MAX_POOL_2D", [PICTURE], PICTURE, options("Pool2D", filterHeight=size, filterWidth=size)


CASES = {
    "convolution": (CONVOLUTION, "mapped", ""),
    "computed weights": (("CONV_2D", [PICTURE, (4, 3, 3, 4)], PICTURE, options("Conv2D")), "refused", "constant"),
    "pool of 3": (pool(3), "mapped", ""),
    "pool of 4": (pool(4), "refused", "4x4"),
    "bilinear": (BILINEAR, "refused", "SW_FLOAT"),
    "softmax": (("SOFTMAX", [PICTURE], PICTURE, options("Softmax")), "refused", "--expand-softmax"),
    "mean": (("MEAN", [PICTURE, ints(1, 2)], (1, 1, 1, 4), options("Reducer")), "uncertain", "3x3"),
    "not named": (("SPACE_TO_DEPTH", [PICTURE], (1, 4, 4, 16), None), "uncertain", "ST's compiler decides"),
    "two pictures": (("RELU", [(2, 8, 8, 4)], (2, 8, 8, 4), None), "refused", "not one picture"),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_rule_is_applied_with_its_reason(kind: str) -> None:
    step, status, reason = CASES[kind]
    (verdict,) = stm32n6.check(model_of(step)).operators
    assert verdict.status == status
    assert reason in verdict.reason


def test_floats_run_on_the_processor() -> None:
    (verdict,) = stm32n6.check(model_of(pool(3), dtype=FLOAT)).operators
    assert "is float32" in verdict.reason


def test_activations_beyond_the_npu_s_memory_are_remarked_upon() -> None:
    large = (1, 1024, 512, 2)
    coverage = stm32n6.check(model_of(("RELU", [large], large, None)))
    assert any("2.00 MB of activations exceed the NPU's 1.75 MB" in advice for advice in coverage.suggestions)
    assert stm32n6.check(model_of(CONVOLUTION)).suggestions == ()


def test_it_is_said_that_nothing_was_run_and_what_to_type(root: Path) -> None:
    coverage = stm32n6.check((root / "models" / "unet-live.tflite").read_bytes())
    assert any("stedgeai generate" in step and "--target stm32n6" in step for step in coverage.next_steps)
    told = list(accelerators.warnings(coverage))
    assert any("nothing was run on an STM32N6" in line for line in told)
    assert "4 do not" not in coverage.headline
    assert "not RESIZE_BILINEAR '/Resize_output_0'" in coverage.headline
    assert "nor 3 more" in coverage.headline
