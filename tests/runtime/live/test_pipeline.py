"""The pipeline: a file loses nothing, a camera is never late, and faults of cameras and sinks do not end it."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgematte.runtime.errors import ModelError, SinkError, SourceError
from edgematte.runtime.live.backdrop import BlurBackdrop
from edgematte.runtime.live.capture import Patience
from edgematte.runtime.live.edge import LiveEdge
from edgematte.runtime.live.frames import Buffers, Frame, SourceInfo
from edgematte.runtime.live.matte import LiveMatte
from edgematte.runtime.live.pipeline import LiveOptions, Pipeline
from edgematte.runtime.live.quality import Quality
from edgematte.runtime.live.render import Renderer
from edgematte.runtime.live.sinks.video import VideoSink
from edgematte.runtime.live.sources.virtual import VirtualCamera, read_number
from edgematte.runtime.live.sources.words import Opener, SourceOptions, opener
from edgematte.runtime.live.status import Status
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.tensors import input_size

from ..live_parts import Collector, make_video, times_of, wait_until

SMALL = (320, 180)
# `make test-endurance` takes the numbers; these keep the everyday suite short.
LONG = "EDGEMATTE_ENDURANCE" in os.environ
CYCLES = 200 if LONG else 10
FRAMES = 10_000 if LONG else 100
WARM_UP = 200  # frames, in which quality finds its rung and every buffer is made
QUICK = Patience(opening=0.6, frame=0.3, frozen=0.3, first_retry=0.01, most_retry=0.05)


class Show:
    """A pipeline over the virtual camera that copies frames, in a thread of its own, with the means to end it."""

    def __init__(
        self,
        camera: VirtualCamera,
        *sinks: Collector | VideoSink,
        work_s: float = 0.0,
        idle_s: float = 1000.0,
        opener: Opener | None = None,
        prepare: Callable[[Frame, Quality], Frame] | None = None,
    ) -> None:
        self.buffers = Buffers()
        self.numbers: list[int] = []
        self.work_s = work_s
        self.render: Callable[[Frame, Quality], NDArray[np.uint8]] = self.copied
        self.qualities: list[Quality] = []
        self.stop = threading.Event()
        self.pipeline = Pipeline(
            opener or (lambda: camera.open(self.buffers)),
            lambda frame, quality: self.render(frame, quality),
            sinks,
            buffers=self.buffers,
            prepare=prepare,
            options=LiveOptions(patience=QUICK, idle_s=idle_s),
        )
        self.result: Status | BaseException | None = None
        self.beats = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def copied(self, frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        self.numbers.append(read_number(frame.image))
        self.qualities.append(quality)
        time.sleep(self.work_s)
        picture = self.buffers.take((SMALL[1], SMALL[0], 3))
        height, width = (min(a, b) for a, b in zip(picture.shape[:2], frame.image.shape[:2], strict=True))
        picture[:height, :width] = frame.image[:height, :width]
        return picture

    def _beat(self) -> None:
        self.beats += 1

    def _run(self) -> None:
        try:
            self.result = self.pipeline.run(self.stop, alive=self._beat)
        except BaseException as error:
            self.result = error

    def __enter__(self) -> Show:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()

    @property
    def status(self) -> Status:
        return self.pipeline.status()

    def more_frames(self, count: int = 3, *, seconds: float = 20.0) -> None:
        goal = self.status.frames + count
        wait_until(lambda: self.status.frames >= goal or self.result is not None, seconds=seconds)
        assert self.status.frames >= goal, self.result


def run_file(path: Path, sink: Collector, render: Callable[[Frame, Quality], NDArray[np.uint8]]) -> Status:
    buffers = Buffers()
    pipeline = Pipeline(opener(str(path), SourceOptions(), buffers), render, [sink], buffers=buffers)
    return pipeline.run(threading.Event())


def test_every_frame_of_a_file_arrives_in_order_with_its_time_however_slow_the_work_is(tmp_path: Path) -> None:
    times_s = np.cumsum([0.0, *([0.02, 0.06] * 20)]).tolist()
    video = make_video(tmp_path / "a.mp4", len(times_s), times_s=times_s)
    sink = Collector()

    def slow(frame: Frame, quality: Quality) -> NDArray[np.uint8]:
        assert quality == Quality(), "a file is never made worse to be quicker"
        time.sleep(0.005)
        return frame.image.copy()

    status = run_file(video, sink, slow)
    assert sink.times_s == pytest.approx(times_s, abs=1e-4)
    assert (status.frames, status.dropped, status.state) == (len(times_s), 0, "ended")
    assert sink.finished == [True]


def test_a_frame_is_prepared_while_the_one_before_is_rendered_and_none_is_lost(tmp_path: Path) -> None:
    sink, buffers = Collector(), Buffers()
    inside, together = threading.Semaphore(0), list[bool]()

    def prepare(frame: Frame, _: Quality) -> Frame:
        inside.release()
        time.sleep(0.01)
        return replace(frame, matte=np.full((2, 2), frame.number, np.uint8))

    def render(frame: Frame, _: Quality) -> NDArray[np.uint8]:
        assert frame.matte is not None
        picture = np.full((16, 16, 3), frame.matte[0, 0], np.uint8)
        inside.acquire()  # this frame's own
        if frame.number < 19:  # the last has none after it
            together.append(inside.acquire(timeout=20))  # the next one's: it is prepared before this is rendered
            inside.release()
        return picture

    source = opener(str(make_video(tmp_path / "a.mp4", 20)), SourceOptions(), buffers)
    status = Pipeline(source, render, [sink], buffers=buffers, prepare=prepare).run(threading.Event())
    assert (status.frames, status.dropped, sink.finished) == (20, 0, [True])
    assert [int(picture[0, 0, 0]) for picture in sink.pictures] == list(range(20))
    assert all(together)


def test_a_network_that_fails_ends_it_with_its_reason(tmp_path: Path) -> None:
    sink, buffers = Collector(), Buffers()

    def prepare(frame: Frame, _: Quality) -> Frame:
        if frame.number == 5:
            raise ModelError("the fifth")
        return frame

    source = opener(str(make_video(tmp_path / "a.mp4", 10)), SourceOptions(), buffers)
    pipeline = Pipeline(source, lambda frame, _: frame.image.copy(), [sink], buffers=buffers, prepare=prepare)
    with pytest.raises(ModelError, match="the fifth"):
        pipeline.run(threading.Event())
    assert sink.finished == [False]


def test_a_damaged_picture_is_bridged_by_the_one_before(tmp_path: Path) -> None:
    import cv2

    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((16, 16, 3), number * 10, np.uint8))
    (tmp_path / "2.png").write_bytes(b"no picture")
    sink = Collector()
    status = run_file(tmp_path, sink, lambda frame, _: frame.image.copy())
    assert [int(picture[0, 0, 0]) for picture in sink.pictures] == [0, 10, 10, 30]
    assert status.corrupt == 1


def test_a_file_that_ends_in_an_error_is_not_called_whole(tmp_path: Path) -> None:
    video, sink = make_video(tmp_path / "a.mp4", 10), Collector()

    def fail(frame: Frame, _: Quality) -> NDArray[np.uint8]:
        if frame.number == 5:
            raise SourceError("the fifth")
        return frame.image.copy()

    with pytest.raises(SourceError, match="the fifth"):
        run_file(video, sink, fail)
    assert sink.finished == [False]


def test_a_slow_stage_gets_the_newest_frame_and_the_others_are_counted() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    with Show(camera, sink, work_s=0.05) as show:
        show.more_frames(10)
        gaps = np.diff(show.numbers)
        assert (gaps > 0).all(), "never back in time"
        assert np.median(gaps) >= 3, "50 ms of work at 100 frames a second; a busy machine makes the gaps wider"
        assert show.status.dropped > 0
    assert isinstance(show.result, Status)
    assert show.result.frames == len(sink.pictures)


def test_quality_goes_down_when_frames_take_too_long_and_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgematte.runtime.live.quality.FIRST_PATIENCE_S", 0.2)
    camera = VirtualCamera(size=SMALL, fps=25)
    with Show(camera, Collector(), work_s=0.06) as show:
        wait_until(lambda: show.status.quality >= 1)
        show.work_s = 0.0
        wait_until(lambda: show.status.quality == 0)
    assert not all(quality.refine for quality in show.qualities)


def test_a_camera_missing_at_the_start_is_waited_for() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    camera.fail("unplug")
    with Show(camera, sink) as show:
        wait_until(lambda: show.status.trouble is not None)
        assert "unplugged" in str(show.status.trouble)
        assert show.status.state == "waiting"
        camera.fail(None)
        show.more_frames()
        assert show.status.trouble is None


def test_unplugged_cameras_come_back_and_the_file_plays_without_a_gap(tmp_path: Path) -> None:
    camera = VirtualCamera(size=SMALL, fps=0)
    path = tmp_path / "a.mp4"
    gc.collect()
    descriptors, threads = open_descriptors(), threading.active_count()
    with Show(camera, VideoSink(path)) as show:
        for cycle in range(CYCLES):
            show.more_frames(1)
            camera.fail("unplug")
            wait_until(lambda: show.status.state == "waiting")
            camera.fail(None)
            wait_until(lambda cycle=cycle: show.status.reconnects > cycle)
        assert camera.opened == CYCLES + 1
    assert isinstance(show.result, Status)
    times_s = times_of(path)
    assert len(times_s) == show.result.frames, "nothing of what was written is lost"
    assert (np.diff(times_s) >= 0).all()
    gc.collect()
    assert open_descriptors() == descriptors
    assert threading.active_count() == threads


def test_a_stuck_camera_is_left_behind_and_opened_anew() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    with Show(camera, sink) as show:
        show.more_frames()
        camera.fail("stall")
        wait_until(lambda: show.status.stuck >= 1)
        camera.fail(None)
        show.more_frames()
        assert show.status.state == "running"


def test_a_camera_that_hangs_for_good_stops_the_sign_of_life() -> None:
    camera = VirtualCamera(size=SMALL, fps=100)
    with Show(camera, Collector()) as show:
        show.more_frames()
        camera.fail("stall")
        wait_until(lambda: show.status.stuck == 3)
        time.sleep(QUICK.opening + 0.3)
        before = show.beats
        time.sleep(0.5)
        assert show.beats == before, "systemd is to start the process anew"
        camera.fail(None)
    wait_until(lambda: "capture" not in [thread.name for thread in threading.enumerate()])


def test_frozen_torn_corrupt_and_resized_frames_do_not_end_it() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    with Show(camera, sink) as show:
        show.more_frames()
        camera.fail("corrupt")
        wait_until(lambda: show.status.corrupt > 3)
        camera.fail("tear")
        show.more_frames()
        camera.fail("resize")
        show.more_frames()
        camera.fail("freeze")
        wait_until(lambda: "same picture" in str(show.status.trouble))
        camera.fail(None)
        show.more_frames()
    assert isinstance(show.result, Status)
    assert len(sink.formats) == 1, "the sink never noticed"


def test_a_sink_that_can_come_back_is_opened_again_while_the_other_goes_on() -> None:
    camera, device, other = VirtualCamera(size=SMALL, fps=100), Collector(returns=True), Collector()
    with Show(camera, device, other) as show:
        show.more_frames()
        device.broken = True
        wait_until(lambda: show.status.trouble is not None)
        seen = len(other.pictures)
        show.more_frames()
        assert len(other.pictures) > seen
        device.broken = False
        wait_until(lambda: len(device.formats) == 2)
    assert isinstance(show.result, Status)


def test_the_last_sink_that_is_gone_for_good_ends_it_with_its_reason() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    with Show(camera, sink) as show:
        show.more_frames()
        sink.broken = True
        wait_until(lambda: show.result is not None)
    assert isinstance(show.result, SinkError)
    assert sink.finished == [False]


def test_the_camera_rests_while_nobody_looks() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=100), Collector()
    with Show(camera, sink, idle_s=0.2) as show:
        show.more_frames()
        sink.looked_at = False
        wait_until(lambda: show.status.state == "resting")
        time.sleep(0.1)
        frames = show.status.frames
        time.sleep(0.3)
        assert show.status.frames == frames
        sink.looked_at = True
        show.more_frames()
    assert camera.opened == 2


class Host:
    """A camera that answers on a port of this machine, until it is gone."""

    def __init__(self, port: int) -> None:
        self.info = SourceInfo("a far camera", live=True, size=SMALL, host=("127.0.0.1", port))
        self._port = port

    def __enter__(self) -> Host:
        try:
            socket.create_connection(("127.0.0.1", self._port), 5).close()
        except OSError as error:
            raise SourceError("a far camera refused the connection") from error
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Frame]:
        for number in count():
            time.sleep(0.01)
            yield Frame(np.full((SMALL[1], SMALL[0], 3), number % 256, np.uint8), number, 0.0, time.monotonic())


def test_a_camera_s_host_that_dies_while_nobody_looks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgematte.runtime.live.capture.LOOK_EVERY_S", 0.1)
    sink, listener = Collector(), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with Show(VirtualCamera(), sink, idle_s=0.1, opener=lambda: Host(port)) as show:
        show.more_frames()
        sink.looked_at = False
        wait_until(lambda: show.status.state == "resting")
        assert show.status.trouble is None
        listener.close()
        wait_until(lambda: show.status.trouble == "a far camera refused the connection")
        assert show.status.state == "waiting", "and it is not left to rest while it is in trouble"
        time.sleep(0.3)
        assert show.status.state == "waiting"
        with socket.create_server(("127.0.0.1", port)):
            wait_until(lambda: show.status.state == "resting" and show.status.trouble is None)


def test_thousands_of_frames_leave_memory_threads_and_descriptors_as_they_were() -> None:
    camera, sink = VirtualCamera(size=SMALL, fps=120), Collector()
    sink.pictures, sink.times_s = Forgetful(), Forgetful()
    segmenter = Segmenter(threads=1)
    matte = LiveMatte(segmenter.matte, input_size(segmenter.network.inputs[0]), steady=True)
    with Show(camera, sink, prepare=matte) as show:
        show.render = Renderer(LiveEdge(), buffers=show.buffers, backdrop=BlurBackdrop())
        show.more_frames(WARM_UP, seconds=120)
        before = resident_bytes()
        threads, descriptors = threading.active_count(), open_descriptors()
        wait_until(lambda: show.status.frames > WARM_UP + FRAMES, seconds=900 if LONG else 120)
        # Two megabytes is the number, for ten thousand frames.
        assert resident_bytes() - before < 2e6
        # On a machine too busy to bring frames in time a capture thread is replaced, and ends a moment later.
        wait_until(lambda: (threading.active_count(), open_descriptors()) == (threads, descriptors), seconds=20)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Forgetful(list):
    """Keeps nothing, so that only the pipeline's own memory is measured."""

    def append(self, item: object) -> None:
        """Dropped."""


class Bewildered:
    """A file whose decoder raises what no source should."""

    info = SourceInfo("a bewildered file", live=False, size=SMALL)

    def __enter__(self) -> Bewildered:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(np.zeros((SMALL[1], SMALL[0], 3), np.uint8), 0, 0.0, time.monotonic())
        raise ValueError("seven bits of eight")


def test_an_error_that_no_source_should_raise_ends_the_run_with_its_reason_and_does_not_hang_it() -> None:
    sink, buffers = Collector(), Buffers()
    pipeline = Pipeline(Bewildered, lambda frame, _quality: frame.image.copy(), [sink], buffers=buffers)
    stop = threading.Event()
    late = threading.Timer(20, stop.set)  # the run hung here for ever; a failing test should not
    late.start()
    with pytest.raises(SourceError, match="a bewildered file: seven bits of eight"):
        pipeline.run(stop)
    late.cancel()
    assert sink.finished == [False], "what was written is not called whole"
