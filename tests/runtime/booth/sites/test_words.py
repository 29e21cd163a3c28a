"""A language of one's own, and what each page gets of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the booth needs its extra: pip install 'edgematte[booth]'")
from starlette.applications import Starlette

from edgematte.runtime.booth.sites.words import Words
from edgematte.runtime.errors import UsageError


def asked(words: Words, path: str) -> Any:
    """The answer's JSON; None where there is none."""
    told: list[dict[str, Any]] = []

    async def send(part: dict[str, Any]) -> None:
        told.append(part)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    asyncio.run(Starlette(routes=words.routes())(scope, receive, send))  # type: ignore[arg-type]
    return json.loads(told[1]["body"]) if told[0]["status"] == 200 else None


def test_guests_pages_get_the_guests_words_and_the_owners_all(tmp_path: Path) -> None:
    words = Words(["de", "ar"], tmp_path)
    assert asked(words, "/words") == [{"key": "de", "name": "Deutsch"}, {"key": "ar", "name": "العربية"}]
    guests, owners = asked(words, "/words/de.json"), asked(words, "/words/owner/de.json")
    assert guests["delete"] == owners["delete"] == "Löschen"
    assert owners["owner"] == "Verwaltung", "a word, not the part of the file"
    assert "owner" not in guests, "guests' pages stay small"
    assert len(guests) < len(owners)
    for path in ("/words/fr.json", "/words/owner/fr.json", "/words/..%2fde.json", "/words/owner.json"):
        assert asked(words, path) is None, path


def test_what_a_language_of_ones_own_leaves_out_is_english(tmp_path: Path) -> None:
    (tmp_path / "lb.json").write_text('{"start": "Hei tippen", "owner": {"lock": "Spären"}}')
    words = Words(["lb.json"], tmp_path)
    assert asked(words, "/words") == [{"key": "lb", "name": "lb"}]
    told = asked(words, "/words/owner/lb.json")
    assert (told["start"], told["lock"]) == ("Hei tippen", "Spären")
    assert (told["delete"], told["open"], told["direction"]) == ("Delete", "Open", "ltr")


@pytest.mark.parametrize("text", ["{", "[]", '{"start": 1}', '{"owner": "x"}', '{"owner": {"lock": null}}'])
def test_a_file_that_is_no_language_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "my.json").write_text(text)
    with pytest.raises(UsageError, match=r"my\.json .*en\.json"):
        Words(["my.json"], tmp_path)
