"""Masks, boxes and two networks about a photo → its label by a rule, and what became of all photos."""
