"""/opt/edgematte: which versions are here, which one runs, and the one rename that changes it.

    0.2.0/  models-0.2.0/  site-1/   what packages brought; never changed afterwards
    releases/7/                      links `program`, `models`, `site` to three of them, and release.json
    current → releases/7             what runs
    trial                            there while `current` waits to be confirmed: the release to go back to, then units
    keys.gpg  oldest  last-update.json  recover

Everything is made in .incoming/, brought to the disk, and then renamed. So each name is there with all it stands for,
or it is not there. The next update throws .incoming/ away.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..device.files import sync_folder, write_bytes
from ..device.release import CURRENT, LAST_UPDATE, TRIAL
from ..errors import EdgeMatteError

KINDS = ("program", "models", "site")
PREFIX = {"program": "", "models": "models-", "site": "site-"}
RELEASES, INCOMING, LOCK, OLDEST, KEYS, FACTS = "releases", ".incoming", ".lock", "oldest", "keys.gpg", "release.json"
SHA256 = "package.sha256"  # in each part: of the package that brought it
KEEP = 3  # releases
LEAST_FREE_BYTES = 500 * 2**20  # under this only what runs and what ran before are kept


@dataclass(frozen=True)
class Release:
    """A program, its models and a site's files, which run together."""

    number: int
    program: str  # versions
    models: str
    site: str | None
    before: int | None  # the release that ran before; None for the first
    made_at: str  # by the device's clock, which may be wrong

    @property
    def parts(self) -> dict[str, str]:
        """Kind → version."""
        return {kind: version for kind in KINDS if (version := getattr(self, kind)) is not None}


def part(kind: str, version: str) -> str:
    """The name of a part's folder."""
    return f"{PREFIX[kind]}{version}"


class Home:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / INCOMING

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time changes something. Raises EdgeMatteError while another does, or without the right to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise EdgeMatteError(
                f"{self.folder} cannot be changed: {error.strerror or error}; start the command with sudo"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EdgeMatteError("another update is under way; wait until it is done") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def current(self) -> Release | None:
        """What runs; None before the first install."""
        try:
            return self.release(int((self.folder / CURRENT).readlink().name))
        except (OSError, ValueError):
            return None

    def release(self, number: int) -> Release | None:
        """None where there is none of that number."""
        try:
            facts = json.loads((self.folder / RELEASES / str(number) / FACTS).read_text(encoding="utf-8"))
            return Release(**facts)
        except (OSError, ValueError, TypeError):
            return None

    def releases(self) -> list[Release]:
        """All that are here, the oldest first."""
        names = [path.name for path in (self.folder / RELEASES).glob("*") if path.name.isdigit()]
        found = [self.release(number) for number in sorted(map(int, names))]
        return [release for release in found if release is not None]

    def path(self, release: Release) -> Path:
        return self.folder / RELEASES / str(release.number)

    def holds(self, kind: str, version: str) -> str | None:
        """The sha256 of the package that brought this part; None where it is not here."""
        try:
            return (self.folder / part(kind, version) / SHA256).read_text(encoding="ascii").strip()
        except OSError:
            return None

    def sweep(self) -> None:
        """Throws away what an update left that was cut off."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        for name in (".current.new", ".current.back"):
            (self.folder / name).unlink(missing_ok=True)

    def adopt(self, tree: Path, name: str) -> None:
        """A finished folder in .incoming/ gets its name, once all of it is on the disk."""
        os.sync()
        place = self.folder / name
        place.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # a part that nothing uses, of another package
            self._throw_away(place)
        tree.rename(place)
        sync_folder(place.parent)
        sync_folder(self.folder)

    def make(self, parts: dict[str, str], *, at: str) -> Release:
        """A release of these parts, which are here."""
        now = self.current()
        number = max([release.number for release in self.releases()], default=0) + 1
        release = Release(number, parts["program"], parts["models"], parts.get("site"), now.number if now else None, at)
        staged = self.incoming / f"release-{number}"
        staged.mkdir(parents=True)
        for kind, version in parts.items():
            (staged / kind).symlink_to(f"../../{part(kind, version)}")
        write_bytes(staged / FACTS, json.dumps(asdict(release), indent=2).encode())
        self.adopt(staged, f"{RELEASES}/{number}")
        return release

    def begin_trial(self, units: Sequence[str]) -> None:
        """From now on a restart brings back what runs at this moment."""
        lines = [(self.folder / CURRENT).readlink(), *units]
        write_bytes(self.folder / TRIAL, "".join(f"{line}\n" for line in lines).encode(), overwrite=True)

    def switch(self, release: Release) -> None:
        """The one rename."""
        link = self.folder / ".current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{RELEASES}/{release.number}")
        link.replace(self.folder / CURRENT)
        sync_folder(self.folder)

    def end_trial(self) -> None:
        """What runs now is to stay."""
        (self.folder / TRIAL).unlink(missing_ok=True)
        sync_folder(self.folder)

    def on_trial(self) -> bool:
        return (self.folder / TRIAL).is_file()

    def oldest(self) -> str:
        """No program older than this may run here again."""
        try:
            return (self.folder / OLDEST).read_text(encoding="ascii").strip() or "0"
        except OSError:
            return "0"

    def note(self, name: str, content: bytes) -> None:
        """Writes a small file of the folder itself."""
        write_bytes(self.folder / name, content, overwrite=True)

    def note_update(self, facts: dict[str, object]) -> None:
        """How an update went, for a fleet's people."""
        self.note(LAST_UPDATE, json.dumps(facts, indent=2).encode())

    def spare(self, *, keep: int) -> list[Release]:
        """Releases that may go, the oldest first: all but the newest `keep`, what runs, and what ran before it."""
        now = self.current()
        needed = {now.number, now.before} if now else set()
        old = self.releases()[:-keep] if keep else self.releases()
        return [release for release in old if release.number not in needed]

    def prune(self, releases: Sequence[Release]) -> None:
        """Throws releases away, and the parts that no other one uses."""
        for release in releases:
            self._throw_away(self.path(release))
        for path in self.unused():
            self._throw_away(path)
        shutil.rmtree(self.incoming, ignore_errors=True)

    def unused(self, without: Sequence[Release] = ()) -> list[Path]:
        """Parts that no release uses, `without` some of them."""
        left = [release for release in self.releases() if release not in without]
        used = {part(kind, version) for release in left for kind, version in release.parts.items()}
        return [path.parent for path in sorted(self.folder.glob(f"*/{SHA256}")) if path.parent.name not in used]

    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def _throw_away(self, place: Path) -> None:
        """Its name goes first and at once; half a folder is never seen under it."""
        self.incoming.mkdir(exist_ok=True)
        place.rename(self.incoming / f"old-{place.name}")
        sync_folder(place.parent)
        shutil.rmtree(self.incoming / f"old-{place.name}", ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """What a folder takes on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
