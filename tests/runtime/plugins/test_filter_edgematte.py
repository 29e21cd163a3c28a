"""The real photobooth-app with our filters in it: `make test-plugins` installs what this needs.

Its server runs in a process of its own and its own virtual camera shows our photo; the rest is asked for over HTTP, as
its pages do.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.picture.images import Image, decode, read

if importlib.util.find_spec("photobooth") is None:
    pytest.skip("needs the extra [photobooth-app]; make test-plugins installs it", allow_module_level=True)

START_S = 120  # it imports a great deal; ten seconds on a quiet machine
PHOTO_S = 60
PLUGIN = "edgematte.runtime.plugins.filter_edgematte"
SIDE_PX = 512  # of astronaut.jpg
MAGENTA, LIME, WHITE = (255, 0, 255), (0, 255, 0), (255, 255, 255)
# Of astronaut.jpg, as (rows, columns): wall in the upper middle, and the face.
WALL = slice(10, 40), slice(330, 360)
FACE = slice(110, 170), slice(200, 250)
JPEG_ERROR = 12  # of a plain colour written at the app's quality


@dataclass
class Booth:
    """A running photobooth-app and the folder that it works in."""

    address: str
    folder: Path

    def ask(self, path: str, *, method: str = "GET", token: str = "", **body: object) -> bytes:
        request = urllib.request.Request(f"{self.address}{path}", method=method)
        if body:
            request.data, request.headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=PHOTO_S) as answer:
            return answer.read()

    def filtered(self, item: str, name: str, *, preview: bool = False) -> Image:
        """The finished picture with another filter, or the small one that guests choose by."""
        query = f"/api/filter/{item}?{urllib.parse.urlencode({'filter': name})}"
        if preview:
            return decode(self.ask(query), name=name)
        self.ask(query, method="PATCH")
        return decode(self.ask(f"/media/full/{item}"), name=name)

    def administrator(self) -> str:
        form = urllib.parse.urlencode({"username": "admin", "password": "0000"}).encode()
        with urllib.request.urlopen(f"{self.address}/api/admin/auth/token", form, timeout=PHOTO_S) as answer:
            return json.load(answer)["access_token"]


@pytest.fixture(scope="module")
def booth(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Iterator[Booth]:
    folder = tmp_path_factory.mktemp("photobooth-app")
    (folder / "config").mkdir()
    (folder / "userdata").mkdir()
    cv2.imwrite(str(folder / "userdata" / "my.lime.png"), np.full((20, 30, 3), LIME[::-1], np.uint8))
    backgrounds = ["blur", "magenta", "#ffffff", "userdata/my.lime.png", "userdata/gone.jpg"]
    (folder / "config" / "plugin_edgematte.json").write_text(json.dumps({"backgrounds": backgrounds}))
    action = {
        "jobcontrol": {"countdown_capture": 0},
        "processing": {"image_filter": "EdgeMatte.magenta"},
        "trigger": {},
    }
    (folder / "config" / "config.json").write_text(json.dumps({"actions": {"image": [action]}}))
    show_instead_of_the_demo_video(photos / "images" / "astronaut.jpg", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "photobooth", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "said").open("w") as said:
        environment = os.environ | {"HOME": str(folder)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
    started = Booth(f"http://127.0.0.1:{port}", folder)
    try:
        wait_for(started, process)
        yield started
    finally:
        process.kill()
        process.wait()


def show_instead_of_the_demo_video(photo: Path, home: Path) -> None:
    """Puts the photo where the app's virtual camera keeps the unpacked frames of the video that it was made from."""
    spec = importlib.util.find_spec("photobooth")
    assert spec is not None
    assert spec.origin is not None
    assets = Path(spec.origin).parent / "services" / "backends" / "assets" / "backend_virtualcamera"
    frames = home / ".photobooth-data" / "virtualcamera"
    frames.mkdir(parents=True)
    (frames / "0000.jpg").write_bytes(photo.read_bytes())
    video = (assets / "video" / "demovideo.mp4").read_bytes()
    (frames / "extraction.done").write_text(hashlib.sha256(video).hexdigest())


