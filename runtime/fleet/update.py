"""A bundle → the release that runs: verified, unpacked beside the old one, tried, switched to, confirmed; or not.

Nothing here needs more than Python itself, so that install.sh can start it before the program is installed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..device.release import HOME, LAUNCHER, RESTARTED, last_update
from ..errors import EdgeMatteError
from ..network.store import SUMS
from . import units
from .releases import KEEP, KEYS, KINDS, LEAST_FREE_BYTES, OLDEST, SHA256, Home, Release, part, size_bytes
from .repository import HOME as PACKED_HOME
from .stick import Offer, RefusedError, Stick, find, newer
from .tools import last_words, output_of, run, tool

GATE_S = 120.0
CAMERA_GATE_S = 60.0  # the same with the camera, while nothing else runs; what it loads was just loaded
TRIAL_S = 120.0  # from stopping the old units until the new ones are up and steady
RECOVER_S = TRIAL_S + 30.0  # then systemd goes back, whatever became of this process
RESERVE_BYTES = 32 * 2**20  # of the disk, which are nobody's
COMPILED_SHARE = 0.25  # what compiled Python adds to a program
MOST_TRIES = 3  # of an update during which the device restarted: by a power cut, or because of it
PYTHON = "/usr/bin/python3"  # the system's own

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What an update would do."""

    place: str
    offers: tuple[Offer, ...]  # newer than what runs
    parts: dict[str, str]  # of the release that would run then: kind → version
    now: Release | None

    @property
    def needed_bytes(self) -> int:
        """On the disk, at the worst moment."""
        unpacked = sum(offer.unpacked_bytes * (1 + COMPILED_SHARE * (offer.kind == "program")) for offer in self.offers)
        return round(unpacked) + sum(offer.package_bytes for offer in self.offers) + RESERVE_BYTES


@dataclass(frozen=True)
class Outcome:
    """How an update ended."""

    outcome: str  # confirmed, nothing new, rolled back, refused, failed; trial while it lasts
    words: str  # what was wrong
    source: str
    parts: dict[str, str]
    tries: int = 1  # of this update, one after the other
    to: int | None = None  # the release's number
    at: str = ""  # when it began, by the device's clock
    seconds: float = 0.0
    written_bytes: int = 0  # what was added to the disk


@contextmanager
def opened(home: Home, place: str, *, older: bool) -> Iterator[tuple[Stick, Plan]]:
    """The bundle, verified, and what it would bring. Raises RefusedError where this device must not take it."""
    refusals: list[EdgeMatteError] = []
    with tempfile.TemporaryDirectory(prefix="edgematte-apt-") as scratch:
        for number, bundle in enumerate(find(place)):
            try:
                stick = Stick(bundle, keys=home.folder / KEYS, scratch=Path(scratch) / str(number))
                plan = _plan(home, stick, older=older)
            except EdgeMatteError as error:
                refusals.append(error)
                continue
            yield stick, plan
            return
    raise refusals[0]


def update(home: Home, place: str, *, older: bool = False, again: bool = False, say: Say) -> Outcome:
    """Does it. The caller holds the lock.

    Raises EdgeMatteError where the device runs what it ran before; what happened is noted for the fleet's people too.
    """
    if home.on_trial():
        raise EdgeMatteError("a release is on trial already; wait until it is confirmed, or restart the device")
    home.sweep()
    last = last_update(home.folder) or {}
    began_s, at = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")
    release: Release | None = None
    facts = Outcome("failed", "", place, {}, at=at)

    def note(outcome: str, words: str, **more: object) -> Outcome:
        nonlocal facts
        known = asdict(facts) | {"outcome": outcome, "words": words, "seconds": round(time.monotonic() - began_s, 1)}
        facts = Outcome(**(known | more))  # pyright: ignore[reportArgumentType]
        if outcome != "nothing new":
            home.note_update(asdict(facts))
        return facts

    try:
        with opened(home, place, older=older) as (stick, plan):
            if not plan.offers:
                return note("nothing new", "")
            same = last.get("parts") == plan.parts
            facts = Outcome("failed", "", plan.place, plan.parts, at=at, tries=last.get("tries", 0) + 1 if same else 1)
            if same and not again and _had_its_chance(last):
                facts = Outcome(**last)  # stays what the fleet hears of
                raise RefusedError(f"it was rolled back on {last['at']}, {last['words']}; --again tries it again")
            _make_room(home, plan)
            free_bytes = home.free_bytes()
            release = _install(home, stick, plan, at=at, say=say)
            written_bytes = free_bytes - home.free_bytes()
        note("failed", "cut off before the switch", to=release.number, written_bytes=written_bytes)
        _gate(home, release, camera=False, say=say)
        if plan.now is None:
            _first(home, release)
        else:
            _try_out(home, release, begun=lambda: note("trial", ""), say=say)
        done = note("confirmed", "")
    except BaseException as error:
        if facts.outcome != "rolled back":
            outcome = {RefusedError: "refused", RolledBackError: "rolled back"}.get(type(error), "failed")
            note(outcome, str(error) or type(error).__name__)
        if not home.on_trial():
            home.prune([] if release in (None, home.current()) else [release])
        raise
    _prune(home)
    return done


