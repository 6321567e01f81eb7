"""How steady results are: what only noise and a small movement set apart is to look alike, as in the frames of a film.
The movement is made here, so nothing needs to estimate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_ZOOM = 0.05
_SHIFT = 0.05  # of the side
_NOISE = 0.02


def unsteadiness(
    stylize: Callable[[Tensor], Tensor], content: Tensor, pictures: Tensor, numbers: Sequence[int]
) -> Tensor:
    """The mean squared difference between results that were moved and the results of contents that were moved likewise
    and have noise of their own, where both show the same.

    Args:
        stylize: from contents to results, both [B, 3, H, W] in 0..1.
        content: crops.
        pictures: their results.
        numbers: the crops' numbers, B of them; each draws its own shift, scale and noise by it.
    """
    drawn = [_draw(number, content.shape[1:]) for number in numbers]
    places, noise = (torch.stack(parts).to(content.device) for parts in zip(*drawn, strict=True))
    grid = F.affine_grid(places, list(content.shape), align_corners=False)
    again = stylize((_moved(content, grid) + noise).clamp(0, 1))
    difference = (again.float() - _moved(pictures, grid)).square().mean(dim=1)
    inside = (grid.abs() <= 1).all(dim=3)
    return ((difference * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2))).mean()


def _draw(number: int, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """An affine map [2, 3] of places in -1..1, and noise of this shape."""
    generator = torch.Generator().manual_seed(number)
    zoom, x, y = (2 * torch.rand(3, generator=generator) - 1).tolist()
    zoom = 1 + _ZOOM * zoom
    places = torch.tensor([[zoom, 0, 2 * _SHIFT * x], [0, zoom, 2 * _SHIFT * y]])
    return places, _NOISE * torch.randn(shape, generator=generator)


def _moved(pictures: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(pictures.float(), grid, mode="bicubic", padding_mode="reflection", align_corners=False)
