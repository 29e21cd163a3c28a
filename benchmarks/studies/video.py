"""Videos with true masks → what steadiness buys and costs, against mattes frame by frame.

    python -m edgematte.benchmarks.studies video VIDEOS --against selfie_segmentation.tflite --still tests/photos/images

A video is a folder with `frames/` and `masks/` of the same stems. The measures are those of
`measure/video_accuracy.py`. Flicker is the mean change of alpha where the picture stood still; clips whose camera moves
hold little of that, so `--still` adds photos that do not move at all but for sensor noise, a flickering lamp and a
camera that trembles by less than a pixel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ...runtime.errors import UsageError
from ...runtime.live.edge import LiveEdge
from ...runtime.live.follow.follower import Box, Choice, Follower
from ...runtime.live.frames import Frame
from ...runtime.live.matte import LiveMatte
from ...runtime.live.quality import Quality
from ...runtime.matting.refine import Refine
from ...runtime.matting.segmenter import Segmenter
from ...runtime.network import ANY_MODEL, LIVE_MODEL
from ...runtime.network.tensors import input_size
from ...runtime.picture.folders import find_photos
from ...runtime.picture.images import Alpha, Image, read
from ..measure.accuracy import SUBJECT_FROM
from ..measure.video_accuracy import VideoFrame, VideoScore, score_video

STILL_FRAMES = 30
NOISE_LEVELS = 3.0  # standard deviation of a webcam's noise, of 255
LAMP_SHARE = 0.01  # standard deviation of a lamp's brightness
TREMBLE_PX = 0.3  # standard deviation of a tripod's
JUDGED_WIDTH = 640  # px at most; contours and flicker are the same thing at more, only slower to measure


@dataclass(frozen=True)
class Clip:
    """Frames, and the true masks where there are any."""

    name: str
    frames: Sequence[Path] | Image  # a photo, which is shown again and again
    masks: Sequence[Path] | None


@dataclass(frozen=True)
class Row:
    """One way to make mattes, on one clip."""

    clip: str
    way: str
    score: VideoScore


def clips_in(folder: Path) -> list[Clip]:
    """Every video below a folder. Raises UsageError when there is none, or frames and masks do not belong together."""
    found = []
    for frames in sorted(folder.glob("**/frames")):
        pictures = find_photos(frames)
        masks = [frames.with_name("masks") / f"{picture.stem}.png" for picture in pictures]
        missing = [mask for mask in masks if not mask.is_file()]
        if missing:
            raise UsageError(f"{missing[0]} is missing; every frame needs a mask of its name")
        found.append(Clip(frames.parent.name, pictures, masks))
    if not found:
        raise UsageError(f"{folder} holds no videos; expected folders with frames/ and masks/ inside")
    return found


def stills_in(folder: Path) -> list[Clip]:
    """Every photo of a folder as a clip that does not move."""
    return [Clip(f"still {path.stem}", read(path), None) for path in find_photos(folder)]


def shown(clip: Clip) -> Iterator[tuple[Image, Alpha | None]]:
    """The clip's frames and true masks, in order."""
    if isinstance(clip.frames, np.ndarray):
        yield from ((image, None) for image in trembling(clip.frames))
        return
    for number, path in enumerate(clip.frames):
        truth = None
        if clip.masks is not None:
            stored = cv2.imread(str(clip.masks[number]), cv2.IMREAD_GRAYSCALE)
            if stored is None:
                raise UsageError(f"{clip.masks[number]} cannot be read")
            truth = np.where(stored > 0, 255, 0).astype(np.uint8)
        yield read(path), truth


