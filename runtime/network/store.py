"""A model's name → its file: bundled with the package, or pulled into `EDGEMATTE_HOME`; each checked by its sha256."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..device.files import sha256
from ..errors import UsageError
from .published import PUBLISHED

MODEL_SUFFIX = ".tflite"
SUMS = "SHA256SUMS"  # beside the bundled models, in the format of sha256sum
MODELS_VARIABLE = "EDGEMATTE_MODELS"  # a kiosk's release has its models in a folder of their own


@dataclass(frozen=True)
class Verified:
    """One model file, held against the sha256 it should have."""

    name: str
    path: Path
    expected: str
    found: str

    @property
    def whole(self) -> bool:
        """Whether the file is byte for byte what it should be."""
        return self.expected == self.found


def home() -> Path:
    """The folder for pulled models: `EDGEMATTE_HOME`, or `edgematte` in the platform's folder for a program's data."""
    try:
        return _home()
    except RuntimeError as error:  # a user without a name and without HOME, as in a container
        raise UsageError("this user has no home folder; name a folder for pulled models in EDGEMATTE_HOME") from error


def _home() -> Path:
    if chosen := os.environ.get("EDGEMATTE_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "edgematte"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "edgematte"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "edgematte"


def bundled_models() -> dict[str, Path]:
    """Name → file of the models that came with the package, sorted by name."""
    folder = _bundled_folder()
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(MODEL_SUFFIX))
    return {name.removesuffix(MODEL_SUFFIX): folder / name for name in found}


def pulled_models() -> dict[str, Path]:
    """Name → file of the published networks that were pulled, sorted by name; .onnx files wait for `convert`."""
    try:
        folder = home()
    except UsageError:  # nowhere to pull to, so nothing was
        return {}
    files_here = {name: folder / model.file for name, model in PUBLISHED.items()}
    return {name: path for name, path in sorted(files_here.items()) if path.is_file()}


def model_path(model: str | Path) -> Path:
    """The .tflite file of a bundled or pulled model's name, or of a path. Raises UsageError when there is neither."""
    path = Path(model)
    if path.suffix.lower() == MODEL_SUFFIX or path.is_file():
        if not path.is_file():
            raise UsageError(f"there is no model file {path}")
        return path
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    if str(model) in PUBLISHED:
        return _pulled(str(model))
    names = ", ".join(bundled) or "none is bundled here"
    raise UsageError(f"unknown model '{model}'; expected a {MODEL_SUFFIX} file or one of: {names}")


def verify(name: str) -> Verified:
    """Hash one bundled or pulled model. Raises UsageError when there is none of that name here."""
    if name in (bundled := bundled_models()):
        return Verified(name, bundled[name], _sums().get(bundled[name].name, "not listed"), sha256(bundled[name]))
    if name in (pulled := pulled_models()):
        return Verified(name, pulled[name], PUBLISHED[name].sha256, sha256(pulled[name]))
    here = ", ".join([*bundled, *pulled]) or "none"
    raise UsageError(f"there is no model '{name}' here to verify; here are: {here}")


def _pulled(name: str) -> Path:
    path = home() / PUBLISHED[name].file
    if not path.is_file():
        raise UsageError(f"'{name}' is not bundled; get it with: edgematte models pull {name}")
    if path.suffix.lower() != MODEL_SUFFIX:
        raise UsageError(
            f"'{name}' is an ONNX network; make it a model with: edgematte convert {path} -o {name}{MODEL_SUFFIX} "
            "--calibrate PHOTOS"
        )
    return path


def _bundled_folder() -> Path:
    chosen = os.environ.get(MODELS_VARIABLE)
    return Path(chosen) if chosen else Path(str(files("edgematte.models")))


def _sums() -> dict[str, str]:
    lines = (_bundled_folder() / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}
