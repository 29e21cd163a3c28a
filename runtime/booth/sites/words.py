"""The booth's languages → the words that its pages ask for: the guests', and on the owner's pages his own as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..offer import read_words
from .answers import nothing, told

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


class Words:
    """Of the languages that booth.toml names; the first is spoken first."""

    def __init__(self, languages: Sequence[str], folder: Path) -> None:
        """`folder`: of booth.toml. Raises UsageError for a file that is no language."""
        read = {Path(word).stem: read_words(word, folder) for word in languages}
        self._owners = {key: words.pop("owner") for key, words in read.items()}
        self._guests = read

    @property
    def languages(self) -> list[dict[str, str]]:
        """Each with its code and its own name."""
        return [{"key": key, "name": words["language"]} for key, words in self._guests.items()]

    def routes(self) -> list[Route]:
        """All of them start with /words."""
        from starlette.routing import Route

        return [
            Route("/words", lambda _: told(self.languages)),
            Route("/words/{language}.json", self._for_guests),
            Route("/words/owner/{language}.json", self._for_owner),
        ]

    async def _for_guests(self, request: Request) -> Response:
        words = self._guests.get(request.path_params["language"])
        return nothing() if words is None else told(words)

    async def _for_owner(self, request: Request) -> Response:
        key = request.path_params["language"]
        return told({**self._guests[key], **self._owners[key]}) if key in self._guests else nothing()
