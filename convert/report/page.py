"""Sections of HTML in, one self-contained page out: the report's frame, its style, and the few pieces it is made of."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime.picture.images import encode

PICTURE_PX = 320  # longest side of an embedded picture: readable, and eight rows stay below 2 MB
Tone = Literal["good", "fair", "poor", "plain"]

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf9; --card: #ffffff; --ink: #23262b; --faint: #6d727b; --line: #e3e4e0;
  --accent: #3b6ea8; --quiet: #b9c2cd; --good: #3d8059; --fair: #a87a1e; --poor: #b5473c; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --card: #1e2125; --ink: #e4e5e7; --faint: #969ca6;
  --line: #31353b; --accent: #7fabdb; --quiet: #565f6b; --good: #76b893; --fair: #d3a94f; --poor: #e0857a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 48px 24px 96px; }
h1 { font-size: 30px; font-weight: 650; letter-spacing: -.01em; margin: 0 0 4px; }
h2 { font-size: 19px; font-weight: 650; margin: 56px 0 6px; }
p { margin: 6px 0 14px; max-width: 68ch; } .faint, .lead { color: var(--faint); } .lead { margin-bottom: 28px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; margin: 20px 0 8px; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 13px 15px; }
.figure b { display: block; font-size: 24px; font-weight: 620; font-variant-numeric: tabular-nums; }
.figure span { color: var(--faint); font-size: 13.5px; display: block; line-height: 1.4; }
.figure.good b { color: var(--good); } .figure.fair b { color: var(--fair); } .figure.poor b { color: var(--poor); }
.warning { border-left: 3px solid var(--fair); padding: 2px 0 2px 14px; margin: 10px 0; }
.photos { display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px 10px; margin: 18px 0; align-items: end; }
.photos .head { color: var(--faint); font-size: 13.5px; }
.photos img { width: 100%; display: block; border-radius: 6px; }
.photos .caption { grid-column: 1 / -1; font-size: 13.5px; color: var(--faint); margin: 0 0 14px;
  overflow-wrap: anywhere; }
.photos .caption b { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; height: auto; margin: 12px 0; } svg text { fill: var(--ink); }
svg text.faint { fill: var(--faint); } svg text.small { font-size: 10.5px; fill: var(--faint); }
svg .bar, svg .dot { fill: var(--accent); } svg .dot { fill-opacity: .65; } svg .quiet { fill: var(--quiet); }
svg .axis { stroke: var(--faint); stroke-width: 1; } svg .grid { stroke: var(--line); stroke-width: 1; }
.legend { font-size: 13.5px; color: var(--faint); } .key { display: inline-block; width: 11px; height: 11px;
  border-radius: 3px; background: var(--accent); margin: 0 6px 0 14px; }
.key.quiet { background: var(--quiet); margin-left: 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 14.5px; margin: 12px 0; }
th { text-align: left; font-weight: 600; color: var(--faint); } td, th { padding: 6px 14px 6px 0; vertical-align: top;
  border-bottom: 1px solid var(--line); } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: 13.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px;
  white-space: pre-wrap; }
details summary { cursor: pointer; color: var(--accent); margin: 8px 0; }
@media print { main { padding: 0; } .figure, pre { break-inside: avoid; } }
@media (max-width: 560px) { .photos { gap: 4px; } main { padding: 28px 14px 60px; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """One HTML file that needs nothing else: no script, no network, no fonts."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def figures(entries: Sequence[tuple[str, str, Tone]]) -> str:
    """The large numbers on top: (value, what it is, how it does)."""
    cells = (
        f'<div class="figure {tone}"><b>{escape(value)}</b><span>{escape(what)}</span></div>'
        for value, what, tone in entries
    )
    return f'<div class="figures">{"".join(cells)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """A plain table; columns numbered in `numeric` are aligned right."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place in numeric else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{line("th", head)}</tr>{body}</table></div>'


def details(summary: str, *parts: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def preformatted(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def photo_rows(heads: Sequence[str], rows: Sequence[tuple[str, str, Sequence[NDArray[np.uint8]]]]) -> str:
    """Pictures side by side under their heads; per row (name, what to know about it, pictures)."""
    return uri_rows(heads, [(name, remark, [embedded(p) for p in pictures]) for name, remark, pictures in rows])


def uri_rows(heads: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """As `photo_rows`, of pictures that are data URIs already; there may be fewer or more than four."""
    cells = [f'<div class="head">{escape(head)}</div>' for head in heads]
    for name, remark, uris in rows:
        cells += [
            f'<img alt="{escape(head)}, {escape(name)}" src="{escape(uri)}">'
            for head, uri in zip(heads, uris, strict=True)
        ]
        cells.append(f'<div class="caption"><b>{escape(name)}</b> · {escape(remark)}</div>')
    columns = "" if len(heads) == 4 else f' style="grid-template-columns: repeat({len(heads)}, 1fr)"'
    return f'<div class="photos"{columns}>{"".join(cells)}</div>'


def embedded(picture: NDArray[np.uint8]) -> str:
    """A picture as a data URI: photos as JPEG, mattes (H, W) as PNG, both at most `PICTURE_PX` on the longest side."""
    scale = PICTURE_PX / max(picture.shape[:2])
    if scale < 1:
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    kind = "png" if picture.ndim == 2 else "jpeg"
    data = encode(picture, ".png" if picture.ndim == 2 else ".jpg")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
