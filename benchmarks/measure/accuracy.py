"""Two mattes of one size → how far apart they are: IoU, boundary IoU, sums of errors, haze, and parts lost or kept.

Every metric takes a predicted alpha and the true one, both `(H, W)` uint8, and looks at the whole picture: there is no
trimap. IoU and boundary IoU are 1 at best; the others are errors, 0 at best. Only haze, lost and kept depend on which
of the two is true.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import UsageError
from ...runtime.picture.images import Alpha

Mask: TypeAlias = NDArray[np.uint8]  # (H, W), 0 or 1

SUBJECT_FROM = 128  # the first alpha that rounds to subject, so a mask is alpha at 0.5
BOUNDARY_RATIO = 0.02  # width of the compared band, in image diagonals: the value of the boundary IoU paper
PER_THOUSAND = 1000  # SAD, gradient and connectivity are sums over pixels, printed in thousands everywhere

GRADIENT_SIGMA_PX = 1.4
GRADIENT_CUT = 0.01  # the Gaussian is cut where it falls below this, which makes a 9x9 kernel
CONNECTIVITY_STEPS = 10  # the alpha range is scanned in tenths
CONNECTIVITY_TOLERANCE = 0.15  # θ of the paper: a pixel detached by less does not count

FAR = 0.03  # of the diagonal from the true edge: half-transparent pixels there are haze, not hair
UNDECIDED = (16, 239)  # the first and the last alpha that is half transparent, 0.06 < alpha < 0.94


@dataclass(frozen=True)
class Score:
    """One predicted alpha against one true alpha."""

    iou: float  # 0…1, of the masks at alpha 0.5
    boundary_iou: float  # 0…1, the same within a band along the contours
    mae: float  # 0…1, mean absolute difference of alpha
    mse: float  # 0…1, mean squared difference of alpha
    sad: float  # thousands of pixels, sum of absolute differences
    gradient: float  # thousands, squared difference of smoothed slopes: fuzzy or ragged edges
    connectivity: float  # thousands, alpha that hangs loose from the subject
    # None in files that were written before these were measured.
    haze: float | None = None  # 0…1, half-transparent part of the pixels far from the true edge
    lost: float | None = None  # 0…1, part of the subject below alpha 0.5
    kept: float | None = None  # 0…1, part of the background at alpha 0.5 or above


METRICS = tuple(field.name for field in fields(Score))  # in the order of tables and CSV columns


def score(alpha: Alpha, truth: Alpha) -> Score:
    """All metrics of `alpha` `(H, W)` against `truth` `(H, W)`."""
    return Score(
        iou=iou(alpha, truth),
        boundary_iou=boundary_iou(alpha, truth),
        mae=mae(alpha, truth),
        mse=mse(alpha, truth),
        sad=sad(alpha, truth),
        gradient=gradient_error(alpha, truth),
        connectivity=connectivity_error(alpha, truth),
        haze=haze(alpha, truth),
        lost=lost(alpha, truth),
        kept=kept(alpha, truth),
    )


def check_mattes(alpha: Alpha, truth: Alpha) -> None:
    """Raises UsageError unless both are mattes, `(H, W)` uint8, of one size."""
    for name, matte in (("alpha", alpha), ("truth", truth)):
        if matte.dtype != np.uint8 or matte.ndim != 2 or matte.size == 0:
            found = f"{matte.dtype} of shape {matte.shape}"
            raise UsageError(f"{name} is {found}; a metric needs a uint8 alpha of shape (H, W)")
    if alpha.shape != truth.shape:
        raise UsageError(f"alpha has shape {alpha.shape} and the truth {truth.shape}; resize one before comparing them")


def iou(alpha: Alpha, truth: Alpha) -> float:
    """Intersection over union of both masks at alpha 0.5, 0…1. Two empty masks agree: 1."""
    check_mattes(alpha, truth)
    return _overlap(_mask(alpha), _mask(truth))


def boundary_iou(alpha: Alpha, truth: Alpha, *, ratio: float = BOUNDARY_RATIO) -> float:
    """Intersection over union of the inner bands along both contours, 0…1. Two empty masks agree: 1.

    The band is as wide as `ratio` image diagonals (at least one pixel), measured in the chessboard distance, and runs
    along the picture's border too where the subject touches it. Cheng et al. 2021, "Boundary IoU: Improving
    Object-Centric Image Segmentation Evaluation", with the settings of its authors.
    """
    check_mattes(alpha, truth)
    width_px = max(1, round(ratio * math.hypot(*alpha.shape)))
    return _overlap(_inner_band(_mask(alpha), width_px), _inner_band(_mask(truth), width_px))


def mae(alpha: Alpha, truth: Alpha) -> float:
    """Mean absolute difference with alpha in 0…1."""
    check_mattes(alpha, truth)
    return float(cv2.norm(alpha, truth, cv2.NORM_L1)) / (255 * alpha.size)


def mse(alpha: Alpha, truth: Alpha) -> float:
    """Mean squared difference with alpha in 0…1."""
    check_mattes(alpha, truth)
    return float(cv2.norm(alpha, truth, cv2.NORM_L2SQR)) / (255**2 * alpha.size)


def sad(alpha: Alpha, truth: Alpha) -> float:
    """Sum of absolute differences with alpha in 0…1, in thousands. It grows with the picture's area."""
    check_mattes(alpha, truth)
    return float(cv2.norm(alpha, truth, cv2.NORM_L1)) / (255 * PER_THOUSAND)


