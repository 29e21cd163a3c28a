"""No address that is shown holds a secret."""

from __future__ import annotations

import pytest

from edgematte.runtime.device.credentials import without_credentials
from edgematte.runtime.device.mqtt import parse_broker
from edgematte.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://me:s3@cam/1?key=4 and http://b/x", "rtsp://cam/1?… and http://b/x"),
        ("rtspsrc location=rtsp://me:s3@cam/1 ! decodebin", "rtspsrc location=rtsp://cam/1 ! decodebin"),
        ("http://me:a@b@cam/", "http://cam/"),
        ("no address, me@home", "no address, me@home"),
    ],
)
def test_user_password_and_query_are_left_out(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


@pytest.mark.parametrize("address", ["mqtt://me:s3cret@host:port", "http://me:s3cret@host", "mqtt://me:s3cret@host#x"])
def test_a_wrong_broker_s_password_is_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_broker(address)
    assert "s3cret" not in str(caught.value)
