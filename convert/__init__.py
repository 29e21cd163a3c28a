"""What runs on the workstation: an ONNX network in, an int8 TFLite model out, with the evidence of what that cost.

The package can be called: `convert(path, recipe) -> Conversion`. Its stages, in order, are `load`, `lower`, `parity`,
`calibrate`, `quantize` and `judge`; they are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .onnx.graph import Graph, load
    from .pipeline import Conversion, Progress
    from .recipe import Recipe
    from .verify import Agreement, GroundTruth, Parity, agreement, judge

# Name → the module it lives in.
_HOMES = {
    "Agreement": "verify",
    "Conversion": "pipeline",
    "Graph": "onnx.graph",
    "GroundTruth": "verify",
    "Parity": "verify",
    "Recipe": "recipe",
    "agreement": "verify",
    "judge": "verify",
    "load": "onnx.graph",
}

__all__ = ["Agreement", "Conversion", "Graph", "GroundTruth", "Parity", "Recipe", "agreement", "judge", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_stage(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _stage(name: str) -> ModuleType:
    """A file of this package; a missing extra becomes the error that says how to install it."""
    from ..runtime.errors import MissingExtraError

    try:
        return import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "edgematte"):
            raise
        raise MissingExtraError("convert", "convert", missing) from error


class _CallablePackage(ModuleType):
    """Lets `from edgematte import convert` be both the package and the one call most people need."""

    def __call__(self, path: str | Path, recipe: Recipe, *, progress: Progress | None = None) -> Conversion:
        """The whole way from an ONNX file to a compared int8 model; see `pipeline.convert`."""
        return _stage("pipeline").convert(path, recipe, progress=progress)


sys.modules[__name__].__class__ = _CallablePackage
