"""The table of converters: every network every way, a refusal is a line too, and nothing is left unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgematte.benchmarks.studies import conversions
from edgematte.benchmarks.studies.__main__ import program
from edgematte.benchmarks.studies.conversions import OWN, PEER, TENSORFLOW, Plan, Row, measure
from edgematte.benchmarks.studies.converters import HEADINGS, table
from edgematte.benchmarks.studies.networks import subject
from edgematte.convert.latency import Effort
from edgematte.convert.onnx import onnx_tf
from edgematte.runtime import cli
from edgematte.runtime.errors import UsageError

from ..conftest import SaveOnnx


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "EFFORT", Effort(seconds=0.05, least_rounds=3))


def plan_of(photos: Path, *paths: Path, tensorflow: tuple[str, ...] = ()) -> Plan:
    return Plan(tuple(subject(str(path)) for path in paths), photos, (photos,), tensorflow=tensorflow)


def test_a_simple_network_keeps_its_mask_every_way(orange: Path, photos: Path) -> None:
    told: list[str] = []
    rows = list(measure(plan_of(photos, orange), report=lambda what, _share: told.append(what)))
    assert [(row.network, row.way) for row in rows] == [("orange", OWN), ("orange", PEER)]
    own = rows[0]
    assert own.parity is not None
    assert own.parity < 1e-5, "one convolution and a sigmoid in float32"
    for row in rows:
        assert row.iou is not None
        assert row.pooled_iou is not None
        assert row.worst_iou is not None
        assert row.mae is not None
        assert row.worst_iou <= row.iou
        # Scores in eight bits: the threshold moves by a grey level or two, and few pixels lie there.
        assert min(row.iou, row.pooled_iou) > 0.9
        assert row.mae < 0.02
        assert row.in_float == ()
        assert (row.transposes, row.partitions) == (0, 1)
        assert row.float_truth is not None
        assert row.int8_truth == pytest.approx(row.float_truth, abs=0.05)
        assert row.seconds is not None
        assert row.cpu_seconds is not None
        assert row.cpu_seconds > 0
    assert all(what.startswith("orange: ") for what in told)


def test_a_refused_network_is_a_line_and_the_others_go_on(save_onnx: SaveOnnx, orange: Path, photos: Path) -> None:
    strange = save_onnx([[1.0, 0.0, 0.0]], end="Asinh", name="strange")
    first, *others = measure(plan_of(photos, strange, orange), report=lambda _what, _share: None)
    assert (first.network, first.way, first.iou) == ("strange", OWN, None)
    assert "Asinh" in first.refused
    assert [row.network for row in others] == ["orange", "orange"]


def test_tensorflow_that_is_not_there_is_missed_before_anything_is_measured(
    orange: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(onnx_tf.PYTHON_VARIABLE, "")
    with pytest.raises(UsageError, match="pip install"):
        next(measure(plan_of(photos, orange, tensorflow=("orange",)), report=lambda _what, _share: None))


def test_the_table_shows_what_was_measured_and_what_was_not() -> None:
    rows = [Row("a", "0", OWN, parity=2e-4, amplified=True, iou=0.98, in_float=("EXP", "DIV", "EXP"))]
    rows.append(Row("b", "0", TENSORFLOW, refused="no such operator"))
    shown = table(rows)
    assert shown.row_count == 2
    cells = {str(column.header): [str(cell) for cell in column.cells] for column in shown.columns}
    assert cells["parity"] == ["2.0e-04 ~", "refused: no such operator"]
    assert cells["not int8"] == ["2 EXP, 1 DIV", "–"]
    assert cells["MAE"] == ["–", "–"], "not measured is not 0"


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.run(program("converters"), [str(word) for word in words], "study converters")
    return int(ended.value.code or 0)


def test_one_command_writes_the_page_and_the_figures(orange: Path, photos: Path, tmp_path: Path) -> None:
    page, figures = tmp_path / "table.md", tmp_path / "table.json"
    outputs = ("--json", figures, "--markdown", page)
    (tmp_path / "data").mkdir()
    for name in ("one", "two"):
        (tmp_path / "data" / name).symlink_to(photos)
    words = ("--model", orange, "--calibrate", photos, "--data", tmp_path / "data", "--limit", "2", *outputs)
    assert run(*words) == 0
    found = json.loads(figures.read_text())
    assert (found["schema"], found["schema_version"], len(found["rows"])) == ("edgematte.bench.converters", 1, 2)
    assert [(entry["folder"], entry["photos"]) for entry in found["rows"][0]["folder_ious"]] == [("one", 2), ("two", 2)]
    lines = page.read_text().splitlines()
    table_lines = [line for line in lines if line.startswith("|")]
    assert len(table_lines) == 4
    assert {line.count("|") for line in table_lines} == {len(HEADINGS) + 1}
    assert run(*words) == 1, "neither is replaced without being told"
    assert json.loads(figures.read_text()) == found


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(
    save_onnx: SaveOnnx, orange: Path, photos: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "table.json"
    words = ("--calibrate", photos, "--data", photos, "--json", figures, "--resume")
    assert run("--model", orange, *words) == 0
    first = json.loads(figures.read_text())["rows"]
    blue = save_onnx([[-12.0, 0.0, 12.0]], bias=[-3.0], name="blue")
    assert run("--model", orange, "--model", blue, *words) == 0
    rows = json.loads(figures.read_text())["rows"]
    assert [row["network"] for row in rows] == ["orange", "orange", "blue", "blue"]
    assert rows[:2] == first, "not even timed again"
    document = json.loads(figures.read_text())
    figures.write_text(json.dumps({**document, "rows": rows[:1]}))
    assert run("--model", orange, *words) == 0
    again = json.loads(figures.read_text())["rows"]
    assert [row["way"] for row in again] == [row["way"] for row in first]
    assert again[0] == first[0], "only the other converter was measured"
    figures.write_text("{}")
    assert run("--model", orange, *words) == 2
    assert run("--model", orange, "--calibrate", photos, "--data", photos, "--resume") == 2


def test_a_run_that_means_nothing_is_refused(orange: Path, photos: Path) -> None:
    assert run("--calibrate", photos, "--data", photos) == 2
    assert run("--calibrate", photos, "--data", photos, "--model", orange, "--onnx-tf", "apple") == 2
