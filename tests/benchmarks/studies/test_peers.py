"""Other people's tools in processes of their own: the same network gives the same alpha in each of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgematte.benchmarks.measure.dataset import find_pairs
from edgematte.benchmarks.peers_result import table, to_json
from edgematte.benchmarks.schema import load
from edgematte.benchmarks.studies.peers import PACKAGES, Peer, compare, peer
from edgematte.benchmarks.summary import table_markdown
from edgematte.convert.latency import Effort
from edgematte.runtime.errors import UsageError

QUICK = Effort(seconds=0, least_rounds=2)


def test_a_peer_is_read_as_it_was_named() -> None:
    found = peer("onnxruntime-int8=u.onnx,mean=1/2/3,std=64,calibrate=photos,python=/opt/env/bin/python")
    assert found == Peer(
        "onnxruntime-int8", "u.onnx", (1.0, 2.0, 3.0), (64.0,), None, Path("photos"), python="/opt/env/bin/python"
    )
    assert peer("edgematte=unet-live").python == sys.executable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photoshop=x", "expected KIND=MODEL with KIND one of: edgematte, mediapipe"),
        ("opencv", "expected KIND=MODEL"),
        ("opencv=x.onnx,colour=blue", "unknown setting 'colour'"),
        ("opencv=x.onnx,mean=grey", "'grey' is no number"),
        ("onnxruntime-int8=x.onnx", "add calibrate=DIR"),
    ],
)
def test_a_peer_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        peer(text)


def test_one_network_scores_alike_in_every_tool_and_one_that_fails_stops_nobody(
    orange: Path, orange_tflite: Path, photos: Path, tmp_path: Path
) -> None:
    found = compare(
        [
            peer(f"edgematte={orange_tflite}"),
            peer(f"mediapipe={orange_tflite}"),
            peer(f"opencv={orange}"),
            peer(f"onnxruntime={orange}"),
            peer(f"onnxruntime-int8={orange},calibrate={photos / 'images'}"),
            peer(f"rembg={orange},python=no-such-python"),
            peer("mediapipe=no-such.tflite"),
        ],
        find_pairs(photos)[:2],
        threads=1,
        effort=QUICK,
        command="test",
    )
    by_kind = {row.name.split(",")[0]: row for row in found.rows}
    assert set(by_kind) == {"edgematte", "mediapipe", "opencv", "onnxruntime", "onnxruntime-int8"}
    reference = by_kind["onnxruntime"]
    for name, row in by_kind.items():
        assert len(row.whole.samples_ms) == len(row.whole.cpu_samples_ms) == 2
        assert row.peak_memory_bytes is None or row.peak_memory_bytes > 20e6
        # They enlarge mattes by two different curves, and int8 rounds scores: a few pixels cross 0.5.
        assert row.iou.value == pytest.approx(reference.iou.value, abs=0.01), name
        assert row.mae.value == pytest.approx(reference.mae.value, abs=0.01), name
    assert "int8" in by_kind["onnxruntime-int8"].name
    reasons = {one.name: one.reason for one in found.missing}
    assert "no-such-python cannot be started" in reasons["rembg, orange.onnx"]
    assert "its environment needs: pip install ai-edge-litert" in reasons["mediapipe, no-such.tflite"]

    lines = table_markdown(table(found)).splitlines()
    assert {line.count("|") for line in lines} == {9}
    assert len(lines) == 2 + len(found.rows) + len(found.missing)
    assert lines[-1].count("not measured") == 7

    (tmp_path / "peers.json").write_text(to_json(found))
    assert load(tmp_path / "peers.json") == found, "what a page is made of"


def test_every_kind_says_what_to_install() -> None:
    worker = (Path(__file__).parents[3] / "benchmarks" / "studies" / "workers" / "peers.py").read_text()
    for kind in PACKAGES:
        assert json.dumps(kind) in worker
