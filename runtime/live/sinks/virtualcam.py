"""Frames → a virtual webcam that other programs can choose (v4l2loopback), through pyvirtualcam."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError, SinkError
from .base import Sink, StreamFormat

LOOK_EVERY_S = 1.0  # how often to look who has the device open


class VirtualCamSink(Sink):
    """One v4l2loopback device; the first free one unless named."""

    transparent = False

    def __init__(self, device: str | None = None, *, proc: Path = Path("/proc")) -> None:
        self.name = device or "the virtual webcam"
        self._device, self._proc = device, proc
        self._camera: Any = None
        self._looked_s = 0.0
        self._read = True

    @property
    def returns(self) -> bool:
        return True

    @property
    def wanted(self) -> bool:
        """Whether a process other than this one has the device open; of other users' processes only root can tell."""
        if self._camera is None:
            return True
        if time.monotonic() - self._looked_s > LOOK_EVERY_S:
            self._looked_s = time.monotonic()
            self._read = self._is_read(str(self._camera.device))
        return self._read

    def start(self, stream: StreamFormat) -> None:
        """Raises MissingExtraError without pyvirtualcam, SinkError without a device."""
        if self._camera is not None:
            return
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingExtraError("camera --sink virtualcam", "virtualcam", "pyvirtualcam") from error
        width, height = stream.size
        try:
            self._camera = pyvirtualcam.Camera(width, height, fps=stream.fps, device=self._device)
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise SinkError(
                f"no virtual webcam ({reason}); install one: sudo apt install v4l2loopback-dkms && "
                "sudo modprobe v4l2loopback exclusive_caps=1 card_label=EdgeMatte"
            ) from error
        self.name = str(self._camera.device)

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:  # noqa: ARG002 - live: now
        if self._camera is None:
            raise SinkError(f"{self.name} is not open")
        try:
            self._camera.send(picture)
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkError(f"{self.name} takes no more frames ({error})") from error

    def finish(self, *, whole: bool) -> None:  # noqa: ARG002 - a webcam is never whole
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _is_read(self, device: str) -> bool:
        seen_others = False
        for process in self._proc.glob("[0-9]*"):
            if process.name == str(os.getpid()):
                continue
            try:
                if any(str(link.readlink()) == device for link in (process / "fd").iterdir()):
                    return True
            except PermissionError:
                seen_others = True
            except OSError:
                continue  # it ended while we looked
        # A process of somebody else may be the reader: then better a camera that runs for nobody than a black picture.
        return seen_others
