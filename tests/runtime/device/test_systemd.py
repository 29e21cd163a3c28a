"""The unit file: paths that hold from any folder, and nothing secret."""

from __future__ import annotations

import shlex
from pathlib import Path

from edgematte.runtime.device.systemd import unit


def started(*words: str, folder: Path) -> list[str]:
    lines = unit(words, user="pi", folder=folder).splitlines()
    (line,) = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    program = shlex.split(line.replace("%%", "%"))
    return program[program.index("edgematte.runtime.cli") + 1 :]


def test_paths_are_absolute_and_all_else_is_as_it_was(tmp_path: Path) -> None:
    for name in ("office.jpg", "me.png", "0"):
        (tmp_path / name).touch()
    given = ["camera", "--source", "virtual:me.png,unplug@5", "--background", "office.jpg", "--sink", "rec-%Y.mp4"]
    given += ["--sink=frames", "--sink", "mjpeg:0.0.0.0:80", "--sink", "mjpeg", "--source", "0", "--size", "640x480"]
    wanted = ["camera", "--source", f"virtual:{tmp_path}/me.png,unplug@5", "--background", f"{tmp_path}/office.jpg"]
    wanted += ["--sink", f"{tmp_path}/rec-%Y.mp4", f"--sink={tmp_path}/frames", "--sink", "mjpeg:0.0.0.0:80"]
    wanted += ["--sink", "mjpeg", "--source", "0", "--size", "640x480"]
    assert started(*given, folder=tmp_path) == wanted


def test_no_token_and_no_password_is_in_it(tmp_path: Path) -> None:
    given = ["camera", "--source", "rtsp://admin:s3cret@cam:554/1", "--token", "s3cret", "--token=s3cret"]
    assert started(*given, folder=tmp_path) == ["camera", "--source", "rtsp://cam:554/1"]
