"""A study is run by its name, and ends as every command ends."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edgematte.benchmarks.studies import __main__ as runner
from edgematte.benchmarks.studies.__main__ import STUDIES


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["studies", *words])
    with pytest.raises(SystemExit) as ended:
        runner.main()
    return int(ended.value.code or 0)


def test_every_module_with_a_command_is_listed(root: Path) -> None:
    with_command = {
        path.stem
        for path in (root / "benchmarks" / "studies").glob("*.py")
        if not path.stem.startswith("_") and not path.stem.endswith("_worker")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    }
    assert with_command == STUDIES.keys()


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_says_what_it_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, name, "--help") == 0
    assert f"study {name}" in capsys.readouterr().out


def test_a_name_that_is_no_study_is_refused_beside_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "edge") == 2
    said = capsys.readouterr()
    assert "edge is no study" in said.err
    assert all(name in said.out for name in STUDIES)


def test_a_missing_source_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "batch", "--source", str(tmp_path / "nowhere")) == 1
    assert capsys.readouterr().err.startswith("edgematte: ")
