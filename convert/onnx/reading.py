"""How a network is read: what its input makes of pixels, and what its output's numbers say about alpha.

One frozen value says it. It is applied in NumPy to the user's own file (`original`), written into the graph of ours
(`alpha`, `lower`), printed, and stored in the model's card, where `bench run --against` finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...runtime.errors import ModelError, UsageError
from ...runtime.picture.images import Image

Values = Literal["alpha", "logits", "sigmoid", "0-255", "signed"]
LARGEST_BYTE = 255.0
LEAST_LEAD = 1 / LARGEST_BYTE  # of a class over an equal one: it takes alpha from 128 of 255, which is subject, to 127


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its pixels: (pixel − mean) / std, in 0–255 units."""

    mean: tuple[float, ...] = (0.0,)  # one number, or one per channel in the network's own channel order
    std: tuple[float, ...] = (255.0,)  # likewise
    color: Literal["rgb", "bgr"] = "rgb"  # the network's channel order; the emitted model always takes RGB

    def __post_init__(self) -> None:
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, 3) or not np.all(np.isfinite(numbers)):
                raise UsageError(f"--{name} {','.join(map(str, numbers))}: expected one number or three, R,G,B")
        if min(self.std) <= 0:
            written = ",".join(f"{number:g}" for number in self.std)
            raise UsageError(f"--std {written}: pixels are divided by it; expected numbers above 0")
        if self.color not in ("rgb", "bgr"):
            raise UsageError(f"--color {self.color}: expected rgb or bgr")

    @property
    def carried_by_input(self) -> bool:
        """Whether a uint8 tensor's scale and zero point express it exactly: one std and one mean of 0, 1 … 255."""
        whole = len(set(self.mean)) == 1 and self.mean[0] in range(256)
        return self.color == "rgb" and whole and len(set(self.std)) == 1

    def in_words(self) -> str:
        """`(pixel - 127.5) / 127.5, channels swapped to BGR`."""
        each = (values[:1] if len(set(values)) == 1 else values for values in (self.mean, self.std))
        mean, std = (", ".join(f"{v:g}" for v in values) for values in each)
        raw = (set(self.mean), set(self.std)) == ({0.0}, {1.0})
        what = "pixels as they are" if raw else f"(pixel - {mean}) / {std}"
        return f"{what}, channels swapped to BGR" if self.color == "bgr" else what


def typed(mean: str | None, std: str | None, color: str, units: str | None = None) -> Preprocessing | None:
    """`--mean`, `--std`, `--color` and `--units` as they are typed; None where nothing was said.

    Raises UsageError for what is no number, and for numbers that look like 0…1 units where nobody said which they are.
    """
    if units not in (None, "0-1", "0-255"):
        raise UsageError(f"--units {units}: expected 0-1 or 0-255")
    if mean is None and std is None and units is not None:
        raise UsageError(f"--units {units} says how --mean and --std are written; add --std 1 for pixels as they are")
    if mean is None and std is None and color == "rgb":
        return None
    factor = LARGEST_BYTE if units == "0-1" else 1.0
    means = _numbers("--mean", mean) if mean is not None else (0.0,)
    stds = _numbers("--std", std) if std is not None else (LARGEST_BYTE / factor,)
    small = max(map(abs, means)) <= 1 and (max(map(abs, stds)) <= 1 if std is not None else any(means))
    said = " ".join(f"{name} {text}" for name, text in (("--mean", mean), ("--std", std)) if text is not None)
    largest = max(map(abs, means))
    mixed = (0 < largest <= 1 and max(stds) > 1) or (largest > 1 and min(stds) < 1)
    if units is None and mean is not None and std is not None and mixed and min(stds) > 0:
        raise UsageError(
            f"{said}: one looks like 0…1 units, the other like 0…255; write both in the same, or add --units 0-255 if "
            "they are meant so"
        )
    if units is None and said and small and min(stds) > 0:
        raise UsageError(
            f"{said}: these look like 0…1 units; 255 times as much? Add --units 0-1 if they are, --units 0-255 if not"
        )
    scaled = [tuple(round(number * factor, 9) for number in numbers) for numbers in (means, stds)]
    if (said or units) and scaled == [Preprocessing.mean, Preprocessing.std]:
        scaled = [numbers * 3 for numbers in scaled]  # in so many words, which no first step of the file overrules
    return Preprocessing(scaled[0], scaled[1], cast('Literal["rgb", "bgr"]', color))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        expected = "one number, or three separated by commas such as 123.7,116.3,103.5"
        raise UsageError(f"{option} {text}: expected {expected}") from error


