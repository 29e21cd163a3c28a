"""The inputs of a command line → the photos meant, each with an output of its own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import UsageError
from ..picture.folders import find_photos
from ..picture.images import PHOTO_SUFFIXES, WRITABLE_SUFFIXES
from .cutter import Kind

STREAM = "-"  # stands for stdin as an input and for stdout as an output
LONGEST_NAME_BYTES = 255  # of a file, on every disk in use
MARK_DIGITS = 8  # of a path's hash: two of a thousand photos of one name share it once in ten thousand runs
FORMAT_SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "jpg": ".jpg"}


@dataclass(frozen=True)
class Job:
    """One photo to cut."""

    source: Path | None  # None: stdin
    output: Path | None  # None: stdout
    suffix: str = ".png"  # the format to write

    @property
    def name(self) -> str:
        return "stdin" if self.source is None else str(self.source)


@dataclass(frozen=True)
class Found:
    """One photo, and the input folder whose tree its output keeps."""

    source: Path | None  # None: stdin
    folder: Path | None = None  # None: named by itself


@dataclass(frozen=True)
class Unusable:
    """An input that gives no photo."""

    name: str
    why: str


@dataclass(frozen=True)
class Plan:
    """What a command line means."""

    jobs: tuple[Job, ...]
    failures: tuple[Unusable, ...]
    left_out: int = 0  # pictures that an earlier run wrote, by their names
    others: tuple[tuple[str, int], ...] = ()  # files in the folders that are no pictures: their endings, and how many


class Names:
    """Gives every photo an output file that no other photo has.

    `<stem>.<kind>.<suffix>` beside the photo, or under `output` with the input folder's tree kept; where photos share
    that name, their whole file names, then those with a mark made of their paths.
    """

    def __init__(self, output: Path | None, kind: Kind, format_suffix: str | None = None) -> None:
        """Raises UsageError for a cut-out as JPEG."""
        if kind == "cutout" and format_suffix in (".jpg", ".jpeg"):
            raise UsageError("a JPEG cannot be transparent; use --format png or webp, or give a --background")
        self.output, self.kind, self.format_suffix = output, kind, format_suffix
        self._taken: set[str] = set()

    def assign(self, photos: Sequence[Found]) -> list[Path]:
        """Names for photos that are all known, whatever their order: resuming must not give one the other's name."""
        tries = [0] * len(photos)
        while True:
            candidates = [self._candidate(photo, attempt) for photo, attempt in zip(photos, tries, strict=True)]
            keys = [_key(candidate) for candidate in candidates]
            shared = {key for key, times in Counter(keys).items() if times > 1}
            if not shared:
                return candidates
            tries = [attempt + (key in shared) for attempt, key in zip(tries, keys, strict=True)]

    def take(self, photo: Found, *, unless_there: bool = False) -> Path:
        """A name for one more photo. `unless_there`: a name that exists on the disk is taken as well."""
        attempt = 0
        while True:
            candidate = self._candidate(photo, attempt)
            if _key(candidate) not in self._taken and not (unless_there and os.path.lexists(candidate)):
                self.keep(candidate)
                return candidate
            attempt += 1

    def _candidate(self, found: Found, attempt: int) -> Path:
        photo = Path("stdin.png") if found.source is None else found.source
        place = photo.parent
        if self.output is not None:
            place = self.output if found.folder is None else self.output / photo.parent.relative_to(found.folder)
        name, ending = photo.stem if attempt == 0 else photo.name, f".{self.kind}{self.suffix_for(photo)}"
        room = LONGEST_NAME_BYTES - len(os.fsencode(ending))
        if attempt > 1 or len(os.fsencode(name)) > room:
            mark = hashlib.sha256(os.fsencode(os.path.realpath(photo))).hexdigest()[:MARK_DIGITS]
            mark = f"-{mark}" if attempt <= 2 else f"-{mark}-{attempt - 1}"
            name = os.fsencode(name)[: room - len(mark)].decode("utf-8", "ignore") + mark
        return place / f"{name}{ending}"

    def keep(self, output: Path) -> None:
        """Marks a name as taken."""
        self._taken.add(_key(output))

    def suffix_for(self, photo: Path) -> str:
        """A composite keeps its photo's lossy format, what is transparent or a mask is PNG, unless told otherwise."""
        if self.format_suffix is not None:
            return self.format_suffix
        lossy = {".jpg": ".jpg", ".jpeg": ".jpg", ".webp": ".webp"} if self.kind == "composite" else {}
        return lossy.get(photo.suffix.lower(), ".png")


def _key(path: Path) -> str:
    """The same for names of one file; some disks take A.png and a.png for one."""
    return os.path.realpath(path).casefold()


