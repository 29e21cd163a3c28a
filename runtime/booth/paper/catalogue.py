"""Names in booth.toml and a folder → the layouts that guests may choose, moving ones too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UsageError
from .drawn import DRAWN, drawn
from .layout import SINGLE, STRIP_OF_FOUR, Layout
from .template import read_template

POSES = 4
# Moving pictures: what is printed of a recording is its first frame, of poses a sheet of all four.
BOOMERANG, CLIP, POSING = "boomerang", "clip", "poses"
MOVING = (BOOMERANG, CLIP, POSING)


def find_layouts(words: Sequence[str], templates: Path) -> dict[str, Layout]:
    """By key, in the order given. Raises UsageError for a word that names none, naming those that there are."""
    return {word: _find(word, templates) for word in words}


def names(templates: Path) -> tuple[str, ...]:
    """Every word that `find_layouts` knows now."""
    own = sorted(path.stem for path in templates.glob("*.toml")) if templates.is_dir() else []
    return tuple(dict.fromkeys([SINGLE.key, STRIP_OF_FOUR.key, *DRAWN, *MOVING, *own]))


def known(key: str, layouts: Mapping[str, Layout]) -> Layout:
    """One of them; a layout of an order that is not offered any more is the plainest."""
    return layouts.get(key, SINGLE)


def _find(word: str, templates: Path) -> Layout:
    own = templates / f"{word}.toml"
    if "/" not in word and own.is_file():
        return read_template(own).layout()
    if word in (BOOMERANG, CLIP):
        return Layout(word, 1, SINGLE.compose)
    if word == POSING:
        return Layout(word, POSES, drawn("quad").compose)
    if word in DRAWN:
        return drawn(word).layout()
    for plain in (SINGLE, STRIP_OF_FOUR):
        if word == plain.key:
            return plain
    raise UsageError(f"there is no layout '{word}'; expected one of: {', '.join(names(templates))}, or a template of "
                     f"your own in {templates}")  # fmt: skip
