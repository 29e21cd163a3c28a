"""A server of this machine: an address that is taken is told with the setting to change."""

from __future__ import annotations

import pytest

from edgematte.runtime.device.web import LOOPBACK, listen
from edgematte.runtime.errors import ServiceError


def test_a_port_that_is_taken_is_told_with_the_setting_that_names_it() -> None:
    with listen(LOOPBACK, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*; name another --port$"):
            listen(LOOPBACK, port)
        with pytest.raises(ServiceError, match=r"; name another owner\.port in booth\.toml$"):
            listen(LOOPBACK, port, setting="owner.port in booth.toml")
