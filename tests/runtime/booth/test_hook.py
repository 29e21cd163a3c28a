"""The owner's own program."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgematte.runtime.booth.config import HookConfig
from edgematte.runtime.booth.hook import Hook
from edgematte.runtime.errors import UsageError

from ..live_parts import wait_until


def test_it_gets_each_file_and_one_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "send.sh"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/sent"\n[ "$2" != "{tmp_path}/b c.jpg" ] || exit 3\n')
    program.chmod(0o755)
    with Hook(HookConfig(f"{program} --to=owner")) as hook:
        for name in ("a.jpg", "b c.jpg", "d.mp4"):
            hook(tmp_path / name)
        wait_until(lambda: (tmp_path / "sent").exists() and (tmp_path / "sent").read_text().count("\n") == 3)
    assert (tmp_path / "sent").read_text().splitlines()[1] == f"--to=owner {tmp_path}/b c.jpg"
    wait_until(lambda: "b c.jpg: code 3" in caplog.text)


def test_a_program_that_is_not_there_is_said_before_the_evening_begins() -> None:
    with pytest.raises(UsageError, match="no program 'gone'"):
        Hook(HookConfig("gone --now"))
    with pytest.raises(UsageError, match="taken apart"):
        Hook(HookConfig("echo 'x"))
    Hook(HookConfig())
