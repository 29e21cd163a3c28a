"""Runs' numbers in, inline SVG out: the charts of a benchmark's page, drawn with the pen of the conversion's.

They are narrow, so that their words can still be read on a phone. Series of one chart are shades of one colour, so that
nobody needs to tell red from green.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ..convert.report.charts import figure, legend, line, svg, text

WIDTH = 560  # user units
FAINTEST = 0.2  # opacity of the last of several series
ROOM_PX = 7.2  # of one letter, to keep labels apart


@dataclass(frozen=True)
class Point:
    """A network on a machine."""

    name: str
    x: float
    y: float
    low: float | None = None  # interval of y
    high: float | None = None
    quiet: bool = False  # a reference or a peer


@dataclass(frozen=True)
class Bar:
    """A bar of stacked parts."""

    name: str
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A curve."""

    name: str
    points: tuple[tuple[float, float], ...]
    quiet: bool = False


def log_scatter(points: Sequence[Point], *, x_label: str, y_label: str) -> str:
    """Points with their names and intervals over a logarithmic x; up and to the left is better."""
    height, left, right, top, bottom = 340, 46, 16, 30, 44
    xs = [point.x for point in points]
    lowest, highest = math.log10(min(xs) / 1.6), math.log10(max(xs) * 1.6)
    ends = [end for p in points for end in (p.y, p.low, p.high) if end is not None]
    low, high = _round_range(min(ends), max(ends))

    def across(x: float) -> float:
        return left + (math.log10(x) - lowest) / (highest - lowest) * (WIDTH - left - right)

    def down(y: float) -> float:
        return height - bottom - (y - low) / (high - low) * (height - top - bottom)

    marks = []
    for tick in _log_ticks(10**lowest, 10**highest):
        marks.append(line(across(tick), top, across(tick), height - bottom))
        marks.append(text(across(tick), height - bottom + 16, figure(tick), anchor="middle"))
    for share in range(5):
        y = low + (high - low) * share / 4
        marks.append(line(left, down(y), WIDTH - right, down(y)))
        marks.append(text(left - 6, down(y) + 4, f"{y:.3g}", anchor="end"))
    taken = [(down(point.y) + 4, across(point.x) - 8, across(point.x) + 8) for point in points]
    for point in sorted(points, key=lambda point: point.y, reverse=True):
        x, y = across(point.x), down(point.y)
        if point.low is not None and point.high is not None:
            marks.append(line(x, down(point.low), x, down(point.high), "axis"))
        between = "" if point.low is None or point.high is None else f" [{point.low:.4f}, {point.high:.4f}]"
        marks.append(
            f'<circle class="{"quiet" if point.quiet else "bar"}" cx="{x:.1f}" cy="{y:.1f}" r="6">'
            f"<title>{escape(point.name)}: {figure(point.x)} ms, {point.y:.4f}{between}</title></circle>"
        )
        marks.append(_label(point.name, x, y, taken, right_end=WIDTH - right, lowest=height - bottom - 4))
    marks.append(text(WIDTH - right, height - 8, x_label, anchor="end", faint=True))
    marks.append(text(left, 14, y_label, faint=True))
    return svg(height, f"{y_label} against {x_label}", *marks, width=WIDTH)


def stacked_bars(bars: Sequence[Bar], names: Sequence[str], *, unit: str, label: str) -> str:
    """One bar per row, cut into parts, all to one scale; the name stands above its bar."""
    row_px, right = 46, 70
    most = max([sum(bar.parts) for bar in bars], default=1.0) or 1.0
    shades = _shades(len(names))
    marks = []
    for row, bar in enumerate(bars):
        top, x = row * row_px, 0.0
        marks.append(text(0, top + 13, bar.name))
        for part, value, shade in zip(names, bar.parts, shades, strict=True):
            long = (WIDTH - right) * value / most
            marks.append(
                f'<rect class="bar" fill-opacity="{shade:.2f}" x="{x:.1f}" y="{top + 19}" '
                f'width="{max(long - 1, 0.3):.1f}" height="15" rx="1.5">'
                f"<title>{escape(bar.name)}, {escape(part)}: {figure(value)} {unit}</title></rect>"
            )
            x += long
        marks.append(text(x + 6, top + 31, f"{figure(sum(bar.parts))} {unit}", faint=True))
    return svg(row_px * len(bars), label, *marks, width=WIDTH) + legend(names, shades)


