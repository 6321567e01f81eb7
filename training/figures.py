"""Figures: grids of pictures with labels, and loss curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Polygon
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


def loss_curves(logs: Mapping[str, Path], path: Path, title: str = "") -> None:
    """Draw content (dashed) and style losses (plain), or the only one that there is, over the steps in one plot, in one
    color for each log.

    Args:
        logs: for each label the log.csv of a run.
        path: .png or .jpg.
        title: above the plot.
    """
    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    axis = figure.subplots()
    for number, (label, log) in enumerate(logs.items()):
        with log.open(newline="") as file:
            lines = list(csv.DictReader(file))
        steps = [int(line["step"]) for line in lines]
        imitates = bool(lines) and "content" not in lines[0]
        for term, dashes in (("total", "-"),) if imitates else (("content", "--"), ("style", "-")):
            losses = [float(line[term]) for line in lines]
            axis.plot(steps, losses, dashes, color=f"C{number}", label=f"{label}: {term}", linewidth=1)
    axis.set(title=title, xlabel="step", ylabel="loss", yscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save_figure(figure, path)


def architecture(content: Tensor, style: Tensor, result: Tensor, widths: Sequence[int], path: Path) -> None:
    """Draw how AdaIN works: encoder, statistics, decoder, and the losses that the decoder learns by.

    Args:
        content: [3, H, W] in 0..1.
        style: likewise.
        result: likewise.
        widths: channels of the encoder's four blocks.
        path: .png or .jpg.
    """
    figure = Figure(figsize=(12, 4.6), dpi=100, layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, 12), ylim=(0, 4.6), aspect="equal")
    axis.axis("off")
    for picture, name, x, y in (
        (content, "content c", 0, 2.7),
        (style, "style s", 0, 0.4),
        (result, "result", 8.4, 1.55),
    ):
        axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).float().cpu().numpy(), extent=(x, x + 1.5, y, y + 1.5))
        axis.text(x + 0.75, y - 0.2, name, ha="center", va="center", fontsize=9)
    # The sides that face the pictures are the tall ones: resolution falls in the encoder and comes back in the decoder.
    layers = ", ".join(map(str, widths))
    boxes = [
        (2.1, 2.7, 1.5, 0.7, f"encoder\n{layers}\nchannels"),
        (2.1, 0.4, 1.5, 0.7, "the same\nencoder"),
        (4.6, 1.55, 1.5, 1.5, "AdaIN\n\n$\\sigma_s\\,\\frac{c-\\mu_c}{\\sigma_c}+\\mu_s$"),
        (6.5, 1.55, 0.7, 1.5, "decoder"),
        (10.3, 1.55, 1.5, 0.7, "loss\nnetwork"),
    ]
    for x, y, left, right, text in boxes:
        corners = [(x, y + 0.75 - left / 2), (x, y + 0.75 + left / 2)]
        corners += [(x + 1.5, y + 0.75 + right / 2), (x + 1.5, y + 0.75 - right / 2)]
        axis.add_patch(Polygon(corners, facecolor="#e8eef7", edgecolor="#4a6a94"))
        axis.text(x + 0.75, y + 0.75, text, ha="center", va="center", fontsize=9)
    arrows = [
        ((1.55, 3.45), (2.05, 3.45), ""),
        ((1.55, 1.15), (2.05, 1.15), ""),
        ((3.65, 3.45), (5.1, 3.1), "relu4_1 of c"),
        ((3.65, 1.15), (5.1, 1.5), ""),
        ((6.15, 2.3), (6.45, 2.3), ""),
        ((8.05, 2.3), (8.35, 2.3), ""),
        ((9.95, 2.3), (10.25, 2.3), ""),
    ]
    for start, end, text in arrows:
        axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#4a6a94"})
        axis.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.18, text, ha="left", fontsize=9)
    axis.text(4.5, 0.9, "$\\mu_s, \\sigma_s$ of its relu4_1", fontsize=9)
    axis.text(11.05, 3.3, "content loss:\nrelu4_1 as AdaIN made it", ha="center", fontsize=8)
    axis.text(11.05, 0.9, "style loss: $\\mu_s, \\sigma_s$\nof four layers", ha="center", fontsize=8)
    save_figure(figure, path)
