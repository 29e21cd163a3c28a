"""Frames → frames cut out, from a source to a sink."""
