"""A study's name and its options → the study runs, and ends as every command of `edgematte` ends.

python -m edgematte.benchmarks.studies NAME …
make study RUN='NAME …'
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from ...runtime.cli import run
from ...runtime.errors import UsageError
from ...runtime.terminal import complain

STUDIES = {
    "batch": "A thousand photos, twenty of them damaged: what `edgematte cut` writes, names and holds in memory.",
    "converters": "Other people's networks through our converter and through others.",
    "edges": "How much error each way to refine an edge leaves.",
    "live": "Frames a second of the live pipeline, beside MediaPipe's package.",
    "live_edges": "How much error is left at the edges of live video.",
    "live_latency": "How long a frame takes from the camera to the end of a pipe.",
    "npus": "How much of other people's networks an Ethos-U takes.",
    "occlusions": "Whether one followed subject is kept while others pass in front, look alike, or it is gone.",
    "peers": "Accuracy and latency of other people's tools beside ours.",
    "photo_stages": "How long each stage of cutting a photo takes.",
    "quantization": "What every step of the quantiser buys.",
    "video": "Accuracy and flicker of mattes in videos.",
}


def program(name: str) -> typer.Typer:
    """The study as a program of its own; only its modules are imported."""
    found = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    found.command()(import_module(f".{name}", __package__).main)
    return found


def main() -> None:
    """Without a name: the list of studies."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in STUDIES:
        run(program(name), words, f"study {name}")
    for study, words_about in STUDIES.items():
        print(f"{study:<13} {words_about}")
    if name != "--help":
        complain(f"{name} is no study; expected one of those above")
        sys.exit(UsageError.exit_code)


if __name__ == "__main__":
    main()
