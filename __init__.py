"""EdgeMatte: background removal on small devices. `from edgematte import Segmenter, read, cutout, write`.

The names below are loaded when first used, so that `import edgematte` costs neither OpenCV nor an interpreter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import convert as convert
    from .convert.pipeline import Conversion
    from .convert.recipe import Recipe
    from .runtime.errors import EdgeMatteError
    from .runtime.matting.composite import composite, cutout
    from .runtime.matting.foreground import foreground
    from .runtime.matting.refine import refine
    from .runtime.matting.retouch import retouch
    from .runtime.matting.segmenter import Segmenter
    from .runtime.picture.images import Alpha, Image, read, write

_HOMES = {
    "Alpha": "runtime.picture.images",
    "Conversion": "convert.pipeline",
    "EdgeMatteError": "runtime.errors",
    "Image": "runtime.picture.images",
    "Recipe": "convert.recipe",
    "Segmenter": "runtime.matting.segmenter",
    "composite": "runtime.matting.composite",
    "convert": "convert",  # the package itself: it can be called, see convert/__init__.py
    "cutout": "runtime.matting.composite",
    "foreground": "runtime.matting.foreground",
    "read": "runtime.picture.images",
    "refine": "runtime.matting.refine",
    "retouch": "runtime.matting.retouch",
    "write": "runtime.picture.images",
}

__all__ = [
    "Alpha",
    "Conversion",
    "EdgeMatteError",
    "Image",
    "Recipe",
    "Segmenter",
    "composite",
    "convert",
    "cutout",
    "foreground",
    "read",
    "refine",
    "retouch",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{_HOMES[name]}", __name__)
    return module if _HOMES[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
