"""`Segmenter`: a loaded network as a function, `Image` → `Alpha`."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError
from ..network import PHOTO_MODEL
from ..network.convention import Convention
from ..network.guess import convention_of
from ..network.interpreter import load, read_model
from ..network.model_file import ModelCard, read_card
from ..network.store import model_path
from ..network.tensors import to_alpha, to_input
from ..picture.images import Alpha, Image
from .refine import DEFAULT_MODE, Refine, check_mode, refine


class Segmenter:
    """A background remover: call it with a photo, get the photo's alpha. Several threads may share one.

    `model` is a bundled model's name or the path of a .tflite file; `device` is read by `interpreter.parse_device`;
    `threads` None means one per core, at most four; `mode` is how edges are brought to the photo's size, see
    refine.py. Raises UsageError for an unknown model or mode, ModelError for a model that cannot run here.
    """

    def __init__(
        self,
        model: str | Path = PHOTO_MODEL,
        *,
        device: str = "cpu",
        threads: int | None = None,
        mode: Refine = DEFAULT_MODE,
    ) -> None:
        self.mode: Refine = check_mode(mode)
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
        """(H, W, 3) RGB → (H, W), the matte refined at the photo's size."""
        return refine(image, self.matte(image), self.mode, threads=self.network.threads)

    def matte(self, image: Image) -> Alpha:
        """(H, W, 3) RGB → (h, w), the matte at the network's own size."""
        tensor = to_input(image, self.network.inputs[0], self.convention)
        chosen = self.convention.tensor
        return to_alpha(self.network.run(tensor, output=chosen), self.network.outputs[chosen], self.convention)
