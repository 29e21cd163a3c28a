"""What a conversion should do, in one frozen object: the photos, the network's conventions, the bars to clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..runtime.errors import UsageError
from ..runtime.picture.images import Size
from .onnx.ends import Frozen
from .onnx.evidence import Asked
from .onnx.reading import Preprocessing
from .targets import accelerators

TARGETS = ("generic", "pi", "pi32", *accelerators.NAMES)
Importer = Literal["own", "onnx-tf"]

PARITY_TOLERANCE = 1e-4  # float TFLite against onnxruntime, as a share of the output's range
WARN_BELOW_IOU = 0.97  # int8 mask against float mask; below it a viewer sees the difference


@dataclass(frozen=True)
class Recipe:
    """How to convert one network. Only the calibration photos have no default.

    Raises UsageError where the values contradict each other.
    """

    calibrate: Path  # folder of photos like those the model will see, or one photo
    # What the network was trained to expect of pixels; None: 0…1, or the bytes themselves where its input is uint8.
    preprocessing: Preprocessing | None = None
    size: Size | None = None  # (width, height); None: the network's own
    output: str | None = None  # the tensor that holds the matte; None: the network's only output
    values: Asked | None = None  # what that holds; None: as its operators and its values show
    frozen: Frozen = field(default_factory=dict)  # inputs that are no picture → a number, or a .npy file
    channel: int | None = None  # the subject's class where the output has several
    data: Path | None = None  # folder with images/ and masks/: judged against the truth as well
    max_drop: float | None = None  # most IoU, or MAE, that int8 may cost, 0…1; None: any, but said
    strict: bool = False  # refuse where the comparison proves little, instead of warning
    max_latency_ratio: float | None = None  # int8 time / float time that must not be exceeded
    target: str = "generic"  # which machine's limits are checked; one of TARGETS
    sram_kib: int | None = None  # what an NPU has for the network; None: what its usual system has
    importer: Importer = "own"  # own: our lowering; onnx-tf: onnx-tf and TensorFlow in an environment of their own
    parity_tolerance: float = PARITY_TOLERANCE
    parity_photos: int = 20  # photos on which float TFLite and onnxruntime must agree
    calibration_photos: int = 100  # at most; evenly chosen from the folder
    verification_photos: int = 100  # at most; int8 against float
    name: str = ""  # for the model card; empty: the file's stem
    licence: str = ""  # of the network, for the card
    training_data: str = ""  # what it was trained on, for the card

    def __post_init__(self) -> None:
        _one_of("target", self.target, TARGETS)
        if self.sram_kib is not None and (self.sram_kib < 1 or not self.target.startswith("ethos-u")):
            raise UsageError("--sram is for --target ethos-u…, in KiB and above 0; leave it out, or correct it")
        _one_of("importer", self.importer, get_args(Importer))
        if self.values is not None:
            _one_of("values", self.values, get_args(Asked))
        for name in ("parity_photos", "calibration_photos", "verification_photos"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"the size {self.size[0]}x{self.size[1]} holds no pixels; expected e.g. 256x256")
        if self.channel is not None and self.channel < 0:
            raise UsageError(f"channel {self.channel} does not exist; channels are counted from 0")
        if self.max_drop is not None and not 0 <= self.max_drop <= 1:
            raise UsageError(f"a drop of {self.max_drop} is no share; expected 0 to 1, such as 0.003")
        if self.max_latency_ratio is not None and self.max_latency_ratio <= 0:
            raise UsageError(f"a latency ratio of {self.max_latency_ratio} cannot be reached; expected e.g. 0.6")
        if self.parity_tolerance <= 0:
            raise UsageError(f"a parity tolerance of {self.parity_tolerance} cannot be met; expected e.g. 1e-4")
        if self.importer == "onnx-tf" and self.max_drop is not None:
            raise UsageError("--max-drop searches precisions in our own lowering; leave out --importer onnx-tf")


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UsageError(f"unknown {name} '{value}'; expected one of: {', '.join(allowed)}")
