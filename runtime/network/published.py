"""Networks of other people, where they publish them, and how one is fetched: resumed, checked, never half there.

Nothing here runs unless somebody asks for it by name; the bundled models need no network at all.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..device.files import sha256
from ..errors import EdgeMatteError, UsageError

TIMEOUT_S = 30.0
ATTEMPTS = 5  # in a row without a single new byte
PAUSE_S = 1.0  # before the second attempt; doubled each time
PIECE_BYTES = 1 << 16

Progress = Callable[[int], None]  # told how many bytes are here so far


@dataclass(frozen=True)
class Published:
    """One file on somebody's release page."""

    file: str  # the name it gets here
    url: str
    sha256: str
    size_bytes: int
    licence: str
    origin: str  # who made it


_REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"
PUBLISHED = {
    "u2netp": Published(
        file="u2netp.onnx",
        url=f"{_REMBG}/u2netp.onnx",
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        size_bytes=4_574_861,
        licence="Apache-2.0",
        origin="U²-Net small, Qin et al. 2020",
    ),
    "isnet": Published(
        file="isnet-general-use.onnx",
        url=f"{_REMBG}/isnet-general-use.onnx",
        sha256="60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
        size_bytes=178_648_008,
        licence="Apache-2.0",
        origin="IS-Net, Qin et al. 2022",
    ),
    "modnet": Published(
        file="modnet_photographic_portrait_matting.onnx",
        url="https://github.com/Zeyi-Lin/HivisionIDPhotos/releases/download/pretrained-model/"
        "modnet_photographic_portrait_matting.onnx",
        sha256="07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
        size_bytes=25_888_640,
        licence="Apache-2.0",
        origin="MODNet, Ke et al. 2022",
    ),
    "mediapipe-selfie": Published(
        file="selfie_segmentation.tflite",
        url="https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite?generation=1661875931201364",
        sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        size_bytes=249_024,
        licence="Apache-2.0",
        origin="MediaPipe selfie segmentation, Google",
    ),
}


def published(name: str) -> Published:
    """The entry of that name. Raises UsageError for an unknown one."""
    if name not in PUBLISHED:
        raise UsageError(f"unknown network '{name}'; these can be pulled: {', '.join(sorted(PUBLISHED))}")
    return PUBLISHED[name]


def pull(model: Published, folder: Path, *, source: Path | None = None, progress: Progress | None = None) -> Path:
    """The published file in `folder`, whole and with its pinned sha256; what is there already is not fetched again.

    `source` takes the bytes from a file that somebody carried here instead of the network. A download that was cut off
    goes on where it stopped, at the next call too. Raises EdgeMatteError without a network, and for any other bytes
    than the pinned ones; then nothing new carries the file's name.
    """
    target = folder / model.file
    if target.is_file() and _is_pinned(target, model):
        return target
    part = target.with_name(f"{target.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source is not None:
            _copy(source, part, model)
        else:
            _download(model, part, progress or (lambda _done: None))
        if not _is_pinned(part, model):
            raise _other_bytes(part, source or model.url, model)
        part.replace(target)
    except OSError as error:
        raise EdgeMatteError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _is_pinned(path: Path, model: Published) -> bool:
    return path.stat().st_size == model.size_bytes and sha256(path) == model.sha256


def _other_bytes(part: Path, where: Path | str, model: Published) -> EdgeMatteError:
    part.unlink()
    return EdgeMatteError(f"{where} is not the pinned {model.file} (sha256 {model.sha256[:16]}…); it was thrown away")


def _copy(source: Path, part: Path, model: Published) -> None:
    if not source.is_file():
        raise UsageError(f"there is no file {source} to take {model.file} from")
    if (size := source.stat().st_size) != model.size_bytes:
        raise EdgeMatteError(f"{source} has {size:,} bytes, the pinned {model.file} has {model.size_bytes:,}")
    with source.open("rb") as taken, part.open("wb") as file:
        while piece := taken.read(1 << 20):
            file.write(piece)


def _download(model: Published, part: Path, progress: Progress) -> None:
    failures = 0
    while (here := part.stat().st_size if part.is_file() else 0) < model.size_bytes:
        try:
            _fetch(model, part, here, progress)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise EdgeMatteError(
                    f"{model.url} answered {error.code} {error.reason}; nothing was fetched"
                ) from error
            if part.is_file() and part.stat().st_size > here:
                failures = 0  # it moves, if only by bits
            failures += 1
            if failures == ATTEMPTS:
                reason = getattr(error, "reason", None) or error
                raise EdgeMatteError(
                    f"cannot reach {model.url}: {reason}; call again to go on, or fetch the file on another machine "
                    "and give it with --from FILE"
                ) from error
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def _fetch(model: Published, part: Path, here: int, progress: Progress) -> None:
    """One connection's worth of bytes onto the end of `part`. Raises OSError when it ends too early."""
    request = urllib.request.Request(model.url, headers={"User-Agent": "edgematte"})
    if here:
        request.add_header("Range", f"bytes={here}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        done = here if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while piece := answer.read(PIECE_BYTES):
                file.write(piece)
                done += len(piece)
                progress(done)
                if done > model.size_bytes:  # an endless answer must not fill the disk
                    raise _other_bytes(part, model.url, model)
    if done < model.size_bytes:
        raise ConnectionError(f"the connection ended after {done:,} of {model.size_bytes:,} bytes")
