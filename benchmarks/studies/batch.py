"""A folder of a thousand photos with damaged ones among them → what `edgematte cut` wrote, named, returned and held.

    python -m edgematte.benchmarks.studies batch --photos 1000 --damaged 20 [--jobs 2]
    python -m edgematte.benchmarks.studies batch --photos 200 --rate    # how fast, beside bare processes and OpenCV

The photos are crops of real ones, each with another size and place, so that nothing can be remembered from one to the
next. The damaged ones are what cards, networks and people do to files. Exits 1 when a number is not what it must be.
"""

from __future__ import annotations

import json
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from ...runtime.errors import EdgeMatteError, UsageError
from ...runtime.picture.folders import find_photos
from ...runtime.picture.headers import inspect_picture
from ...runtime.picture.images import Image, encode, read

FOLDERS = 10  # the photos lie in so many
PROGRAM = "from edgematte.runtime.cli import main; main()"
FLAT_MB = 16  # less than one photo of five megapixels as RGB: nothing of a photo is kept
KB_PER_MB = 1024


@dataclass(frozen=True)
class Batch:
    """What one run did."""

    command: str
    photos: int
    damaged: int
    written: int  # outputs that are whole
    named: int  # damaged photos that were named with a reason
    wrong: tuple[str, ...]  # photos named without need, damaged ones that were not, outputs too many
    exit_code: int
    seconds: float
    warm_mb: float  # resident memory of the program and its processes, median of the second fifth of the run
    last_mb: float  # and of the last fifth
    peak_mb: float

    @property
    def growth_mb(self) -> float:
        return self.last_mb - self.warm_mb

    def failures(self) -> list[str]:
        """What is not as it must be."""
        said = list(self.wrong)
        if self.written != self.photos - self.damaged:
            said.append(f"{self.written} written, expected {self.photos - self.damaged}")
        if self.named != self.damaged:
            said.append(f"{self.named} named, expected {self.damaged}")
        if self.exit_code != (1 if self.damaged else 0):
            said.append(f"exit code {self.exit_code}")
        if self.growth_mb > FLAT_MB:
            said.append(f"memory grew by {self.growth_mb:.1f} MB, more than {FLAT_MB}")
        return said


def make_photos(place: Path, source: Path, photos: int, damaged: int) -> set[Path]:
    """Fills a folder; gives the damaged files, evenly spread."""
    originals = [read(path) for path in find_photos(source)]
    if not originals:
        raise UsageError(f"{source} holds no pictures; name a folder of photos with --source")
    chance = np.random.default_rng(5)
    every = photos // damaged if damaged else photos + 1
    bad: set[Path] = set()
    for number in range(photos):
        path = place / f"day {number % FOLDERS}" / f"IMG_{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = encode(_crop(originals[number % len(originals)], chance), ".jpg")
        if number % every == every - 1 and len(bad) < damaged:
            path.write_bytes(_damaged(sound, len(bad)))
            bad.add(path)
        else:
            path.write_bytes(sound)
    return bad


