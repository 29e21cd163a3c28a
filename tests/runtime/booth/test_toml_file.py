"""booth.toml, right and wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from edgematte.runtime.booth.config import Config
from edgematte.runtime.booth.toml_file import Settings, check_of, read_settings
from edgematte.runtime.errors import UsageError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "booth.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, "")).config == Config()


def test_paths_are_relative_to_the_file_and_the_command_line_counts(tmp_path: Path) -> None:
    text = 'data = "event"\n[camera]\nsource = "picamera"\n[backgrounds]\nfolder = "bg"\ncolours = ["teal"]\n'
    settings = read_settings(written(tmp_path, text))
    config = settings.config
    assert config.data == tmp_path / "event"
    assert config.backgrounds.folder == tmp_path / "bg"
    assert config.backgrounds.colours == ("teal",)
    said = settings.with_command_line(source="virtual", data=Path("elsewhere"), port=7).config
    assert (said.camera.source, said.data, said.screen.port) == ("virtual", Path("elsewhere"), 7)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("titel = 'A'", r"line 1: titel: there is no such setting; expected one of: .*title"),
        ("[camera]\nsorce = '0'", r"line 2: camera\.sorce: there is no such setting; expected one of: .*source"),
        ("[camera]\n\nfps = 'fast'", r"line 3: camera\.fps: is 'fast'; expected 1 to 240 frames a second"),
        ("[camera]\nfps = 0", r"line 2: camera\.fps: is 0; expected 1 to 240"),
        ("[camera]\nfps = nan", r"line 2: camera\.fps: is nan; expected 1 to 240"),
        ("[camera]\nsize = '1280x'", r"line 2: camera\.size: is '1280x'; expected e\.g\. 1280x720"),
        ("[camera]\nrotate = 45", r"line 2: camera\.rotate: is 45; expected 0 or 90 or 180 or 270"),
        ("[camera]\ncrop = '0,0,2,1'", r"line 2: camera\.crop: is '0,0,2,1'; expected left, top"),
        ("[camera]\nstill_size = '800x600'\nstill_command = 'x'", r"line 3: camera\.still_command: excludes"),
        ("[print]\nmost_copies = true", r"line 2: print\.most_copies: is True; expected 1 to 20 copies"),
        ("[print]\nmost_copies = -3", r"line 2: print\.most_copies: is -3; expected 1 to 20 copies"),
        ("[screen]\nidle_s = 0", r"line 2: screen\.idle_s: is 0; expected 5 to 3600 seconds"),
        ("[screen]\nport = 99999", r"line 2: screen\.port: is 99999; expected 0 to 65535"),
        ("[screen]\naccent = 'javascript'", r"line 2: screen\.accent: is 'javascript'; expected a colour"),
        ("[share]\nport = -1", r"line 2: share\.port: is -1; expected 0 to 65535"),
        ("[pictures]\ncountdown_s = -5", r"line 2: pictures\.countdown_s: is -5; expected 0 to 30 seconds"),
        ("[pictures]\ncountdown_s = 1e9", r"line 2: pictures\.countdown_s: is 1e\+09; expected 0 to 30 seconds"),
        ("pictures = { countdown_s = inf }", r"line 1: pictures\.countdown_s: is inf; expected 0 to 30 seconds"),
        ("pictures.countdown_s = -5", r"line 1: pictures\.countdown_s: is -5"),
        ("[pictures]\nthreads = 0", r"line 2: pictures\.threads: is 0; expected 1 to 64"),
        ("[disk]\nwarn_mb = -1", r"line 2: disk\.warn_mb: is -1; expected 0 to 1e\+09 megabytes"),
        ("[owner]\npin = '12'", r"line 2: owner\.pin: is '12'; expected 4 to 12 digits"),
        (
            "[backgrounds]\ncolours = [\n  'teal',\n  'tael',\n]",
            r"line 2: backgrounds\.colours: has 'tael'; expected a colour",
        ),
        ('[pictures]\ntext = """\n[camera]\nfps = 0\n"""\n[camera]\nfps = 0', r"line 7: camera\.fps"),
        ("[screen]\nlanguages = 'en'", r"line 2: screen\.languages: is 'en'; expected a list of texts"),
        ("camera = 3", r"line 1: camera: is a section; write \[camera\]"),
        ("[screen]\nlanguages = []", "line 2: screen.languages: is empty"),
        ("title =", "is no TOML: Invalid value"),
        ("\ntitle = = 1", r"is no TOML: .*line 2"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_expected(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_settings(written(tmp_path, text))


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        read_settings(written(tmp_path, "[camera]\nfps = 0\n[screen]\nidle_s = 0\nprot = 1\n"))
    assert [line for line in ("line 2", "line 4", "line 5") if line in str(told.value)] == [
        "line 2",
        "line 4",
        "line 5",
    ]


def test_every_number_has_limits(tmp_path: Path) -> None:
    """A number without them would be one that nobody thought about."""
    for kind, name in _numbers(Config):
        assert check_of(name) is not None, name
        for value in ("-1e300", "1e300", "nan"):
            if kind is float:
                section, _, key = name.rpartition(".")
                with pytest.raises(UsageError, match=f"line 2: {name}: is .* expected"):
                    read_settings(written(tmp_path, f"[{section}]\n{key} = {value}\n"))


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("title = 'A'  # ours\n", "title", "B # C", 'title = "B # C"  # ours\n'),
        ("", "title", "B", 'title = "B"\n'),
        ("title = 'A'\n", "title", None, ""),
        ("[camera]\nfps = 30 # slow\n", "camera.rotate", 90, "[camera]\nrotate = 90\nfps = 30 # slow\n"),
        ("[pictures]\nlayouts = [\n 'single', # a\n]\ntext = ''\n", "pictures.layouts", ["strip", "quad"],
         '[pictures]\nlayouts = ["strip", "quad"]\ntext = \'\'\n'),
        ("title = 'A'\n", "print.max_pages", 400, "title = 'A'\n\n[print]\nmax_pages = 400\n"),
    ],
)  # fmt: skip
def test_one_value_is_written_and_the_rest_of_the_file_stays(
    tmp_path: Path, before: str, key: str, value: object, after: str
) -> None:
    settings = read_settings(written(tmp_path, before)).changed(key, value)  # type: ignore[arg-type]
    settings.save()
    text = (tmp_path / "booth.toml").read_text()
    assert text.split() == after.split()
    assert read_settings(tmp_path / "booth.toml").config == settings.config


def test_a_wrong_value_is_not_written_and_what_only_an_editor_can_change_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected 5 to 3600"):
        read_settings(written(tmp_path, "[screen]\nidle_s = 60\n")).changed("screen.idle_s", 1)
    with pytest.raises(UsageError, match=r"line 1: screen\.idle_s: .*only an editor"):
        read_settings(written(tmp_path, "screen = { idle_s = 60 }\n")).changed("screen.idle_s", 70)
    with pytest.raises(UsageError, match=r"no booth\.toml"):
        Settings(Config()).changed("title", "A")


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path / "booth.toml")


def test_the_manual_names_every_setting_and_no_other_in_its_comments_too(root: Path, tmp_path: Path) -> None:
    manual = (root / "runtime/booth/README.md").read_text(encoding="utf-8")
    toml = manual.partition("```toml")[2].partition("```")[0]
    config = read_settings(written(tmp_path, toml)).config
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


def _numbers(kind: type, above: str = "") -> Iterator[tuple[type, str]]:
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from _numbers(hint, f"{above}{name}.")  # type: ignore[arg-type]
        for number in (int, float):
            if hint is number or number in get_args(hint):
                yield number, f"{above}{name}"
