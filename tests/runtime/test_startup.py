"""Starting is light: a program on a device that only prints its help must not load an interpreter."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

HEAVY = ("cv2", "numpy", "ai_edge_litert", "tflite_runtime", "onnx", "flatbuffers")


def loaded_by(code: str, *words: str) -> set[str]:
    tell = f"print('loaded', *(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    program = f"import sys, atexit; atexit.register(lambda: {tell}); {code}"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split()[1:])


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import edgematte; edgematte.__all__; dir(edgematte)") == set()


def test_help_and_version_load_nothing_heavy() -> None:
    program = "from edgematte.runtime.cli import main; main()"
    for words in (
        ["--help"],
        ["--version"],
        ["cut", "--help"],
        ["models", "--help"],
        ["inspect", "--help"],
        ["serve", "--help"],
    ):
        assert loaded_by(program, *words) == set(), words


def test_the_probe_would_see_a_heavy_module() -> None:
    assert "numpy" in loaded_by("import edgematte; edgematte.read")


def user_seconds(code: str) -> float:
    """Median CPU time of five fresh processes; CPU and not the clock, because a build machine is shared."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([sys.executable, "-c", code, "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return statistics.median(times)


def test_help_answers_at_once() -> None:
    """0.3 s is the promise; on a machine too slow for Typer's own help to keep it, ours may take half as much again."""
    ours = user_seconds("from edgematte.runtime.cli import main; main()")
    typers_own = user_seconds(
        "import typer\napp = typer.Typer()\n"
        "@app.command()\ndef a() -> None: ...\n@app.command()\ndef b() -> None: ...\napp()"
    )
    assert ours <= max(0.3, 1.5 * typers_own), f"{ours:.3f} s, of which Typer {typers_own:.3f} s"
