"""What a run times, on real networks: partners by turns, stages that are the same for both, threads side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgematte.benchmarks.measure.contender import Converted
from edgematte.benchmarks.measure.dataset import find_pairs
from edgematte.benchmarks.measure.reference import Reference
from edgematte.benchmarks.measure.stages import OWN_STAGES, STAGES
from edgematte.benchmarks.timings import FRAME_SIZE, Frame, frame_of, latency, sweep_threads
from edgematte.convert.latency import Effort

LEAST = Effort(warm_up=1, seconds=0, least_rounds=5)


def small_frame() -> Frame:
    return Frame(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8), "noise")


def test_the_picture_is_the_first_photo_at_camera_size_or_a_made_up_one(photos: Path) -> None:
    width, height = FRAME_SIZE
    photo, made_up = frame_of(find_pairs(photos)), frame_of([])
    assert photo.image.shape == made_up.image.shape == (height, width, 3)
    assert photo.source.startswith(find_pairs(photos)[0].photo.name)
    assert np.array_equal(made_up.image, frame_of([]).image), "the same everywhere, so that machines can be compared"


def test_one_thread_on_the_cpu_gives_a_ratio_of_cpu_times_and_two_do_not(orange: Path, orange_tflite: Path) -> None:
    frame = small_frame()
    alone = latency(Converted(orange_tflite, threads=1), Reference(orange, threads=1), frame, LEAST)
    assert alone.network_cpu_ratio is not None
    assert alone.whole_cpu_ratio is not None
    assert alone.fair_network_ratio == alone.network_cpu_ratio
    assert alone.frame == (160, 90)
    assert alone.rounds == len(alone.model.network.cpu_samples_ms) == 5
    both = latency(Converted(orange_tflite, threads=2), Reference(orange, threads=2), frame, LEAST)
    assert both.network_cpu_ratio is None
    assert both.fair_network_ratio == both.network_ratio is not None


def test_stages_after_the_network_are_timed_once_for_both(orange: Path, orange_tflite: Path) -> None:
    found = latency(Converted(orange_tflite, threads=1), Reference(orange, threads=1), small_frame(), LEAST)
    assert found.reference is not None
    assert [stage.name for stage in found.model.stages] == list(STAGES)
    for mine, theirs in zip(found.model.stages, found.reference.stages, strict=True):
        assert (mine.timing is theirs.timing) == (mine.name not in OWN_STAGES)


def test_a_model_alone_has_no_ratio(orange_tflite: Path) -> None:
    found = latency(Converted(orange_tflite, threads=1), None, small_frame(), LEAST)
    assert (found.reference, found.network_ratio, found.fair_network_ratio) == (None, None, None)


def test_every_number_of_threads_is_measured_as_often_as_the_others(orange: Path, orange_tflite: Path) -> None:
    points = sweep_threads(
        lambda threads: Converted(orange_tflite, threads=threads),
        lambda threads: Reference(orange, threads=threads),
        2,
        small_frame(),
        LEAST,
    )
    assert [point.threads for point in points] == [1, 2]
    counts = {len(t.samples_ms) for point in points for t in (point.model, point.reference) if t is not None}
    assert counts == {5}
