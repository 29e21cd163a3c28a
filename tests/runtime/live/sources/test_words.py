"""Every kind of source gives the frames that were put into it, or says in one line what it would have needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgematte.runtime.errors import SourceError, UsageError
from edgematte.runtime.live.frames import Buffers, Frame
from edgematte.runtime.live.sources.opencv import OpenCvSource
from edgematte.runtime.live.sources.raw import RawSource
from edgematte.runtime.live.sources.words import Source, SourceOptions, opener

from ...live_parts import SIZE, make_video, picture_of

LOSSY = 40  # of 255: what MPEG-4 and JPEG, which halve the colours' resolution, change at a red and blue edge at most


def frames_of(source: Source) -> list[Frame]:
    with source as opened:
        return list(opened)


def open_words(text: str, options: SourceOptions | None = None) -> Source:
    return opener(text, options or SourceOptions(), Buffers())()


def test_a_video_gives_its_frames_in_rgb_with_their_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.1, 0.15, 0.4]
    source = open_words(str(make_video(tmp_path / "a.mp4", 4, times_s=times_s)))
    frames = frames_of(source)
    assert [frame.time_s for frame in frames] == pytest.approx(times_s, abs=1e-4)
    assert (source.info.live, source.info.frames, source.info.size) == (False, 4, SIZE)
    red, blue = frames[0].image[32, 10], frames[0].image[4, 80]
    assert red[0] > 255 - LOSSY
    assert red[2] < LOSSY
    assert blue[2] > 200 - LOSSY


def test_a_folder_of_pictures_is_read_in_the_order_people_count(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((4, 4, 3), number, np.uint8))
    (tmp_path / "notes.txt").touch()
    for place in (str(tmp_path), str(tmp_path / "img%d.png")):
        frames = frames_of(open_words(place, SourceOptions(fps=10)))
        assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
        assert [frame.time_s for frame in frames] == [0.0, 0.1, 0.2]


def test_a_damaged_picture_is_a_frame_without_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), picture_of(0))
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    assert [frame.intact for frame in frames_of(open_words(str(tmp_path)))] == [True, False]


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "yuv420p"])
def test_raw_frames_are_what_was_sent(pixel_format: str, tmp_path: Path) -> None:
    sent = [picture_of(number) for number in range(3)]
    code = {"bgr24": cv2.COLOR_RGB2BGR, "yuv420p": cv2.COLOR_RGB2YUV_I420}.get(pixel_format)
    raw = b"".join((image if code is None else cv2.cvtColor(image, code)).tobytes() for image in sent)
    path = tmp_path / "raw"
    path.write_bytes(raw)
    with path.open("rb", buffering=0) as stream:
        source = RawSource(stream, buffers=Buffers(), size=SIZE, pixel_format=pixel_format, fps=10)
        frames = frames_of(source)
    assert [frame.time_s for frame in frames] == [0.0, 0.1, 0.2]
    for frame, image in zip(frames, sent, strict=True):
        difference = np.abs(frame.image.astype(int) - image)
        # yuv420p carries one colour for four pixels: only edges may differ.
        assert np.median(difference) <= (3 if pixel_format == "yuv420p" else 0)
        assert pixel_format == "yuv420p" or difference.max() == 0


def test_a_raw_stream_that_ends_inside_a_frame_is_named(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(picture_of(0).tobytes() + b"more")
    with path.open("rb", buffering=0) as stream, pytest.raises(SourceError, match=r"inside frame 1 \(4 of 18432 bytes"):
        frames_of(RawSource(stream, buffers=Buffers(), size=SIZE))


@contextmanager
def web_camera(frames: int, *, then_hang: threading.Event | None = None) -> Iterator[str]:
    """An MJPEG camera on loopback that hangs or closes after so many frames."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(frames):
                _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(picture_of(number), cv2.COLOR_RGB2BGR))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")
            if then_hang is not None:
                then_hang.wait(30)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.mjpg"
    finally:
        if then_hang is not None:
            then_hang.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_web_camera_that_closes_is_an_error_so_that_it_is_opened_again() -> None:
    seen: list[tuple[int, ...]] = []
    with web_camera(20) as address, open_words(address) as source:
        assert source.info.live
        with pytest.raises(SourceError, match="gives no more frames"):
            seen.extend(frame.image.shape for frame in source)
    assert set(seen) == {(64, 96, 3)}
    assert len(seen) >= 18, "OpenCV looks at the first frames to learn the format, and may keep the last"


def test_a_stream_that_stalls_fails_within_its_time_limit() -> None:
    free = threading.Event()
    with (
        web_camera(20, then_hang=free) as address,
        OpenCvSource(address, "stream", buffers=Buffers(), timeout_s=1.0) as source,
        pytest.raises(SourceError, match="gives no more frames"),
    ):
        for _ in source:
            pass


def test_what_cannot_be_opened_says_why_and_what_to_do(tmp_path: Path) -> None:
    broken = make_video(tmp_path / "a.mp4", 30)
    broken.write_bytes(broken.read_bytes()[:-400])
    for words, expected in (
        (str(broken), "damaged, cut short"),
        ("/dev/video77", "there is no camera /dev/video77; this machine has"),
        ("77", "there is no camera /dev/video77"),
        ("http://127.0.0.1:9/none.mjpg", "refused the connection|does not answer"),
        ("videotestsrc ! appsink", "without GStreamer|cannot run"),
        ("picamera", "sudo apt install python3-picamera2"),
    ):
        with pytest.raises(SourceError, match=expected), open_words(words):
            pass


def test_words_that_mean_no_source_are_refused_before_anything_is_opened() -> None:
    for words, expected in (
        ("nothing.mp4", "there is no source nothing.mp4; expected a camera"),
        ("-", "say their size"),
        ("virtual:nowhere.jpg", "there is no such file"),
        ("virtual,speed=2", "does not know 'speed=2'"),
    ):
        with pytest.raises(UsageError, match=expected):
            opener(words, SourceOptions(), Buffers())


@pytest.mark.skipif(not os.environ.get("EDGEMATTE_RTSP"), reason="set EDGEMATTE_RTSP to a camera's rtsp:// address")
@pytest.mark.hardware
def test_an_rtsp_camera_gives_frames() -> None:
    """Plug in: any RTSP camera, its address in EDGEMATTE_RTSP."""
    with open_words(os.environ["EDGEMATTE_RTSP"]) as source:
        assert next(iter(source)).intact


def test_importing_the_sources_never_imports_picamera2() -> None:
    code = "import sys, edgematte.runtime.live.sources.words; print('picamera2' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
