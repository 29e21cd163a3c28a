"""C libraries that write to file descriptor 2 → their words as text, and a quiet terminal.

libjpeg, libpng and the interpreters print past Python. A program that promises one clear line per failure has
to catch that, and libjpeg's warnings are the only sign that a picture's data is damaged.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# The descriptor belongs to the whole process: two overlapping captures would restore each other's file for good.
_ONE_AT_A_TIME = threading.RLock()


class CapturedText:
    """What was written while the capture lasted; empty until it ends."""

    def __init__(self) -> None:
        self.text = ""


@contextmanager
def capture_stderr() -> Iterator[CapturedText]:
    """Redirects descriptor 2 of the process to a file in memory while the block runs."""
    captured = CapturedText()
    with _ONE_AT_A_TIME, _nowhere() as sink:
        try:
            terminal = os.dup(2)
        except OSError:  # started with stderr closed, as some services are
            yield captured
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(sink.fileno(), 2)
        try:
            yield captured
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            sink.seek(0)
            captured.text = sink.read().decode("utf-8", "replace")


def _nowhere() -> IO[bytes]:
    """A file without a place on a disk, which may be read-only; a temporary one where the system has no such thing."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()
