"""What a run shows while it goes on: a bar, a line and a CSV row per interval, curves, samples and warnings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from tqdm import tqdm

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture

from .boards import open_boards
from .checkpoint import Log
from .data import RandomCrops
from .figures import loss_curves
from .networks import Stylizer
from .objective import loss_names
from .recipe import Recipe
from .schedule import duration
from .torchvision_compat import utils

SAMPLES = 6
_FEW_CROPS = 4000
"""Below this many crops even a lite decoder shows little more than colored fog."""
_FLAT = 0.02
"""Standard deviation of the pixels of a picture without anything in it; photographs have 0.15 to 0.3."""


def warn(text: str) -> None:
    """A line on stderr that a progress bar survives."""
    tqdm.write(f"Warning: {text}", file=sys.stderr)


class Monitor:
    """The records of a run in its folder: log.csv, validation.csv, curves.png, samples.png and those of the boards.

    Args:
        run: the folder.
        recipe: of the run.
        first: the step that the run starts or goes on at.
        content: the first crops of it are the sample pictures.
        style: likewise.
        project: at Weights & Biases, or None.
    """

    def __init__(
        self, run: Path, recipe: Recipe, first: int, content: RandomCrops, style: RandomCrops, project: str | None
    ) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.run = run
        self.steps = recipe.steps
        losses = [*loss_names(recipe), "total"]
        self.log = Log(run / "log.csv", ["step", *losses, "grad_norm", "lr", "images_per_s"])
        self.validation = Log(run / "validation.csv", ["step", *losses])
        self.logs = [self.log, self.validation] if recipe.held_out else [self.log]
        for log in self.logs:
            log.forget_after(first)
        self.bar = tqdm(total=recipe.steps, initial=first, unit="step", disable=None)
        self.boards = open_boards(run, recipe, first, project)
        self.folders = (content, style)
        contents, styles = ([folder[i] for i in range(SAMPLES)] for folder in self.folders)
        self.content = torch.stack([crop for crop, *_ in contents]).float() / 255
        self.style = torch.stack([crop for crop, *_ in styles]).float() / 255
        self.style_images = torch.tensor([image for *_, image in styles])
        crops = recipe.steps * recipe.batch_size
        if crops < _FEW_CROPS and not recipe.start:
            warn(f"the run sees {crops} crops, far too few to learn anything; {_FEW_CROPS} are a beginning.")

    def row(self, step: int, values: Mapping[str, float], seconds: float, waiting: float) -> None:
        """Record an interval.

        Args:
            step: at its end.
            values: under the columns of the log.
            seconds: that a step takes.
            waiting: share of the time that went into waiting for data.
        """
        self.log.append({"step": step, **values})
        for board in self.boards:
            board.scalars(values, step)
        losses = ", ".join(f"{k} {v:.4g}" for k, v in values.items() if k not in ("lr", "images_per_s"))
        speed = f"{values['images_per_s']:.1f} images/s, {waiting:.0%} of the time waiting for data"
        unreadable = sum(int(folder.unreadable.sum()) for folder in self.folders)
        skipped = f"; {unreadable} unreadable images skipped" if unreadable else ""
        left = duration(seconds * (self.steps - step))
        tqdm.write(f"step {step} of {self.steps}, {left} left: {losses}; {speed}{skipped}", file=sys.stderr)

    def validated(self, step: int, losses: Mapping[str, float], is_best: bool) -> None:
        """Record what the held-out pairs say."""
        self.validation.append({"step": step, **losses})
        for board in self.boards:
            board.scalars({f"held-out/{name}": value for name, value in losses.items()}, step)
        text = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        tqdm.write(f"held-out at step {step}: {text}{', the best so far' if is_best else ''}", file=sys.stderr)

    @torch.no_grad()
    def show(self, step: int, stylizer: Stylizer, device: torch.device) -> None:
        """Refresh the curves and the grid of contents, styles and results."""
        labels = (self.run.name, "held-out")
        loss_curves({label: log.path for label, log in zip(labels, self.logs, strict=False)}, self.run / "curves.png")
        stylizer.eval()
        # Not through a compiled call: compiling again for another batch size costs more than all the samples.
        content, style, style_images = (x.to(device) for x in (self.content, self.style, self.style_images))
        results = stylizer.forward(content, style, style_images)
        stylizer.train()
        pictures = results.float().clamp(0, 1).cpu()
        grid = utils.make_grid(torch.cat([self.content, self.style, pictures]), nrow=SAMPLES)
        write_picture(Picture(grid[None]), self.run / "samples.png")
        for board in self.boards:
            board.picture(grid, step)
        if pictures.std(dim=(1, 2, 3)).max() < _FLAT:
            warn("the samples are flat; try a smaller lr, grad_clip = 1, or start from trained weights.")

    def close(self) -> None:
        """Put the bar and the boards away."""
        self.bar.close()
        for board in self.boards:
            board.close()
