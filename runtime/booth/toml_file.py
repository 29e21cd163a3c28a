"""booth.toml ↔ `Config`: every mistake named with its line, and single values written back for the owner's page.

The file is the truth. A value is changed in its text, which keeps the rest of it and its comments as they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..device.files import write_bytes
from ..errors import EdgeMatteError, MissingExtraError, UsageError
from .config import Check, Config

STILLS = ("still_size", "still_source", "still_command")
Value = str | int | float | bool | list[str] | None
Section = TypeVar("Section")


@dataclass(frozen=True)
class Settings:
    """A configuration, and where each value of it was said."""

    config: Config
    path: Path | None = None
    text: str = ""

    def fault(self, key: str, words: str) -> UsageError:
        """What is wrong with `key` (`camera.fps`), with its place in the file."""
        if self.path is None:
            return UsageError(f"{key}: {words}")
        span = _span(self.text, key)
        return UsageError(f"{self.path}: {f'line {span[0] + 1}: ' if span else ''}{key}: {words}")

    @contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """What goes wrong while `key` is put to use is said with its place."""
        try:
            yield
        except EdgeMatteError as error:
            raise self.fault(key, str(error)) from error

    def with_command_line(self, *, source: str | None, data: Path | None, port: int | None) -> Settings:
        """What was said on the command line counts."""
        config = self.config
        if source is not None:
            config = replace(config, camera=replace(config.camera, source=source))
        if port is not None:
            config = replace(config, screen=replace(config.screen, port=port))
        return replace(self, config=config if data is None else replace(config, data=data))

    def reread(self) -> Settings:
        """As the file is now. Raises UsageError."""
        return self if self.path is None else read_settings(self.path)

    def changed(self, key: str, value: Value) -> Settings:
        """With another value; None is the default. Raises UsageError for one that may not be."""
        if self.path is None:
            raise UsageError("there is no booth.toml to write to; start the booth with --config booth.toml")
        text = _replaced(self.text, key, value)
        try:
            written = _told(loads(text), key) == value
        except ValueError:
            written = False
        if not written:
            raise self.fault(key, "is written in a way that only an editor can change")
        return parse(text, self.path)

    def save(self) -> None:
        """Raises EdgeMatteError when the file cannot be written."""
        if self.path is not None:
            write_bytes(self.path, self.text.encode(), overwrite=True)


def read_settings(path: Path) -> Settings:
    """Raises UsageError naming the file and, of all that is wrong, the line, the key, and what was expected."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be read: {reason}; name a booth.toml, or leave --config out") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text: {error.reason}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Settings:
    """As `read_settings`, of a text that would be in `path`."""
    try:
        told = loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    faults: list[tuple[str, str]] = []
    config = _section(Config, told, path, "", faults)
    ways = [f"camera.{name}" for name in STILLS if getattr(config.camera, name) is not None]
    if len(ways) > 1:
        faults.append((ways[1], f"excludes {ways[0]}; leave one"))
    for key in ("pictures.layouts", "screen.languages"):
        if not reduce(getattr, key.split("."), config):
            faults.append((key, "is empty; name at least one"))
    settings = Settings(config, path, text)
    if faults:
        first, *more = (str(settings.fault(key, words)) for key, words in faults)
        raise UsageError("; ".join([first, *(fault.removeprefix(f"{path}: ") for fault in more)]))
    return settings


def loads(text: str) -> dict[str, Any]:
    """TOML. Raises ValueError naming line and column."""
    if sys.version_info >= (3, 11):
        import tomllib as reader
    else:
        try:
            import tomli as reader
        except ModuleNotFoundError as error:
            raise MissingExtraError("booth", "booth", "tomli") from error
    return reader.loads(text)


def check_of(key: str) -> Check | None:
    """What a setting may be, where that is limited."""
    hint: Any = Config
    for name in key.split("."):
        hint = get_type_hints(hint, include_extras=True)[name]
    return _checks(hint)[1]


def _section(
    kind: type[Section], told: Mapping[str, Any], file: Path, where: str, faults: list[tuple[str, str]]
) -> Section:
    hints = get_type_hints(kind, include_extras=True)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in told.items():
        name = f"{where}{key}"
        hint = hints.get(key)
        if key not in known:
            faults.append((name, f"there is no such setting; expected one of: {', '.join(sorted(known))}"))
        elif not is_dataclass(hint):
            try:
                values[key] = _value(hint, value, file)
            except ValueError as error:
                faults.append((name, str(error)))
        elif isinstance(value, dict):
            values[key] = _section(hint, value, file, f"{name}.", faults)  # type: ignore[arg-type]
        else:
            faults.append((name, f"is a section; write [{name}] and its settings below"))
    return kind(**values)


def _checks(hint: Any) -> tuple[Any, Check | None]:
    """The type without None, and the limit."""
    check = None
    if get_origin(hint) is Annotated:
        hint, check = get_args(hint)
    kinds = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    return next(kind for kind in kinds if kind is not NoneType), check


def _value(hint: Any, value: object, file: Path) -> object:
    """Raises ValueError saying what was found and what was expected."""
    kind, check = _checks(hint)
    if get_origin(kind) is tuple:
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise ValueError(f"is {value!r}; expected a list of texts")
        wrong = [item for item in value if check is not None and not check(item)]
        if wrong:
            raise ValueError(f"has {wrong[0]!r}; expected {check}")
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    right = isinstance(value, str) if kind is Path else type(value) is kind
    if not right:
        expected = {Path: "a path", float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
        raise ValueError(f"is {value!r}; expected {check or expected[kind]}")
    if check is not None and not check(value):  # type: ignore[arg-type]
        raise ValueError(f"is {f'{value:g}' if kind is float else repr(value)}; expected {check}")
    return file.parent / Path(str(value)).expanduser() if kind is Path else value


def _span(text: str, key: str) -> tuple[int, int] | None:
    """The first and last line (from 0) that say `key`, or open the section of that name; None where none does.

    The text is read again and again with a line more, so that strings and lists over several lines, dotted keys and
    inline tables are understood as TOML's own reader understands them.
    """
    lines, first = text.split("\n"), 0
    for count in range(1, len(lines) + 1):
        try:
            told = loads("\n".join(lines[:count]) + "\n")
        except ValueError:
            continue
        if _told(told, key) is not None:
            return first, count - 1
        first = count
    return None


def _told(told: Any, key: str) -> Any:
    for name in key.split("."):
        if not isinstance(told, dict) or name not in told:
            return None
        told = told[name]
    return told


def _replaced(text: str, key: str, value: Value) -> str:
    *above, name = key.split(".")
    lines, span = text.split("\n"), _span(text, key)
    new = [] if value is None else [f"{name} = {_written(value)}"]
    if span is not None:
        comment = _comment(lines[span[1]])
        lines[span[0] : span[1] + 1] = [f"{line}{comment}" for line in new]
    elif not above:
        lines[:0] = new
    elif (section := _span(text, ".".join(above))) is not None:
        lines[section[1] + 1 : section[1] + 1] = new
    elif new:
        lines += [f"[{'.'.join(above)}]", *new, ""]
    return "\n".join(lines)


def _comment(line: str) -> str:
    """What is said after a value; a # within a text is none."""
    for match in re.finditer(r"\s*#", line):
        try:
            loads(line[: match.start()])
        except ValueError:
            continue
        return line[match.start() :]
    return ""


def _written(value: Value) -> str:
    """As TOML writes it, which for texts and lists of them is nearly as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
