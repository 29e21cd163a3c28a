"""The quantisation table says what it measured, way by way."""

from __future__ import annotations

from edgematte.benchmarks.studies.quantization import Row, table


def test_the_table_has_a_line_for_every_way() -> None:
    rows = [Row("unet", way, 0.99, 0.9, 0.002, 0.4, 1_000_000, 2, 1, 0) for way in ("plain", "default")]
    assert table(rows).row_count == 2
