"""The virtual webcam as far as it goes without the kernel's module: its words, and whether anybody looks."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.errors import MissingExtraError, SinkError
from edgematte.runtime.live.sinks.base import StreamFormat
from edgematte.runtime.live.sinks.virtualcam import VirtualCamSink

STREAM = StreamFormat((96, 64), 30.0)


class Device:
    """Stands for pyvirtualcam.Camera: the device is hardware that this machine has not."""

    def __init__(self, width: int, height: int, *, fps: float, device: str | None) -> None:
        del fps
        self.device = device or "/dev/video9"
        self.shape = height, width, 3
        self.sent = 0

    def send(self, picture: np.ndarray) -> None:
        if picture.shape != self.shape:
            raise ValueError("unexpected frame shape")
        self.sent += 1

    def close(self) -> None:
        self.sent = -1


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgematte\[virtualcam\]'"):
        VirtualCamSink().start(STREAM)


def test_without_a_device_the_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found at /dev/video[0-99].")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=refuse))
    with pytest.raises(SinkError, match="sudo modprobe v4l2loopback"):
        VirtualCamSink().start(STREAM)


def test_frames_arrive_and_a_lost_device_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=Device))
    sink = VirtualCamSink()
    sink.start(STREAM)
    sink.write(np.zeros((64, 96, 3), np.uint8), 0.0)
    with pytest.raises(SinkError, match="takes no more frames"):
        sink.write(np.zeros((2, 2, 3), np.uint8), 0.0)
    assert sink.returns
    sink.finish(whole=True)
    sink.start(STREAM)


def test_it_is_wanted_while_another_process_has_it_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=Device))
    monkeypatch.setattr("edgematte.runtime.live.sinks.virtualcam.LOOK_EVERY_S", -1.0)
    for process in (str(os.getpid()), "1000000"):
        (tmp_path / process / "fd").mkdir(parents=True)
        (tmp_path / process / "fd" / "3").symlink_to("/dev/video9")
    sink = VirtualCamSink(proc=tmp_path)
    sink.start(STREAM)
    assert sink.wanted
    (tmp_path / "1000000" / "fd" / "3").unlink()
    assert not sink.wanted, "only we ourselves have it open"
