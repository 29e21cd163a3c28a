"""What the page is made of, without a browser."""

from __future__ import annotations

import json
import re

import pytest

from edgematte.runtime.booth.paper.layout import LAYOUTS
from edgematte.runtime.booth.sites.screen import PAGE, words_of

LANGUAGES = ("en", "de", "fr", "es")


def words(language: str) -> dict[str, str]:
    return json.loads(words_of(language).read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
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
    used |= {f"layout_{key}" for key in LAYOUTS}
    assert used <= words("en").keys()


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for path in (path for path in PAGE.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path.name
