"""What `edgematte touch` refuses before it loads a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgematte.runtime.errors import OutputExistsError, UsageError
from edgematte.runtime.touch.cli import touch

for package in ("starlette", "uvicorn"):
    pytest.importorskip(package, reason="touch needs an extra: pip install 'edgematte[booth]'")


def test_what_cannot_work_is_said_before_a_network_is_loaded(tmp_path: Path, astronaut: Path) -> None:
    photo = Path(shutil.copy(astronaut, tmp_path / "a.jpg"))
    with pytest.raises(UsageError, match=r"none\.jpg: there is no such file; name a photo"):
        touch(tmp_path / "none.jpg")
    with pytest.raises(UsageError, match=r"out\.jpg cannot be transparent; name a \.png or \.webp file"):
        touch(photo, output=tmp_path / "out.jpg")
    (tmp_path / "a.alpha.png").touch()
    with pytest.raises(OutputExistsError, match=r"a\.alpha\.png exists already; add --overwrite"):
        touch(photo)
