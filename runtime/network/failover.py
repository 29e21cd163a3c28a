"""A model on an accelerator that may be missing, vanish or hang → mattes all the same, by the CPU until it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..device.slot import Slot
from ..errors import EdgeMatteError, ModelError, UsageError
from ..picture.images import Alpha, Image

HANG_S = 0.7  # without an answer for so long an accelerator is lost; with the CPU's run the gap stays below a second
FIRST_RETRY_S, MOST_RETRY_S = 1.0, 30.0
EDGE_TPU_SUFFIX = "_edgetpu"  # what Coral's compiler adds to a file's name

Segment = Callable[[Image], Alpha]


def cpu_file(model: Path) -> Path:
    """The file of the same network that the CPU can run: `x.tflite` for `x_edgetpu.tflite`, else the file itself.

    Raises UsageError when it is not there.
    """
    if not model.stem.endswith(EDGE_TPU_SUFFIX):
        return model
    plain = model.with_name(model.stem.removesuffix(EDGE_TPU_SUFFIX) + model.suffix)
    if not plain.is_file():
        raise UsageError(f"{plain} is missing beside {model.name}; the CPU needs it when the accelerator is lost")
    return plain


class Failover:
    """Call it with a picture. `accelerated` loads the model on the accelerator, again and again after it was lost."""

    def __init__(
        self,
        accelerated: Callable[[], Segment],
        cpu: Segment,
        *,
        name: str,
        hang_s: float = HANG_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        """`cpu` must be loaded already, so that it can take over at once. A missing accelerator is no error."""
        self._load, self._cpu, self._name = accelerated, cpu, name
        self._hang_s, self._first_retry_s = hang_s, first_retry_s
        self.failovers = 0  # times it was missing or lost
        self.returns = 0  # times it came back
        self.trouble: str | None = None  # why it is not used now
        self._lane: _Lane | None = None
        self._closed = threading.Event()
        self._retrying: threading.Thread | None = None
        try:
            self._lane = _Lane(accelerated())
        except EdgeMatteError as error:
            self._lose(error)

    @property
    def device(self) -> str:
        """What the next picture will be run on."""
        return self._name if self._lane is not None else "cpu"

    def __call__(self, image: Image) -> Alpha:
        lane = self._lane
        if lane is not None:
            try:
                return lane.run(image, self._hang_s)
            except ModelError as error:
                lane.close()
                self._lose(error)
        return self._cpu(image)

    def close(self) -> None:
        """Stops trying."""
        self._closed.set()
        if self._lane is not None:
            self._lane.close()

    def _lose(self, error: EdgeMatteError) -> None:
        self._lane = None
        self.failovers += 1
        self.trouble = str(error)
        self._retrying = threading.Thread(target=self._come_back, name="accelerator", daemon=True)
        self._retrying.start()

    def _come_back(self) -> None:
        wait_s = self._first_retry_s
        while not self._closed.wait(wait_s):
            try:
                lane = _Lane(self._load())
            except EdgeMatteError as error:
                self.trouble = str(error)
                wait_s = min(2 * wait_s, MOST_RETRY_S)
                continue
            self._lane, self.trouble = lane, None
            self.returns += 1
            return


class _Lane:
    """The accelerator's own thread: a driver that hangs is left behind with it."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._asked: Slot[Image] = Slot()
        self._answered: Slot[Alpha | ModelError] = Slot()
        threading.Thread(target=self._serve, name="inference", daemon=True).start()

    def run(self, image: Image, limit_s: float) -> Alpha:
        began_s = time.monotonic()
        self._asked.put(image)
        answer = self._answered.take(limit_s)
        if answer is None:
            raise ModelError(f"the accelerator did not answer for {time.monotonic() - began_s:.1f} s")
        if isinstance(answer, ModelError):
            raise answer
        return answer

    def close(self) -> None:
        self._asked.close()

    def _serve(self) -> None:
        while (image := self._asked.take()) is not None:
            try:
                self._answered.put(self._segment(image))
            except ModelError as error:
                self._answered.put(error)
