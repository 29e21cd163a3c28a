"""The frames of a video, their mattes and, where there are any, the true ones → J, F, thin parts, dtSSD and flicker.

J and F are those of the DAVIS benchmark (Perazzi et al. 2016, "A Benchmark Dataset and Evaluation Methodology for Video
Object Segmentation"), averaged over frames. dtSSD (Erofeev et al. 2015, "Perceptually Motivated Benchmark for Video
Matting") compares how the alpha changes with how the true one does; flicker needs no truth at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from ...runtime.picture.images import Alpha, Image
from .accuracy import SUBJECT_FROM, Mask, check_mattes, iou

CONTOUR_TOLERANCE = 0.008  # of the image diagonal: contours no farther apart match; the value of DAVIS
THIN_REACH = 0.008  # of the image diagonal: what a disk of this radius does not fit into is thin
PER_HUNDRED = 100  # dtSSD is printed times a hundred in every table

STILL_SMOOTHING_PX = 1.0  # σ; sensor noise must not count as a change of the picture
STILL_UP_TO = 4  # of 255; a smoothed channel that differs by more has changed
STILL_REACH_PX = 3  # a change this near counts too: the middle of a moving flat surface looks still


@dataclass(frozen=True)
class VideoFrame:
    """One frame to judge."""

    image: Image  # (H, W, 3)
    alpha: Alpha  # (H, W)
    truth: Alpha | None = None  # (H, W); None where nobody drew one


@dataclass(frozen=True)
class VideoScore:
    """One video's mattes. None: nothing to measure it on."""

    frames: int
    judged: int  # frames with a truth
    region_similarity: float | None  # J, IoU of both masks at alpha 0.5, 0…1, mean over judged frames
    boundary_measure: float | None  # F, 0…1, likewise
    thin_kept: float | None  # 0…1, part of the true masks' thin parts (fingers, spokes) at alpha 0.5 or above
    dtssd: float | None  # hundredths of alpha, ≥ 0, mean over neighbouring judged frames
    flicker: float | None  # 0…1, mean change of alpha where the picture stood still
    still_share: float  # 0…1, the part of all pixels that flicker was measured on


def score_video(frames: Iterable[VideoFrame]) -> VideoScore:
    """All measures in one pass that holds two frames at a time. Frames are of one size, in the order shown.

    Raises UsageError for no frames, or a matte that does not fit its frame.
    """
    count, similarities, contours, changes = 0, list[float](), list[float](), list[float]()
    flicker_sum, still_pixels, compared_pixels = 0.0, 0, 0
    thin_pixels, thin_kept = 0, 0
    before: VideoFrame | None = None
    for frame in frames:
        count += 1
        if frame.truth is not None:
            similarities.append(iou(frame.alpha, frame.truth))
            contours.append(boundary_measure(frame.alpha, frame.truth))
            thin = thin_parts_of(frame.truth)
            thin_pixels += cv2.countNonZero(thin)
            thin_kept += int(np.count_nonzero(frame.alpha[thin > 0] >= SUBJECT_FROM))
        if before is not None:
            if frame.truth is not None and before.truth is not None:
                changes.append(dtssd(before.alpha, frame.alpha, before.truth, frame.truth))
            still = still_pixels_of(before.image, frame.image)
            flicker_sum += _change(before.alpha, frame.alpha, still)
            still_pixels += cv2.countNonZero(still)
            compared_pixels += still.size
        before = frame
    if count == 0:
        raise UsageError("the video has no frames; nothing can be measured")
    return VideoScore(
        frames=count,
        judged=len(similarities),
        region_similarity=_mean(similarities),
        boundary_measure=_mean(contours),
        thin_kept=thin_kept / thin_pixels if thin_pixels else None,
        dtssd=_mean(changes),
        flicker=flicker_sum / still_pixels if still_pixels else None,
        still_share=still_pixels / compared_pixels if compared_pixels else 0.0,
    )


def boundary_measure(alpha: Alpha, truth: Alpha) -> float:
    """F: harmonic mean of how much of each contour lies within `CONTOUR_TOLERANCE` of the other one, 0…1.

    Two masks without a contour agree: 1. Distances are Euclidean, the contour is one pixel wide, and both are made as
    the authors' evaluation makes them.
    """
    check_mattes(alpha, truth)
    reach_px = math.ceil(CONTOUR_TOLERANCE * math.hypot(*alpha.shape))
    found, true = _contour(alpha), _contour(truth)
    found_px, true_px = cv2.countNonZero(found), cv2.countNonZero(true)
    if found_px == 0 or true_px == 0:
        return float(found_px == true_px)
    disk = _disk(reach_px)
    precision = cv2.countNonZero(found & _widened(true, disk)) / found_px
    recall = cv2.countNonZero(true & _widened(found, disk)) / true_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def thin_parts_of(truth: Alpha) -> Mask:
    """`(H, W)`, 1 where the true mask is so narrow that a disk of `THIN_REACH` does not fit into it."""
    mask = (truth >= SUBJECT_FROM).astype(np.uint8)
    disk = _disk(math.ceil(THIN_REACH * math.hypot(*truth.shape)))
    return mask - np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk), np.uint8)


def dtssd(before: Alpha, after: Alpha, true_before: Alpha, true_after: Alpha) -> float:
    """Root mean square difference between the alpha's change from one frame to the next and the true one's.

    In hundredths of alpha, 0 at best: a matte that is wrong in the same way in both frames costs nothing.
    """
    check_mattes(before, true_before)
    check_mattes(after, true_after)
    check_mattes(before, after)
    change = after.astype(np.int32) - before
    true_change = true_after.astype(np.int32) - true_before
    difference = (change - true_change).astype(np.float64)
    return PER_HUNDRED / 255 * math.sqrt(float(np.mean(np.square(difference))))


def still_pixels_of(before: Image, after: Image) -> Mask:
    """`(H, W)`, 1 where two frames (H, W, 3) show the same, sensor noise aside, there and close by."""
    if before.shape != after.shape:
        raise UsageError(f"frames of shapes {before.shape} and {after.shape}; all frames of a video have one size")
    smooth = [cv2.GaussianBlur(image, (0, 0), STILL_SMOOTHING_PX) for image in (before, after)]
    changed = (cv2.absdiff(*smooth).max(axis=2) > STILL_UP_TO).astype(np.uint8)
    side = 2 * STILL_REACH_PX + 1
    return np.asarray(1 - cv2.dilate(changed, np.ones((side, side), np.uint8)), np.uint8)


def _change(before: Alpha, after: Alpha, where: Mask) -> float:
    """Sum of the absolute differences of two alphas where `where` is 1, alpha in 0…1."""
    check_mattes(before, after)
    if before.shape != where.shape:
        raise UsageError(f"the frame is {where.shape} and its alpha {before.shape}; resize the alpha to the frame")
    return float(cv2.norm(before, after, cv2.NORM_L1, where)) / 255


def _contour(alpha: Alpha) -> Mask:
    """Pixels whose mask differs from that of the pixel to the right, below, or both; the picture's border is none."""
    mask = alpha >= SUBJECT_FROM
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return ((mask != right) | (mask != below) | (mask != diagonal)).astype(np.uint8)


def _disk(radius_px: int) -> NDArray[np.uint8]:
    at = np.arange(-radius_px, radius_px + 1)
    return (at[:, np.newaxis] ** 2 + at**2 <= radius_px**2).astype(np.uint8)


def _widened(contour: Mask, disk: NDArray[np.uint8]) -> Mask:
    return np.asarray(cv2.dilate(contour, disk), np.uint8)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
