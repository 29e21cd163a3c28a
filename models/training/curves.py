"""Figures of trainings and networks → pictures of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

WORST = 10  # photos that are marked


def draw(log: Path, picture: Path) -> None:
    """A run's `log.csv` → loss and learning rate over the steps, to see how the training went."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    figure, (loss, rate) = plt.subplots(2, 1, sharex=True, figsize=(8, 5), height_ratios=(3, 1), layout="constrained")
    loss.plot(steps, [float(row["loss"]) for row in rows], linewidth=1)
    loss.set_ylabel("loss")
    loss.set_yscale("log")
    rate.plot(steps, [float(row["learning_rate"]) for row in rows], linewidth=1, color="tab:gray")
    rate.set_ylabel("learning rate")
    rate.set_xlabel(f"steps; {float(rows[-1]['seconds']) / 60:.0f} minutes of training")
    figure.savefig(picture, dpi=110)
    plt.close(figure)


def draw_photos(ious: Mapping[str, Mapping[str, Sequence[float]]], picture: Path) -> None:
    """Set → network → IoU of every photo: a curve from the worst photo to the best, the ten worst as points."""
    figure, panels = plt.subplots(
        1, len(ious), sharey=True, figsize=(4 * len(ious), 4), layout="constrained", squeeze=False
    )
    for panel, (name, networks) in zip(panels[0], ious.items(), strict=True):
        for network, found in networks.items():
            ordered, share = sorted(found), np.linspace(0, 100, len(found))
            (line,) = panel.plot(share, ordered, label=f"{network}: {np.mean(ordered):.3f}")
            panel.plot(share[:WORST], ordered[:WORST], "o", markersize=3, color=line.get_color())
        panel.set(title=f"{name}, {len(share)} photos", xlabel="photos, worst first, %", ylim=(0, 1))
        panel.grid(alpha=0.3)
        panel.legend(loc="lower right", fontsize="small")
    panels[0, 0].set_ylabel("IoU")
    figure.savefig(picture, dpi=110)
    plt.close(figure)
