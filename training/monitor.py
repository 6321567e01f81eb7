"""What a run shows while it goes on: a bar, a line and a CSV row per interval, curves, samples and warnings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture

from .checkpoint import Log
from .data import RandomCrops
from .figures import loss_curves
from .networks import Stylizer
from .objective import loss_names
from .recipe import Recipe
from .torchvision_compat import utils

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:
    SummaryWriter = None

SAMPLES = 6
_FEW_CROPS = 4000
"""Below this many crops even a lite decoder shows little more than colored fog."""
_FLAT = 0.02
"""Standard deviation of the pixels of a picture without anything in it; photographs have 0.15 to 0.3."""


def warn(text: str) -> None:
    """A line on stderr that a progress bar survives."""
    tqdm.write(f"Warning: {text}", file=sys.stderr)


class Monitor:
    """The records of a run in its folder: log.csv, curves.png, samples.png and, if it is installed, TensorBoard's.

    Args:
        run: the folder.
        recipe: of the run.
        first: the step that the run starts or goes on at.
        content: the first crops of it are the sample pictures.
        style: likewise.
        crops: number of crops that the whole run sees.
    """

    def __init__(
        self, run: Path, recipe: Recipe, first: int, content: RandomCrops, style: RandomCrops, crops: int
    ) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.run = run
        columns = ["step", *loss_names(recipe), "total", "grad_norm", "lr", "images_per_s"]
        self.log = Log(run / "log.csv", columns)
        self.log.forget_after(first)
        self.bar = tqdm(total=recipe.steps, initial=first, unit="step", disable=None)
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=first + 1) if SummaryWriter else None
        self.folders = (content, style)
        contents, styles = ([folder[i] for i in range(SAMPLES)] for folder in self.folders)
        self.content = torch.stack([crop for crop, *_ in contents]).float() / 255
        self.style = torch.stack([crop for crop, *_ in styles]).float() / 255
        self.style_images = torch.tensor([image for *_, image in styles])
        if crops < _FEW_CROPS and not recipe.start:
            warn(f"the run sees {crops} crops, far too few to learn anything; {_FEW_CROPS} are a beginning.")

    def row(self, values: Mapping[str, float], waiting: float) -> None:
        """Record an interval.

        Args:
            values: under the columns of the log.
            waiting: share of the time that went into waiting for data.
        """
        self.log.append(values)
        if self.board:
            for name in values.keys() - {"step"}:
                self.board.add_scalar(name, values[name], values["step"])
            self.board.flush()  # a killed run does not write what was recorded before its last checkpoint again
        losses = ", ".join(f"{k} {v:.4g}" for k, v in values.items() if k not in ("step", "lr", "images_per_s"))
        unreadable = sum(int(folder.unreadable.sum()) for folder in self.folders)
        skipped = f"; {unreadable} unreadable images skipped" if unreadable else ""
        speed = f"{values['images_per_s']:.1f} images/s, {waiting:.0%} of the time waiting for data"
        tqdm.write(f"step {values['step']}: {losses}; {speed}{skipped}", file=sys.stderr)

    @torch.no_grad()
    def show(self, stylizer: Stylizer, device: torch.device) -> None:
        """Refresh the curves and the grid of contents, styles and results."""
        loss_curves({self.run.name: self.log.path}, self.run / "curves.png")
        stylizer.eval()
        # Not through a compiled call: compiling again for another batch size costs more than all the samples.
        results = stylizer.forward(*(x.to(device) for x in (self.content, self.style, self.style_images)))
        stylizer.train()
        pictures: Tensor = results.float().clamp(0, 1).cpu()
        grid = utils.make_grid(torch.cat([self.content, self.style, pictures]), nrow=SAMPLES)
        write_picture(Picture(grid[None]), self.run / "samples.png")
        if pictures.std(dim=(1, 2, 3)).max() < _FLAT:
            warn("the samples are flat; try a smaller lr, grad_clip = 1, or start from trained weights.")

    def close(self) -> None:
        """Put the bar and TensorBoard's file away."""
        self.bar.close()
        if self.board:
            self.board.close()
