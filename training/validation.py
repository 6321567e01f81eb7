"""How a run does on pairs that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .data import center_square
from .networks import LossNetwork, Stylizer
from .objective import Objective
from .recipe import Recipe


class HeldOut:
    """Pairs of held-out images: the first content with the first style, and so on.

    Args:
        recipe: whose losses are measured, on center squares of its ``crop``.
        contents: paths of images that are not learned from.
        styles: as many of them.
        best: the smallest total so far.

    Raises:
        TrainingError: one of them cannot be read.
    """

    def __init__(self, recipe: Recipe, contents: Sequence[Path], styles: Sequence[Path], best: float) -> None:
        self.recipe = recipe
        self.best = best
        self._contents, self._styles = (
            torch.cat([center_square(path, recipe.crop) for path in paths]) for paths in (contents, styles)
        )

    @torch.no_grad()
    def measure(self, stylizer: Stylizer, loss_network: LossNetwork) -> tuple[dict[str, float], bool]:
        """The losses of what was learned, means over the pairs, and whether their total is the smallest so far."""
        plain = LossNetwork(loss_network.encoder, color_teacher=loss_network.color_teacher)
        objective = Objective(self.recipe, stylizer, plain)
        sums: dict[str, Tensor] = {}
        device = next(stylizer.parameters()).device
        for content, style in zip(self._contents.split(1), self._styles.split(1), strict=True):
            terms = objective(content.to(device), style.to(device), [], [], torch.zeros(1, dtype=torch.long))
            sums = {name: sums.get(name, 0) + value for name, value in terms.items()}
        losses = {name: value.item() / len(self._contents) for name, value in sums.items()}
        is_best = losses["total"] < self.best
        self.best = min(self.best, losses["total"])
        return losses, is_best