def gradient_error(alpha: Alpha, truth: Alpha) -> float:
    """Sum of squared differences between both alphas' gradient magnitudes, alpha in 0…1, in thousands.

    Gradients come from first-order Gaussian derivatives (sigma 1.4 px), scaled to unit energy, the picture's border
    replicated. Rhemann et al. 2009, "A Perceptually Motivated Online Benchmark for Image Matting", section 3. Other
    implementations stretch each alpha to 0…1 first, which would hide a matte that is too faint; this one does not.
    """
    check_mattes(alpha, truth)
    difference = cv2.norm(_gradient_magnitude(alpha), _gradient_magnitude(truth), cv2.NORM_L2SQR)
    return float(difference) / PER_THOUSAND


def connectivity_error(alpha: Alpha, truth: Alpha) -> float:
    """Sum of differences in how firmly each pixel is connected to the subject, in thousands.

    For each threshold 0.1, 0.2 … 1 the source region is the largest 4-connected region where both alphas reach it;
    a pixel is connected up to the last threshold before it first drops out, and what its alpha exceeds that level by
    counts when it is at least 0.15. Rhemann et al. 2009, section 3, as evaluated since Xu et al. 2017 ("Deep Image
    Matting"): without the distance weight λ, which published tables leave out.
    """
    check_mattes(alpha, truth)
    weaker = cv2.min(alpha, truth)
    connected = np.ones(alpha.shape, bool)
    level_255ths = np.full(alpha.shape, 255.0)
    for step in range(1, CONNECTIVITY_STEPS + 1):
        # Whole numbers: 0.1 * 3 is not 0.3 in floating point, and alphas of exactly 0.6 exist (153).
        threshold = -(-255 * step // CONNECTIVITY_STEPS)  # the lowest alpha that reaches it
        reached = (weaker >= threshold).astype(np.uint8)
        dropped = connected & ~_largest_region(reached)
        level_255ths[dropped] = 255 * (step - 1) / CONNECTIVITY_STEPS
        connected &= ~dropped

    difference = _looseness(alpha, level_255ths) - _looseness(truth, level_255ths)
    return float(np.abs(difference).sum()) / (255 * PER_THOUSAND)


def haze(alpha: Alpha, truth: Alpha, *, judged: Mask | None = None) -> float:
    """Half-transparent part of the pixels farther than 3 % of the diagonal from the true edge, 0…1; 0 without any.

    Pixels that are half transparent in truth do not count: hair, veils, glass. Nor do those where `judged` is 0.
    """
    check_mattes(alpha, truth)
    subject = _mask(truth)
    from_edge = cv2.distanceTransform(subject, cv2.DIST_L2, 5) + cv2.distanceTransform(1 - subject, cv2.DIST_L2, 5)
    solid = cv2.bitwise_not(cv2.inRange(truth, *UNDECIDED))
    far = (from_edge > FAR * math.hypot(*truth.shape)) & (solid > 0) & (True if judged is None else judged > 0)
    return _part(cv2.inRange(alpha, *UNDECIDED) > 0, far)


def lost(alpha: Alpha, truth: Alpha) -> float:
    """Part of the subject whose alpha is below 0.5, 0…1; 0 without a subject."""
    check_mattes(alpha, truth)
    return _part(_mask(alpha) == 0, _mask(truth) > 0)


def kept(alpha: Alpha, truth: Alpha, *, judged: Mask | None = None) -> float:
    """Part of the background whose alpha is 0.5 or above, 0…1; 0 without a background, and where `judged` is 0."""
    check_mattes(alpha, truth)
    return _part(_mask(alpha) > 0, (_mask(truth) == 0) & (True if judged is None else judged > 0))


def _part(some: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return np.count_nonzero(some & of) / max(1, np.count_nonzero(of))


def _mask(alpha: Alpha) -> Mask:
    return (alpha >= SUBJECT_FROM).astype(np.uint8)


def _overlap(a: Mask, b: Mask) -> float:
    union = cv2.countNonZero(a | b)
    return cv2.countNonZero(a & b) / union if union else 1.0


def _inner_band(mask: Mask, width_px: int) -> Mask:
    """The subject's pixels within `width_px` of what is not the subject; beyond the picture nothing is."""
    kernel = np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
    inside = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,))
    return (mask > inside).astype(np.uint8)


def _gradient_magnitude(alpha: Alpha) -> NDArray[np.float64]:
    """`(H, W)`, ≥ 0, in units of alpha 0…1 times the unit-energy kernel."""
    sigma = GRADIENT_SIGMA_PX
    reach_px = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * GRADIENT_CUT)))
    at = np.arange(-reach_px, reach_px + 1, dtype=np.float64)
    smooth = np.exp(-(at**2) / (2 * sigma**2))
    slope = at * smooth
    # The two-dimensional kernel is an outer product, so its energy is 1 when both factors' energies are.
    smooth /= np.linalg.norm(smooth)
    slope /= np.linalg.norm(slope)
    opacity = alpha / 255.0
    across = cv2.sepFilter2D(opacity, cv2.CV_64F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(opacity, cv2.CV_64F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(across, down), np.float64)


def _largest_region(mask: Mask) -> NDArray[np.bool_]:
    """The biggest 4-connected region, `(H, W)` bool; nothing when the mask is empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count == 1:  # only the background
        return np.zeros(mask.shape, bool)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def _looseness(alpha: Alpha, level_255ths: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much alpha exceeds the level up to which the pixel is connected, in 255ths; small excesses are 0."""
    excess = alpha - level_255ths
    return np.where(excess >= 255 * CONNECTIVITY_TOLERANCE, excess, 0.0)
