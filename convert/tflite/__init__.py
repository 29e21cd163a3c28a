"""The TFLite file format: read, built, run, cut into pieces."""
