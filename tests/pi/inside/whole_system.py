"""Runs on the board, as all it does: PHOTO CAMERA → one `cut`, then live frames, and how much memory both needed.

The last line it prints is `RESULT` and JSON. What goes wrong is in it too, for nobody sees this system after it is off.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from edgematte.runtime.cli import main; main()"]
LIVE_FRAMES = 50
SAMPLE_S = 0.1
LAST_WORDS = 1500  # characters of stderr worth showing


class LeastMemory(threading.Thread):
    """Watches how much memory was available at the worst moment, in KiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.available_kib = available_kib()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.available_kib = min(self.available_kib, available_kib())

    def __enter__(self) -> LeastMemory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def meminfo(name: str) -> int:
    """A line of /proc/meminfo, in KiB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def available_kib() -> int:
    return meminfo("MemAvailable")


def killed_for_memory() -> int:
    """Processes that the kernel ended because memory was out, since it started."""
    found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    return int(found[1]) if found else -1


def cut(photo: str, output: str) -> dict[str, object]:
    """One photo, all steps at their defaults."""
    with LeastMemory() as least:
        done = subprocess.run([*PROGRAM, "cut", photo, "-o", output], capture_output=True, text=True, check=False)
    return {
        "exit_code": done.returncode,
        "said": done.stderr[-LAST_WORDS:],
        "written_bytes": Path(output).stat().st_size if Path(output).is_file() else 0,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "least_available_mib": least.available_kib // 1024,
    }


def live(source: str, output: str) -> dict[str, object]:
    """Frames of a camera, until there are enough."""
    command = [*PROGRAM, "camera", "--source", source, "--sink", output, "--json"]
    frames = 0
    with LeastMemory() as least:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            frames = max(frames, json.loads(line).get("frames", 0))
            if frames >= LIVE_FRAMES:
                process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    return {
        "exit_code": process.returncode,
        "said": said[-LAST_WORDS:],
        "frames": frames,
        "written_bytes": Path(output).stat().st_size if Path(output).is_file() else 0,
        "least_available_mib": least.available_kib // 1024,
    }


photo, source = sys.argv[1:]
available_at_start_mib = available_kib() // 1024
photo_cut = cut(photo, "/var/tmp/cutout.png")
print(json.dumps(photo_cut), flush=True)
frames_cut = live(source, "/var/tmp/live.mp4")
result = {
    "kernel": os.uname().release,
    "machine": os.uname().machine,
    "memory_mib": meminfo("MemTotal") // 1024,
    "available_at_start_mib": available_at_start_mib,
    "cut": photo_cut,
    "live": frames_cut,
    "killed_for_memory": killed_for_memory(),
}
print("RESULT", json.dumps(result), flush=True)
