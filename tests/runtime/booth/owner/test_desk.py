"""Who may go in, and what may be set."""

from __future__ import annotations

import pytest

from edgematte.runtime.booth.album import Entry
from edgematte.runtime.booth.owner import desk as module
from edgematte.runtime.booth.owner.desk import OFFERED, Door
from edgematte.runtime.booth.owner.refusal import RefusedError
from edgematte.runtime.booth.owner.statistics import statistics
from edgematte.runtime.booth.toml_file import check_of


def test_the_pin_opens_for_a_while_and_guessing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door("2580")
    token = door.enter("2580")
    assert door.knows(token)
    assert not door.knows("")
    for _ in range(module.TRIES):
        with pytest.raises(RefusedError, match="that is not the PIN"):
            door.enter("0000")
    with pytest.raises(RefusedError, match="wait 60 seconds") as refused:
        door.enter("2580")
    assert (refused.value.word, refused.value.parts) == ("pin_locked", (60,))
    monkeypatch.setattr(module, "LASTS_S", -1.0)
    assert not door.knows(token), "nobody has asked for so long"


def test_who_locks_is_out() -> None:
    door = Door("2580")
    token = door.enter("2580")
    door.leave(token)
    assert not door.knows(token)


def test_every_setting_of_the_page_exists() -> None:
    for key in (key for keys in OFFERED.values() for key in keys):
        check_of(key)  # raises KeyError for one that does not


def test_the_evening_is_counted_by_hour_and_favourites() -> None:
    def line(kind: str, hour: int, layout: str = "single", **more: object) -> Entry:
        return Entry(kind, "a", "s", f"2026-11-28T{hour}:15:00.000", True, "blur", layout, **more)  # type: ignore[arg-type]

    told = statistics(
        [line("sheet", 20), line("sheet", 20, "strip"), line("sheet", 21, "strip"), line("print", 21, copies=3)]
    )
    assert (told.sheets, told.prints) == (3, 3)
    assert told.hours == (("2026-11-28 20", 2), ("2026-11-28 21", 1))
    assert told.layouts == (("strip", 2), ("single", 1))
