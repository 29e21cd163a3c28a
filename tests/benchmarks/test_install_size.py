"""An install's size is counted package by package, what pip compiled apart from what it unpacked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgematte.benchmarks import install_size
from edgematte.benchmarks.install_size import Installed, installed, measure, table
from edgematte.runtime.errors import EdgeMatteError, UsageError


def test_the_packages_of_this_environment_are_found() -> None:
    found = {package.name: package for package in installed(sys.executable)}
    assert found["numpy"].bytes > 10e6, "its compiled parts alone are larger"
    assert "pip" not in found, "what every environment has says nothing about ours"
    sizes = [package.bytes + package.bytecode_bytes for package in installed(sys.executable)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_sums_tell_a_device_from_a_workstation() -> None:
    shown = table([Installed("big", "1", 30_000_000, 2_000_000, extra=True), Installed("small", "2", 10_000_000, 0)])
    columns = {str(column.header): [str(cell) for cell in column.cells] for column in shown.columns}
    assert columns["MB"] == ["30.0", "10.0", "10.0", "40.0"]
    assert columns["bytecode, MB"] == ["2.0", "0.0", "0.0", "2.0"]
    assert columns["needed by"][:2] == ["the extra", "a device"]


def test_a_place_that_is_no_checkout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_size, "ROOT", tmp_path)
    with pytest.raises(UsageError, match=r"pyproject\.toml"):
        measure([])


def test_what_the_installer_says_is_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(EdgeMatteError, match="no space left"):
        installed(program)
