"""`Segmenter`: a loaded network as a function, `Image` → `Alpha`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from .convention import Convention
from .errors import ModelError, UsageError
from .guess import convention_of
from .images import Alpha, Image
from .interpreter import load, read_model
from .model_file import ModelCard, read_card
from .preprocess import resize, to_alpha, to_input

DEFAULT_MODEL = "unet-live"
MODEL_SUFFIX = ".tflite"


def bundled_models() -> dict[str, Path]:
    """Name → file of the models that came with the package, sorted by name."""
    folder = files("edgematte.models")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(MODEL_SUFFIX))
    return {name.removesuffix(MODEL_SUFFIX): Path(str(folder / name)) for name in found}


def model_path(model: str | Path) -> Path:
    """The file of a bundled model's name, or of a path. Raises UsageError when there is neither."""
    path = Path(model)
    if path.suffix.lower() == MODEL_SUFFIX or path.is_file():
        if not path.is_file():
            raise UsageError(f"there is no model file {path}")
        return path
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    names = ", ".join(bundled) or "none is bundled here"
    raise UsageError(f"unknown model '{model}'; expected a {MODEL_SUFFIX} file or one of: {names}")


class Segmenter:
    """A background remover: call it with a photo, get the photo's alpha.

    `model` is a bundled model's name or the path of a .tflite file; `device` is "cpu" or "coral"; `threads` None means
    one per core, at most four. Raises UsageError for an unknown model, ModelError for one that cannot run here.
    """

    def __init__(self, model: str | Path = DEFAULT_MODEL, *, device: str = "cpu", threads: int | None = None) -> None:
        self.path = model_path(model)
        content = read_model(self.path)
        try:
            self.card: ModelCard | None = read_card(content)
            self.network = load(content, threads=threads, device=device)
            # A card is the promise of the contract; only strangers need guessing.
            self.convention = Convention() if self.card else convention_of(self.network, self.path)
        except ModelError as error:
            raise ModelError(f"{self.path.name}: {error}") from error

    def __call__(self, image: Image) -> Alpha:
        """(H, W, 3) RGB → (H, W), the matte enlarged to the photo's size."""
        height, width = image.shape[:2]
        return resize(self.matte(image), (width, height))

    def matte(self, image: Image) -> Alpha:
        """(H, W, 3) RGB → (h, w), the matte at the network's own size."""
        tensor = to_input(image, self.network.inputs[0], self.convention)
        chosen = self.convention.tensor
        return to_alpha(self.network.run(tensor, output=chosen), self.network.outputs[chosen], self.convention)
