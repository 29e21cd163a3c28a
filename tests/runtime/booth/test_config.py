"""booth.toml, right and wrong."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edgematte.runtime.booth.config import Config, read_config, with_command_line
from edgematte.runtime.errors import UsageError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "booth.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "")) == Config()


def test_paths_are_relative_to_the_file_and_the_command_line_counts(tmp_path: Path) -> None:
    text = 'data = "event"\n[camera]\nsource = "picamera"\n[backgrounds]\nfolder = "bg"\ncolours = ["teal"]\n'
    config = read_config(written(tmp_path, text))
    assert config.data == tmp_path / "event"
    assert config.backgrounds.folder == tmp_path / "bg"
    assert config.backgrounds.colours == ("teal",)
    said = with_command_line(config, source="virtual", data=Path("elsewhere"))
    assert (said.camera.source, said.data) == ("virtual", Path("elsewhere"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel = 'A'", r"no setting titel; expected one of: .*title"),
        ("[camera]\nsorce = '0'", r"no setting camera\.sorce; expected one of: .*source"),
        ("[camera]\nfps = 'fast'", r"camera\.fps is 'fast'; expected a number"),
        ("[print]\nmost_copies = true", r"print\.most_copies is True; expected a whole number"),
        ("[screen]\nlanguages = 'en'", r"screen\.languages is 'en'; expected a list of texts"),
        ("camera = 3", r"camera is a section; write \[camera\]"),
        ("[pictures]\nlayouts = ['poster']", r"layouts may hold single, strip; found \['poster'\]"),
        ("[screen]\nlanguages = []", "languages is empty"),
        ("title =", "is no TOML"),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path / "booth.toml")


def test_the_manual_names_every_setting_and_no_other_in_its_comments_too(root: Path, tmp_path: Path) -> None:
    manual = (root / "runtime/booth/README.md").read_text(encoding="utf-8")
    toml = manual.partition("```toml")[2].partition("```")[0]
    config = read_config(written(tmp_path, toml))
    assert config.print.enabled
    assert config.button.pin == "GPIO17"
    spoken = set(re.findall(r"(\w+) =", toml))
    assert spoken == _names(Config())


def _names(config: object) -> set[str]:
    """Of all settings, those of sections too."""
    names: set[str] = set()
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        names |= _names(value) if is_dataclass(value) else {item.name}
    return names
