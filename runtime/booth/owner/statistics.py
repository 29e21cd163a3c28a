"""The journal → how the evening goes: how many of what, hour by hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..album import Entry


@dataclass(frozen=True)
class Statistics:
    """Counted since the event began."""

    sheets: int  # that guests kept
    retaken: int  # photos that they took once more
    prints: int  # pages
    hours: tuple[tuple[str, int], ...]  # "2026-11-28 20", how many sheets
    layouts: tuple[tuple[str, int], ...]  # the favourites first, as are
    backgrounds: tuple[tuple[str, int], ...]
    effects: tuple[tuple[str, int], ...]


def statistics(entries: Iterable[Entry]) -> Statistics:
    """Of all lines; what was removed is not among them."""
    entries = list(entries)
    sheets = [entry for entry in entries if entry.kind == "sheet"]
    hours = Counter(entry.taken[:13].replace("T", " ") for entry in sheets)
    return Statistics(
        sheets=len(sheets),
        retaken=sum(1 for entry in entries if entry.kind == "photo" and not entry.kept),
        prints=sum(entry.copies for entry in entries if entry.kind == "print"),
        hours=tuple(sorted(hours.items())),
        layouts=_favourites(entry.layout for entry in sheets),
        backgrounds=_favourites(entry.background for entry in sheets),
        effects=_favourites(entry.effect for entry in sheets),
    )


def _favourites(words: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(words).most_common())
