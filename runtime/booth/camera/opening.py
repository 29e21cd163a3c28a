"""[camera] of booth.toml → the camera, and how it takes photos; nothing is opened yet."""

from __future__ import annotations

from ...live.frames import Buffers
from ...live.sources.words import SourceOptions, opener
from ...matting.segmenter import Segmenter
from ...network import LIVE_MODEL
from ..config import crop_of, size_of
from ..toml_file import Settings
from .preview import Preview
from .still import Still, still_by, still_of


def preview_of(settings: Settings) -> Preview:
    """Raises UsageError naming the line of what cannot be a camera."""
    config, buffers = settings.config.camera, Buffers()
    with settings.naming("camera.source"):
        opening = opener(config.source, SourceOptions(size_of(config.size), config.fps), buffers)
        opening()
    segmenter = Segmenter(LIVE_MODEL, threads=settings.config.pictures.threads)
    preview = Preview(opening, segmenter, buffers=buffers, fps=config.fps)
    preview.frame(rotate=config.rotate, crop=crop_of(config.crop))
    preview.still = _still(settings, preview, buffers)
    return preview


def _still(settings: Settings, preview: Preview, buffers: Buffers) -> Still | None:
    config = settings.config.camera
    if config.still_command is not None:
        command = config.still_command
        return lambda framing: still_by(command, framing)
    if config.still_source is not None:
        with settings.naming("camera.still_source"):
            other = opener(config.still_source, SourceOptions(), buffers)
        return lambda framing: still_of(other, skip=config.still_skip, buffers=buffers, framing=framing)
    if config.still_size is not None:
        large = opener(config.source, SourceOptions(size_of(config.still_size), None), buffers)
        return lambda framing: preview.set_aside(
            lambda: still_of(large, skip=config.still_skip, buffers=buffers, framing=framing)
        )
    return None
