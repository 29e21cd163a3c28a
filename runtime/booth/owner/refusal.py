"""Why a wish of the owner's is not met → an error that the page can say in the owner's language."""

from __future__ import annotations

from ...errors import UsageError


class RefusedError(UsageError):
    """`refused_WORD` in the language files is the sentence; `parts` fill its gaps."""

    def __init__(self, word: str, sentence: str, *parts: str | int) -> None:
        """`sentence`: the whole of it in English, for everybody else."""
        super().__init__(sentence)
        self.word, self.parts = word, parts
