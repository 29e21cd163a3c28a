"""Photos with masks and other people's tools → accuracy and latency of each, beside ours, from one interleaved run.

    python -m edgematte.benchmarks.studies peers --data DIR --peer edgematte=unet-live --peer mediapipe=selfie.tflite \\
        --peer 'opencv=unet.onnx,mean=128,std=128' \\
        --peer 'onnxruntime-int8=unet.onnx,mean=128,std=128,calibrate=PHOTOS' \\
        --peer 'rembg=model.onnx,session=u2net_custom,python=ENV/bin/python'

Every peer runs in a process of its own, and in an environment of its own where `python=` names one. All get the same
pixels and the same number of threads, and all end with an alpha of the photo's size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer

from ...convert.latency import Effort, Timing
from ...runtime.device.files import sha256, write_bytes
from ...runtime.device.machine import this_machine
from ...runtime.errors import EdgeMatteError, MissingExtraError, UsageError
from ...runtime.picture.images import Alpha, Image, Size
from ..measure.accuracy import boundary_iou, iou, mae
from ..measure.dataset import Pair, find_pairs, fingerprint
from ..measure.stats import mean_interval
from ..peers_result import Missing, Peers, Row, table, to_json
from ..summary import table_markdown
from ..timings import frame_of

WORKER = Path(__file__).parent / "workers" / "peers.py"
# What each needs in its environment, beside numpy and OpenCV.
PACKAGES = {
    "edgematte": "edgematte",
    "mediapipe": "ai-edge-litert opencv-python-headless",
    "opencv": "opencv-python-headless",
    "onnxruntime": "onnxruntime opencv-python-headless",
    "onnxruntime-int8": "onnxruntime opencv-python-headless",
    "rembg": "'rembg[cpu]' opencv-python-headless",
}
_Three = tuple[float, float, float]  # IoU, boundary IoU and MAE of one photo
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Peer:
    """A tool and its network, as named on the command line."""

    kind: str  # a key of PACKAGES
    model: str  # a file, or for ours a bundled model's name
    mean: tuple[float, ...] = (0.0,)  # pixel units, as for `convert`
    std: tuple[float, ...] = (255.0,)
    size: Size | None = None  # of the network's input, where the file is no .tflite; None: read from the file
    calibrate: Path | None = None  # photos, for onnxruntime-int8
    session: str = "u2net_custom"  # rembg's class for a model file
    refine: str = "off"  # how ours brings edges to the photo's size; the others enlarge
    python: str = sys.executable


def peer(text: str) -> Peer:
    """`KIND=MODEL[,mean=R/G/B][,std=R/G/B][,calibrate=DIR][,refine=MODE][,session=NAME][,python=FILE]`.

    Raises UsageError for anything else.
    """
    kind, _, rest = text.partition("=")
    if kind not in PACKAGES or not rest:
        raise UsageError(f"--peer {text}: expected KIND=MODEL with KIND one of: {', '.join(PACKAGES)}")
    model, *settings = rest.split(",")
    found = Peer(kind, model)
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            if key in ("mean", "std"):
                found = replace(found, **{key: tuple(float(v) for v in value.split("/"))})
            elif key == "calibrate":
                found = replace(found, calibrate=Path(value))
            elif key in ("session", "python", "refine"):
                found = replace(found, **{key: value})
            else:
                raise UsageError(
                    f"--peer {text}: unknown setting '{key}'; expected mean, std, calibrate, refine, session, python"
                )
        except ValueError as error:
            raise UsageError(
                f"--peer {text}: '{value}' is no number; expected e.g. mean=127.5 or mean=1/2/3"
            ) from error
    if kind == "onnxruntime-int8" and found.calibrate is None:
        raise UsageError(f"--peer {text}: int8 needs photos to take ranges from; add calibrate=DIR")
    return found


def name_of(peer: Peer) -> str:
    """Tool and file."""
    refined = f", refined {peer.refine}" if peer.kind == "edgematte" and peer.refine != "off" else ""
    return f"{peer.kind}, {Path(peer.model).name}{refined}"


class Worker:
    """A peer's process. Raises UsageError when it does not start, EdgeMatteError when it fails on a photo."""

    def __init__(self, peer: Peer, threads: int, folder: Path) -> None:
        self.name = name_of(peer)
        job = folder / f"{peer.kind}-{id(self)}.json"
        self._errors = job.with_suffix(".log")
        job.write_text(json.dumps({**asdict(peer), "calibrate": None, "threads": threads}))
        # Without the safe path, a peer that imports a module of one of this folder's names would get ours.
        environment = {**os.environ, "PYTHONSAFEPATH": "1", **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        try:
            with self._errors.open("w") as errors:
                self._process = subprocess.Popen(
                    [peer.python, str(WORKER), str(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=errors, text=True, env=environment,
                )  # fmt: skip
        except OSError as error:
            raise UsageError(f"{peer.python} cannot be started: {error.strerror}") from error
        try:
            ready = self._answer()
        except EdgeMatteError as error:
            self.close()
            raise UsageError(f"{error}; its environment needs: pip install {PACKAGES[peer.kind]}") from error
        self.engine, self.load_ms = str(ready["engine"]), float(ready["load_ms"])
        self.peak_memory_bytes: int | None = None

    def __call__(self, photo: Path, alpha: Path | None = None) -> tuple[float, float]:
        """(wall, CPU) milliseconds of one photo (.npy) to its alpha, which is written where a file is named."""
        self._pipe(self._process.stdin).write(json.dumps({"photo": str(photo), "alpha": alpha and str(alpha)}) + "\n")
        self._pipe(self._process.stdin).flush()
        answer = self._answer()
        self.peak_memory_bytes = answer["peak_memory_bytes"]
        return float(answer["ms"]), float(answer["cpu_ms"])

    def close(self) -> None:
        """Ends the process by closing its stdin."""
        for pipe in (self._process.stdin, self._process.stdout):
            self._pipe(pipe).close()
        self._process.wait(timeout=60)

    def _answer(self) -> dict:
        line = self._pipe(self._process.stdout).readline()
        if line:
            return json.loads(line)
        self._process.wait(timeout=60)
        said = self._errors.read_text(errors="replace").strip().splitlines()
        raise EdgeMatteError(f"it ended: {said[-1] if said else f'exit code {self._process.returncode}'}")

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise EdgeMatteError("the peer's process has no pipe")
        return pipe


def compare(
    peers: Sequence[Peer], pairs: Sequence[Pair], *, threads: int, effort: Effort, command: str,
    say: Callable[[str], object] = lambda _: None,
) -> Peers:  # fmt: skip
    """All peers on all photos, then by turns on one 720p frame. A peer that fails is named in the result."""
    missing: list[Missing] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgematte-")))
        running: list[tuple[Peer, Worker]] = []
        for one in peers:
            say(name_of(one))
            try:
                ready = _ready(one, folder)
                worker = stack.enter_context(_worker(ready, threads, folder))
            except EdgeMatteError as error:
                missing.append(Missing(name_of(one), str(error)))
            else:
                running.append((ready, worker))
        scores, failed = _score(running, pairs, folder)
        missing += failed
        running = [(one, worker) for one, worker in running if id(worker) in scores]
        timings = _time([worker for _, worker in running], frame_of(pairs).image, folder, effort)
        rows = tuple(_row(one, worker, scores[id(worker)], timings[id(worker)]) for one, worker in running)
    return Peers(
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command,
        machine=this_machine(),
        photos=len(pairs),
        photos_sha256=fingerprint(pairs),
        threads=threads,
        rows=rows,
        missing=tuple(missing),
    )


# The steps --------------------------------------------------------------------------------------------------------
@contextmanager
def _worker(peer: Peer, threads: int, folder: Path) -> Iterator[Worker]:
    worker = Worker(peer, threads, folder)
    try:
        yield worker
    finally:
        worker.close()


def _ready(peer: Peer, folder: Path) -> Peer:
    """The peer with its network's size read and, for int8, its network quantised by onnxruntime's own tool."""
    if peer.kind not in ("opencv", "onnxruntime", "onnxruntime-int8"):
        return peer
    try:
        from ...convert.onnx.graph import load
        from ...runtime.network.tensors import input_size
    except ModuleNotFoundError as error:
        raise MissingExtraError("the study peers", "bench", error.name or "onnx") from error
    from ...runtime.network.interpreter import TensorInfo

    graph = load(Path(peer.model))
    size = input_size(TensorInfo(graph.input, graph.shapes[graph.input], np.dtype(np.float32), 0.0, 0))
    peer = replace(peer, size=size)
    if peer.calibrate is None:
        return peer
    return replace(peer, model=str(_quantised(peer, graph.input, size, folder)))


def _quantised(peer: Peer, input_name: str, size: Size, folder: Path) -> Path:
    """onnxruntime's static quantisation with its defaults for CPUs: QDQ, int8, per channel, min-max ranges."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from ...convert.photos import gather

    if peer.calibrate is None:
        raise UsageError("int8 needs photos to take ranges from; add calibrate=DIR")
    images = iter(gather(peer.calibrate, size, most=100).images)

    class Photos(CalibrationDataReader):
        """Hands photos to onnxruntime, one by one; None is the end."""

        def get_next(self) -> Any:
            image = next(images, None)
            if image is None:
                return None
            real = (image.astype(np.float32) - np.asarray(peer.mean, np.float32)) / np.asarray(peer.std, np.float32)
            return {input_name: np.ascontiguousarray(real.transpose(2, 0, 1)[np.newaxis])}

    prepared, quantised = folder / "prepared.onnx", folder / f"{Path(peer.model).stem}.int8.onnx"
    try:
        # Its symbolic shape inference would want sympy, and these networks have fixed shapes.
        quant_pre_process(peer.model, str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(quantised), Photos(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
    except Exception as error:  # onnxruntime's exceptions have no public base class
        raise EdgeMatteError(f"onnxruntime does not quantise {peer.model}: {str(error).splitlines()[0]}") from error
    return quantised


def _score(
    running: Sequence[tuple[Peer, Worker]], pairs: Sequence[Pair], folder: Path
) -> tuple[dict[int, list[_Three]], list[Missing]]:
    scores: dict[int, list[_Three]] = {id(worker): [] for _, worker in running}
    missing: list[Missing] = []
    photo, answer = folder / "photo.npy", folder / "alpha.npy"
    for pair in pairs:
        image, truth = pair.read()
        np.save(photo, image)
        for _, worker in running:
            if id(worker) not in scores:
                continue
            try:
                worker(photo, answer)
                alpha = _alpha(answer, truth, worker.name)
            except EdgeMatteError as error:
                del scores[id(worker)]
                missing.append(Missing(worker.name, str(error)))
                continue
            scores[id(worker)].append((iou(alpha, truth), boundary_iou(alpha, truth), mae(alpha, truth)))
    return scores, missing


def _alpha(path: Path, truth: Alpha, name: str) -> Alpha:
    alpha = np.load(path)
    if alpha.shape != truth.shape or alpha.dtype != np.uint8:
        raise EdgeMatteError(f"{name} gave {alpha.dtype} {alpha.shape}; expected an alpha of the photo's size")
    return alpha


def _time(workers: Sequence[Worker], frame: Image, folder: Path, effort: Effort) -> dict[int, Timing]:
    """By turns, the order turning over from round to round, as latency.py does it within one process."""
    photo = folder / "frame.npy"
    np.save(photo, frame)
    samples: dict[int, list[tuple[float, float]]] = {id(worker): [] for worker in workers}
    for worker in workers:
        worker(photo)
    turn = list(workers)
    spent_ms, rounds = 0.0, 0
    while turn and (rounds < effort.least_rounds or spent_ms < effort.seconds * 1000) and rounds < effort.most_rounds:
        for worker in turn:
            sample = worker(photo)
            samples[id(worker)].append(sample)
            spent_ms += sample[0]
        turn.reverse()
        rounds += 1
    return {
        key: Timing(tuple(wall for wall, _ in found), tuple(cpu for _, cpu in found)) for key, found in samples.items()
    }


def _row(peer: Peer, worker: Worker, scores: list[_Three], timing: Timing) -> Row:
    file = Path(peer.model)
    overlap, boundary, error = map(mean_interval, zip(*scores, strict=True))
    return Row(
        name=worker.name,
        engine=worker.engine,
        sha256=sha256(file) if file.is_file() else None,
        size_bytes=file.stat().st_size if file.is_file() else None,
        iou=overlap,
        boundary_iou=boundary,
        mae=error,
        whole=timing,
        load_ms=worker.load_ms,
        peak_memory_bytes=worker.peak_memory_bytes,
    )


def main(
    peers: Annotated[
        list[str],
        typer.Option("--peer", metavar="KIND=MODEL[,SETTING=VALUE…]", help=f"KIND is one of: {', '.join(PACKAGES)}."),
    ],
    data: Annotated[Path, typer.Option(help="images/ and masks/ with the same stems.")],
    threads: Annotated[int, typer.Option(min=1, help="Of every peer.")] = 1,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure latency.")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="At least so many rounds, whatever that takes.")] = 10,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything here as well.")] = None,
) -> None:
    """Other people's tools beside ours: same photos, same threads, same end."""
    words = " ".join(["python -m edgematte.benchmarks.studies", *sys.argv[1:]])
    found = compare(
        [peer(text) for text in peers], find_pairs(data), threads=threads,
        effort=Effort(seconds=seconds, least_rounds=rounds), command=words,
        say=lambda name: typer.echo(f"starting {name}", err=True),
    )  # fmt: skip
    if json_file is not None:
        write_bytes(json_file, to_json(found).encode(), overwrite=True)
    typer.echo(table_markdown(table(found)))
    for one in found.missing:
        typer.echo(f"edgematte: {one.name}: {one.reason}", err=True)
    if found.missing:
        raise typer.Exit(EdgeMatteError.exit_code)
