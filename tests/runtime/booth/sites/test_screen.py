"""What the page is made of, without a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from edgematte.runtime.booth.flow import Step
from edgematte.runtime.booth.offer import LANGUAGES, words_of
from edgematte.runtime.booth.paper.catalogue import names
from edgematte.runtime.booth.paper.printer import SIGNS
from edgematte.runtime.booth.sites.answers import PAGE

SPOKEN = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ja", "ar")


def words(language: str) -> dict[str, str]:
    return json.loads(words_of(language).read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", SPOKEN)
def test_every_language_says_everything_with_the_same_gaps(language: str) -> None:
    english, spoken = words("en"), words(language)
    assert spoken.keys() == english.keys()
    for key, text in english.items():
        gaps = re.findall(r"\{\d\}", text)
        assert sorted(re.findall(r"\{\d\}", spoken[key])) == sorted(gaps), key
        assert bool(spoken[key]) == bool(text), f"{key} says nothing"


def test_no_word_that_the_page_uses_is_missing() -> None:
    page = (PAGE / "index.html").read_text() + "".join(path.read_text() for path in PAGE.glob("*.js"))
    used = set(re.findall(r'data-(?:word|label)="(\w+)"', page)) | set(re.findall(r'word\("(\w+)"', page))
    used |= {f"layout_{key}" for key in names(Path("nowhere"))}
    used |= {f"effect_{key}" for key in ("none", "mono", "warm", "high_key")} | {"part_subject", "part_background"}
    used |= {f"printer_{word}" for word in (*(word for word, _ in SIGNS), "pages", "stopped", "other")}
    used |= {f"said_{step}" for step in get_args(Step)}
    used |= {f"problem_{word}" for word in ("camera", "disk_low", "disk_full", "storage", "picture", "background")}
    assert sorted(path.stem for path in LANGUAGES.glob("*.json")) == sorted(SPOKEN)
    assert used <= words("en").keys()


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for path in (path for path in PAGE.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path.name
