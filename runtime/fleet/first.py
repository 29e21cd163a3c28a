"""`python3 -m edgematte.runtime.fleet.first STICK`, by install.sh: the first install, with nothing but Python."""

from __future__ import annotations

import sys

from ..device.release import home
from ..errors import EdgeMatteError
from ..terminal import complain
from .releases import Home
from .update import update


def main() -> int:
    """The program's exit code."""
    try:
        folder = Home(home())
        with folder.locked():
            done = update(folder, sys.argv[1], say=complain)
    except EdgeMatteError as error:
        complain(str(error))
        return error.exit_code
    complain("it is installed; try: edgematte versions" if done.to else "it is here already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
