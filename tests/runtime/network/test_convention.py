from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import Segmenter
from edgematte.runtime.errors import UsageError
from edgematte.runtime.network.convention import Convention, read_settings


def test_a_settings_file_beside_the_model_overrides_the_guess(
    make_float_network: Callable[..., bytes], flag: NDArray[np.uint8], tmp_path: Path
) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("settings beside a model need Python 3.11's tomllib")
    path = tmp_path / "other.tflite"
    path.write_bytes(make_float_network("sigmoid"))
    path.with_suffix(".toml").write_text('color = "bgr"\nmean = 0\nstd = [255, 255, 255]\n')
    alpha = Segmenter(path)(flag)
    assert alpha[:, :43].max() <= 5, "read as BGR, blue is the subject"
    assert alpha[:, 47:].min() >= 250


@pytest.mark.skipif(sys.version_info < (3, 11), reason="settings beside a model need Python 3.11's tomllib")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour = 'bgr'", "unknown key 'colour'.*color"),
        ("color = 'yuv'", '"rgb" or "bgr"'),
        ("std = [1, 0, 1]", "not 0"),
        ("mean = [1, 2]", "a number or three"),
        ("channel = -1", "class"),
        ("channel = true", "class"),
        ("size = [256]", "width, height"),
        ("output =", "cannot read"),
    ],
)
def test_a_mistake_in_a_settings_file_is_explained(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_settings(path, Convention())
