"""The structure keeps its promises: imports flow one way, the device stays small, starting stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
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
# The rooms of each package, from the ground up: a module imports from its own room and from those before it. "beside"
# are the modules that stand beside the folders, "cli" is every room's front door: a file that only the program opens.
ROOMS: dict[str, list[tuple[str, ...]]] = {
    "runtime": [
        ("errors", "terminal"),
        ("device",),
        ("picture",),
        ("network",),
        ("matting",),
        ("photos", "live"),
        ("booth", "serve", "touch", "plugins", "fleet", "doctor", "tables"),
        ("cli",),
    ],
    "convert": [("tflite",), ("onnx",), ("rewrite",), ("quantise",), ("targets",), ("beside",), ("report",), ("cli",)],
    "benchmarks": [("measure",), ("beside",), ("studies",), ("cli",)],
}
FOLDERS = {package: {room for rooms in levels for room in rooms} for package, levels in ROOMS.items()}
MOST_MODULES = 15  # in a folder, beside its front doors: what a reader takes in at a glance
FRONT_DOORS = ("__init__.py", "__main__.py")
MOST_LINES = 450
DEVICE_PACKAGES = {"ai-edge-litert", "tflite-runtime", "numpy", "opencv-python-headless", "simplejpeg", "typer"}
DEVICE_MODULES = {
    "ai_edge_litert",
    "tflite_runtime",
    "tflite_micro",  # in the one file that only EDGEMATTE_INTERPRETER=tflite-micro imports
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
    tree = parsed(path)
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


@cache
def parsed(path: Path) -> ast.Module:
    """A module is read once, however many promises it is asked about."""
    return ast.parse(path.read_text())


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


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_what_stands_before_it(root: Path, package: str) -> None:
    level = {room: number for number, rooms in enumerate(ROOMS[package]) for room in rooms}
    wrong = []
    for path in modules(root / package):
        here = _room(path.relative_to(root).with_suffix("").parts)
        for name in imports(path, root):
            parts = name.split(".")
            if parts[:2] != ["edgematte", package] or len(parts) < 3:
                continue
            there = _room(parts[1:])
            if here != there and level[there] >= level[here]:
                wrong.append(f"{path.relative_to(root)} ({here}) imports {name} ({there})")
    assert wrong == [], " ← ".join(", ".join(rooms) for rooms in ROOMS[package])


def test_no_module_imports_itself_by_way_of_others(root: Path) -> None:
    graph = {
        ".".join(["edgematte", *path.relative_to(root).with_suffix("").parts]): path
        for package in MAY_IMPORT
        for path in modules(root / package)
    }
    edges = {name: {found for found in _every_import(path, root) if found in graph} for name, path in graph.items()}
    while free := [name for name, needs in edges.items() if not needs & edges.keys()]:
        for name in free:
            del edges[name]
    assert sorted(edges) == [], "these modules import each other in a circle, or import from one"


def test_a_folder_holds_few_modules_and_a_module_few_lines(root: Path) -> None:
    files = [path for package in MAY_IMPORT for path in (root / package).rglob("*.py") if path.name not in FRONT_DOORS]
    crowds = Counter(str(path.parent.relative_to(root)) for path in files)
    assert {folder: count for folder, count in crowds.items() if count > MOST_MODULES} == {}
    lines = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def _room(parts: Sequence[str]) -> str:
    """The room of `("runtime", "picture", "png")`: a folder, a module beside the folders, or the front door."""
    if parts[-1] == "cli":
        return "cli"
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS[parts[0]] else "beside"


def _every_import(path: Path, root: Path) -> Iterator[str]:
    """As `imports`, with the names of modules that are imported from a package spelled out."""
    package = ["edgematte", *path.relative_to(root).parent.parts]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *([node.module] if node.module else [])]
            yield ".".join(base)
            yield from (".".join([*base, alias.name]) for alias in node.names)


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


def test_a_device_install_pulls_few_packages(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    names = {requirement.split(";")[0].split(">")[0].split("=")[0].strip() for requirement in project["dependencies"]}
    assert names == DEVICE_PACKAGES, "markers choose the interpreter, and leave out what has no 32-bit wheel"
    for machine, count in (("'armv7l'", 4), ("'aarch64'", 5)):
        chosen = [r for r in project["dependencies"] if _applies(r, machine)]
        assert len(chosen) == count, chosen


def test_the_onnx_tf_extra_is_what_the_error_message_asks_for(root: Path) -> None:
    from edgematte.convert.onnx.onnx_tf import PINS

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
