"""What is said about a .tflite network next to its figures, and that it is the network users get."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edgematte.benchmarks.measure.contender import Converted, in_words
from edgematte.runtime.matting.segmenter import Segmenter
from edgematte.runtime.network.tensors import Convention
from edgematte.runtime.picture.images import read

from ..conftest import SIDE


def test_the_facts_are_those_of_the_file(orange_tflite: Path) -> None:
    facts = Converted(orange_tflite, threads=2).facts
    assert facts.file == str(orange_tflite)
    assert facts.sha256 == hashlib.sha256(orange_tflite.read_bytes()).hexdigest()
    assert facts.size_bytes == orange_tflite.stat().st_size
    assert (facts.device, facts.precision, facts.threads) == ("CPU", "float", 2)
    assert facts.engine.split()[0] in {"ai-edge-litert", "tflite-runtime"}
    assert facts.input_size == (SIDE, SIDE)


def test_the_whole_call_is_the_segmenter_s(orange_tflite: Path, astronaut: Path) -> None:
    photo = read(astronaut)
    assert np.array_equal(Converted(orange_tflite)(photo), Segmenter(orange_tflite, mode="off")(photo))


def test_the_network_alone_takes_what_prepare_gives(orange_tflite: Path, astronaut: Path) -> None:
    contender = Converted(orange_tflite)
    output = contender.run(contender.prepare(read(astronaut)))
    assert output.shape == (1, SIDE, SIDE, 1)
    assert 0 <= output.min() < output.max() <= 1


def test_conventions_are_said_in_words() -> None:
    told = Convention(mean=(127.5,), std=(58.4, 57.1, 57.4), color="bgr", output="logits", channel=1)
    assert in_words(told) == "bgr, mean 127.5, std 58.4,57.1,57.4, logits of class 1"
    assert in_words(Convention()) == "rgb, alpha"