def wait_for(booth: Booth, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            booth.ask("/api/filter/")
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((booth.folder / "said").read_text()) from None
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def item(booth: Booth) -> str:
    """A photo that was taken with the filter of the settings."""
    booth.ask("/api/actions/image/0")
    end = time.monotonic() + PHOTO_S
    while not (items := json.loads(booth.ask("/api/mediacollection/"))):
        if time.monotonic() > end:
            raise RuntimeError((booth.folder / "said").read_text())
        time.sleep(0.2)
    return items[0]["id"]


def far_from(colour: tuple[int, int, int], pixels: Image) -> int:
    """The largest difference of any pixel from a colour, 0…255."""
    return int(np.abs(pixels.astype(int) - colour).max())


def test_each_background_is_a_filter_guests_can_choose(booth: Booth) -> None:
    names = [name for name in json.loads(booth.ask("/api/filter/")) if name.startswith("EdgeMatte.")]
    assert names == [
        "EdgeMatte.blur",
        "EdgeMatte.magenta",
        "EdgeMatte.ffffff",
        "EdgeMatte.my lime",
        "EdgeMatte.gone",
    ]


def test_a_photo_is_taken_before_the_background_of_the_settings_and_its_original_is_kept(
    booth: Booth, item: str, astronaut: Path
) -> None:
    photo, shown = read(astronaut), decode(booth.ask(f"/media/full/{item}"), name="full")
    assert far_from(MAGENTA, shown[WALL]) <= JPEG_ERROR
    assert np.abs(shown[FACE].astype(int) - photo[FACE]).mean() < 4, "written as JPEG again"
    (original,) = (booth.folder / "media" / "camera_original").glob("*.jpg")
    assert np.array_equal(read(original), photo)


def test_a_guest_chooses_another_background_for_the_photo(booth: Booth, item: str) -> None:
    small = booth.filtered(item, "EdgeMatte.my lime", preview=True)
    side = small.shape[0]
    assert side < SIDE_PX, "made from the app's thumbnail"
    wall = tuple(slice(part.start * side // SIDE_PX, part.stop * side // SIDE_PX) for part in WALL)
    assert far_from(LIME, small[wall]) <= JPEG_ERROR
    assert far_from(LIME, booth.filtered(item, "EdgeMatte.my lime")[WALL]) <= JPEG_ERROR
    assert far_from(WHITE, booth.filtered(item, "EdgeMatte.ffffff")[WALL]) <= JPEG_ERROR


def test_the_filters_of_others_and_none_work_as_before(booth: Booth, item: str, astronaut: Path) -> None:
    grey = booth.filtered(item, "FilterPilgram2.moon")
    assert np.ptp(grey[WALL], axis=2).max() <= JPEG_ERROR, "a filter without colours"
    assert far_from(MAGENTA, grey[WALL]) > 100
    plain = booth.filtered(item, "original")
    assert np.abs(plain.astype(int) - read(astronaut)).mean() < 4


def test_a_picture_that_is_not_there_leaves_the_photo_as_it_is_and_says_so(
    booth: Booth, item: str, astronaut: Path
) -> None:
    shown = booth.filtered(item, "EdgeMatte.gone")
    assert np.abs(shown.astype(int) - read(astronaut)).mean() < 4
    assert "userdata/gone.jpg is no file and no colour" in (booth.folder / "said").read_text()


def test_the_administration_page_has_the_settings_and_they_count_at_once(
    booth: Booth, item: str, astronaut: Path
) -> None:
    token = booth.administrator()
    assert PLUGIN in json.loads(booth.ask("/api/admin/config/list", token=token))
    schema = json.loads(booth.ask(f"/api/admin/config/{PLUGIN}/schema", token=token))
    assert schema["properties"]["refine"]["enum"] == ["off", "fast"]
    now = json.loads(booth.ask(f"/api/admin/config/{PLUGIN}", token=token))
    changed = now | {"backgrounds": ["magenta"], "refine": "off"}
    booth.ask(f"/api/admin/config/{PLUGIN}", method="PATCH", token=token, **changed)
    try:
        assert json.loads((booth.folder / "config" / "plugin_edgematte.json").read_text()) == changed
        assert far_from(MAGENTA, booth.filtered(item, "EdgeMatte.magenta")[WALL]) <= JPEG_ERROR
        shown = booth.filtered(item, "EdgeMatte.my lime")
        assert np.abs(shown.astype(int) - read(astronaut)).mean() < 4, "left as it is: that background is gone"
        assert "have no background 'my lime' any more" in (booth.folder / "said").read_text()
    finally:
        booth.ask(f"/api/admin/config/{PLUGIN}", method="PATCH", token=token, **now)
