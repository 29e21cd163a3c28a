"""The owner's pages in every language, in a real browser: `make test-booth`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgematte.runtime.booth.offer import LANGUAGES, read_words

from .guest import open_booth, take
from .screen import PICTURES, SCREENS, Screen, slow

for package in ("starlette", "uvicorn", "PIL", "segno"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]
ROOMS = ("event", "camera", "printer", "evening", "pictures", "power")  # of the owner's page
PICTURED = ("de", "ja", "ar")
# What a page says: to be seen, or to be heard. Left out: the keys of booth.toml, languages by their own names.
SAID = """() => {
    const spoken = one => one.checkVisibility() && !one.closest('.key, select.language');
    const shown = [...document.querySelectorAll('*')].filter(spoken);
    const texts = shown.flatMap(one => [...one.childNodes].filter(part => part.nodeType == Node.TEXT_NODE)
        .map(part => part.data.trim()).concat(['aria-label', 'alt'].map(name => one.getAttribute(name) ?? '')));
    return [document.title, ...texts].filter(text => /\\p{L}/u.test(text));
}"""
# What is not wholly within the screen's width, or within its own button.
CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(one => one.checkVisibility()).filter(one => {
    const { left, right } = one.getBoundingClientRect();
    return left < -1 || right > innerWidth + 1 || (one.matches('button') && one.scrollWidth > one.clientWidth + 1);
}).map(one => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)"""


@slow
def test_the_owners_page_speaks_the_booths_languages_and_fits(
    settings: Settings, screen: Callable[..., Screen], tmp_path: Path
) -> None:
    """With a language that puts every word in brackets, what else is said is found; the longest words must fit."""
    english = read_words("en")
    owners = {key: f"⟦{text}⟧" for key, text in english.pop("owner").items()}
    guests = {key: f"⟦{text}⟧" for key, text in english.items()} | {"direction": "ltr"}
    (tmp_path / "xx.json").write_text(json.dumps(guests | {"owner": owners}), encoding="utf-8")
    ours = sorted(path.stem for path in LANGUAGES.glob("*.json"))
    spoken = json.dumps(["xx.json", *ours])
    config = settings(PICTURES.format(countdown_s=0.3) + f"[screen]\nlanguages = {spoken}\n[owner]\npin = '2580'\n")
    with open_booth(config) as guest:
        name = take(guest)["name"]
        seen = screen(guest, viewport={"width": 1280, "height": 800})
        data = {"1 green.png", "#f4e9dc", "#16324f", name}
        said = []

        def read(where: str) -> None:
            found = [text for text in seen.page.evaluate(SAID) if not re.fullmatch(r"⟦.*⟧", text, re.S)]
            said.extend(f"{where}: {text}" for text in found if text not in data)

        for page in ("slideshow", "templates", "owner"):
            seen.page.goto(f"{guest.address}/{page}")
            seen.until("document.title.startsWith('⟦')")
            if page == "slideshow":
                seen.page.wait_for_selector("img.on")
            read(page)
        seen.page.fill("#pin", "1111")
        seen.page.click("#enter .main")
        seen.until("document.getElementById('refused').textContent != ''")
        read("a wrong PIN")
        seen.page.set_viewport_size({"width": 800, "height": 480})
        faults = []

        def speak(language: str, where: str) -> None:
            seen.page.select_option(f"{where} select.language", language)
            seen.until(f"document.documentElement.lang == '{language}'")
            assert seen.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")

        def measure(where: str) -> None:
            faults.extend(f"{where}: {text}" for text in seen.page.evaluate(CUT_OFF))

        for language in ours:
            speak(language, "#door")
            measure(f"{language} door")
            assert seen.unreachable() == [], f"the door in {language}"
            if language in PICTURED:
                seen.picture(f"owner-{language}-door")
        speak("xx", "#door")
        seen.page.fill("#pin", "2580")
        seen.page.click("#enter .main")
        seen.page.wait_for_selector("#inside:not([hidden])")
        for room in ROOMS:
            seen.page.click(f"nav [data-room={room}]")
            seen.page.wait_for_timeout(300)
            read(room)
        assert said == []
        for language in ours:
            speak(language, "nav")
            for room in ROOMS:
                seen.page.click(f"nav [data-room={room}]")
                seen.page.wait_for_timeout(50)
                measure(f"{language} {room}")
                if language in PICTURED:
                    for width, height in reversed(SCREENS):
                        seen.page.set_viewport_size({"width": width, "height": height})
                        seen.page.wait_for_timeout(300)
                        seen.picture(f"owner-{language}-{room}-{width}")
                        measure(f"{language} {room} on {width}x{height}")
                        bar = seen.page.evaluate("document.querySelector('nav').getBoundingClientRect().height")
                        assert bar <= height / 12 or width > height, f"the bar on {width}x{height} in {language}"
            locks = seen.page.evaluate("document.getElementById('leave').getBoundingClientRect().bottom")
            assert locks <= 480, f"the last button of the bar in {language}"
        assert faults == []
        seen.page.click("#leave")
        seen.page.wait_for_selector("#door:not([hidden])")
        seen.until(f"document.documentElement.lang == '{ours[-1]}'")  # the browser knows what was chosen
        assert seen.errors == []