def trembling(photo: Image) -> Iterator[Image]:
    """A photo as a camera on a table would see it. Seeded: the same frames every time."""
    random = np.random.default_rng(0)
    height, width = photo.shape[:2]
    for _ in range(STILL_FRAMES):
        shift = random.normal(0, TREMBLE_PX, 2)
        moved = cv2.warpAffine(
            photo, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        lit = moved * (1 + random.normal(0, LAMP_SHARE)) + random.normal(0, NOISE_LEVELS, photo.shape)
        yield np.clip(lit, 0, 255).astype(np.uint8)


def first_box(clip: Clip) -> Choice | Box:
    """Where the first true mask is; without masks, the largest subject."""
    truth = next(shown(clip))[1]
    if truth is None:
        return "largest"
    left, top, width, height = cv2.boundingRect(truth)
    return left, top, width, height


def score_ways(clip: Clip, ways: dict[str, Callable[[Frame], Alpha]]) -> list[Row]:
    """Every way on the same frames, at most `JUDGED_WIDTH` wide."""
    judged: dict[str, list[VideoFrame]] = {way: [] for way in ways}
    for number, (image, truth) in enumerate(shown(clip)):
        height, width = image.shape[:2]
        scale = min(1.0, JUDGED_WIDTH / width)
        size = round(width * scale), round(height * scale)
        seen = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        true = None if truth is None else cv2.resize(truth, size, interpolation=cv2.INTER_AREA)
        mask = None if true is None else np.where(true >= SUBJECT_FROM, 255, 0).astype(np.uint8)
        for way, matte in ways.items():
            alpha = cv2.resize(matte(Frame(image, number, 0.0, 0.0)), size, interpolation=cv2.INTER_AREA)
            judged[way].append(VideoFrame(seen, np.asarray(alpha, np.uint8), mask))
    return [Row(clip.name, way, score_video(frames)) for way, frames in judged.items()]


def ways_of(
    model: str | None, others: Sequence[Path], threads: int
) -> dict[str, Callable[[Clip], Callable[[Frame], Alpha]]]:
    """What to call it → how to make it anew for a clip. Following begins with the box of the first true mask."""
    segmenter = Segmenter(model or LIVE_MODEL, threads=threads)
    seeing = Segmenter(model or ANY_MODEL, threads=threads)

    def live(
        segment: Segmenter, *, steady: bool, chosen: Choice | Box | None = None, mode: Refine = "off"
    ) -> Callable[[Frame], Alpha]:
        size = input_size(segment.network.inputs[0])
        matte = LiveMatte(
            segment.matte,
            size,
            steady=steady,
            follower=Follower(segment.matte, size, chosen) if chosen else None,
        )
        edge = LiveEdge(mode)
        return lambda frame: edge(matte(frame, Quality()), Quality())

    ways: dict[str, Callable[[Clip], Callable[[Frame], Alpha]]] = {
        f"{segmenter.path.stem}, frame by frame": lambda _: live(segmenter, steady=False),
        f"{segmenter.path.stem}, stabilised": lambda _: live(segmenter, steady=True),
        f"{segmenter.path.stem}, stabilised, refined": lambda _: live(segmenter, steady=True, mode="fast"),
        f"{seeing.path.stem}, followed": lambda clip: live(seeing, steady=False, chosen=first_box(clip)),
        f"{seeing.path.stem}, largest followed": lambda _: live(seeing, steady=False, chosen="largest"),
        f"{seeing.path.stem}, followed, stabilised": lambda clip: live(seeing, steady=True, chosen=first_box(clip)),
    }
    for path in others:
        other = Segmenter(path, threads=threads)
        ways[f"{path.stem}, frame by frame"] = lambda _, other=other: live(other, steady=False)
    return ways


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal; flicker in thousandths of alpha, and the share of pixels it was measured on."""
    result = Table("clip", "way", "J", "F", "thin", "dtSSD", "flicker, ‰", "still")
    for row in rows:
        score = row.score
        result.add_row(
            row.clip,
            row.way,
            _text(score.region_similarity, 3),
            _text(score.boundary_measure, 3),
            _text(score.thin_kept, 3),
            _text(score.dtssd, 2),
            _text(None if score.flicker is None else score.flicker * 1000, 2),
            f"{score.still_share:.2f}",
        )
    return result


def means(rows: Sequence[Row]) -> list[Row]:
    """Per way: plain means over clips, and the flicker of all still pixels of all clips."""
    found = []
    for way in dict.fromkeys(row.way for row in rows):
        scores = [row.score for row in rows if row.way == way]
        pixels = sum(score.still_share * score.frames for score in scores)
        flicker = sum((score.flicker or 0.0) * score.still_share * score.frames for score in scores)
        mean = VideoScore(
            frames=sum(score.frames for score in scores),
            judged=sum(score.judged for score in scores),
            region_similarity=_mean([s.region_similarity for s in scores if s.region_similarity is not None]),
            boundary_measure=_mean([s.boundary_measure for s in scores if s.boundary_measure is not None]),
            thin_kept=_mean([s.thin_kept for s in scores if s.thin_kept is not None]),
            dtssd=_mean([s.dtssd for s in scores if s.dtssd is not None]),
            flicker=flicker / pixels if pixels else None,
            still_share=pixels / max(1, sum(score.frames for score in scores)),
        )
        found.append(Row("all", way, mean))
    return found


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _text(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main(
    videos: Annotated[Path, typer.Argument(help="A folder of videos, each with frames/ and masks/.")],
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="A bundled model or a .tflite file.",
            show_default=f"{LIVE_MODEL}, followed {ANY_MODEL}",
        ),
    ] = None,
    against: Annotated[list[Path] | None, typer.Option(help="Other .tflite files, frame by frame.")] = None,
    still: Annotated[Path | None, typer.Option(help="A folder of photos to hold before a trembling camera.")] = None,
    threads: Annotated[int, typer.Option(help="Of the networks.")] = 1,
    way: Annotated[str, typer.Option(help="Only ways whose name holds this.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the rows here as well.")] = None,
) -> None:
    """J, F, thin parts, dtSSD and flicker of every way on every clip."""
    cv2.setNumThreads(1)
    ways = {name: make for name, make in ways_of(model, against or [], threads).items() if way in name}
    if not ways:
        raise UsageError(f"--way {way} names none; expected a part of: frame by frame, stabilised, refined, followed")
    moving = clips_in(videos)
    rows = [row for clip in moving for row in score_ways(clip, {name: make(clip) for name, make in ways.items()})]
    summary = means(rows)
    if still is not None:
        quiet = [
            row
            for clip in stills_in(still)
            for row in score_ways(clip, {name: make(clip) for name, make in ways.items()})
        ]
        summary += [Row("all stills", row.way, row.score) for row in means(quiet)]
        rows += quiet
    Console(width=140).print(table([*rows, *summary]))
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(row) for row in [*rows, *summary]], indent=2) + "\n")
