"""An engine's own log of a few runs → how long each operator of the network takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnxruntime

RUNS = 20
WARM_UP = 3  # runs that are not counted
US_PER_MS = 1000
KERNEL = "_kernel_time"  # how onnxruntime ends the name of the event that is the computation itself


@dataclass(frozen=True)
class OperatorTime:
    """One operator, in the order of execution."""

    kind: str  # "Conv", "CONV_2D"
    name: str  # the node's
    ms: float  # the shortest of many runs by the wall clock: what it takes when nobody interrupts


def onnx_operators(
    open_session: Callable[[onnxruntime.SessionOptions], onnxruntime.InferenceSession], feeds: dict[str, NDArray]
) -> tuple[OperatorTime, ...]:
    """onnxruntime's profiler on a session of its own, on the CPU; a GPU's events would be launches, not work."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="edgematte-") as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = open_session(options)
        for _ in range(WARM_UP + RUNS):
            session.run(None, feeds)
        return from_onnx_log(Path(session.end_profiling()).read_text())


def from_onnx_log(text: str) -> tuple[OperatorTime, ...]:
    """onnxruntime's profile, a list of events in Chrome's trace format → one entry per node, in order."""
    kinds: dict[str, str] = {}
    durations: dict[str, list[float]] = {}
    for event in json.loads(text):
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(KERNEL):
            node = name.removesuffix(KERNEL)
            kinds[node] = event["args"]["op_name"]
            durations.setdefault(node, []).append(event["dur"] / US_PER_MS)
    return tuple(OperatorTime(kinds[node], node, min(times[WARM_UP:] or times)) for node, times in durations.items())
