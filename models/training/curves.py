"""A run's `log.csv` → `curves.png`: loss and learning rate over the steps, to see how a training went."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(log: Path, picture: Path) -> None:
    """Draw the log of one run; columns as `train.py` writes them."""
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
