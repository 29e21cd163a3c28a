"""The structure keeps its promises: imports flow one way, the device stays small, starting stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

MAY_IMPORT = {
    "models": {"models"},
    "runtime": {"runtime", "models"},
    "convert": {"convert", "runtime", "models"},
    "benchmarks": {"benchmarks", "convert", "runtime", "models"},
}
DEVICE_PACKAGES = {"ai-edge-litert", "tflite-runtime", "numpy", "opencv-python-headless", "typer"}
DEVICE_MODULES = {
    "ai_edge_litert",
    "tflite_runtime",
    "numpy",
    "cv2",
    "typer",
    "click",
    "rich",
}  # rich and click come with typer
# A plugin is imported by another program, in that program's environment, and by nothing of ours: it may import what
# that program brings, at module level, since its hooks and settings are classes and decorators from there.
PLUGINS = "plugins"
PLUGIN_MODULES = {"PIL", "pibooth", "photobooth", "pydantic", "pydantic_settings"}


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "training" not in p.parts)


def imports(path: Path, root: Path, *, only_top_level: bool = False) -> Iterator[str]:
    """Absolute dotted names that a module imports; relative ones are resolved against `edgematte`."""
    package = ["edgematte", *path.relative_to(root).parent.parts]
    tree = ast.parse(path.read_text())
    for node in tree.body if only_top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            if node.module is None or prefix == "edgematte":
                yield from (f"{prefix}.{alias.name}" for alias in node.names)
            else:
                yield prefix


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_flow_one_way(root: Path, room: str) -> None:
    wrong = [
        f"{path.relative_to(root)} imports {name}"
        for path in modules(root / room)
        for name in imports(path, root)
        if name.startswith("edgematte.")
        and name.split(".")[1] in MAY_IMPORT
        and name.split(".")[1] not in MAY_IMPORT[room]
    ]
    assert wrong == [], "models ← runtime ← convert ← benchmarks; no other arrow"


def test_the_runtime_needs_only_the_device_packages(root: Path) -> None:
    allowed = DEVICE_MODULES | {"edgematte"} | set(sys.stdlib_module_names)
    wrong = [
        f"{path.relative_to(root)} imports {name}"
        for path in modules(root / "runtime")
        for name in imports(path, root, only_top_level=True)
        if name.split(".")[0] not in (allowed | PLUGIN_MODULES if path.parent.name == PLUGINS else allowed)
    ]
    assert wrong == []


def test_only_other_programs_import_the_plugins(root: Path) -> None:
    users = [
        f"{path.relative_to(root)} imports {name}"
        for room in MAY_IMPORT
        for path in modules(root / room)
        for name in imports(path, root)
        if name.startswith(f"edgematte.runtime.{PLUGINS}") and path.parent.name != PLUGINS
    ]
    assert users == []


def test_one_file_knows_the_interpreters(root: Path) -> None:
    users = {
        path.name
        for path in modules(root / "runtime")
        for name in imports(path, root)
        if name.split(".")[0] in {"ai_edge_litert", "tflite_runtime"}
    }
    assert users == {"interpreter.py"}


def test_a_device_install_pulls_four_packages(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {requirement.split(";")[0].split(">")[0].split("=")[0].strip() for requirement in project["dependencies"]}
    assert names == DEVICE_PACKAGES, "four on any one machine: the markers choose between the two interpreters"
    for machine in ("'armv7l'", "'aarch64'"):
        chosen = [r for r in project["dependencies"] if _applies(r, machine)]
        assert len(chosen) == 4, chosen


def test_the_onnx_tf_extra_is_what_the_error_message_asks_for(root: Path) -> None:
    from edgematte.convert.onnx_tf import PINS

    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert tuple(extras["onnx-tf"]) == PINS


def _applies(requirement: str, machine: str) -> bool:
    marker = requirement.partition(";")[2].strip()
    if not marker:
        return True
    _, operator, value = marker.split()
    return (value == machine) == (operator == "==")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, edgematte; print(sorted({'cv2', 'numpy', 'ai_edge_litert', 'onnx', 'typer'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    import edgematte

    for name in edgematte.__all__:
        assert getattr(edgematte, name) is not None