def _had_its_chance(last: dict[str, Any]) -> bool:
    """A release that was not well, or during whose trials the device restarted again and again."""
    return last["outcome"] == "rolled back" and (last["words"] != RESTARTED or last.get("tries", 1) >= MOST_TRIES)


class RolledBackError(EdgeMatteError):
    """A release that was not well; what ran before it runs again."""


def roll_back(home: Home, number: int | None, *, say: Say) -> Release:
    """A person's wish: the release before, or the one of that number. The caller holds the lock."""
    now = home.current()
    if now is None:
        raise EdgeMatteError("nothing is installed; run install.sh from a stick")
    wanted = now.before if number is None else number
    release = None if wanted is None else home.release(wanted)
    if release is None:
        here = ", ".join(str(one.number) for one in home.releases() if one != now) or "none"
        raise EdgeMatteError(f"there is no release {wanted or 'before this one'} to go back to; here are: {here}")
    if newer(home.oldest(), release.program):
        raise RefusedError(f"{release.program} is older than {home.oldest()}, the oldest that may run here again")
    running = units.running()
    units.stop(running)
    home.switch(release)
    if home.on_trial():  # of an update that was killed
        home.end_trial()
        units.disarm()
    units.start(running)
    say(f"release {release.number} runs: edgematte {release.program}, models {release.models}")
    return release


def _plan(home: Home, stick: Stick, *, older: bool) -> Plan:
    now = home.current()
    own = output_of([tool("dpkg", "dpkg"), "--print-architecture"]).strip()
    newest: dict[str, Offer] = {}
    for offer in stick.offers:
        best = newest.get(offer.kind)
        if offer.architecture in (own, "all") and (best is None or newer(offer.version, best.version)):
            newest[offer.kind] = offer
    programs = {offer.architecture for offer in stick.offers if offer.kind == "program"}
    if not newest or (programs and "program" not in newest):
        found = ", ".join(sorted(programs)) or "nothing"
        raise RefusedError(f"{stick.place} is for {found}, this device is {own}; nothing was installed")
    parts = dict(now.parts) if now else {}
    wanted, outdated = [], []
    for kind in KINDS:
        if (offer := newest.get(kind)) is None:
            continue
        if kind in parts and newer(parts[kind], offer.version) and not older:
            outdated.append(f"{kind} {offer.version} is older than {parts[kind]}, which runs here")
            continue
        _refuse_what_does_not_fit(home, offer)
        if parts.get(kind) != offer.version:
            wanted.append(offer)
        parts[kind] = offer.version
    if outdated and not wanted:
        raise RefusedError(f"{', '.join(outdated)}; add --older to install it all the same")
    if missing := [kind for kind in ("program", "models") if kind not in parts]:
        raise RefusedError(f"{stick.place} brings no {' and no '.join(missing)}, and this device has none yet")
    return Plan(stick.place, tuple(wanted), parts, now)


def _refuse_what_does_not_fit(home: Home, offer: Offer) -> None:
    what = f"{offer.kind} {offer.version}"
    if offer.python:
        words = "import sys; print('%d.%d' % sys.version_info[:2])"
        python = output_of([PYTHON, "-c", words]).strip()
        if python != offer.python:
            raise RefusedError(
                f"{what} is for Python {offer.python}, this device has {python}; bundle it for --python {python}"
            )
    for package in offer.depends:
        status = run([tool("dpkg-query", "dpkg"), "--show", "--showformat=${Status}", package]).stdout
        if package != "python3" and "ok installed" not in status:
            raise RefusedError(f"{what} needs Debian's {package}; install it with: sudo apt install {package}")
    if offer.kind == "program" and newer(home.oldest(), offer.version):
        raise RefusedError(f"{what} is older than {home.oldest()}, the oldest that may run here again")
    here = home.holds(offer.kind, offer.version)
    if here not in (None, offer.sha256) and home.folder / part(offer.kind, offer.version) not in home.unused():
        raise RefusedError(f"another {what} is here already; bundle it again under a version of its own")


def _make_room(home: Home, plan: Plan) -> None:
    """Before anything is written: enough space, or a refusal."""
    lack = plan.needed_bytes - home.free_bytes()
    if lack <= 0:
        return
    spare = home.spare(keep=0)
    if lack > sum(map(size_bytes, home.unused(without=spare))):
        raise RefusedError(
            f"the update needs {plan.needed_bytes / 1e6:.0f} MB, {home.folder} has {home.free_bytes() / 1e6:.0f} MB "
            "free; make room, then update again"
        )
    home.prune(spare)


