"""One peer in a process of its own: photos in, alphas at photo size out, timed inside. Run by peers.py, never imported.

    PYTHON workers/peers.py JOB.json

It stands alone, so that a peer's environment needs only the peer, numpy and OpenCV. JOB.json says what to load; then
each line of stdin is {"photo": FILE.npy, "alpha": FILE.npy or null} and is answered by one line of JSON on stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Job = dict[str, Any]  # the fields of `peers.Peer`, and threads
AlphaOf = Callable[[NDArray], NDArray]  # (H, W, 3) uint8 RGB → (H, W) uint8


def open_edgematte(job: Job) -> tuple[AlphaOf, str]:
    """Ours."""
    from importlib.metadata import version

    from edgematte import Segmenter

    segmenter = Segmenter(job["model"], threads=job["threads"], mode=job["refine"])
    return segmenter, f"edgematte {version('edgematte')}"


def open_tflite(job: Job) -> tuple[AlphaOf, str]:
    """A .tflite network that takes RGB in 0…1 and gives one channel of alpha, as MediaPipe's selfie networks do."""
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(model_path=job["model"], num_threads=job["threads"])
    network.allocate_tensors()
    wanted, given = network.get_input_details()[0], network.get_output_details()[0]
    _, height, width, _ = wanted["shape"]

    def alpha(image: NDArray) -> NDArray:
        network.set_tensor(wanted["index"], normalised(image, (width, height), job)[np.newaxis])
        network.invoke()
        return enlarged(network.get_tensor(given["index"])[0, :, :, 0], image)

    return alpha, f"ai-edge-litert {version('ai-edge-litert')}"


def open_opencv(job: Job) -> tuple[AlphaOf, str]:
    """An .onnx network in OpenCV's own DNN module."""
    cv2.setNumThreads(job["threads"])
    network = cv2.dnn.readNetFromONNX(job["model"])

    def alpha(image: NDArray) -> NDArray:
        planes = normalised(image, tuple(job["size"]), job).transpose(2, 0, 1)
        network.setInput(np.ascontiguousarray(planes[np.newaxis]))
        return enlarged(network.forward()[0, 0], image)

    return alpha, f"OpenCV {cv2.__version__} DNN"


def open_onnxruntime(job: Job) -> tuple[AlphaOf, str]:
    """An .onnx network, quantised or not, on onnxruntime's CPU provider."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def alpha(image: NDArray) -> NDArray:
        planes = normalised(image, tuple(job["size"]), job).transpose(2, 0, 1)
        (output,) = session.run(None, {name: np.ascontiguousarray(planes[np.newaxis])})
        return enlarged(np.asarray(output)[0, 0], image)

    return alpha, f"onnxruntime {onnxruntime.__version__}"


def open_rembg(job: Job) -> tuple[AlphaOf, str]:
    """rembg with a model file that is already there; it never downloads one here."""
    from importlib.metadata import version

    # It loads models from its own folder only, and asks this variable which one that is.
    os.environ["U2NET_HOME"] = str(Path(job["model"]).parent.resolve())
    import rembg

    session = rembg.new_session(job["session"], providers=["CPUExecutionProvider"], model_path=job["model"])

    def alpha(image: NDArray) -> NDArray:
        return np.asarray(rembg.remove(image, session=session, only_mask=True))

    return alpha, f"rembg {version('rembg')}"


def normalised(image: NDArray, size: tuple[int, int], job: Job) -> NDArray:
    """(H, W, 3) uint8 → (h, w, 3) float32 as the network was trained."""
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return (small - np.asarray(job["mean"], np.float32)) / np.asarray(job["std"], np.float32)


def enlarged(share: NDArray, image: NDArray) -> NDArray:
    """(h, w) alpha in 0…1 → (H, W) uint8 of the photo's size."""
    height, width = image.shape[:2]
    small = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


OPENERS = {
    "edgematte": open_edgematte,
    "mediapipe": open_tflite,
    "opencv": open_opencv,
    "onnxruntime": open_onnxruntime,
    "onnxruntime-int8": open_onnxruntime,
    "rembg": open_rembg,
}


def peak_memory_bytes() -> int | None:
    """The most this process has held at once; None where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def main() -> None:
    """Loads, then answers until stdin ends."""
    job = json.loads(Path(sys.argv[1]).read_text())
    cv2.setNumThreads(job["threads"])
    # A peer may print while it loads or runs; only the answers belong on the pipe.
    answers, sys.stdout = sys.stdout, sys.stderr
    began = time.perf_counter()
    alpha_of, engine = OPENERS[job["kind"]](job)
    print(json.dumps({"engine": engine, "load_ms": (time.perf_counter() - began) * 1000}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        image = np.load(asked["photo"])
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        alpha = alpha_of(image)
        cpu, wall = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
        if asked["alpha"] is not None:
            np.save(asked["alpha"], alpha)
        answer = {"ms": wall / 1e6, "cpu_ms": cpu / 1e6, "peak_memory_bytes": peak_memory_bytes()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
