"""What can be set for a booth, each with what it may be; toml_file.py reads it from booth.toml.

Values that `Annotated` limits are checked with a message that names the range; the owner's page shows the same limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from ..matting.composite import read_colour
from ..network import PEOPLE_MODEL


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`."""

    low: float
    high: float
    unit: str = ""

    def __call__(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class OneOf:
    """One of a few words or numbers."""

    words: tuple[str | int, ...]

    def __call__(self, value: str | int) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return " or ".join(map(str, self.words))


@dataclass(frozen=True)
class Text:
    """A text that `right` accepts; of a list each."""

    expected: str
    right: Callable[[str], object]

    def __call__(self, value: str) -> bool:
        return bool(self.right(value))

    def __str__(self) -> str:
        return self.expected


Check = Between | OneOf | Text

COLOUR = Text("a colour such as white, or #rrggbb", read_colour)
SHORT = Text("at most 80 letters in one line", lambda text: len(text) <= 80 and text.isprintable())
ADDRESS = Text("e.g. http://192.168.4.1:8092", lambda text: re.fullmatch(r"https?://[^\s/]+\S*", text))
SIZE = Text("e.g. 1280x720, each side 16 to 16384", lambda text: size_of(text))
CROP = Text("left, top, width and height as shares of the picture, e.g. 0.1,0,0.8,1", lambda text: crop_of(text))
PIN = Text("4 to 12 digits", lambda text: re.fullmatch(r"[0-9]{4,12}", text))
SECONDS_LEFT = Between(5, 3600, "seconds")
PORT = Between(0, 65535)


@dataclass(frozen=True)
class CameraConfig:
    """Where pictures come from."""

    source: str = "0"  # as --source of `edgematte camera`
    size: Annotated[str, SIZE] = "1280x720"  # asked of the camera; larger than the screen needs gives larger photos
    fps: Annotated[float, Between(1, 240, "frames a second")] = 30.0
    mirror: bool = True  # guests see themselves as in a mirror; their pictures are not mirrored
    rotate: Annotated[int, OneOf((0, 90, 180, 270))] = 0  # degrees clockwise, for a camera on its side
    crop: Annotated[str, CROP] = "0,0,1,1"  # what is used of the (rotated) picture
    still_size: Annotated[str | None, SIZE] = (
        None  # the stream stops for a moment and the camera is asked for this size
    )
    still_source: str | None = None  # another camera for the photo alone, words as for `source`
    still_command: str | None = None  # a program that writes the photo to stdout, such as gphoto2
    still_skip: Annotated[int, Between(0, 100, "frames")] = 2  # of a camera just opened, until its exposure has settled


@dataclass(frozen=True)
class BackgroundsConfig:
    """What guests may choose to stand before."""

    folder: Path | None = None  # of pictures and videos, shown by name; NAME.overlay.png goes over what NAME shows
    colours: Annotated[tuple[str, ...], COLOUR] = ("#f4e9dc", "#16324f")
    blur: bool = True
    real: bool = True  # the room as it is
    first: str | None = None  # chosen when guests come; None: the first there is


@dataclass(frozen=True)
class PicturesConfig:
    """How pictures are taken and what they look like."""

    model: str = PEOPLE_MODEL
    refine: Annotated[str, OneOf(("off", "fast"))] = "fast"
    threads: Annotated[int | None, Between(1, 64)] = None
    layouts: tuple[str, ...] = ("single", "strip", "quad", "boomerang", "poses")
    templates: Path | None = None  # a folder of layouts of your own; None: `templates` in the data folder
    effects: tuple[str, ...] = ("mono", "warm", "high-key")  # film.cube is one of your own; mono:background, :subject
    text: str = ""  # on each sheet; {date} is the day
    date: Annotated[str, SHORT] = "%d. %m. %Y"  # as strftime says it
    logo: Path | None = None
    font: Path | None = None
    paper: Annotated[str, COLOUR] = "white"
    countdown_s: Annotated[float, Between(0, 30, "seconds")] = 3.0
    gallery: bool = True  # whether guests may look at all pictures


@dataclass(frozen=True)
class MovingConfig:
    """Boomerangs and clips."""

    boomerang_s: Annotated[float, Between(0.5, 5, "seconds")] = 2.0
    clip_s: Annotated[float, Between(1, 10, "seconds")] = 10.0
    microphone: str = "auto"  # of clips: auto, off, or FORMAT:DEVICE as ffmpeg knows them, such as alsa:hw:1


@dataclass(frozen=True)
class PrintConfig:
    """The printer, through CUPS."""

    enabled: bool = False
    printer: str | None = None  # None: the system's default
    options: tuple[str, ...] = ("fit-to-page",)  # each as `lp -o` takes it
    most_copies: Annotated[int, Between(1, 20, "copies")] = 2  # of one picture
    max_pages: Annotated[int | None, Between(1, 100_000, "pages")] = None  # that one load of paper and ink makes


@dataclass(frozen=True)
class ShareConfig:
    """Fetching a picture with a telephone in the same network."""

    enabled: bool = False
    host: str = "0.0.0.0"
    port: Annotated[int, PORT] = 8092
    address: Annotated[str | None, ADDRESS] = None  # what the QR code says; None: found out
    slideshow: bool = False  # whether every device in the network may show all pictures


@dataclass(frozen=True)
class OwnerConfig:
    """The owner's page, at /owner."""

    pin: Annotated[str | None, PIN] = None  # None: there is no such page
    network: bool = False  # whether it can be opened from other devices in the network
    port: Annotated[int, PORT] = 8093  # of that


@dataclass(frozen=True)
class HookConfig:
    """A program of the owner's for every picture that is kept: e-mail, upload. Nothing is sent otherwise."""

    command: str | None = None  # its last word will be the file's path


@dataclass(frozen=True)
class ButtonConfig:
    """A button and a lamp on the board's pins; numbers as gpiozero says them. Needs the extra `gpio`."""

    pin: str | None = None  # "GPIO17"
    lamp: str | None = None


@dataclass(frozen=True)
class DiskConfig:
    """When to worry about the disk, in megabytes left."""

    warn_mb: Annotated[float, Between(0, 1e9, "megabytes")] = 2000
    stop_mb: Annotated[float, Between(0, 1e9, "megabytes")] = 500


@dataclass(frozen=True)
class ScreenConfig:
    """What the page looks like."""

    port: Annotated[int, PORT] = 8091
    languages: tuple[str, ...] = ("en", "de", "fr", "es")  # the first is spoken first; my.json is one of your own
    accent: Annotated[str, COLOUR] = "#e9b872"  # buttons
    idle_s: Annotated[float, SECONDS_LEFT] = 60.0  # without a touch; then the next guests are welcomed
    contrast: Annotated[str, OneOf(("usual", "high"))] = "usual"
    scan_s: Annotated[float | None, Between(0.5, 10, "seconds")] = None  # one switch: how long each choice is lit


@dataclass(frozen=True)
class Config:
    """Everything that can be set."""

    title: Annotated[str, SHORT] = "EdgeMatte"  # of the event, on the first screen
    data: Path = Path("booth-data")
    camera: CameraConfig = field(default_factory=CameraConfig)
    backgrounds: BackgroundsConfig = field(default_factory=BackgroundsConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)
    moving: MovingConfig = field(default_factory=MovingConfig)
    print: PrintConfig = field(default_factory=PrintConfig)
    share: ShareConfig = field(default_factory=ShareConfig)
    owner: OwnerConfig = field(default_factory=OwnerConfig)
    hook: HookConfig = field(default_factory=HookConfig)
    button: ButtonConfig = field(default_factory=ButtonConfig)
    disk: DiskConfig = field(default_factory=DiskConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)


def size_of(text: str) -> tuple[int, int] | None:
    """`1280x720` → (1280, 720); None for anything else."""
    match = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", text)
    found = (int(match[1]), int(match[2])) if match else None
    return found if found and all(16 <= side <= 16384 for side in found) else None


def crop_of(text: str) -> tuple[float, float, float, float] | None:
    """`0.1,0,0.8,1` → left, top, width and height as shares; None for anything else, and for less than a tenth."""
    try:
        left, top, width, height = map(float, text.split(","))
    except ValueError:
        return None
    inside = 0 <= left <= 1 and 0 <= top <= 1 and left + width <= 1.0001 and top + height <= 1.0001
    return (left, top, width, height) if inside and width >= 0.1 and height >= 0.1 else None
