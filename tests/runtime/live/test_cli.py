"""`edgematte camera` and `edgematte video` as a user meets them: processes, files, signals, words."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgematte.runtime.live.frames import Buffers
from edgematte.runtime.live.sources.ffmpeg import open_video
from edgematte.runtime.live.sources.opencv import OpenCvSource

from ..live_parts import SIZE, add_sound, make_video, picture_of, times_of, wait_until
from .sources.rtsp_camera import rtsp_camera

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")
UNEVEN_S = np.cumsum([0.0, *[0.02, 0.06] * 12]).tolist()
HALF = 30  # frames; all but the few that fit into the pipe and the pipeline have been written when they were sent
COMMAND = [sys.executable, "-c", "from edgematte.runtime.cli import main; main()"]


def begin(*words: object, **more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **more}
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def pixels_of(video: Path) -> list[np.ndarray]:
    with open_video(str(video), Buffers()) as source:
        return [frame.image for frame in source]


def test_opencv_alone_gives_a_video_of_the_same_frames_and_times(
    run_program: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    video = make_video(tmp_path / "in.mp4", len(UNEVEN_S), times_s=UNEVEN_S)
    done = run_program("video", video, "-o", tmp_path / "out.mp4", "-m", model, "--background", "#00ff00", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == len(UNEVEN_S)
    assert times_of(tmp_path / "out.mp4") == pytest.approx(UNEVEN_S, abs=1e-4)
    first = pixels_of(tmp_path / "out.mp4")[0]
    assert first[4, 90, 1] > 200, "the blue background is green now"
    assert first[4, 90, 2] < 60
    assert first[32, 16, 0] > 200, "the red subject is still there"


@needs_ffmpeg
def test_ffmpeg_adds_the_sound_and_says_that_an_mp4_has_no_alpha(run_program: Run, model: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", len(UNEVEN_S), times_s=UNEVEN_S)
    talk = add_sound(video, tmp_path / "talk.mp4", UNEVEN_S[-1])
    done = run_program("video", talk, "-o", tmp_path / "out.mp4", "-m", model)
    assert done.returncode == 0, done.stderr
    assert b"cannot be transparent, its background is green" in done.stderr
    assert times_of(tmp_path / "out.mp4") == pytest.approx(UNEVEN_S, abs=1e-4)
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name,duration", "-of", "json"]
    found = json.loads(subprocess.run([*command, str(tmp_path / "out.mp4")], capture_output=True, check=True).stdout)
    kinds = {stream["codec_type"]: stream for stream in found["streams"]}
    assert kinds["audio"]["codec_name"] == "aac"
    assert float(kinds["audio"]["duration"]) == pytest.approx(UNEVEN_S[-1], abs=0.05), "an AAC packet is 23 ms"


def test_raw_frames_flow_from_stdin_to_stdout(run_program: Run, model: Path) -> None:
    sent = b"".join(picture_of(number).tobytes() for number in range(5))
    done = run_program("video", "-", "-o", "-", "-m", model, "--size", f"{SIZE[0]}x{SIZE[1]}", stdin=sent)
    assert done.returncode == 0, done.stderr
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, SIZE[1], SIZE[0], 4)
    assert len(frames) == 5
    assert frames[0, 32, 16].tolist() == [255, 0, 0, 255]
    assert frames[0, 4, 90].tolist() == [0, 0, 0, 0]


def test_a_folder_becomes_a_folder_and_a_bad_picture_is_reported(run_program: Run, model: Path, tmp_path: Path) -> None:
    import cv2

    (tmp_path / "in").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), cv2.cvtColor(picture_of(number), cv2.COLOR_RGB2BGR))
    (tmp_path / "in" / "1.png").write_bytes(b"no picture")
    done = run_program("video", tmp_path / "in", "-o", tmp_path / "out", "-m", model, "--only-mask")
    assert done.returncode == 1
    assert b"1 frames could not be read" in done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_half_a_video_never_claims_to_be_whole(how: signal.Signals, model: Path, tmp_path: Path) -> None:
    # Raw frames on a pipe that stays open: the program cannot know the end.
    words = ["video", "-", "-o", tmp_path / "out.avi", "-m", model, "--background", "white", "--size", "96x64"]
    running = subprocess.Popen(
        [*COMMAND, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with running:
        assert running.stdin is not None
        running.stdin.write(b"".join(picture_of(number).tobytes() for number in range(HALF)))
        running.stdin.flush()
        wait_until(lambda: any(tmp_path.glob(".out*")))
        running.send_signal(how)
        running.wait(60)
    assert not (tmp_path / "out.avi").exists()
    if how == signal.SIGTERM:
        assert running.returncode == 130
        assert 0 < len(pixels_of(tmp_path / "out.partial.avi")) <= HALF, "what there is plays"


def test_a_camera_records_until_it_is_told_to_stop_and_the_file_plays(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    fault = "virtual,size=320x180,fps=60,unplug@1+0.5"
    running = begin("camera", "--source", fault, "--sink", path, "-m", model, "--json")
    lines = read_json(running, until=lambda status: status["reconnects"] == 1 and status["frames"] > 20)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    times_s = times_of(path)
    assert len(times_s) >= lines[-1]["frames"]
    assert max(np.diff(times_s)) >= 0.4, "time went on while the camera was away"


@needs_ffmpeg
def test_a_terminal_that_closes_ends_a_recording_like_any_other_stop(model: Path, tmp_path: Path) -> None:
    words = ["--source", "virtual,size=64x36", "--sink", tmp_path / "rec-%Y.mp4", "--segment", "1h", "-m", model]
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # or the program would inherit that nohup ignores it
    running = begin("camera", *words, "--json")
    signal.signal(signal.SIGHUP, before)
    read_json(running, until=lambda status: status["frames"] > 5)
    running.send_signal(signal.SIGHUP)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert len(times_of(tmp_path / f"rec-{time.strftime('%Y')}.mp4")) > 5


@needs_ffmpeg
def test_a_video_cut_short_is_partial_and_its_sound_ends_with_it(run_program: Run, model: Path, tmp_path: Path) -> None:
    whole = add_sound(make_video(tmp_path / "in.mp4", 90), tmp_path / "talk.mkv", 3.6)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    done = run_program("video", tmp_path / "cut.mkv", "-o", tmp_path / "out.mp4", "-m", model, "--background", "white")
    assert done.returncode == 1
    assert b"is cut short: its pictures end after " in done.stderr
    assert not (tmp_path / "out.mp4").exists()
    assert 45 < len(times_of(tmp_path / "out.partial.mp4")) < 65


@needs_ffmpeg
def test_frames_lost_to_damage_are_counted_and_the_video_keeps_its_length(
    run_program: Run, model: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "in.mp4"
    moving = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=3.6", "-c:v", "libx264", "-g", "12"]
    subprocess.run(["ffmpeg", "-v", "error", *moving, str(clip)], check=True)
    data = bytearray(clip.read_bytes())
    third = len(data) // 3
    data[third : third + 1500] = np.random.default_rng(1).bytes(1500)
    clip.write_bytes(data)
    done = run_program("video", clip, "-o", tmp_path / "out.mp4", "-m", model, "--background", "white", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["corrupt"] >= 1
    assert b"frames could not be read; the one before stands for each" in done.stderr
    assert len(times_of(tmp_path / "out.mp4")) == 90


def test_what_goes_in_is_never_what_is_written_over(run_program: Run, model: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", 3)
    before = video.read_bytes()
    (tmp_path / "link.mp4").symlink_to(video)
    (tmp_path / "frames").mkdir()
    for source, words in (
        (video, ["-o", video]),
        (tmp_path / "link.mp4", ["-o", video]),
        (video, ["-o", tmp_path / "link.mp4"]),
        (tmp_path / "link.mp4", ["-o", tmp_path / "frames", "--background", tmp_path / "frames"]),
        (tmp_path / "frames", ["-o", tmp_path / "frames"]),
        (tmp_path / "frames" / "%06d.png", ["-o", tmp_path / "frames"]),
    ):
        done = run_program("video", source, *words, "--overwrite", "-m", model)
        assert done.returncode == 2, (source, words)
        assert b"is an input as well and would be lost; name another output" in done.stderr
    assert video.read_bytes() == before


def test_a_folder_that_takes_no_files_is_not_called_a_full_disk(run_program: Run, model: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", 3)
    done = run_program("video", video, "-o", "/proc/x.mp4", "--background", "white", "-m", model)
    assert done.returncode == 1
    assert b"cannot write /proc/x.mp4: No such file or directory" in done.stderr


@needs_ffmpeg
def test_a_password_is_in_no_status_and_no_error(model: Path) -> None:
    with rtsp_camera(secret="admin:right") as port:
        address = f"rtsp://admin:s3cret@127.0.0.1:{port}/1"
        running = begin("camera", "--source", address, "--sink", "mjpeg:0", "-m", model, "--json", "--duration", "0.5")
        printed, said = running.communicate(timeout=90)
    assert running.returncode == 1
    assert b"user or password wrong" in said
    assert b"s3cret" not in printed + said


def test_a_camera_that_hangs_upright_is_turned_and_cropped(run_program: Run, model: Path, tmp_path: Path) -> None:
    words = ["--source", "virtual,size=320x180", "--crop", "0,0,320,100", "--rotate", "90", "--mirror"]
    words += ["--privacy", "0,0,10,10", "--sink", tmp_path / "a.mp4", "--duration", "0.1", "-m", model]
    done = run_program("camera", *words)
    assert done.returncode == 0, done.stderr
    assert pixels_of(tmp_path / "a.mp4")[0].shape == (320, 100, 3)


def test_the_stream_can_be_watched_while_it_runs(model: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = begin(
        "camera", "--source", "virtual,size=320x180", "--sink", f"mjpeg:{port}", "-m", model, "--duration", "30"
    )
    try:
        wait_until(lambda: opens(port))
        with OpenCvSource(f"http://127.0.0.1:{port}/stream.mjpg", "stream", buffers=Buffers()) as source:
            assert next(iter(source)).image.shape == (180, 320, 3)
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)


def test_systemd_is_told_that_it_is_ready_alive_and_ends(model: Path, tmp_path: Path) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(60)
        running = begin(
            "camera", "--source", "virtual,size=64x36", "--sink", tmp_path / "a.mp4", "-m", model, "--duration", "1.5",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        )  # fmt: skip
        while not heard or b"STOPPING=1" not in heard[-1]:
            heard.append(channel.recv(4096))
        running.communicate(timeout=60)
    assert heard[0].startswith(b"READY=1")
    assert sum(b"WATCHDOG=1" in message for message in heard) >= 3
    assert any(b"STATUS=" in message for message in heard)


def test_the_unit_file_runs_the_same_command_from_another_folder(run_program: Run, model: Path, tmp_path: Path) -> None:
    words = ["--source", "virtual,size=64x36", "--sink", "rec.mp4", f"--model={model.relative_to(tmp_path)}"]
    words += ["--duration", "0.1"]
    done = run_program("camera", *words, "--print-systemd-unit", cwd=tmp_path)
    assert done.returncode == 0
    unit = done.stdout.decode()
    assert "Type=notify" in unit
    assert "WatchdogSec=" in unit
    assert f"WorkingDirectory={tmp_path}" in unit
    (line,) = (line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart="))
    told = shlex.split(line.replace("%%", "%"))
    assert told[-7:] == [
        "camera", "--source", "virtual,size=64x36", "--sink", str(tmp_path / "rec.mp4"), f"--model={model}",
        "--duration", "0.1",
    ][-7:]  # fmt: skip
    code = ["-c", "from edgematte.runtime.cli import main; main()", *told[told.index("camera") :]]
    subprocess.run([sys.executable, *code], cwd="/", check=True, capture_output=True, timeout=120)
    assert len(times_of(tmp_path / "rec.mp4")) >= 1, "--duration counts from the first frame, not from loading"


def test_without_a_camera_a_duration_ends_in_its_trouble(run_program: Run, model: Path) -> None:
    done = run_program("camera", "--source", "77", "--sink", "-", "-m", model, "--duration", "0.3")
    assert done.returncode == 1
    assert b"there is no camera /dev/video77" in done.stderr


def test_a_missing_accelerator_is_counted_while_the_cpu_works(run_program: Run, model: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", 5)
    words = ["-m", model, "--background", "white", "--device", f"delegate:{tmp_path}/none.so", "--json"]
    done = run_program("video", video, "-o", tmp_path / "out.mkv", *words)
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["frames"], status["device"], status["failovers"]) == (5, "cpu", 1)


def test_what_cannot_work_is_said_in_one_line(run_program: Run, model: Path, tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", 3)
    (tmp_path / "there.mp4").touch()
    for words, code, expected in (
        (["video", tmp_path / "no.mp4", "-o", "a.mp4"], 2, "there is no source"),
        (["video", video, "-o", "a.gif"], 2, "cannot write frames to a.gif"),
        (["video", video, "-o", tmp_path / "there.mp4"], 1, "add --overwrite"),
        (["video", video, "-o", tmp_path / "a.mp4", "--background", "lilac-ish"], 2, "is no file and no colour"),
        (["video", "-", "-o", tmp_path / "a.mp4"], 2, "say their size"),
        (["camera", "--size", "big"], 2, "expected e.g. 1280x720"),
        (["camera", "--rotate", "45"], 2, "expected 0, 90, 180 or 270"),
        (["camera", "--crop", "1,2"], 2, "expected X,Y,W,H"),
        (["camera", "--segment", "10m"], 2, "is for recordings; name a file"),
        (["camera", "--keep", "7d"], 2, "add their length, e.g. --segment 10m"),
        (["camera", "--sink", "a.mp4", "--segment", "10"], 2, "expected e.g. 30s, 10m or 1h"),
    ):
        done = run_program(*words, "-m", model)
        lines = done.stderr.decode().splitlines()
        assert done.returncode == code, lines
        assert expected in lines[-1]
        assert lines[-1].startswith("edgematte: ")


def read_json(
    running: subprocess.Popen[bytes], *, until: Callable[[dict], bool], seconds: float = 60.0
) -> Sequence[dict]:
    """The status lines up to the first that is as wished."""
    lines: list[dict] = []
    limit = threading.Timer(seconds, running.kill)
    limit.start()
    assert running.stdout is not None
    for line in running.stdout:
        lines.append(json.loads(line))
        if until(lines[-1]):
            break
    limit.cancel()
    assert lines, "the program said nothing"
    assert until(lines[-1]), lines[-1]
    return lines


def opens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        time.sleep(0.05)
        return False
    return True
