"""`python kill.py HOME STICK STEP`: an update that is killed before its STEP-th change to a file; 0: never.

Prints how many there were. Run by test_kill.py in a process of its own, since nothing can be cleaned up after SIGKILL.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CHANGES = ("os.rename", "os.remove", "os.symlink", "os.link", "os.mkdir", "os.rmdir", "subprocess.Popen")

if importlib.util.find_spec("edgematte") is None:
    spec = importlib.util.spec_from_file_location(
        "edgematte", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    edgematte = importlib.util.module_from_spec(spec)
    sys.modules["edgematte"] = edgematte
    spec.loader.exec_module(edgematte)
else:
    import edgematte


def main() -> None:
    from edgematte.runtime.fleet.releases import Home
    from edgematte.runtime.fleet.update import update

    home, place, step = Home(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    with home.locked():
        update(home, place, say=lambda _line: None)
    print(seen)


if __name__ == "__main__":
    main()
