"""Video measures against scikit-image and cases small enough to do by hand, on a real mask where that says more."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.benchmarks.measure import accuracy
from edgematte.benchmarks.measure.video_accuracy import (
    VideoFrame,
    boundary_measure,
    dtssd,
    score_video,
    still_pixels_of,
)
from edgematte.runtime.errors import UsageError

AGREES = 1e-6  # absolute, what issue 7 asks of every metric


@pytest.fixture(scope="module")
def truth(photos: Path) -> np.ndarray:
    mask = cv2.imread(str(photos / "masks" / "astronaut.png"), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    return mask


def shifted(matte: np.ndarray, px: int) -> np.ndarray:
    return np.roll(matte, px, axis=1)


def square(left: int, side: int = 40) -> np.ndarray:
    alpha = np.zeros((100, 100), np.uint8)
    alpha[30 : 30 + side, left : left + side] = 255
    return alpha


def test_f_of_a_matte_with_itself_is_one_and_with_nothing_zero(truth: np.ndarray) -> None:
    nothing = np.zeros_like(truth)
    assert boundary_measure(truth, truth) == 1.0
    assert boundary_measure(nothing, truth) == 0.0
    assert boundary_measure(nothing, nothing) == 1.0, "nobody found where nobody is"


def test_f_of_two_squares_by_hand() -> None:
    # A 100x100 picture has a diagonal of 141.4 px, so contours match up to ceil(1.13) = 2 px. A contour pixel differs
    # from its right, lower or diagonal neighbour, so a 40x40 square has a ring of 41x41: 4 · 40 = 160 pixels. Moved by
    # 4 px, the upper and lower bars of 41 share 37 columns and 2 more lie within reach. The sides are 4 px apart, but
    # the one inside the other square meets its bars: 2 more pixels beside each.
    matching = 2 * (37 + 2) + 2 * 2
    assert boundary_measure(square(34), square(30)) == pytest.approx(matching / 160, abs=AGREES)


def test_f_agrees_with_the_distance_to_the_other_contour(truth: np.ndarray) -> None:
    """The definition, without any dilation: the exact distance of every contour pixel to the other contour."""
    ndimage = pytest.importorskip("scipy.ndimage")
    alpha = cv2.GaussianBlur(shifted(truth, 7), (0, 0), 4.0)
    contours = []
    for matte in (alpha, truth):
        mask = matte >= 128
        contour = np.zeros_like(mask)
        contour[:, :-1] |= mask[:, :-1] != mask[:, 1:]
        contour[:-1] |= mask[:-1] != mask[1:]
        contour[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
        contours.append(contour)
    found, true = contours
    reach = math.ceil(0.008 * math.hypot(*truth.shape))
    precision = (ndimage.distance_transform_edt(~true)[found] <= reach).mean()
    recall = (ndimage.distance_transform_edt(~found)[true] <= reach).mean()
    expected = 2 * precision * recall / (precision + recall)
    assert 0.05 < expected < 0.95, "the case must be far from both ends to prove anything"
    assert boundary_measure(alpha, truth) == pytest.approx(expected, abs=AGREES)


def test_f_takes_the_same_neighbourhood_as_scikit_image() -> None:
    morphology = pytest.importorskip("skimage.morphology")
    dot, far = np.zeros((2, 200, 200), np.uint8)
    dot[100, 100] = 255  # its contour: 2x2 pixels up to the dot
    reach = math.ceil(0.008 * math.hypot(200, 200))
    disk = morphology.disk(reach)
    for down in range(reach + 3):
        far[:] = 0
        far[100 + down, 100] = 255
        # Two 2x2 blocks, the lower one's upper row `down` below the upper one's: rows within reach by the disk.
        near = [any(abs(a - b) <= reach and disk[reach, reach + abs(a - b)] for b in (0, 1)) for a in (down, down + 1)]
        assert boundary_measure(dot, far) == pytest.approx(sum(near) / 2, abs=AGREES)


def test_dtssd_by_hand() -> None:
    still, true = np.zeros((2, 2, 5), np.uint8)
    after, true_after = still.copy(), true.copy()
    after[0, 0] = 51  # rises by 0.2 where nothing changed
    true_after[1, 4] = 102  # rises by 0.4, which was missed
    expected = 100 * math.sqrt((0.2**2 + 0.4**2) / 10)
    assert dtssd(still, after, true, true_after) == pytest.approx(expected, abs=AGREES)


def test_dtssd_forgives_what_is_wrong_in_the_same_way_and_nothing_else(truth: np.ndarray) -> None:
    wrong, moved = truth // 2, shifted(truth, 3)
    assert dtssd(wrong, wrong, truth, truth) == 0.0
    assert dtssd(truth, moved, truth, moved) == 0.0
    assert dtssd(truth, moved, truth, truth) > 1.0
    swings = dtssd(np.full_like(truth, 255), np.zeros_like(truth), np.zeros_like(truth), np.full_like(truth, 255))
    assert swings == pytest.approx(200.0), "eight bits do not wrap around"


def test_noise_is_still_and_a_moving_square_is_not() -> None:
    noise = np.random.default_rng(3)
    ground = np.full((100, 100, 3), 120.0)

    def frame(left: int) -> np.ndarray:
        picture = ground.copy()
        picture[30:70, left : left + 40] = (200, 90, 40)
        return np.clip(picture + noise.normal(0, 2.0, picture.shape), 0, 255).astype(np.uint8)

    still = still_pixels_of(frame(30), frame(34))
    assert still[:, :20].all(), "sensor noise of σ 2 is no change"
    assert still[:, 85:].all()
    assert not still[35:65, 30:34].any(), "what the square left"
    assert not still[35:65, 70:74].any(), "what it covered"


def test_what_is_lost_of_a_finger_counts_and_what_is_lost_of_the_body_does_not() -> None:
    body = square(30)
    finger = np.zeros_like(body)
    finger[10:30, 48:50] = 255  # 2 px wide; the disk of this picture is 5 px wide
    image, hand = np.zeros((100, 100, 3), np.uint8), body | finger
    without_corner = hand.copy()
    without_corner[50:70, 50:70] = 0
    half = hand.copy()
    half[10:20, 48:50] = 0
    shares = [score_video([VideoFrame(image, alpha, hand)]).thin_kept for alpha in (hand, without_corner, half, body)]
    # Thin are 38 pixels of the finger, since the disk reaches into its lowest row, and 3 in each corner of the body.
    assert shares == [1.0, 47 / 50, 30 / 50, 12 / 50]
    assert score_video([VideoFrame(image, body)]).thin_kept is None


def test_flicker_is_the_change_of_alpha_where_the_picture_stood_still() -> None:
    image = np.full((60, 80, 3), 90, np.uint8)
    low, high = np.full((60, 80), 100, np.uint8), np.full((60, 80), 151, np.uint8)
    found = score_video([VideoFrame(image, alpha) for alpha in (low, high, high, low)])
    # 0.2, 0 and 0.2 from frame to frame.
    assert found.flicker == pytest.approx(0.4 / 3, abs=AGREES)
    assert found.still_share == 1.0
    assert (found.frames, found.judged, found.region_similarity, found.dtssd) == (4, 0, None, None)


def test_an_alpha_that_follows_a_moving_subject_does_not_flicker() -> None:
    frames = []
    for left in range(10, 50, 8):
        image = np.full((100, 100, 3), 60, np.uint8)
        image[square(left) > 0] = (220, 200, 180)
        frames.append(VideoFrame(image, square(left), square(left)))
    found = score_video(frames)
    assert (found.region_similarity, found.boundary_measure, found.dtssd, found.flicker) == (1.0, 1.0, 0.0, 0.0)
    assert 0.5 < found.still_share < 0.95


def test_a_video_is_the_mean_of_its_frames(truth: np.ndarray) -> None:
    image = np.zeros((*truth.shape, 3), np.uint8)
    found = score_video(VideoFrame(image, shifted(truth, px), truth) for px in (0, 6))
    ious = [accuracy.iou(shifted(truth, px), truth) for px in (0, 6)]
    assert found.region_similarity == pytest.approx(np.mean(ious), abs=AGREES)
    assert found.dtssd == pytest.approx(dtssd(truth, shifted(truth, 6), truth, truth), abs=AGREES)


def test_frames_without_a_truth_are_watched_but_not_judged(truth: np.ndarray) -> None:
    image = np.zeros((*truth.shape, 3), np.uint8)
    found = score_video(VideoFrame(image, truth, true) for true in (truth, None, truth))
    assert (found.frames, found.judged, found.dtssd) == (3, 2, None), "no two neighbours have a truth"
    assert found.flicker == 0.0


def test_one_frame_has_nothing_to_flicker_against(truth: np.ndarray) -> None:
    found = score_video([VideoFrame(np.zeros((*truth.shape, 3), np.uint8), truth, truth)])
    assert (found.flicker, found.still_share, found.dtssd) == (None, 0.0, None)


def test_frames_that_are_no_video_are_refused(truth: np.ndarray) -> None:
    image = np.zeros((*truth.shape, 3), np.uint8)
    with pytest.raises(UsageError, match="no frames"):
        score_video([])
    with pytest.raises(UsageError, match="one size"):
        score_video([VideoFrame(image, truth), VideoFrame(image[:-1], truth[:-1])])
    with pytest.raises(UsageError, match="resize the alpha to the frame"):
        score_video([VideoFrame(image[:-1], truth)] * 2)
