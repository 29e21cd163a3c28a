"""Bytes ↔ `Image`: formats, headers, orientation, colour profiles."""
