"""Scores per kind of photo, from the names in a file of scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.benchmarks.kinds import by_kind
from edgematte.runtime.errors import UsageError


def test_a_kind_is_the_word_that_a_name_begins_with(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("stem,model_iou,model_boundary_iou\ncat_1,0.5,0.25\ncat_2,0.7,0.35\nDog07,0.9,0.8\n")
    found = by_kind(file)
    assert list(found) == ["cat, 2", "dog, 1", "all, 3"]
    assert found["cat, 2"]["model_iou"].value == pytest.approx(0.6)
    assert found["dog, 1"]["model_boundary_iou"].value == pytest.approx(0.8)
    assert found["all, 3"]["model_iou"].value == pytest.approx(0.7)
    assert "reference_iou" not in found["all, 3"], "the run had no full-precision network"


def test_a_file_without_scores_is_refused_with_the_way_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name in ("other.csv", "missing.csv"):
        with pytest.raises(UsageError, match="bench run --csv"):
            by_kind(tmp_path / name)