@dataclass(frozen=True)
class Matte:
    """What an output's numbers say about alpha."""

    output: str  # the file's tensor that is read
    shape: tuple[int, ...]
    axis: int | None  # of the classes; None: the output has no such axis
    channels: int
    channel: int  # the subject's, of `channels`
    size: tuple[int, int]  # rows and columns of the matte
    # alpha: 0…1 as it is. logits: a sigmoid, or a softmax of several, is left to do; sigmoid: of several, each stands
    # alone. 0-255: to divide. signed: -1…1
    values: Values
    background: bool = False  # they say how much of a pixel is not subject
    largest: bool = False  # the file goes on to name the largest class; alpha is above one half where that is `channel`
    last_wins: bool = False  # of equal classes the file names the last, not the first
    counted: bool = False  # the file rounds to whole numbers after this
    lowest: float | None = None  # of all that was seen on photos; None: no photo was looked at
    highest: float | None = None
    photos: int = 0
    proof: str = ""  # why the numbers are taken so: "by its operators", "by its values", "as told"

    def apply(self, output: NDArray) -> NDArray[np.float32]:
        """The file's own numbers → alpha (rows, columns), 0…1."""
        values = np.asarray(output, np.float64)
        if self.axis is not None:
            values = np.moveaxis(values, self.axis, -1)
        values = values.reshape(*self.size, self.channels)
        if self.largest:
            alpha = self._margin(values)
        elif self.values == "logits" and self.channels > 1:
            raised = np.exp(values - values.max(axis=-1, keepdims=True))
            alpha = raised[..., self.channel] / raised.sum(axis=-1)
        elif self.values == "logits":
            alpha = _sigmoid(values[..., 0])
        elif self.values == "sigmoid":
            alpha = _sigmoid(values[..., self.channel])
        elif self.values == "signed":
            alpha = (1.0 + values[..., self.channel]) / 2.0
        else:
            alpha = values[..., self.channel] / (LARGEST_BYTE if self.values == "0-255" else 1.0)
        alpha = 1.0 - alpha if self.background else alpha
        return np.clip(alpha, 0.0, 1.0).astype(np.float32)

    def of_channel(self, output: NDArray, channel: int | None = None) -> NDArray:
        """The file's numbers of one channel, the subject's if none is said."""
        return output if self.axis is None else np.take(output, self.channel if channel is None else channel, self.axis)

    def _margin(self, values: NDArray) -> NDArray:
        """One half where the class and its largest rival are equal and the file names the class, else just less."""
        rivals = [values[..., part].max(axis=-1) + ahead for part, ahead in self.rivals()]
        margin = values[..., self.channel] - np.max(rivals, axis=0)
        return _sigmoid(margin) if self.values == "logits" else (1.0 + margin) / 2.0

    def rivals(self) -> list[tuple[slice, float]]:
        """The other classes, those before and those after this one, and by how much they are ahead of an equal one."""
        before, after = slice(0, self.channel), slice(self.channel + 1, self.channels)
        parts = ((before, not self.last_wins), (after, self.last_wins))
        return [(part, LEAST_LEAD if wins else 0.0) for part, wins in parts if part.stop > part.start]

    def in_words(self) -> str:
        """`output 'alpha' [1, 1, 256, 256], values 0.00…1.00 on 16 photos: alpha as it is (by its operators)`."""
        seen = ""
        if self.lowest is not None and self.highest is not None:
            seen = f", values {written(self.lowest)}…{written(self.highest)} on {self.photos} photos"
        of = f" of class {self.channel} of {self.channels}" if self.channels > 1 else ""
        if self.largest:
            what = f"alpha from how far class {self.channel} of {self.channels} leads, as the ArgMax after it decides"
        elif self.values == "logits" and self.channels > 1:
            other = "; --values sigmoid if classes do not exclude each other" if self.proof == "by its values" else ""
            what = f"logits, the softmax{of} is alpha{other}"
        elif self.values == "logits":
            what = "logits, their sigmoid is alpha"
        elif self.values == "sigmoid":
            what = f"logits, the sigmoid{of} is alpha"
        elif self.values == "signed":
            what = f"alpha{of} in -1 to 1"
        elif self.values == "0-255":
            what = f"alpha{of} in 0 to 255"
        else:
            what = f"alpha{of} as it is"
        what += ", of the background" if self.background else ""
        return f"output '{self.output}' {list(self.shape)}{seen}: {what} ({self.proof})"


@dataclass(frozen=True)
class Reading:
    """How pixels become a network's input, and its output's numbers alpha."""

    input: str
    input_shape: tuple[int, ...]  # (1, C, H, W) or (1, H, W, C)
    channels_last: bool  # which of the two
    dtype: str  # of the input: "float32", "uint8" …
    preprocessing: Preprocessing
    matte: Matte
    frozen: tuple[str, ...] = ()  # the other inputs, as --input says them: "r1i=0"

    def to_input(self, image: Image, dtype: DTypeLike | None = None) -> NDArray:
        """RGB (H, W, 3) or tile (H, W, 4) uint8, at the network's size → what the file expects, or in another type."""
        pixels = image[..., ::-1] if self.preprocessing.color == "bgr" else image
        values = (pixels.astype(np.float64) - self.preprocessing.mean) / self.preprocessing.std
        return np.ascontiguousarray(
            (values if self.channels_last else values.transpose(2, 0, 1))[None], dtype or self.dtype
        )

    def in_words(self) -> tuple[str, ...]:
        """One line on the input, one on the output."""
        layout = "channels last" if self.channels_last else "planes"
        given = f", {', '.join(self.frozen)}" if self.frozen else ""
        entry = f"input '{self.input}' {list(self.input_shape)} {self.dtype}, {layout}: {self.preprocessing.in_words()}"
        return f"{entry}{given}", self.matte.in_words()

    def to_card(self) -> dict[str, Any]:
        """Plain types for the model's card."""
        return asdict(self)

    @classmethod
    def from_card(cls, content: Mapping[str, Any]) -> Reading:
        """What `to_card` gave, through JSON. Raises ModelError where it is something else."""
        try:
            told = {name: _restored(value) for name, value in content.items()}
            told["preprocessing"] = Preprocessing(**_known(Preprocessing, told["preprocessing"]))
            told["matte"] = Matte(**_known(Matte, told["matte"]))
            return cls(**_known(cls, told))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"the reading in the model's card is damaged ({error}); convert the model again"
            ) from error


def _restored(value: Any) -> Any:
    """JSON has no tuples."""
    if isinstance(value, dict):
        return {name: _restored(inner) for name, inner in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in content.items() if name in names}


def _sigmoid(values: NDArray) -> NDArray:
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def written(number: float) -> str:
    """Two digits after the point, or more where the number is small."""
    return f"{number:.2f}" if abs(number) >= 0.005 or number == 0 else f"{number:.1e}"
