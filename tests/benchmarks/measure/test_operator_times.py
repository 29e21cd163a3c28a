"""Each operator's time: from a log written by hand, and from onnxruntime itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edgematte.benchmarks.measure.operator_times import RUNS, WARM_UP, from_onnx_log
from edgematte.benchmarks.measure.reference import Reference
from edgematte.runtime.picture.images import read


def test_the_shortest_of_each_nodes_runs_in_order_without_the_warm_up() -> None:
    def event(name: str, kind: str, us: float) -> dict[str, object]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": kind}}

    events: list[dict[str, object]] = [{"cat": "Session", "name": "model_run", "dur": 9e9}]
    for run in range(WARM_UP + RUNS):
        slow = -20.0 if run < WARM_UP else 90.0 * (run % 3)  # two runs of three are interrupted
        events += [event("stem", "Conv", 400.0 + slow), event("head", "Sigmoid", 30.0 + slow)]
        events.append({"cat": "Node", "name": "stem_fence_before", "dur": 7.0, "args": {"op_name": "Conv"}})
    found = from_onnx_log(json.dumps(events))
    assert [(operator.kind, operator.name, operator.ms) for operator in found] == [
        ("Conv", "stem", pytest.approx(0.4)),
        ("Sigmoid", "head", pytest.approx(0.03)),
    ]


def test_onnxruntime_tells_the_time_of_every_operator(orange: Path, astronaut: Path) -> None:
    reference = Reference(orange)
    tensor = reference.prepare(read(astronaut))
    found = reference.operators(tensor)
    assert found is not None
    # onnxruntime fuses and adds conversions as it likes; that there is one convolution remains.
    assert sum("Conv" in operator.kind for operator in found) == 1
    wall_s = time.perf_counter()
    reference.run(tensor)
    wall_ms = (time.perf_counter() - wall_s) * 1000
    assert 0 < sum(operator.ms for operator in found) < 2 * wall_ms, "the operators are what a call consists of"