def _crop(image: Image, chance: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    rows, columns = int(chance.integers(height // 2, height + 1)), int(chance.integers(width // 2, width + 1))
    top, left = int(chance.integers(0, height - rows + 1)), int(chance.integers(0, width - columns + 1))
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def _damaged(sound: bytes, kind: int) -> bytes:
    """One of eight ways in which files are no photos."""
    half = len(sound) // 2
    ways = (
        b"",
        b"<html>404 Not Found</html>",
        sound[:half],
        sound[:half] + bytes(range(256)) * 8 + sound[half + 2048 :],
        bytes(len(sound)),  # what a card without contact gives
        b"\0\0\0\x18ftypheic" + sound[:500],
        b"GIF89a" + sound[:500],
        _bomb(),
    )
    return ways[kind % len(ways)]


def _bomb() -> bytes:
    """A few hundred bytes that announce 3.6 gigapixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def run_batch(
    source: Path, *, photos: int, damaged: int, options: tuple[str, ...] = (), place: Path | None = None
) -> Batch:
    """Makes the photos in a temporary folder (below `place`, if given) and cuts them with the program itself."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        inbox, out = Path(folder, "in"), Path(folder, "out")
        bad = make_photos(inbox, source, photos, damaged)
        words = ["cut", str(inbox), "-o", str(out), "--json", *options]
        start = time.perf_counter()
        command = [sys.executable, "-c", PROGRAM, *words]
        with (
            Path(folder, "stderr").open("wb") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as process,
        ):
            told: list[dict[str, str | None]] = []
            resident: list[float] = []
            for line in process.stdout or ():
                told.append(json.loads(line))
                resident.append(resident_mb(process.pid))
            exit_code = process.wait()
        seconds = time.perf_counter() - start
        named = {Path(str(line["input"])) for line in told if line["error"]}
        outputs = sorted(path for path in out.rglob("*") if path.is_file())
        wrong = [f"named without need: {path.name}" for path in sorted(named - bad)]
        wrong += [f"not named: {path.name}" for path in sorted(bad - named)]
        wrong += [f"told twice: {len(told)} lines for {photos} photos"] if len(told) != photos else []
        written = sum(_is_whole(path) for path in outputs)
        if written != len(outputs):
            wrong.append(f"{len(outputs) - written} outputs are not whole")
    fifth = max(1, len(resident) // 5)
    return Batch(
        command="edgematte " + shlex.join(["cut", "IN", "-o", "OUT", "--json", *options]),
        photos=photos,
        damaged=damaged,
        written=written,
        named=len(named & bad),
        wrong=tuple(wrong),
        exit_code=exit_code,
        seconds=seconds,
        warm_mb=float(np.median(resident[fifth : 2 * fifth] or [0.0])),
        last_mb=float(np.median(resident[-fifth:] or [0.0])),
        peak_mb=max(resident, default=0.0),
    )


def _is_whole(path: Path) -> bool:
    try:
        inspect_picture(path.read_bytes())
    except EdgeMatteError:
        return False
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None


def resident_mb(pid: int) -> float:
    """Memory of a process and of those it started, as Linux tells it; 0 elsewhere."""
    return sum(_resident_kb(process) for process in (pid, *_children(pid))) / KB_PER_MB


def _resident_kb(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:  # it ended meanwhile
        pass
    return 0


def _children(pid: int) -> Iterator[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, found):
        yield child
        yield from _children(child)


# What two bare processes do, each with half of the photos: OpenCV alone, and a loaded network without the program.
_BARE = """
import sys, cv2
from pathlib import Path
out, *photos = sys.argv[1:]
cv2.setNumThreads(1)
"""
_OPENCV = (
    _BARE
    + """
for number, photo in enumerate(photos):
    cv2.imwrite(f"{out}/{number}.png", cv2.cvtColor(cv2.imread(photo), cv2.COLOR_BGR2BGRA))
"""
)
_CUTTER = (
    _BARE
    + """
from edgematte.runtime.photos.cutter import CutOptions, load_cutter
cutter = load_cutter(CutOptions(threads=1))
for number, photo in enumerate(photos):
    Path(out, f"{number}.png").write_bytes(cutter(Path(photo).read_bytes(), name=photo, suffix=".png").data)
"""
)
LEAST_SIDE_PX, MOST_SIDE_PX = 1150, 4000  # 1 to 12 megapixels at four to three


def rates(source: Path, *, photos: int, place: Path | None = None) -> dict[str, float]:
    """Photos a second of 1 to 12 megapixels by two processes of each way: its name → the rate, starts included."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        inbox = Path(folder, "in")
        _make_large(inbox, source, photos)
        files = sorted(map(str, inbox.iterdir()))
        found: dict[str, float] = {}

        def timed(name: str, *commands: list[str]) -> None:
            start = time.perf_counter()
            running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
            if any(process.wait() for process in running):
                raise EdgeMatteError(f"{name} failed")
            found[name] = photos / (time.perf_counter() - start)

        def halves(name: str, code: str) -> None:
            commands = []
            for half in range(2):
                out = Path(folder, f"{name} {half}")
                out.mkdir()
                commands.append([sys.executable, "-c", code, str(out), *files[half::2]])
            timed(name, *commands)

        def program(name: str, *options: str) -> None:
            timed(name, [sys.executable, "-c", PROGRAM, "cut", str(inbox), "-o", str(Path(folder, name)), *options])

        halves("OpenCV", _OPENCV)
        halves("bare", _CUTTER)
        program("jobs", "--jobs", "2")
        if find_spec("distributed") is not None:
            with _cluster() as address:
                program("dask", "--dask", address)
        return found


def _make_large(place: Path, source: Path, photos: int) -> None:
    originals, chance = [read(path) for path in find_photos(source)], np.random.default_rng(7)
    place.mkdir()
    for number in range(photos):
        width = int(chance.integers(LEAST_SIDE_PX, MOST_SIDE_PX + 1))
        large = cv2.resize(originals[number % len(originals)], (width, width * 3 // 4), interpolation=cv2.INTER_CUBIC)
        (place / f"{number:04}.jpg").write_bytes(encode(np.asarray(large, np.uint8), ".jpg"))


@contextmanager
def _cluster() -> Iterator[str]:
    """The address of a Dask scheduler of this machine with two workers, started and ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    words = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    commands = [[*dask, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]]
    commands += [[*dask, "worker", address, *words]] * 2
    quiet = subprocess.DEVNULL
    running = [subprocess.Popen(command, stdout=quiet, stderr=quiet) for command in commands]
    try:
        from distributed import Client

        with Client(address, timeout="120s") as client:
            client.wait_for_workers(2, timeout=120)
        yield address
    finally:
        for process in running:
            process.kill()
            process.wait()


def main(
    source: Annotated[Path, typer.Option(metavar="DIR", help="Photos to cut crops from.")] = Path(
        "tests/photos/images"
    ),
    photos: Annotated[int, typer.Option(min=1, help="Files in the folder.")] = 1000,
    damaged: Annotated[int, typer.Option(min=0, help="How many of them are no photos.")] = 20,
    jobs: Annotated[int, typer.Option(min=1, help="As of edgematte cut.")] = 1,
    model: Annotated[str | None, typer.Option("-m", "--model", help="As of edgematte cut.")] = None,
    refine: Annotated[str | None, typer.Option(help="As of edgematte cut.")] = None,
    place: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the folder is made for the time.")] = None,
    rate: Annotated[bool, typer.Option("--rate", help="Only how fast sound photos of 1 to 12 MP are cut.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Cut a folder with damaged photos in it, and check what is written, named, returned and held in memory."""
    if rate:
        found = rates(source, photos=photos, place=place)
        lines = (
            f"{name:<7} {value:6.2f} photos/s, {value / found['bare']:.2f} of bare" for name, value in found.items()
        )
        typer.echo(json.dumps(found) if as_json else "\n".join(lines))
        return
    options = ["--jobs", str(jobs)] if jobs > 1 else []
    options += ["-m", model] if model else []
    options += ["--refine", refine] if refine else []
    batch = run_batch(source, photos=photos, damaged=damaged, options=tuple(options), place=place)
    if as_json:
        typer.echo(json.dumps({**asdict(batch), "growth_mb": batch.growth_mb}, indent=2))
    else:
        typer.echo(
            f"{batch.command}: {batch.photos} files, {batch.damaged} damaged\n"
            f"written {batch.written}, named {batch.named}, exit code {batch.exit_code}\n"
            f"{batch.seconds:.1f} s, {batch.photos / batch.seconds:.1f} photos/s\n"
            f"resident memory: {batch.warm_mb:.0f} MB in the second fifth, {batch.last_mb:.0f} MB in the last, "
            f"{batch.peak_mb:.0f} MB at most"
        )
    for failure in batch.failures():
        typer.echo(f"wrong: {failure}", err=True)
    if batch.failures():
        raise typer.Exit(1)
