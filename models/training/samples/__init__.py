"""Labelled photos → the pictures that a network sees in training."""
