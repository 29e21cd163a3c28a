"""Words with addresses in them → the same without user, password and query: what logs, pages and errors may show."""

from __future__ import annotations

import re

CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")
_ADDRESS = re.compile(r"\b\w+://\S+")
_QUERY = re.compile(r"\?\S*")


def without_credentials(text: str) -> str:
    """`rtsp://me:secret@cam/1?key=4` becomes `rtsp://cam/1?…`."""
    return _ADDRESS.sub(lambda found: _QUERY.sub("?…", CREDENTIALS.sub("", found[0])), text)
