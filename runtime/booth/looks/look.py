"""What guests chose → what surrounds them in moving pictures: background, effect, and what is painted over both."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...live.backdrop import Backdrop
from ...live.frames import Frame
from ...picture.images import Alpha, Image
from .effects import Effect
from .overlay import Overlay


@dataclass(eq=False)
class Look:
    """Painted in one thread at a time."""

    backdrop: Backdrop | None = None  # None: the room as it is
    effect: Effect | None = None
    overlay: Overlay | None = None
    plain: Image | None = None  # the frame without effect, while it is painted

    @property
    def needs_matte(self) -> bool:
        """Whether subject and background are told apart."""
        return self.backdrop is not None or (self.effect is not None and self.effect.part != "picture")

    def subject(self, image: Image) -> Image:
        """The picture that the subject is taken from."""
        self.plain = image
        return self.effect(image) if self.effect is not None and self.effect.part == "subject" else image

    def __call__(self, frame: Frame, alpha: Alpha, picture: Image) -> None:
        """Paints the background: a `Backdrop` of live/render.py."""
        if self.backdrop is not None:
            self.backdrop(frame, alpha, picture)
        elif self.plain is not None:
            plain = self.plain
            if plain.shape != picture.shape:
                plain = np.asarray(cv2.resize(plain, picture.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
            np.copyto(picture, plain)
        if self.effect is not None and self.effect.part == "background":
            np.copyto(picture, self.effect(picture))

    def finish(self, picture: Image) -> None:
        """What goes over the whole."""
        if self.effect is not None and self.effect.part == "picture":
            np.copyto(picture, self.effect(picture))
        if self.overlay is not None:
            self.overlay.paint(picture)
