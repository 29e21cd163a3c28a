"""How long frames take → what to leave out when they take too long, and when to put it back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """What a frame gets."""

    refine: bool = True  # edges follow the picture
    network_every: int = 1  # frames; in between the matte is moved along with the picture
    picture_shrink: int = 1  # the picture is mixed at this fraction of its size, then enlarged


# From the best to the cheapest, in the order in which people notice least.
LADDER = (
    Quality(),
    Quality(refine=False),
    Quality(refine=False, network_every=2),
    Quality(refine=False, network_every=3),
    Quality(refine=False, network_every=3, picture_shrink=2),
)
SMOOTHING = 0.2  # weight of the newest frame in the running mean
SETTLE_FRAMES = 15  # after a step, before its effect is judged
FULL = 1.0  # share of the time between frames beyond which to step down
EASY = 0.6  # share below which to step up
FIRST_PATIENCE_S = 3.0  # how long it must be easy before a step up
MOST_PATIENCE_S = 120.0


class Pacer:
    """Chooses the rung of the ladder. A step up that had to be taken back is tried half as soon the next time."""

    def __init__(self, budget_ms: float, *, ladder: tuple[Quality, ...] = LADDER) -> None:
        """`budget_ms`: the time between two frames."""
        self.budget_ms = budget_ms
        self._ladder = ladder
        self.level = 0
        self._mean_ms: float | None = None
        self._frames = 0  # since the last step
        self._easy_since_s: float | None = None
        self._patience_s = FIRST_PATIENCE_S
        self._stepped_up_s: float | None = None

    @property
    def quality(self) -> Quality:
        return self._ladder[self.level]

    def observe(self, took_ms: float, now_s: float) -> None:
        """One frame's processing time, and the (monotonic) time it was done at."""
        self._mean_ms = took_ms if self._mean_ms is None else self._mean_ms + SMOOTHING * (took_ms - self._mean_ms)
        self._frames += 1
        if self._frames < SETTLE_FRAMES:
            return
        if self._mean_ms > FULL * self.budget_ms:
            self._easy_since_s = None
            if self.level + 1 < len(self._ladder):
                if self._stepped_up_s is not None and now_s - self._stepped_up_s < 2 * self._patience_s:
                    self._patience_s = min(2 * self._patience_s, MOST_PATIENCE_S)
                self._step(1)
        elif self._mean_ms < EASY * self.budget_ms and self.level > 0:
            if self._easy_since_s is None:
                self._easy_since_s = now_s
            elif now_s - self._easy_since_s >= self._patience_s:
                self._stepped_up_s = now_s
                self._step(-1)
        else:
            self._easy_since_s = None

    def _step(self, by: int) -> None:
        self.level += by
        self._mean_ms, self._frames, self._easy_since_s = None, 0, None
