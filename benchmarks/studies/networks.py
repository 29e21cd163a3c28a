"""A folder of .onnx files and a list of conventions → networks, each with what it expects of pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ...convert.onnx.reading import Preprocessing
from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.picture.images import Size

KNOWN = Path(__file__).with_name("networks.txt")
COMMENT = "#"


@dataclass(frozen=True)
class Subject:
    """A network to measure."""

    path: Path
    preprocessing: Preprocessing
    channel: int | None  # the subject's class
    size: Size | None = None  # (width, height), where the file leaves it open


def subject(text: str) -> Subject:
    """`FILE.onnx[,mean=R/G/B][,std=R/G/B][,color=bgr][,channel=N][,imgsz=WxH]` → what it names. Raises UsageError."""
    path, *settings = (part.strip() for part in text.split(","))
    found = Subject(Path(path), Preprocessing(), None)
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            if key in ("mean", "std"):
                numbers = tuple(float(number) for number in value.split("/"))
                found = replace(found, preprocessing=replace(found.preprocessing, **{key: numbers}))
            elif key == "color":
                found = replace(found, preprocessing=replace(found.preprocessing, color=value))
            elif key == "channel":
                found = replace(found, channel=int(value))
            elif key == "imgsz":
                width, height = value.split("x")
                found = replace(found, size=(int(width), int(height)))
            else:
                raise UsageError(f"unknown setting '{key}' of {path}; expected mean, std, color, channel or imgsz")
        except ValueError as error:
            raise UsageError(f"'{setting}' of {path} is no number; expected e.g. mean=127.5 or mean=1/2/3") from error
    return found


def listed(settings: Path = KNOWN) -> dict[str, Subject]:
    """File name → the network of that name, of a list with one `subject` a line; lines may be comments."""
    try:
        lines = settings.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {settings}: {error}") from error
    named: dict[str, Subject] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith(COMMENT):
            try:
                found = subject(line)
            except EdgeMatteError as error:
                raise UsageError(f"{settings}, line {number}: {error}") from error
            named[found.path.name] = found
    return named


def gather(folder: Path, settings: Path = KNOWN) -> list[Subject]:
    """Every .onnx file of a folder, or the one file named, fed as the list says and in its order. Raises UsageError."""
    paths = sorted(folder.glob("*.onnx")) if folder.is_dir() else [folder]
    if not paths or not paths[0].is_file():
        raise UsageError(f"{folder} holds no networks; expected .onnx files")
    known = listed(settings)
    order = list(known)
    paths.sort(key=lambda path: order.index(path.name) if path.name in known else len(order))
    return [replace(known.get(path.name, Subject(path, Preprocessing(), None)), path=path) for path in paths]
