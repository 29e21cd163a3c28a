from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte import composite, cutout, read
from edgematte.runtime.errors import ImageError, UsageError
from edgematte.runtime.matting.colours import COLOUR_NAMES
from edgematte.runtime.matting.composite import blurred, contain, cover, read_background, trimmed


@pytest.fixture
def alpha() -> NDArray[np.uint8]:
    """(60, 90): opaque left, transparent right, half in between."""
    matte = np.zeros((60, 90), np.uint8)
    matte[:, :45] = 255
    matte[:, 44:46] = 128
    return matte


def test_a_cut_out_keeps_the_subject_and_forgets_the_background(
    flag: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> None:
    rgba = cutout(flag, alpha)
    assert rgba.shape == (60, 90, 4)
    assert np.array_equal(rgba[:, :46, :3], flag[:, :46]), "colours are not multiplied by alpha"
    assert rgba[:, 46:].max() == 0, "nothing of the background can be brought back"
    assert np.array_equal(rgba[:, :, 3], alpha)


def test_a_colour_shows_where_the_subject_is_not(flag: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    result = composite(flag, alpha, (0, 255, 0))
    assert result[0, 0].tolist() == [255, 0, 0]
    assert result[0, 89].tolist() == [0, 255, 0]
    assert result[0, 44].tolist() == [128, 127, 0], "128/255 of red before green"


def test_the_faintest_alpha_is_mixed_in() -> None:
    white, faintest = np.full((9, 9, 3), 255, np.uint8), np.ones((9, 9), np.uint8)
    assert np.array_equal(composite(white, faintest, (0, 0, 0)), np.ones_like(white))


def test_opaque_pixels_come_through_unchanged(astronaut: Path) -> None:
    image = read(astronaut)
    opaque = np.full(image.shape[:2], 255, np.uint8)
    assert np.array_equal(composite(image, opaque, (1, 2, 3)), image)
    assert np.array_equal(composite(image, opaque, "blur"), image)


def test_a_picture_covers_without_distortion() -> None:
    rows, columns = np.mgrid[:200, :200]
    ring = np.where(np.hypot(rows - 100, columns - 100) < 40, 255, 0).astype(np.uint8)
    covered = cover(np.repeat(ring[:, :, np.newaxis], 3, axis=2), (300, 100))[:, :, 0] > 127
    assert covered.shape == (100, 300)
    # Scaled by 1.5, the disc of radius 40 px has radius 60 and is cut at the top and bottom.
    assert abs(int(covered[50].sum()) - 120) <= 2
    assert covered[:, 150].all()


def test_an_odd_background_covers_too(flag: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    for shape in ((1, 1, 3), (1, 5000, 3), (3000, 2, 3)):
        result = composite(flag, alpha, np.full(shape, 9, np.uint8))
        assert result[0, 89].tolist() == [9, 9, 9]


def test_blur_hides_detail_and_does_not_glow_with_the_subjects_colour() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    image[::2] = 255  # a striped background,
    image[100:200, 100:200] = 255, 0, 0  # a red subject
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:200, 100:200] = 255
    result = composite(image, alpha, "blur").astype(int)
    background = result[alpha == 0]
    assert background.std() < 10, "the stripes are gone"
    # The resized matte is soft by a pixel: a trace of red is allowed right beside the subject, a glow is not.
    assert np.abs(background[:, 0] - background[:, 1]).max() < 25
    assert np.array_equal(result[alpha == 255], image[alpha == 255])


def test_a_background_of_one_pixel_or_without_any_room_is_blurred() -> None:
    pixel = np.full((1, 1, 3), 50, np.uint8)
    assert composite(pixel, np.zeros((1, 1), np.uint8), "blur").item(0) == pytest.approx(50, abs=1)
    wide = np.full((1, 4000, 3), 50, np.uint8)
    assert composite(wide, np.full((1, 4000), 7, np.uint8), "blur").shape == (1, 4000, 3)


def test_blur_is_as_wide_across_as_it_is_high_and_grows_with_the_photo() -> None:
    def width_of_an_edge(image: NDArray[np.uint8]) -> int:
        row = composite(image, np.zeros(image.shape[:2], np.uint8), "blur")[len(image) // 2, :, 0]
        return int(np.count_nonzero((row > 25) & (row < 230)))

    image = np.zeros((700, 1400, 3), np.uint8)
    image[:, 700:] = 255
    # An edge blurred by σ takes 2.6 σ to rise from a tenth to nine tenths; σ is two hundredths of the long side.
    assert width_of_an_edge(image) == pytest.approx(2.56 * 0.02 * 1400, rel=0.1)
    assert width_of_an_edge(image[::4, ::4]) == pytest.approx(2.56 * 0.02 * 350, rel=0.1)
    nothing = np.zeros((1400, 700), np.uint8)
    turned = composite(np.ascontiguousarray(image.transpose(1, 0, 2)), nothing, "blur").astype(int)
    straight = composite(image, nothing.T, "blur").astype(int)
    assert np.abs(turned.transpose(1, 0, 2) - straight).max() <= 1


def test_colours_have_the_numbers_of_their_names() -> None:
    pillow = pytest.importorskip("PIL.ImageColor", reason="another list of HTML's colours: pip install pillow")
    for name, colour in COLOUR_NAMES.items():
        assert colour == pillow.getrgb(name), name


def test_backgrounds_are_read_from_words(tmp_path: Path) -> None:
    assert read_background("blur") == "blur"
    assert read_background("white") == (255, 255, 255)
    assert read_background("Black") == (0, 0, 0)
    assert read_background("#0f8") == (0, 255, 136)
    assert read_background("#102030") == (16, 32, 48)
    cv2.imwrite(str(tmp_path / "beach.png"), np.full((4, 6, 3), 9, np.uint8))
    picture = read_background(str(tmp_path / "beach.png"))
    assert isinstance(picture, np.ndarray)
    assert picture.shape == (4, 6, 3)


@pytest.mark.parametrize("text", ["nocolour", "#12", "#gggggg", "gone.jpg", "#ff 0ff", ""])
def test_other_words_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError, match="expected blur"):
        read_background(text)


def test_a_background_file_that_is_no_picture_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "beach.png").write_bytes(b"sand")
    with pytest.raises(ImageError, match=r"beach\.png"):
        read_background(str(tmp_path / "beach.png"))


def test_a_contained_picture_is_wholly_seen() -> None:
    picture = np.full((40, 80, 3), (200, 0, 0), np.uint8)
    picture[:2] = picture[-2:] = picture[:, :2] = picture[:, -2:] = 255
    seen = contain(picture, (160, 160))
    assert seen.shape == (160, 160, 3)
    assert (seen[40:120, 1].min(), seen[41, 1:-1].min()) == (255, 255), "its white frame is there, twice as large"
    assert seen[5, 5].tolist() == pytest.approx(picture.mean(axis=(0, 1)).tolist(), abs=1), "its mean colour around it"
    for shape in ((1, 1, 3), (1, 5000, 3), (3000, 2, 3)):
        assert contain(np.full(shape, 9, np.uint8), (70, 30)).tolist() == np.full((30, 70, 3), 9).tolist()


def test_linear_light_mixes_light_and_leaves_the_rest_alone(flag: NDArray[np.uint8]) -> None:
    half = np.full(flag.shape[:2], 128, np.uint8)
    white = np.full_like(flag, 255)
    mixed = composite(white, half, (0, 0, 0), light="linear")
    # Half the light of white is the sRGB number 188, by the standard's formula; half the number is 128.
    assert mixed[0, 0].tolist() == [188, 188, 188]
    assert composite(white, half, (0, 0, 0))[0, 0].tolist() == [128, 128, 128]
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    for value, kept in ((255, every), (0, np.full_like(every, 7))):
        result = composite(every, np.full((16, 16), value, np.uint8), (7, 7, 7), light="linear")
        assert np.array_equal(result, kept)


def test_blocks_leave_no_seams() -> None:
    random = np.random.default_rng(6)
    image, behind = random.integers(0, 256, (2, 300, 419, 3)).astype(np.uint8)
    alpha = random.integers(0, 256, (300, 419)).astype(np.uint8)
    share = alpha[:, :, np.newaxis] / 255
    expected = image * share + behind * (1 - share)
    assert np.abs(composite(image, alpha, behind, threads=3) - expected).max() <= 0.501, "rounded, nothing else"


def test_trimming_keeps_everything_visible(alpha: NDArray[np.uint8]) -> None:
    alpha[:7] = 0
    assert trimmed(alpha) == (slice(7, 60), slice(0, 46))
    alpha[:2] = 3
    assert trimmed(alpha) == (slice(7, 60), slice(0, 46)), "three of 255 nobody sees"
    empty = np.zeros((5, 9), np.uint8)
    assert empty[trimmed(empty)].shape == (5, 9), "there is no picture of no pixels"


def test_sizes_that_differ_are_refused(flag: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="differ in size"):
        cutout(flag, np.zeros((5, 5), np.uint8))


def test_words_mean_what_the_command_line_means_by_them(astronaut: Path) -> None:
    image, nothing = read(astronaut), np.zeros((512, 512), np.uint8)
    assert composite(image, nothing, "white").min() == 255
    assert composite(image, nothing, "#ff8800")[0, 0].tolist() == [255, 136, 0]
    assert np.array_equal(composite(image, nothing, str(astronaut)), image)
    assert np.array_equal(composite(image, nothing, "blur"), composite(image, nothing, blurred(image, nothing)))


@pytest.mark.parametrize(
    ("background", "options"),
    [
        ("whitish", {}),
        ("transparent", {}),
        ((1, 2), {}),
        ((1, 2, 300), {}),
        (np.zeros((4, 4), np.uint8), {}),
        (np.zeros((4, 4, 3)), {}),
        ("white", {"fit": "stretch"}),
        ("white", {"light": "candle"}),
    ],
)
def test_what_means_nothing_is_refused(background: object, options: dict[str, str]) -> None:
    image, alpha = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    with pytest.raises(UsageError):
        composite(image, alpha, background, **options)  # type: ignore[arg-type]