def lines(curves: Sequence[Line], *, x_label: str, y_label: str) -> str:
    """Curves over one pair of linear axes, each with its name at its end."""
    height, left, right, top, bottom = 250, 46, 130, 30, 44
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    first, last = min(xs), max(max(xs), min(xs) + 1e-9)
    low, high = _round_range(0.0, max(ys))

    def across(x: float) -> float:
        return left + (x - first) / (last - first) * (WIDTH - left - right)

    def down(y: float) -> float:
        return height - bottom - (y - low) / ((high - low) or 1.0) * (height - top - bottom)

    marks = []
    for share in range(5):
        y = low + (high - low) * share / 4
        marks.append(line(left, down(y), WIDTH - right, down(y)))
        marks.append(text(left - 6, down(y) + 4, f"{y:.3g}", anchor="end"))
    for x in _few(sorted(set(xs))):
        marks.append(text(across(x), height - bottom + 16, f"{x:.2g}", anchor="middle"))
    taken: list[tuple[float, float, float]] = []
    for curve in curves:
        kind = "quiet" if curve.quiet else "accent"
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in curve.points)
        marks.append(
            f'<polyline points="{path}" fill="none" stroke="var(--{kind})" stroke-width="2.5" stroke-linejoin="round"/>'
        )
        marks += [
            f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3" fill="var(--{kind})">'
            f"<title>{escape(curve.name)}: {figure(y)} at {figure(x)}</title></circle>"
            for x, y in curve.points
        ]
        x, y = curve.points[-1]
        marks.append(_label(curve.name, across(x), down(y), taken, right_end=WIDTH + 400, lowest=height - bottom))
    marks.append(text(WIDTH - right, height - 8, x_label, anchor="end", faint=True))
    marks.append(text(left, 14, y_label, faint=True))
    return svg(height, f"{y_label} against {x_label}", *marks, width=WIDTH)


def _shades(count: int) -> list[float]:
    """Opacities from 1 down; neighbours differ by more than by order, so that thin parts can be told apart."""
    even = [1 - (1 - FAINTEST) * place / max(count - 1, 1) for place in range(count)]
    half = (count + 1) // 2
    mixed = [0.0] * count
    mixed[::2], mixed[1::2] = even[:half], even[half:]
    return mixed


def _label(
    name: str, x: float, y: float, taken: list[tuple[float, float, float]], *, right_end: float, lowest: float
) -> str:
    """A name beside its mark, moved down until it covers no other name; to the left where the right has no room."""
    long = len(name) * ROOM_PX
    to_left = x + 10 + long > right_end
    start = x - 10 - long if to_left else x + 10
    place = y + 4
    while any(abs(place - other) < 14 and start < end and begin < start + long for other, begin, end in taken):
        place += 14
        if place > lowest:  # no room below: above the topmost
            place = min(other for other, _, _ in taken) - 14
            break
    taken.append((place, start, start + long))
    beside = x - 10 if to_left else x + 10
    # A name that had to move far is tied to its mark.
    tie = line(x, y, beside, place - 4) if abs(place - y - 4) > 14 else ""
    return tie + text(beside, place, name, anchor="end" if to_left else "start")


def _round_range(low: float, high: float) -> tuple[float, float]:
    """A range a little wider, its ends and quarters being numbers of few digits."""
    span = max(high - low, 0.02)
    step = 10 ** math.floor(math.log10(span))
    quarter = next(q for q in (step / 4, step / 2, step, 2 * step, 4 * step) if 4 * q >= span * 1.15)
    start = max(math.floor((low - span * 0.07) / quarter) * quarter, 0.0 if low >= 0 else -math.inf)
    while start + 4 * quarter < high:
        start += quarter / 2
    return start, start + 4 * quarter


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade between."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        tick for decade in decades for tick in (10.0**decade, 2 * 10.0**decade, 5 * 10.0**decade) if low < tick < high
    ]


def _few(values: Sequence[float]) -> list[float]:
    """At most six of sorted values, ends included."""
    return [values[round(place)] for place in np.linspace(0, len(values) - 1, min(len(values), 6))]
