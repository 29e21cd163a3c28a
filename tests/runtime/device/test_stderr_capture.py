from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from edgematte.runtime.device.stderr_capture import capture_stderr


def test_words_written_behind_pythons_back_are_caught(capfd: pytest.CaptureFixture[str]) -> None:
    with capture_stderr() as captured:
        os.write(2, b"a codec complains\n")
    os.write(2, b"afterwards\n")
    assert captured.text == "a codec complains\n"
    assert capfd.readouterr().err == "afterwards\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with capture_stderr():
            os.write(2, b"before it\n")
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_captures_in_many_threads_do_not_lose_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    caught: list[str] = []

    def capture(number: int) -> None:
        for _ in range(50):
            with capture_stderr() as captured:
                os.write(2, f"{number};".encode())
            caught.append(captured.text)

    threads = [threading.Thread(target=capture, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"still here\n")
    assert sorted(caught) == sorted(f"{number};" for number in range(4) for _ in range(50))
    assert capfd.readouterr().err == "still here\n"


def test_a_program_started_with_stderr_closed_still_works() -> None:
    code = "from edgematte.runtime.device.stderr_capture import capture_stderr\nwith capture_stderr(): print('ran')"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code], stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"ran\n"