def plan(inputs: Sequence[str], output: str | None, kind: Kind, *, format_suffix: str | None = None) -> Plan:
    """Finds the photos and gives each an output.

    A single photo may name its output file. Raises UsageError where the inputs and the output cannot go together.
    """
    to_file = output is not None and (output == STREAM or _names_a_file(output))
    folder = None if output is None or to_file else Path(output)
    if folder is not None and folder.is_file():
        raise UsageError(f"-o {output} is a file, and no picture by its name; name a folder, or a file ending in .png")
    finder = Finder(folder)
    found = list(finder.find(inputs))
    if to_file and (len(found) > 1 or any(map(_is_folder, inputs))):
        raise UsageError(f"-o {output} is one file, but there may be several photos; name a folder with -o")
    if output is None and len(found) > 1 and any(photo.source is None for photo in found):
        raise UsageError("the photo from stdin would go to stdout, but there are others; name a folder with -o")
    if output is not None and to_file and output != STREAM:
        _check_suffix(Path(output), kind, format_suffix)
    names = Names(folder, kind, format_suffix)
    outputs = [None] * len(found) if to_file or (output is None and STREAM in inputs) else names.assign(found)
    jobs: list[Job] = []
    sources = {_key(photo.source): photo.source for photo in found if photo.source is not None}
    for photo, target in zip(found, outputs, strict=True):
        if to_file and output != STREAM:
            jobs.append(Job(photo.source, Path(str(output)), Path(str(output)).suffix))
        elif target is None:
            jobs.append(Job(photo.source, None, names.suffix_for(Path("stdin"))))
        elif (other := sources.get(_key(target))) is not None and other != photo.source:
            # All inputs are known before the first output is written: none is replaced before it is read.
            why = f"its output {target} is among the photos to cut; leave that one out, or name a folder with -o"
            finder.failures.append(Unusable(str(photo.source), why))
        else:
            jobs.append(Job(photo.source, target, target.suffix))
    return Plan(tuple(jobs), tuple(finder.failures), finder.left_out, tuple(finder.others.most_common()))


def _names_a_file(output: str) -> bool:
    path = Path(output)
    return (
        not output.endswith("/")
        and not _is_folder(output)
        and path.suffix.lower() in PHOTO_SUFFIXES | WRITABLE_SUFFIXES
    )


def _check_suffix(output: Path, kind: Kind, format_suffix: str | None) -> None:
    suffix = output.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"cannot write {output}; expected {' or '.join(sorted(WRITABLE_SUFFIXES))}")
    if kind == "cutout" and suffix in (".jpg", ".jpeg"):
        raise UsageError(
            f"a JPEG cannot be transparent; name {output.with_suffix('.png')} or .webp, or give a --background"
        )
    if format_suffix is not None and FORMAT_SUFFIXES[suffix[1:]] != format_suffix:
        raise UsageError(f"-o {output} and --format {format_suffix[1:]} differ; leave one out")


class Finder:
    """Finds photos and remembers what could not be used."""

    def __init__(self, output: Path | None = None) -> None:
        self.output = output  # a folder of outputs, which may lie inside an input: it is not searched
        self.failures: list[Unusable] = []
        self.left_out = 0
        self.others: Counter[str] = Counter()

    def find(self, inputs: Sequence[str]) -> Iterator[Found]:
        """Every photo of files, folders, patterns and `-`, each once however often it is named."""
        seen: set[str] = set()
        for name in inputs:
            for photo in self._of(name):
                key = STREAM if photo.source is None else os.path.realpath(photo.source)
                if key not in seen:
                    seen.add(key)
                    yield photo

    def _of(self, name: str) -> Iterator[Found]:
        path = Path(name)
        if name == STREAM:
            yield Found(None)
        elif _is_folder(name):
            yield from self._inside(path, (), "holds no pictures")
        elif os.path.lexists(path):  # a link to nowhere, or a file that may not be read, fails when it is its turn
            yield Found(path)
        elif any(character in name for character in "*?["):
            parts = path.parts
            fixed = next(n for n, part in enumerate(parts) if any(character in part for character in "*?["))
            yield from self._inside(Path(*parts[:fixed]), parts[fixed:], "matches no pictures", name)
        else:
            self.failures.append(Unusable(name, "there is no such file or folder"))

    def _inside(self, folder: Path, pattern: tuple[str, ...], none: str, name: str | None = None) -> Iterator[Found]:
        known = len(self.failures), self.left_out
        photos = 0

        def no_picture(path: Path) -> None:
            if _matches(path.relative_to(folder).parts, pattern):
                self.others[path.suffix.lower() or "without an ending"] += 1

        for photo in find_photos(folder, without=self.output, unreadable=self._unreadable, left_out=no_picture):
            if not _matches(photo.relative_to(folder).parts, pattern):
                continue
            if _is_our_output(photo):
                self.left_out += 1
                continue
            photos += 1
            yield Found(photo, folder)
        if not photos and known == (len(self.failures), self.left_out):
            what = "the folder " if name is None else "the pattern "
            self.failures.append(Unusable(name or str(folder), f"{what}{none} ({', '.join(sorted(PHOTO_SUFFIXES))})"))

    def _unreadable(self, error: OSError) -> None:
        self.failures.append(Unusable(str(error.filename), f"the folder cannot be read: {error.strerror}"))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a file, or a folder that it lies in, fits a pattern; `**` stands for any number of folders.

    Not glob.glob: that follows links to folders, round and round where they make a circle.
    """
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for a name that is too long


def _is_our_output(path: Path) -> bool:
    """Whether an earlier run wrote this; cutting a folder twice must not cut the cut-outs."""
    return Path(path.stem).suffix in (".cutout", ".mask", ".composite", ".alpha")