def _install(home: Home, stick: Stick, plan: Plan, *, at: str, say: Say) -> Release:
    for offer in plan.offers:
        name = part(offer.kind, offer.version)
        if home.holds(offer.kind, offer.version) == offer.sha256:
            continue
        say(f"installing {name}, {offer.package_bytes / 1e6:.0f} MB")
        home.incoming.mkdir(exist_ok=True)
        package, tree = stick.fetch(offer, home.incoming), home.incoming / "tree"
        output_of([tool("dpkg-deb", "dpkg"), "--extract", package, tree])
        package.unlink()
        unpacked = tree / PACKED_HOME / name
        if not unpacked.is_dir():
            raise RefusedError(f"{offer.package} holds no {PACKED_HOME}/{name}; make it with: edgematte bundle")
        if offer.kind == "program":
            # For users who may not write here: without it they would compile at every start.
            names = ("-s", unpacked, "-p", home.folder / name)  # the files' places, once they are there
            run([PYTHON, "-m", "compileall", "-q", "-j", "0", *names, unpacked / "lib"])
        if offer.adds and plan.now is not None:
            _keep_models(home.folder / part("models", plan.now.models), unpacked)
        (unpacked / SHA256).write_text(f"{offer.sha256}\n", encoding="ascii")
        home.adopt(unpacked, name)
    return home.make(plan.parts, at=at)


def _keep_models(old: Path, new: Path) -> None:
    """The models that are here and that the package does not bring stay, as links to the same bytes."""
    for file in old.rglob("*"):
        copy = new / file.relative_to(old)
        if file.is_file() and file.name != SHA256 and not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            copy.hardlink_to(file)
    lines = {line.split()[1]: line for folder in (old, new) for line in (folder / SUMS).read_text().splitlines()}
    (new / SUMS).write_text("".join(f"{lines[name]}\n" for name in sorted(lines)))


def _gate(home: Home, release: Release, *, camera: bool, say: Say) -> None:
    """`edgematte doctor --gate` of the new release. Raises RefusedError with what it found."""
    words = ["doctor", "--gate", *([] if camera else ["--source", "none"])]
    try:
        done = run([home.path(release) / LAUNCHER, *words], seconds=CAMERA_GATE_S if camera else GATE_S)
    except EdgeMatteError as error:
        raise RefusedError(f"release {release.number} did not pass its gate: {error}") from error
    if done.returncode:
        raise RefusedError(f"release {release.number} did not pass its gate: {last_words(done)}")
    for line in done.stdout.splitlines():
        say(line)


def _first(home: Home, release: Release) -> None:
    """Nothing ran before: there is nothing to go back to, and no unit yet."""
    home.note("recover", Path(__file__).with_name("recover.sh").read_bytes())
    _keep_what_it_brought(home, release)
    home.switch(release)
    if home.folder == HOME:
        units.settle(home.folder)


def _try_out(home: Home, release: Release, *, begun: Callable[[], object], say: Say) -> None:
    """Raises RolledBackError where it is not well; then the release before runs again."""
    running = units.running()
    home.note("recover", Path(__file__).with_name("recover.sh").read_bytes())
    home.begin_trial(running)
    begun()
    until_s = time.monotonic() + TRIAL_S
    try:
        units.arm(home.folder, seconds=RECOVER_S)
        units.stop(running)
        home.switch(release)
        if running:
            _gate(home, release, camera=True, say=say)
        units.start(running)
        say(f"release {release.number} is on trial")
        if wrong := units.trouble(running, seconds=until_s - time.monotonic()):
            raise RolledBackError(wrong)
        if not home.on_trial():
            raise RolledBackError("its time was up")
        _keep_what_it_brought(home, release)
    except BaseException as error:
        _go_back(home, running)
        if isinstance(error, EdgeMatteError):
            raise RolledBackError(f"{error}; the release before runs again") from error
        raise
    home.end_trial()
    units.disarm()


def _go_back(home: Home, running: Sequence[str]) -> None:
    output_of(["/bin/sh", home.folder / "recover"])
    units.disarm()
    units.stop(running)
    units.start(running)


def _keep_what_it_brought(home: Home, release: Release) -> None:
    """The keys to trust from now on, and the oldest program that may still come; both by signed packages only."""
    program = home.folder / part("program", release.program)
    keys, oldest = program / KEYS, program / OLDEST
    if keys.is_file() and keys.read_bytes() != (home.folder / KEYS).read_bytes():
        home.note(KEYS, keys.read_bytes())
    told = oldest.read_text(encoding="ascii").strip() if oldest.is_file() else "0"
    if newer(told, home.oldest()):
        home.note(OLDEST, f"{told}\n".encode())


def _prune(home: Home) -> None:
    home.prune(home.spare(keep=KEEP))
    if home.free_bytes() < LEAST_FREE_BYTES:
        home.prune(home.spare(keep=0))
