"""Figures: grids of pictures with labels, and loss curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from adain_core.runtime.files import write_atomically


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or JPEG, atomically."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], bbox_inches="tight", pad_inches=0.05)
    write_atomically(path, buffer.getvalue())


def picture_grid(
    rows: Sequence[Sequence[Tensor | None]],
    path: Path,
    columns: Sequence[str] = (),
    labels: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = "",
    inches: float = 1.6,
) -> None:
    """Draw pictures side by side.

    Args:
        rows: pictures [3, H, W] in 0..1, or None for an empty place.
        path: .png or .jpg.
        columns: a label above each column.
        labels: a label at the left of each row.
        captions: a text below each picture, in the order of ``rows``.
        title: above the figure.
        inches: width of a picture, at 100 pixels each.
    """
    width = len(rows[0])
    figure = Figure(figsize=(width * inches, len(rows) * inches), dpi=100, layout="constrained")
    axes = figure.subplots(len(rows), width, squeeze=False)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            axis = axes[y, x]
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if picture is not None:
                axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy())
            if y == 0 and columns:
                axis.set_title(columns[x], fontsize=8)
            if x == 0 and labels:
                axis.set_ylabel(labels[y], fontsize=8)
            if captions:
                axis.set_xlabel(captions[y][x], fontsize=7)
    if title:
        figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def loss_curves(logs: Mapping[str, Path], path: Path) -> None:
    """Draw content, style and total loss over the steps, one line for each log.

    Args:
        logs: for each label the log.csv of a run.
        path: .png or .jpg.
    """
    figure = Figure(figsize=(12, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots(1, 3)
    for label, log in logs.items():
        with log.open(newline="") as file:
            lines = list(csv.DictReader(file))
        steps = [int(line["step"]) for line in lines]
        for axis, term in zip(axes, ("content", "style", "total"), strict=True):
            axis.plot(steps, [float(line[term]) for line in lines], label=label, linewidth=1)
    for axis, term in zip(axes, ("content loss", "style loss", "total loss"), strict=True):
        axis.set(title=term, xlabel="step", yscale="log")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    save_figure(figure, path)
