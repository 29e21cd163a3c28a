"""The stages, one after the other, are the way that `edgematte cut` goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgematte.benchmarks.measure.contender import Contender, Converted
from edgematte.benchmarks.measure.reference import Reference
from edgematte.benchmarks.measure.stages import STAGES, photo_file, stage_calls
from edgematte.runtime.photos.cutter import CutOptions, load_cutter
from edgematte.runtime.picture.images import read


def test_the_last_stage_gives_the_file_that_the_program_would_write(orange_tflite: Path, astronaut: Path) -> None:
    photo = photo_file(read(astronaut))
    calls = stage_calls(Converted(orange_tflite), photo)
    cut = load_cutter(CutOptions(model=str(orange_tflite)))(photo, name="photo", suffix=".png")
    assert calls["encode"]() == cut.data


def test_every_stage_can_be_called_again_and_gives_the_same(orange: Path, orange_tflite: Path, astronaut: Path) -> None:
    contenders: tuple[Contender, ...] = (Converted(orange_tflite), Reference(orange))
    for contender in contenders:
        calls = stage_calls(contender, astronaut.read_bytes())
        assert tuple(calls) == STAGES
        for name, call in calls.items():
            first, second = (np.asarray(call()) for _ in range(2))
            assert np.array_equal(first, second), name
