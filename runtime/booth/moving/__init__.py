"""Frames that guests saw → boomerangs, clips and poses: a film and an animation for telephones."""
