"""Numbers in, inline SVG out: the report's charts, drawn without a plotting library.

Colours are the page's CSS variables, so a chart follows the reader's light or dark setting. Every mark carries a
`<title>`, which browsers show under the pointer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal

WIDTH = 880  # user units; charts scale with the page
TEXT_PX = 12
ROW_PX = 22


def histogram(values: Sequence[float], *, low: float, high: float, bins: int, label: str) -> str:
    """How many values fall where between `low` and `high`; what lies outside counts in the outermost bins."""
    height, left, bottom, top = 170, 34, 34, 16
    counts = [0] * bins
    for value in values:
        place = int((value - low) / (high - low) * bins) if high > low else 0
        counts[min(bins - 1, max(0, place))] += 1
    most = max([*counts, 1])
    step = (WIDTH - left) / bins
    marks = []
    for number, count in enumerate(counts):
        start, end = low + (high - low) * number / bins, low + (high - low) * (number + 1) / bins
        tall = (height - top - bottom) * count / most
        marks.append(
            f'<rect class="bar" x="{left + number * step + 1:.1f}" y="{height - bottom - tall:.1f}" '
            f'width="{step - 2:.1f}" height="{tall:.1f}" rx="2">'
            f"<title>{figure(start)} to {figure(end)}: {count}</title></rect>"
        )
        if count:
            middle = left + (number + 0.5) * step
            marks.append(text(middle, height - bottom - tall - 4, str(count), anchor="middle", faint=True))
    ticks = [low + (high - low) * share for share in (0, 0.25, 0.5, 0.75, 1)]
    axis = [
        text(
            left + (WIDTH - left) * i / 4,
            height - bottom + 16,
            figure(tick),
            anchor=("start", "middle", "end")[(i > 0) + (i == 4)],
        )
        for i, tick in enumerate(ticks)
    ]
    base = line(left, height - bottom, WIDTH, height - bottom, "axis")
    name = text(left, height - 2, label, faint=True)
    return svg(height, label, base, *marks, *axis, name)


def scatter(points: Sequence[tuple[float, float, str]], *, x_label: str, y_label: str) -> str:
    """One dot per (x, y, name) with the diagonal where both are equal; both axes 0…1, or the part that is used."""
    side, left, bottom, top = 360, 44, 40, 12
    lowest = min([min(x, y) for x, y, _ in points], default=0.0)
    low = max(0.0, math.floor(lowest * 10 - 0.5) / 10)
    span = max(1.0 - low, 0.1)

    def across(x: float) -> float:
        return left + (x - low) / span * (side - left - top)

    def down(y: float) -> float:
        return side - bottom - (y - low) / span * (side - bottom - top)

    marks = [line(across(low), down(low), across(1), down(1), "axis")]
    for number in range(5):
        value = low + span * number / 4
        marks.append(text(across(value), side - bottom + 16, figure(value), anchor="middle"))
        marks.append(text(left - 6, down(value) + 4, figure(value), anchor="end"))
        marks.append(line(left, down(value), across(1), down(value)))
    marks += [
        f'<circle class="dot" cx="{across(x):.1f}" cy="{down(y):.1f}" r="4">'
        f"<title>{escape(name)}: {x:.4f} → {y:.4f}</title></circle>"
        for x, y, name in points
    ]
    marks.append(text(side - top, side - 6, x_label, anchor="end", faint=True))
    marks.append(text(left + 6, top + 10, y_label, faint=True))
    return svg(side, f"{y_label} against {x_label}", *marks, width=side)


def columns(values: Sequence[float], names: Sequence[str], *, unit: str, label: str) -> str:
    """One thin column per value, in order: where along the network something grows."""
    height, left, bottom, top = 190, 60, 20, 10
    most = max([*values, 1e-12])
    step = (WIDTH - left) / max(len(values), 1)
    marks = []
    for share in (0.5, 1.0):
        y = height - bottom - (height - top - bottom) * share
        marks.append(line(left, y, WIDTH, y))
        marks.append(text(left - 6, y + 4, f"{most * share:.2g}{unit}", anchor="end"))
    for number, (value, name) in enumerate(zip(values, names, strict=True)):
        tall = max((height - top - bottom) * value / most, 0.5)
        marks.append(
            f'<rect class="bar" x="{left + number * step:.2f}" y="{height - bottom - tall:.2f}" '
            f'width="{max(step * 0.8, 0.6):.2f}" height="{tall:.2f}">'
            f"<title>{escape(name)}: {figure(value)}{unit}</title></rect>"
        )
    marks.append(line(left, height - bottom, WIDTH, height - bottom, "axis"))
    marks.append(text(left, height - 4, "first layer", faint=True))
    marks.append(text(WIDTH, height - 4, "last layer", anchor="end", faint=True))
    return svg(height, label, *marks)


def paired_bars(
    rows: Sequence[tuple[str, float, float]], *, names: tuple[str, str], write: Callable[[float], str], label: str
) -> str:
    """Per row a label and two bars, drawn to one scale; `write` formats a value."""
    left, right = 210, 90
    most = max([max(first, second) for _, first, second in rows], default=1) or 1
    row_px = 2 * ROW_PX - 8
    marks = []
    for number, (name, first, second) in enumerate(rows):
        y = 6 + number * row_px
        marks.append(text(left - 10, y + 20, name, anchor="end"))
        for offset, (value, kind, whose) in enumerate(((first, "quiet", names[0]), (second, "bar", names[1]))):
            long = (WIDTH - left - right) * value / most
            top = y + 3 + offset * 14
            marks.append(
                f'<rect class="{kind}" x="{left}" y="{top}" width="{max(long, 0.8):.1f}" height="11" rx="2">'
                f"<title>{escape(name)}, {escape(whose)}: {escape(write(value))}</title></rect>"
            )
            marks.append(text(left + long + 6, top + 10, write(value), faint=kind == "quiet"))
    return svg(10 + row_px * len(rows), label, *marks) + legend(names)


def ranges(rows: Sequence[tuple[str, float, float]], *, label: str) -> str:
    """One horizontal line per (name, lowest, highest), all to one scale, with zero marked."""
    left, right, row_px = 330, 10, 16
    low = min([row[1] for row in rows], default=0.0)
    high = max([row[2] for row in rows], default=1.0)
    span = (high - low) or 1.0

    def across(value: float) -> float:
        return left + (value - low) / span * (WIDTH - left - right)

    height = 30 + row_px * len(rows)
    marks = [line(across(0), 4, across(0), height - 20, "axis")]
    for number, (name, lowest, highest) in enumerate(rows):
        y = 8 + number * row_px
        title = f"<title>{escape(name)}: {figure(lowest)} to {figure(highest)}</title>"
        long = max(across(highest) - across(lowest), 1.5)
        marks.append(
            f'<rect class="bar" x="{across(lowest):.1f}" y="{y}" width="{long:.1f}" height="8" rx="2">{title}</rect>'
        )
        marks.append(text(left - 10, y + 8, shortened(name, 46), anchor="end", small=True))
    marks.append(text(left, height - 4, figure(low), faint=True))
    marks.append(text(WIDTH - right, height - 4, figure(high), anchor="end", faint=True))
    return svg(height, label, *marks)


def legend(names: Sequence[str], opacities: Sequence[float] = ()) -> str:
    """Names beside their colours: the two of a paired chart, or shades of one colour where `opacities` are given."""
    styles = [f' style="margin-left:0;opacity:{shade:.2f}"' for shade in opacities]
    kinds = ["key"] * len(names) if styles else ["key quiet", "key"]
    keys = (
        f'<span class="{kind}"{style}></span>{escape(name)}'
        for kind, style, name in zip(kinds, styles or ["", ""], names, strict=True)
    )
    return f'<p class="legend">{"&emsp; ".join(keys)}</p>'


def svg(height: float, label: str, *marks: str, width: float = WIDTH) -> str:
    """Marks in a picture of `width` by `height` user units; `label` is for those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" aria-label="{escape(label)}" '
        f'font-size="{TEXT_PX}">{"".join(marks)}</svg>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: Literal["grid", "axis"] = "grid") -> str:
    """A thin straight line: of the grid, or an axis."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", faint: bool = False, small: bool = False) -> str:
    """Words at a point; `anchor` says which part of them stands there: start, middle or end."""
    kind = f' class="faint{" small" if small else ""}"' if faint or small else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def figure(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def shortened(words: str, most: int) -> str:
    """The end of a long name."""
    return words if len(words) <= most else "…" + words[1 - most :]
