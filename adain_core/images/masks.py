"""Masks: as they come from users, and on the grids of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def checked_mask(mask: Tensor, count: int) -> Tensor:
    """A mask [H, W] or [B, H, W] for ``count`` pictures as [1 or B, 1, H, W] in 0..1; one that is so already passes.

    Raises:
        TypeError: this is no tensor.
        ValueError: the mask has another shape, or numbers that are not finite.
    """
    if not isinstance(mask, Tensor):
        raise TypeError(f"A mask has the type {type(mask).__name__}; expected a tensor [H, W] or [B, H, W] in 0..1.")
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or len(mask) not in (1, count) or 0 in mask.shape:
        raise ValueError(f"A mask has the shape {list(mask.shape)}; expected [H, W] or [B, H, W] for {count} pictures.")
    if not mask.isfinite().all():
        raise ValueError("A mask holds NaN or infinite numbers; look for what went wrong where it was made.")
    return mask[:, None].float().clamp(0, 1)


def filled_mask(mask: Tensor) -> Tensor:
    """A mask [B, 1, H, W] with those that are zero everywhere made 1: statistics under them do not exist, and are not
    used."""
    return torch.where(mask.sum(dim=(2, 3), keepdim=True) == 0, torch.ones_like(mask), mask)


def soft_mask(mask: Tensor, grid: Sequence[int]) -> Tensor:
    """A mask [B, 1, H, W] whose edges are as soft as a coarser grid of features makes them.

    Where maps of several depths are blended, the shallow ones must not change more suddenly than the deep ones.
    """
    return resize_mask(resize_mask(mask, grid), mask.shape[-2:])


def resize_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask [B, 1, H, W] in 0..1 at the size of a feature grid: the mean over each cell in a direction in which it
    shrinks, bilinear in one in which it grows."""
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    smaller = [min(side, wanted) for side, wanted in zip(mask.shape[-2:], size, strict=True)]
    return F.interpolate(F.interpolate(mask.float(), size=smaller, mode="area"), size=size, mode="bilinear")
