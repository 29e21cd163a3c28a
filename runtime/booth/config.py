"""booth.toml → `Config`: checked as a whole before anything is opened; paths in it are relative to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..errors import MissingExtraError, UsageError
from ..network import PHOTO_MODEL
from .paper.layout import LAYOUTS


@dataclass(frozen=True)
class CameraConfig:
    """Where pictures come from."""

    source: str = "0"  # as --source of `edgematte camera`
    size: str = "1280x720"  # asked of the camera; a stream larger than the screen needs gives larger photos
    fps: float = 30.0
    mirror: bool = True  # guests see themselves as in a mirror; their pictures are not mirrored
    still_size: str | None = None  # the stream stops for a moment and the camera is asked for this size
    still_source: str | None = None  # another camera for the photo alone, words as for `source`
    still_command: str | None = None  # a program that writes the photo to stdout, such as gphoto2
    still_skip: int = 2  # frames of a camera just opened, until its exposure has settled


@dataclass(frozen=True)
class BackgroundsConfig:
    """What guests may choose to stand before."""

    folder: Path | None = None  # of pictures and videos, shown by name
    colours: tuple[str, ...] = ("#f4e9dc", "#16324f")
    blur: bool = True
    real: bool = True  # the room as it is
    first: str | None = None  # chosen when guests come; None: the first there is


@dataclass(frozen=True)
class PicturesConfig:
    """How pictures are taken and what they look like."""

    model: str = PHOTO_MODEL
    refine: str = "best"
    threads: int | None = None
    layouts: tuple[str, ...] = tuple(LAYOUTS)
    text: str = ""  # on each sheet; {date} is the day
    date: str = "%d. %m. %Y"  # as strftime says it
    logo: Path | None = None
    font: Path | None = None
    paper: str = "white"
    countdown_s: float = 3.0
    gallery: bool = True  # whether guests may look at all pictures


@dataclass(frozen=True)
class PrintConfig:
    """The printer, through CUPS."""

    enabled: bool = False
    printer: str | None = None  # None: the system's default
    options: tuple[str, ...] = ("fit-to-page",)  # each as `lp -o` takes it
    most_copies: int = 2  # of one picture


@dataclass(frozen=True)
class ShareConfig:
    """Fetching a picture with a telephone in the same network."""

    enabled: bool = False
    host: str = "0.0.0.0"
    port: int = 8092
    address: str | None = None  # what the QR code says, e.g. http://192.168.4.1:8092; None: found out


@dataclass(frozen=True)
class ButtonConfig:
    """A button and a lamp on the board's pins; numbers as gpiozero says them. Needs the extra `gpio`."""

    pin: str | None = None  # "GPIO17"
    lamp: str | None = None


@dataclass(frozen=True)
class DiskConfig:
    """When to worry about the disk, in megabytes left."""

    warn_mb: float = 2000
    stop_mb: float = 500


@dataclass(frozen=True)
class ScreenConfig:
    """What the page looks like."""

    port: int = 8091
    languages: tuple[str, ...] = ("en", "de", "fr", "es")  # the first is spoken first; it.json is one of your own
    accent: str = "#e9b872"  # buttons
    idle_s: float = 60.0  # without a touch; then the next guests are welcomed


@dataclass(frozen=True)
class Config:
    """Everything that can be set."""

    title: str = "EdgeMatte"  # of the event, on the first screen
    data: Path = Path("booth-data")
    camera: CameraConfig = field(default_factory=CameraConfig)
    backgrounds: BackgroundsConfig = field(default_factory=BackgroundsConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    print: PrintConfig = field(default_factory=PrintConfig)
    share: ShareConfig = field(default_factory=ShareConfig)
    button: ButtonConfig = field(default_factory=ButtonConfig)
    disk: DiskConfig = field(default_factory=DiskConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)


Section = TypeVar("Section")


def read_config(path: Path) -> Config:
    """Raises UsageError naming the file, the key, and what was expected."""
    try:
        told = _toml().loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    config = _section(Config, told, path, "")
    unknown = [key for key in config.pictures.layouts if key not in LAYOUTS]
    if unknown or not config.pictures.layouts:
        raise UsageError(f"{path}: pictures.layouts may hold {', '.join(LAYOUTS)}; found {unknown or 'none'}")
    if not config.screen.languages:
        raise UsageError(f"{path}: screen.languages is empty; name at least one, such as en")
    return config


def with_command_line(config: Config, *, source: str | None, data: Path | None) -> Config:
    """What was said on the command line counts."""
    if source is not None:
        config = replace(config, camera=replace(config.camera, source=source))
    return config if data is None else replace(config, data=data)


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli
    except ModuleNotFoundError as error:
        raise MissingExtraError("booth", "booth", "tomli") from error
    return tomli


def _section(kind: type[Section], told: Mapping[str, Any], file: Path, where: str) -> Section:
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in told.items():
        name = f"{where}{key}"
        if key not in known:
            raise UsageError(f"{file}: there is no setting {name}; expected one of: {', '.join(sorted(known))}")
        hint = hints[key]
        if is_dataclass(hint):
            if not isinstance(value, dict):
                raise UsageError(f"{file}: {name} is a section; write [{name}] and its settings below")
            values[key] = _section(hint, value, file, f"{name}.")  # type: ignore[arg-type]
        else:
            values[key] = _value(hint, value, file, name)
    return kind(**values)


def _value(hint: Any, value: object, file: Path, name: str) -> object:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = next(kind for kind in kinds if kind is not NoneType)
    if get_origin(kind) is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is Path and isinstance(value, str):
        return file.parent / Path(value).expanduser()
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    expected = {Path: "a path", float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
    raise UsageError(f"{file}: {name} is {value!r}; expected {expected.get(kind, 'a list of texts')}")
