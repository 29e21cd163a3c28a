"""Settings → what guests may choose, read and checked once: backgrounds, layouts, effects, languages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..matting.composite import read_colour
from ..matting.refine import check_mode
from ..matting.segmenter import Segmenter
from .config import Config
from .finish import Finisher
from .flow import PLAIN, Rules, Take
from .looks.backgrounds import Backgrounds, find_backgrounds
from .looks.effects import Effect, find_effects
from .paper.catalogue import BOOMERANG, CLIP, find_layouts
from .paper.layout import Design, Layout, check_design
from .toml_file import Settings

LANGUAGES = Path(__file__).parent / "page" / "lang"


@dataclass(frozen=True, eq=False)
class Offer:
    """Everything there is to choose from."""

    backgrounds: Backgrounds
    layouts: Mapping[str, Layout]
    effects: tuple[Effect, ...]
    design: Design

    def rules(self, config: Config) -> Rules:
        """What may be chosen, the usual first."""
        keys = [choice.key for choice in self.backgrounds.choices]
        first = config.backgrounds.first or keys[0]
        lasts_s = {BOOMERANG: config.moving.boomerang_s, CLIP: config.moving.clip_s}
        return Rules(
            backgrounds=(first, *(key for key in keys if key != first)),
            takes=tuple(Take(key, layout.shots, lasts_s.get(key)) for key, layout in self.layouts.items()),
            languages=tuple(Path(word).stem for word in config.screen.languages),
            countdown_s=config.pictures.countdown_s,
            idle_s=config.screen.idle_s,
            gallery=config.pictures.gallery,
            effects=(PLAIN, *(effect.key for effect in self.effects)),
        )

    def finisher(self, settings: Settings) -> Finisher:
        """With a network of its own. Raises UsageError, ModelError naming the line."""
        pictures = settings.config.pictures
        with settings.naming("pictures.model"):
            segmenter = Segmenter(pictures.model, threads=pictures.threads, mode=check_mode(pictures.refine))
        return Finisher(
            segmenter, self.backgrounds, self.design, self.layouts, effects=self.effects, threads=pictures.threads
        )


def offer_of(settings: Settings) -> Offer:
    """Raises UsageError naming the line of what cannot be offered."""
    config, pictures = settings.config, settings.config.pictures
    shown = config.backgrounds
    with settings.naming("backgrounds.folder"):
        backgrounds = find_backgrounds(shown.folder, colours=shown.colours, blur=shown.blur, real=shown.real)
    layouts, effects = check_offer(settings, backgrounds)
    design = Design(
        pictures.text, pictures.logo, read_colour(pictures.paper) or (255, 255, 255), pictures.font, config.title
    )
    with settings.naming("pictures.font" if pictures.font else "pictures.logo"):
        check_design(design)
    return Offer(backgrounds, layouts, effects, design)


def check_offer(settings: Settings, backgrounds: Backgrounds) -> tuple[dict[str, Layout], tuple[Effect, ...]]:
    """The layouts and effects that booth.toml names. Raises UsageError for a name that nothing has."""
    config = settings.config
    for word in config.screen.languages:
        if not words_of(word, folder_of(settings)).is_file():
            known = ", ".join(sorted(path.stem for path in LANGUAGES.glob("*.json")))
            raise settings.fault(
                "screen.languages", f"there is no language '{word}'; expected {known}, or a .json file"
            )
        with settings.naming("screen.languages"):
            read_words(word, folder_of(settings))
    first = config.backgrounds.first
    if first is not None and first not in backgrounds:
        keys = ", ".join(choice.key for choice in backgrounds.choices)
        raise settings.fault("backgrounds.first", f"is '{first}'; expected one of: {keys}")
    with settings.naming("pictures.layouts"):
        layouts = find_layouts(config.pictures.layouts, templates_of(config))
    with settings.naming("pictures.effects"):
        return layouts, find_effects(config.pictures.effects, folder_of(settings))


def templates_of(config: Config) -> Path:
    """Where templates of one's own are."""
    return config.pictures.templates or config.data / "templates"


def folder_of(settings: Settings) -> Path:
    """What paths in booth.toml are relative to."""
    return Path() if settings.path is None else settings.path.parent


def words_of(language: str, folder: Path = LANGUAGES) -> Path:
    """The file of a language: one of ours by its code, or a .json of one's own in `folder`."""
    return folder / language if language.endswith(".json") else LANGUAGES / f"{language}.json"


def read_words(language: str, folder: Path = LANGUAGES) -> dict[str, Any]:
    """What the booth says, by key; `owner` holds the owner's own words. A file of one's own may leave words out: they
    are English then. Raises UsageError for a file that is no language.
    """
    path, english = words_of(language, folder), json.loads(words_of("en").read_bytes())
    try:
        own = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}; {LANGUAGES / 'en.json'} is an example") from error
    owners = own.pop("owner", {}) if isinstance(own, dict) else {}
    if not (_are_texts(own) and _are_texts(owners)):
        raise UsageError(f"{path} is no language; expected texts by key, as in {LANGUAGES / 'en.json'}")
    usual = {**english, "language": path.stem, "direction": "ltr"}
    return {**usual, **own, "owner": {**english["owner"], **owners}}


def _are_texts(told: Any) -> bool:
    return isinstance(told, dict) and all(isinstance(text, str) for text in told.values())
