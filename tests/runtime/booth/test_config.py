"""A booth.toml that cannot be used → one line that says where and why, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgematte.runtime.booth.cli import booth
from edgematte.runtime.errors import UsageError

for package in ("starlette", "uvicorn", "PIL"):
    pytest.importorskip(package, reason="the booth needs its extra: pip install 'edgematte[booth]'")

Settings = Callable[..., Path]


@pytest.mark.usefixtures("fake_printer")
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "[print]\nenabled = true\nprinter = 'Both'\n",
            r"line 11: print\.printer: there is no printer 'Both'; .*: Booth",
        ),
        ("[screen]\nlanguages = ['xx']\nidle_s = 0\n", r"line 11: screen\.idle_s: is 0; expected 5 to 3600 seconds"),
        ("[screen]\nlanguages = ['xx']\n", r"line 10: screen\.languages: there is no language 'xx'; expected ar, de"),
        (
            "[pictures]\nlayouts = ['poster']\n",
            r"line 10: pictures\.layouts: there is no layout 'poster'; expected one",
        ),
        ("[pictures]\neffects = ['a.cube']\n", r"line 10: pictures\.effects: .*a\.cube cannot be read"),
        ("[pictures]\nfont = 'a.ttf'\n", r"line 10: pictures\.font: .*a\.ttf cannot be used as a font"),
        ("[pictures]\nmodel = 'unet-none'\n", r"line 10: pictures\.model: "),
        ("[hook]\ncommand = 'gone'\n", r"line 10: hook\.command: there is no program 'gone'"),
        ("[moving]\nmicrophone = 'loud'\n", r"line 10: moving\.microphone: is 'loud'; expected auto, off"),
    ],
)
def test_what_cannot_be_is_said_with_its_line_before_the_evening_begins(
    settings: Settings, more: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        booth(config_file=settings(more), print_systemd_unit=False)
