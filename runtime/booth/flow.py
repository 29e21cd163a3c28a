"""What the screen shows → what it shows next: the flow from one party of guests to the next, without clock or camera.

    idle → choose → countdown → expose → cut → (look → countdown …, for more shots) → review → saved → idle
                    countdown → record → cut, for a moving picture         review → countdown, to take it again

The booth is one, however many pages look at it: all show the same scene, and whoever presses first is heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..errors import EdgeMatteError

Step = Literal["idle", "choose", "countdown", "expose", "record", "cut", "look", "review", "saved", "gallery"]

WAITING: frozenset[Step] = frozenset({"idle", "choose", "saved", "gallery", "review"})  # for a guest
PRESSED = {
    "idle": "start", "choose": "shoot", "record": "stop", "review": "keep", "saved": "done", "gallery": "done",
}  # fmt: skip
LOOK_S = 1.6  # at each picture of several, which is finished meanwhile
STUCK_S = 60.0  # a camera or disk that takes so long will not answer any more


PLAIN = "none"  # the effect that changes nothing


class OutOfTurnError(EdgeMatteError):
    """A wish that does not fit what is on the screen: somebody else was quicker."""


@dataclass(frozen=True)
class Take:
    """What a layout asks of guests."""

    key: str
    shots: int = 1
    record_s: float | None = None  # how long a recording is; None: photos


@dataclass(frozen=True)
class Rules:
    """What may be chosen, and how long things take. The first of each is the usual one."""

    backgrounds: tuple[str, ...]
    takes: tuple[Take, ...]
    languages: tuple[str, ...]
    countdown_s: float
    idle_s: float
    gallery: bool = True
    effects: tuple[str, ...] = (PLAIN,)


@dataclass(frozen=True)
class Scene:
    """What is on the screen."""

    step: Step
    background: str
    take: Take
    effect: str
    language: str
    taken: int = 0  # photos of this party that are done
    until_s: float | None = None  # when the time of this step is over, by the monotonic clock


def opening(rules: Rules) -> Scene:
    """Before the first guests."""
    return Scene("idle", rules.backgrounds[0], rules.takes[0], rules.effects[0], rules.languages[0])


def act(scene: Scene, action: str, value: str, rules: Rules, now_s: float) -> Scene:
    """A guest's wish. Raises OutOfTurnError where it cannot be met now, or never could."""
    if action == "press":
        if scene.step not in PRESSED:
            raise OutOfTurnError(f"a button does nothing during {scene.step}")
        action = PRESSED[scene.step]
    step, after_s = scene.step, now_s + rules.idle_s
    if action == "language" and value in rules.languages:
        until = scene.until_s if scene.step not in WAITING or scene.step == "idle" else after_s
        return replace(scene, language=value, until_s=until)
    if action == "start" and step in ("idle", "saved", "gallery"):
        return replace(scene, step="choose", taken=0, until_s=after_s)
    if action == "background" and step == "choose" and value in rules.backgrounds:
        return replace(scene, background=value, until_s=after_s)
    if action == "layout" and step == "choose" and (take := _take(rules, value)) is not None:
        return replace(scene, take=take, until_s=after_s)
    if action == "effect" and step == "choose" and value in rules.effects:
        return replace(scene, effect=value, until_s=after_s)
    if action == "stop" and step == "record":
        return replace(scene, until_s=now_s)
    if (action == "shoot" and step == "choose") or (action == "retake" and step == "review"):
        return replace(scene, step="countdown", taken=0, until_s=now_s + rules.countdown_s)
    if action == "cancel" and step in ("countdown", "look", "record"):
        return replace(scene, step="choose", taken=0, until_s=after_s)
    if action == "keep" and step == "review":
        return replace(scene, step="saved", until_s=after_s)
    if action == "gallery" and step in ("idle", "choose", "saved") and rules.gallery:
        return replace(scene, step="gallery", until_s=after_s)
    if action == "done" and step in ("choose", "saved", "gallery"):
        return replace(opening(rules), background=scene.background)
    if action == "touch" and scene.until_s is not None and step in WAITING:
        return replace(scene, until_s=after_s)
    raise OutOfTurnError(f"'{f'{action} {value[:80]}'.strip()}' is not possible during {step}")


def expire(scene: Scene, rules: Rules, now_s: float) -> Scene:
    """What the clock does; the same scene while there is time."""
    if scene.until_s is None or now_s < scene.until_s:
        return scene
    if scene.step == "countdown" and scene.take.record_s is not None:
        return replace(scene, step="record", until_s=now_s + scene.take.record_s)
    if scene.step == "countdown":
        return replace(scene, step="expose", until_s=now_s + STUCK_S)
    if scene.step == "record":
        return replace(scene, step="cut", until_s=now_s + STUCK_S)
    if scene.step == "look":
        return replace(scene, step="countdown", until_s=now_s + rules.countdown_s)
    if scene.step == "review":  # guests who walk away like their picture
        return replace(scene, step="saved", until_s=now_s + rules.idle_s)
    return failed(scene, rules, now_s) if scene.step in ("expose", "cut") else opening(rules)


def exposed(scene: Scene) -> Scene:
    """The frame is frozen, the original on its way to the disk."""
    return replace(scene, step="cut")


def cut(scene: Scene, rules: Rules, now_s: float) -> Scene:
    """The picture is on the screen."""
    taken = scene.taken + 1
    if taken < scene.take.shots:
        return replace(scene, step="look", taken=taken, until_s=now_s + LOOK_S)
    return replace(scene, step="review", taken=taken, until_s=now_s + rules.idle_s)


def failed(scene: Scene, rules: Rules, now_s: float) -> Scene:
    """Camera or disk refused; guests may try again."""
    return replace(scene, step="choose", taken=0, until_s=now_s + rules.idle_s)


def _take(rules: Rules, key: str) -> Take | None:
    return next((take for take in rules.takes if take.key == key), None)
