"""Finished photos → sheets, and sheets → the printer."""
