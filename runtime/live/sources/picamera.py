"""The Raspberry Pi's own camera → frames, through picamera2, which comes from apt and is imported only here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from ...errors import SourceError
from ...picture.images import Size
from ..frames import Buffers, Frame, SourceInfo
from .opencv import CameraWish

USUAL_SIZE: Size = (1280, 720)
LORES_WIDTH = 320  # enough for a 256-pixel network, and the image processor scales it for nothing


class PiCameraSource:
    """The main stream is the picture, the lores stream the network's input: the CPU need not shrink anything."""

    def __init__(self, *, buffers: Buffers, wish: CameraWish | None = None) -> None:
        self._buffers, self._wish = buffers, wish or CameraWish()
        self._camera: Any = None
        self.info = SourceInfo("the Pi camera", live=True)

    def __enter__(self) -> PiCameraSource:
        """Raises SourceError without picamera2 or without a camera."""
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise SourceError(
                "picamera2 is not installed; on Raspberry Pi OS: sudo apt install python3-picamera2, and make the "
                "virtual environment with --system-site-packages"
            ) from error
        width, height = self._wish.size or USUAL_SIZE
        lores = LORES_WIDTH, LORES_WIDTH * height // width // 2 * 2
        controls = {} if self._wish.fps is None else {"FrameRate": self._wish.fps}
        try:
            camera = Picamera2()
            # picamera2 names channels as they lie in a 32-bit word: what it calls BGR888 is R, G, B in memory.
            camera.configure(
                camera.create_video_configuration(
                    main={"size": (width, height), "format": "BGR888"},
                    lores={"size": lores, "format": "YUV420"},
                    controls=controls,
                )
            )
            camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            raise SourceError(f"the Pi camera does not start ({error}); is its cable in? try: rpicam-hello") from error
        self._camera = camera
        self._lores = lores
        self.info = SourceInfo("the Pi camera", live=True, fps=self._wish.fps, size=(width, height))
        return self

    def __exit__(self, *_: object) -> None:
        if self._camera is not None:
            self._camera.stop()
            self._camera.close()
            self._camera = None

    def __iter__(self) -> Iterator[Frame]:
        start, number = time.monotonic(), 0
        while True:
            try:
                (main, lores), _ = self._camera.capture_arrays(["main", "lores"])
            except (RuntimeError, OSError) as error:
                raise SourceError(f"the Pi camera gives no more frames ({error})") from error
            now = time.monotonic()
            image = self._buffers.take(main.shape)
            np.copyto(image, main)
            # Rows of the lores stream are padded to the hardware's stride.
            small = cv2.cvtColor(lores, cv2.COLOR_YUV2RGB_I420)[:, : self._lores[0]]
            yield Frame(image, number, now - start, now, lores=np.asarray(small, np.uint8))
            number += 1
