"""A network camera says what is wrong with it, and its password to nobody."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.errors import SourceError
from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.address import PASSWORD, USER, Address
from edgematte.runtime.live.sources.ffmpeg import FfmpegSource

from .rtsp_camera import closed_port, rtsp_camera

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
SECRET = "p%40ss-w0rd"  # as it stands in an address


def trouble(address: str, *, timeout_s: float = 20.0) -> str:
    """`timeout_s`: only what says nothing takes so long; on a busy machine ffmpeg itself needs seconds to start."""
    source = FfmpegSource(address, live=True, buffers=Buffers(), timeout_s=timeout_s)
    with pytest.raises(SourceError) as caught, source:
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("404 Not Found", "no such path"),
        ("401 Unauthorized", "user or password wrong"),
        ("nothing", "timed out"),
    ],
)
def test_an_rtsp_camera_that_says_no_is_understood(says: str, expected: str) -> None:
    with rtsp_camera(says=says) as port:
        told = trouble(f"rtsp://admin:{SECRET}@127.0.0.1:{port}/1", timeout_s=1.0 if says == "nothing" else 20.0)
    assert expected in told
    assert "admin" not in told
    assert SECRET not in told
    assert "p@ss-w0rd" not in told
    assert told.startswith(f"rtsp://127.0.0.1:{port}/1 ")


def test_a_wrong_password_is_told_from_none_at_all() -> None:
    with rtsp_camera(secret="me:right") as port:
        assert "user or password wrong" in trouble(f"rtsp://me:wrong@127.0.0.1:{port}/1")
        told = trouble(f"rtsp://127.0.0.1:{port}/1")
    assert "asks for a user and a password" in told
    assert f"{USER} and {PASSWORD}" in told


def test_nobody_there_and_no_such_host_are_told_apart() -> None:
    assert "refused the connection" in trouble(f"rtsp://a:{SECRET}@127.0.0.1:{closed_port()}/1")
    told = trouble(f"rtsp://a:{SECRET}@no-such-host.invalid/1")
    assert "no such host no-such-host.invalid" in told
    assert SECRET not in told


def test_a_codec_that_is_unknown_is_named() -> None:
    with rtsp_camera(format="96\r\na=rtpmap:96 NOSUCHCODEC/90000") as port:
        assert "codec that is unknown" in trouble(f"rtsp://127.0.0.1:{port}/1", timeout_s=3.0)


def test_a_camera_that_asks_for_a_password_gets_it_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "a.ts"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=4", "-c:v", "mpeg2video"]
    subprocess.run([*command, "-g", "5", "-f", "mpegts", str(film)], check=True)
    monkeypatch.setenv(USER, "me")
    monkeypatch.setenv(PASSWORD, "p@ss-w0rd")
    with rtsp_camera(film, secret="me:p@ss-w0rd") as port:
        address = f"rtsp://127.0.0.1:{port}/1"
        with FfmpegSource(address, live=True, buffers=Buffers(), timeout_s=5.0) as source:
            assert next(iter(source)).image.shape == (90, 160, 3)
            assert source.info.name == address


def test_an_hd_stream_that_tags_no_colours_means_bt_709_and_fields_are_put_together(tmp_path: Path) -> None:
    green = ["-f", "lavfi", "-i", "color=0x00c000:s=1280x720:r=25:d=3,format=gbrp", "-vf"]
    green += ["scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]
    laced = ["-g", "5", "-flags", "+ilme+ildct", "-f", "mpegts"]
    subprocess.run(["ffmpeg", "-v", "error", *green, *laced, str(tmp_path / "a.ts")], check=True)
    with rtsp_camera(tmp_path / "a.ts") as port:
        address = f"rtsp://127.0.0.1:{port}/1"
        with FfmpegSource(address, live=True, buffers=Buffers(), timeout_s=5.0) as source:
            image = next(iter(source)).image
    assert np.abs(image.astype(int) - [0, 0xC0, 0]).max() <= 4, "read as BT.601 it would be 20 off"


def test_user_password_and_query_are_left_out_of_every_name() -> None:
    address = Address("http://me:s%33@cam:81/video?user=me&pwd=s3")
    assert address.name == "http://cam:81/video?…"
    assert address.host == ("cam", 81)
    assert address.redacted("[http @ 0x1] http://me:s%33@cam:81/video?user=me&pwd=s3: s3 failed") == (
        "[http @ 0x1] http://cam:81/video?… *** failed"
    )
