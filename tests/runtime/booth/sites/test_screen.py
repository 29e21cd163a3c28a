"""What the pages are made of, without a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from edgematte.runtime.booth.camera.preview import Following
from edgematte.runtime.booth.config import Config, OneOf
from edgematte.runtime.booth.flow import Step
from edgematte.runtime.booth.offer import LANGUAGES, words_of
from edgematte.runtime.booth.owner import desk, stick
from edgematte.runtime.booth.owner.desk import OFFERED
from edgematte.runtime.booth.owner.stick import DIFFERS, Ended
from edgematte.runtime.booth.paper.catalogue import names
from edgematte.runtime.booth.paper.printer import SIGNS
from edgematte.runtime.booth.sites import owner, telephone
from edgematte.runtime.booth.sites.answers import PAGE
from edgematte.runtime.booth.toml_file import check_of

SPOKEN = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ja", "ar")
OWNERS = ("owner.html", "owner.js", "owners_words.js", "templates.html", "templates.js")
GUESTS = tuple(path.name for path in PAGE.iterdir() if path.suffix in (".html", ".js") and path.name not in OWNERS)
PROBLEMS = ("camera", "disk_low", "disk_full", "storage", "picture", "background")


def words(language: str) -> dict[str, Any]:
    """The guests' and, under `owner.KEY`, the owner's."""
    told = json.loads(words_of(language).read_text(encoding="utf-8"))
    owners = told.pop("owner")
    return {**told, **{f"owner.{key}": text for key, text in owners.items()}}


@pytest.mark.parametrize("language", SPOKEN)
def test_every_language_says_everything_with_the_same_gaps(language: str) -> None:
    english, spoken = words("en"), words(language)
    assert spoken.keys() == english.keys()
    for key, text in english.items():
        gaps = re.findall(r"\{\d\}", text)
        assert sorted(re.findall(r"\{\d\}", spoken[key])) == sorted(gaps), key
        assert bool(spoken[key]) == bool(text), f"{key} says nothing"


def test_the_languages_are_those_of_the_manual() -> None:
    assert sorted(path.stem for path in LANGUAGES.glob("*.json")) == sorted(SPOKEN)
    manual = (PAGE.parent / "README.md").read_text(encoding="utf-8")
    assert f"| languages | {', '.join(SPOKEN)}, or" in manual


def named(files: tuple[str, ...]) -> set[str]:
    """The keys that pages name in so many letters."""
    text = "".join((PAGE / name).read_text(encoding="utf-8") for name in files)
    found = re.findall(r'data-(?:word|label|sure)="(\w+)"|word\("(\w+)"|named\("", "(\w+)"', text)
    found += re.findall(r'dataset\.(?:word|label) = "(\w+)"()()', text)
    return {key for keys in found for key in keys if key}


def guests_keys() -> set[str]:
    """What the guests' pages, the slideshow and telephones say."""
    used = named(GUESTS) | {"language", "direction"}
    used |= set(re.findall(r'words\["(\w+)"\]', Path(telephone.__file__).read_text())) - {"code"}
    used |= {f"layout_{key}" for key in names(Path("nowhere"))} | {"background_none", "background_blur"}
    used |= {f"effect_{key}" for key in ("none", "mono", "warm", "high_key")} | {"part_subject", "part_background"}
    used |= {f"printer_{word}" for word in (*(word for word, _ in SIGNS), "pages", "stopped", "other")}
    return used | {f"said_{step}" for step in get_args(Step)} | {f"problem_{word}" for word in PROBLEMS}


def owners_keys() -> set[str]:
    """What the owner's page and the templates say."""
    offered = [key for keys in OFFERED.values() for key in keys]
    sources = "".join(Path(module.__file__).read_text() for module in (desk, stick, owner) if module.__file__)
    used = named(OWNERS) | {f"set_{_key(key)}" for key in offered} | {f"step_{step}" for step in get_args(Step)}
    used |= {f"did_{what}" for what in re.findall(r'data-act="(\w+)"', (PAGE / "owner.html").read_text())}
    used |= {f"refused_{word}" for word in re.findall(r'RefusedError\(\s*"(\w+)"', sources)}
    used |= {f"export_{word}" for word in get_args(Ended)} | {f"fault_{DIFFERS}"}
    used |= (
        {f"trouble_{word}" for word in PROBLEMS}
        | {f"following_{whom}" for whom in get_args(Following)}
        | {"did_follow"}
    )
    for key in offered:
        check = check_of(key)
        texts = [word for word in check.words if isinstance(word, str)] if isinstance(check, OneOf) else []
        used |= {f"{_key(key)}_{word}" for word in texts}
        if _usual(key) is None and key != "backgrounds.first":  # that is chosen from a list, with an empty line
            used.add(f"empty_{_key(key)}")
    return used


def _key(setting: str) -> str:
    return setting.replace(".", "_")


def _usual(setting: str) -> object:
    value: object = Config()
    for name in setting.split("."):
        value = getattr(value, name)
    return value


def test_the_pages_use_every_word_and_no_other() -> None:
    told = json.loads(words_of("en").read_text(encoding="utf-8"))
    owners = told.pop("owner")
    assert not owners.keys() & told.keys(), "the owner's pages have both"
    assert guests_keys() == told.keys()
    assert owners_keys() - told.keys() == owners.keys()


class Literals(HTMLParser):
    """What a page says by itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = ("aria-label", "alt", "title", "placeholder", "value")
        self.found += [value for name, value in attrs if name in spoken and value and tag != "progress"]

    def handle_data(self, data: str) -> None:
        self.found.append(data.strip())


@pytest.mark.parametrize("name", sorted(path.name for path in PAGE.glob("*.html")))
def test_no_page_says_anything_by_itself(name: str) -> None:
    said = [text for text in Literals((PAGE / name).read_text(encoding="utf-8")).found if re.search(r"[^\W\d_]", text)]
    assert said == (["EdgeMatte"] if name == "index.html" else []), "the event's name comes from booth.toml"


@pytest.mark.parametrize("name", sorted(path.name for path in PAGE.glob("*.js")))
def test_no_program_of_a_page_says_anything_by_itself(name: str) -> None:
    """A text with a word of letters that is put where people read, and any text that looks like a sentence."""
    code = re.sub(r"(^|\s)//.*", "", (PAGE / name).read_text(encoding="utf-8"))
    code = re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "", code)
    text = r"(?:\"([^\"\n]*)\"|`([^`]*)`|'([^'\n]*)')"
    put = re.findall(rf'(?:(?:textContent|alt|title|placeholder)(?: =|:)|"aria-label",|append\() *{text}', code)
    found = [part for parts in re.findall(text, code) for part in parts]
    sentences = [part for part in found if re.search(r"[a-zäöü’']{2,} [a-zäöü]{2,}", part)]
    assert [part for parts in put for part in parts if re.search(r"[^\W\d_]{2}", part)] == []
    sentences = [part for part in sentences if part[0] not in "#.<"]  # selectors, and a picture
    assert [part for part in sentences if part != "sheet moving"] == [], "but for classes"


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for path in (path for path in PAGE.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path.name
