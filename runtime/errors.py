"""Every error a user can cause, as one tree. A message says what was found, what was expected, what to type next."""

from __future__ import annotations

from importlib.util import find_spec


class EdgeMatteError(Exception):
    """Root of the tree; the program prints its message on one line and exits with `exit_code`."""

    exit_code = 1  # something failed, the rest was done


class UsageError(EdgeMatteError):
    """The command cannot mean anything: a wrong option, an input that is not there, an output that is in the way."""

    exit_code = 2


class MissingExtraError(UsageError):
    """A verb needs packages that a device install leaves out."""

    def __init__(self, verb: str, extra: str, package: str) -> None:
        super().__init__(f"'edgematte {verb}' needs {package}; install it with: pip install 'edgematte[{extra}]'")


def require(verb: str, extra: str, *modules: str) -> None:
    """Raises MissingExtraError for the first module that is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(verb, extra, module)


class ImageError(EdgeMatteError):
    """A file that cannot be read as a picture, or a picture that cannot be written."""


class OutputExistsError(EdgeMatteError):
    """The output is there already and nobody allowed replacing it."""


class ModelError(EdgeMatteError):
    """A network file that is damaged, of an unknown kind, or beyond what this device can run."""


class SourceError(EdgeMatteError):
    """A camera, stream or video that cannot be opened, or that stopped giving frames."""


class SinkError(EdgeMatteError):
    """A place for finished frames that cannot be opened, or that takes no more of them."""


class ServiceError(EdgeMatteError):
    """A service that cannot listen where it should, or whose processes do not live."""


class StorageError(EdgeMatteError):
    """The disk that keeps an event's pictures is full, gone, or not to be written to."""


class ConversionError(EdgeMatteError):
    """A network that cannot be converted; the message names the operator, the node and the tensor shape."""


class GateRefusedError(EdgeMatteError):
    """A network that converts but is not as good as was asked for."""

    exit_code = 3
