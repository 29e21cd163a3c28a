"""A process that has imported what the program imports, and forks for each command: the program without its start.

Most of a short command's time is imports, and the tests run hundreds of commands. What a start itself costs and loads
is tested in test_startup.py.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 1 << 20  # of a command's words and environment
LIMIT_S = 180.0


class WarmProgram:
    """Runs `edgematte WORDS` in a process of its own, with a descriptor each for stdin, stdout and stderr."""

    def __init__(self, *modules: str) -> None:
        """`modules`: what is imported beforehand."""
        self._modules = modules

    def __enter__(self) -> WarmProgram:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno()), *self._modules]
            self._server = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self._channel.settimeout(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._server.wait(30)

    def run(
        self, *words: object, stdin: bytes = b"", cwd: Path | None = None, limits: Mapping[int, int] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """As subprocess.run, with the environment as it is now. `limits`: those of `resource`, in bytes."""
        texts = [str(word) for word in words]
        with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            into.write(stdin)
            into.seek(0)
            order = {"words": texts, "folder": str(cwd or Path.cwd()), "environment": dict(os.environ)}
            order["limits"] = list((limits or {}).items())
            files = [file.fileno() for file in (into, out, said)]
            socket.send_fds(self._channel, [json.dumps(order).encode()], files)
            code = int(self._channel.recv(100))
            for file in (out, said):
                file.seek(0)
            return subprocess.CompletedProcess(["edgematte", *texts], code, out.read(), said.read())


def serve(channel: socket.socket, modules: list[str]) -> None:
    """Until the tests hang up."""
    for name in modules:
        __import__(name)
    while True:
        order, files, _, _ = socket.recv_fds(channel, MOST_BYTES, 3)
        if not order:
            return
        child = os.fork()
        if child == 0:
            channel.close()
            _become(json.loads(order), files)
        for file in files:
            os.close(file)
        channel.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _become(order: dict, files: list[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for kind, most in order["limits"]:
        resource.setrlimit(kind, (most, most))
    sys.argv = ["edgematte", *order["words"]]
    code = 1
    try:
        from edgematte.runtime.cli import main

        main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
