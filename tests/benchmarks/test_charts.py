"""Charts: marks stand where their figures say, inside the picture, and names do not cover each other."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from edgematte.benchmarks.charts import WIDTH, Bar, Line, Point, lines, log_scatter, stacked_bars


def numbers(svg: str, tag: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'<{tag}[^>]* {name}="([-\d.]+)"', svg)]


def test_ten_times_slower_is_the_same_step_to_the_right_everywhere() -> None:
    points = [Point("a", 1, 0.9), Point("b", 10, 0.8), Point("c", 100, 0.7)]
    svg = log_scatter(points, x_label="ms", y_label="IoU")
    first, second, third = numbers(svg, "circle", "cx")
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert numbers(svg, "circle", "cy") == sorted(numbers(svg, "circle", "cy")), "better is higher"


def test_everything_is_inside_the_picture_and_names_keep_apart() -> None:
    points = [Point(f"machine {n}, CPU reference", 10 + n, 0.9 + n / 1000, 0.85, 0.95) for n in range(6)]
    svg = log_scatter(points, x_label="ms", y_label="IoU")
    height = float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[0])
    assert all(0 <= x <= WIDTH for x in numbers(svg, "circle", "cx"))
    assert all(0 <= y <= height for y in numbers(svg, "circle", "cy") + numbers(svg, "text", "y"))
    lines_of_names = sorted(
        float(y)
        for y, words in re.findall(r'<text x="[^"]*" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
        if "machine" in words
    )
    assert all(b - a >= 13.9 for a, b in pairwise(lines_of_names))


def test_one_point_is_a_chart_too() -> None:
    assert "<circle" in log_scatter([Point("a", 5, 1.0, 1.0, 1.0)], x_label="ms", y_label="IoU")


def test_a_bar_twice_as_long_is_twice_the_time() -> None:
    svg = stacked_bars([Bar("a", (10.0, 10.0)), Bar("b", (5.0, 5.0))], ("x", "y"), unit="ms", label="stages")
    wide = numbers(svg, "rect", "width")
    assert wide[0] + 1 == pytest.approx(2 * (wide[2] + 1), abs=0.2)
    assert "20 ms" in svg
    assert svg.count('class="key"') == 2


def test_names_are_escaped() -> None:
    svg = lines([Line("<b>", ((1.0, 2.0), (2.0, 3.0)))], x_label="threads", y_label="ms")
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg


def test_axes_have_round_numbers() -> None:
    svg = lines([Line("a", ((1.0, 97.3), (4.0, 31.0)))], x_label="threads", y_label="ms")
    ticks = [float(words) for words in re.findall(r'text-anchor="end">([\d.]+)<', svg)]
    assert len(ticks) == 5
    assert ticks[0] == 0
    assert ticks[-1] >= 97.3
    assert all(tick == pytest.approx(ticks[1] * place) for place, tick in enumerate(ticks))
