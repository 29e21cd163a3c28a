"""A training folder and a rule → a table: of every source, how many photos are kept, mended, empty or dropped, and why.

`python -m edgematte.models.training.labels.table --data DIR --seen DIR --rule people`
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import cv2
from rich.console import Console
from rich.table import Table

from ..photos import RULES, Reading, readings

COLUMNS = ("kept", "mended", "background")


def count(read: Iterable[Reading]) -> dict[str, Counter[str]]:
    """Source → verdict → photos; "places" and "judged" are sums over the source's photos."""
    counts: dict[str, Counter[str]] = {}
    for reading in read:
        source = counts.setdefault(reading.name, Counter())
        source[reading.verdict] += 1
        for photo in reading.photos:
            source["places" if photo.source == "places" else "photos"] += 1
    return counts


def table(counts: dict[str, Counter[str]]) -> Table:
    """A line per source, a total below."""
    result = Table("source", "photos", *COLUMNS, "dropped", "empty places beside", "why dropped")
    total: Counter[str] = Counter()
    for name, source in sorted(counts.items()):
        total.update(source)
        result.add_row(*_row(name, source))
    result.add_row(*_row("all", total))
    return result


def _row(name: str, source: Counter[str]) -> list[str]:
    dropped = {verdict.removeprefix("dropped: "): n for verdict, n in source.items() if verdict.startswith("dropped")}
    kept = [source[column] for column in COLUMNS]
    why = "; ".join(f"{reason} {n}" for reason, n in sorted(dropped.items(), key=lambda pair: -pair[1]))
    lost = sum(dropped.values())
    return [name, str(sum(kept) + lost), *map(str, kept), str(lost), str(source["places"]), why]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training folder: <kind>/<source>/images, masks, …")
    parser.add_argument("--seen", type=Path, help="folder of what DeepLab sees in them")
    parser.add_argument("--rule", choices=sorted(RULES), required=True)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    Console(width=200).print(table(count(readings(arguments.data, rule=arguments.rule, seen=arguments.seen))))


if __name__ == "__main__":
    main()
