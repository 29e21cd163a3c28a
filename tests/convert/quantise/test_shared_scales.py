"""A tensor takes another's scale only where that scale holds its values and is not wasted on them."""

from __future__ import annotations

import pytest

from edgematte.convert.quantise.shared_scales import OVERSHOOT, WASTE, _serves
from edgematte.convert.tflite.kernels import encode


@pytest.mark.parametrize("width", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("low", [0.0, -0.5])
def test_a_scale_serves_what_is_a_hundredth_wider_and_not_much_narrower(width: float, low: float) -> None:
    encoding = encode(low * width, (1 + low) * width)
    lowest, highest = encoding.lowest, encoding.highest
    overshoot = OVERSHOOT * (highest - lowest)
    assert _serves(encoding, (lowest, highest + 0.9 * overshoot))
    assert not _serves(encoding, (lowest, highest + 1.1 * overshoot))
    assert _serves(encoding, (lowest - 0.9 * overshoot, highest))
    assert not _serves(encoding, (lowest - 1.1 * overshoot, highest))
    assert _serves(encoding, (lowest / WASTE * 1.01, highest / WASTE * 1.01))
    assert not _serves(encoding, (lowest / WASTE * 0.99, highest / WASTE * 0.99))
