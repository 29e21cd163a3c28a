"""A release's models, a test picture and a camera → fit to run here, or the one line that says why not.

The picture and each network's alpha of it come with the models. The workstation made the alphas; a device that makes
others has a damaged network, a broken interpreter or a faulty processor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import numpy as np

from ..device.release import RELEASE_VARIABLE
from ..errors import EdgeMatteError, GateRefusedError
from ..network.interpreter import load, read_model
from ..network.model_file import read_card
from ..network.store import bundled_models, verify
from ..picture.images import Alpha, decode, read, write

PICTURE = "person.jpg"
EXPECTED = "expected"  # the folder with alphas, beside the models
# Of 255. Interpreters differ by a level here and there; another interpreter's kernels by some along contours
# (tests/pi/test_user_space.py measures both). A damaged network is off by tens.
MEAN_LEVELS, MOST_LEVELS, MOST_OF_PIXELS = 2.0, 32, 0.99
FIRST_FRAME_S = 20.0


def check(source: str | None) -> Iterator[str]:
    """Yields a line for each thing that is right. Raises GateRefusedError for the first that is not.

    `source` is a camera as `--source` names it; None looks at none.
    """
    models = bundled_models()
    if not models:
        raise GateRefusedError("there are no models; install the package edgematte-models")
    for name, path in models.items():
        try:
            yield _model(name, path)
        except GateRefusedError:
            raise
        except EdgeMatteError as error:
            raise GateRefusedError(f"{name}: {error}") from error
    if source is not None:
        yield _camera(source)


def write_expected(folder: Path) -> None:
    """The alpha of the test picture by each model in the folder, for devices to compare with."""
    for path in sorted(folder.glob("*.tflite")):
        card = read_card(path.read_bytes())
        if card is not None and card.role == "segmenter":
            write(folder / EXPECTED / f"{path.stem}.png", _alpha(path))


def _model(name: str, path: Path) -> str:
    checked = verify(name)
    if not checked.whole:
        raise GateRefusedError(f"{name} is damaged: its sha256 is {checked.found[:16]}…, not {checked.expected[:16]}…")
    content = read_model(path)
    card = read_card(content)  # raises for another contract than this program's
    if card is not None and (maker := re.search(r"edgematte (\d+)\.(\d+)", card.made_by)):
        made, here = (int(maker[1]), int(maker[2])), _release(metadata.version("edgematte"))
        if made > here:
            raise GateRefusedError(
                f"{name} was made for edgematte {made[0]}.{made[1]}, this is {here[0]}.{here[1]}; update the program"
            )
    picture = path.parent / EXPECTED / f"{name}.png"
    if not picture.is_file():
        load(content)
        return f"{name}: loads"
    expected, found = read(picture)[..., 0], _alpha(path)
    if expected.shape != found.shape:
        raise GateRefusedError(f"{name}: its alpha is {found.shape}, expected {expected.shape}")
    difference = np.abs(expected.astype(np.int16) - found)
    if difference.mean() > MEAN_LEVELS or np.mean(difference <= MOST_LEVELS) < MOST_OF_PIXELS:
        raise GateRefusedError(
            f"{name} cuts the test picture wrongly: {difference.mean():.1f} of 255 levels off on average, "
            f"expected at most {MEAN_LEVELS}"
        )
    return f"{name}: cuts the test picture as expected, {difference.max()} of 255 levels off at most"


def _release(version: str) -> tuple[int, int]:
    first, second, *_ = (*re.findall(r"\d+", version), "0", "0")
    return int(first), int(second)


def _alpha(model: Path) -> Alpha:
    from ..matting.segmenter import Segmenter

    picture = decode(Path(__file__).with_name(PICTURE).read_bytes(), name=PICTURE)
    return Segmenter(model).matte(picture)


def _camera(source: str) -> str:
    import threading

    from ..live.frames import Buffers
    from ..live.sources.words import SourceOptions, opener

    frames: list[str] = []
    troubles: list[str] = []

    def look() -> None:
        try:
            with opener(source, SourceOptions(), Buffers())() as camera:
                frame = next(iter(camera))
                frames.append("x".join(map(str, frame.image.shape[1::-1])))
        except StopIteration:
            troubles.append("it gives no frame")
        except (EdgeMatteError, OSError) as error:
            troubles.append(str(error))

    # A driver that hangs cannot be interrupted; this process ends all the same.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(FIRST_FRAME_S)
    if not frames:
        reason = troubles[0] if troubles else f"no frame within {FIRST_FRAME_S:.0f} s"
        raise GateRefusedError(f"the camera {source} does not work: {reason}")
    return f"camera {source}: gives frames of {frames[0]}"


def usual_camera(root: Path = Path("/")) -> str | None:
    """The camera of the release's booth.toml, or the first that the kernel knows; a virtual webcam is none."""
    with suppress(OSError):
        told = (Path(os.environ.get(RELEASE_VARIABLE, "")) / "site" / "booth.toml").read_text(encoding="utf-8")
        import tomllib  # a device's Python has it

        if source := tomllib.loads(told).get("camera", {}).get("source"):
            return str(source)
    devices = sorted((root / "sys/class/video4linux").glob("video*"))
    real = [path for path in devices if not (root / "sys/devices/virtual/video4linux" / path.name).exists()]
    return f"/dev/{real[0].name}" if real else None
