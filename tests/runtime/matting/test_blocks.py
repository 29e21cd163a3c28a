from __future__ import annotations

import threading

import numpy as np
import pytest

from edgematte.runtime.matting.blocks import Block, for_each_block, with_margin


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (128, 128), (300, 129), (5, 1000)])
def test_blocks_cover_every_pixel_once(size: tuple[int, int], threads: int) -> None:
    seen = np.zeros((size[1], size[0]), int)
    lock = threading.Lock()

    def count(block: Block) -> None:
        with lock:
            seen[block.place] += 1

    for_each_block(size, count, threads=threads)
    assert np.array_equal(seen, np.ones_like(seen))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_thread_is_raised(threads: int) -> None:
    def fail(block: Block) -> None:
        if block.top:
            raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        for_each_block((500, 500), fail, threads=threads)


@pytest.mark.parametrize("step", [1, 2, 4, 16])
def test_a_block_enlarged_is_the_block_of_the_whole_enlarged(step: int) -> None:
    """That is why no seams can show."""
    size = (213, 150)
    field = np.random.default_rng(1).normal(size=(150 // step, 213 // step, 2)).astype(np.float32)
    margin = with_margin(field, step, size)
    whole = Block(0, 0, *size).enlarged(margin, step)
    assert whole.shape == (150, 213, 2)
    for block in (Block(0, 0, 64, 64), Block(64, 64, 64, 64), Block(192, 128, 21, 22), Block(37, 11, 50, 3)):
        # A bilinear weight is the same number wherever the enlarging begins, up to float rounding.
        assert np.abs(block.enlarged(margin, step) - whole[block.place]).max() < 1e-5


def test_blocks_shrink_and_grow_within_their_picture() -> None:
    block = Block(10, 20, 30, 40)
    assert block.part(-5, 3, 99, 7) == Block(10, 23, 30, 4)
    assert block.grown(15, 2, (200, 61)) == Block(0, 18, 55, 43)
    assert Block(12, 23, 4, 5).within(block) == (slice(3, 8), slice(2, 6))
