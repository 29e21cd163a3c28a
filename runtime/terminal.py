"""What the program says to people: one line at a time, in plain words."""

from __future__ import annotations

import sys
from typing import TextIO


def complain(message: str) -> None:
    """One line on stderr."""
    line = " ".join(message.split("\n"))
    say(f"edgematte: {line}", sys.stderr)


def say(line: str, stream: TextIO | None) -> None:
    """One line; nothing where the program was started without that stream.

    Not typer.echo: it ignores the progress bar and writes into its line.
    """
    if stream is not None:
        print(line, file=stream, flush=True)
