"""What the program says to people: one line at a time, in plain words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def bars() -> Iterator[Callable[[str, float], None] | None]:
    """A bar on stderr for each step, told with the share of it that is done, 0…1; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        tasks = {}

        def tell(step: str, share: float) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, total=1.0)
            shown.update(tasks[step], completed=share)

        yield tell
