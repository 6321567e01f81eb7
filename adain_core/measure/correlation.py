"""How much of a picture's colors and outlines another one keeps, as Pearson correlations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.color import luminance

_TILE = 32
# Sobel's filter: the change along one axis, smoothed along the other.
_CHANGE = (-1.0, 0.0, 1.0)
_SMOOTH = (1.0, 2.0, 1.0)


def chroma_correlation(a: Tensor, b: Tensor) -> Tensor:
    """How alike the colors of pictures are, place by place, whatever their brightness.

    RGB less its mean over the channels, averaged over tiles of 32 x 32 pixels; at the right and at the bottom tiles may
    be smaller.

    Args:
        a: [B, 3, H, W] in 0..1.
        b: of the same shape.

    Returns:
        One number for each pair, [B], from -1 to 1; NaN where one of the pictures is gray or of one color throughout.
    """
    return _pearson(_tiles(a), _tiles(b))


def edge_correlation(a: Tensor, b: Tensor) -> Tensor:
    """How alike the outlines of pictures are: of the length of the luminance's gradient (Sobel).

    Args:
        a: [B, 3, H, W] in 0..1, H and W at least 3.
        b: of the same shape.

    Returns:
        One number for each pair, [B], from -1 to 1; NaN where one of the pictures is flat.
    """
    return _pearson(_edges(a), _edges(b))


def _tiles(picture: Tensor) -> Tensor:
    chroma = picture.float() - picture.float().mean(dim=1, keepdim=True)
    return F.avg_pool2d(chroma, _TILE, ceil_mode=True).flatten(1)


def _edges(picture: Tensor) -> Tensor:
    gray = luminance(picture.float())
    change, smooth = gray.new_tensor(_CHANGE), gray.new_tensor(_SMOOTH)
    right = F.conv2d(gray, torch.outer(smooth, change)[None, None])
    down = F.conv2d(gray, torch.outer(change, smooth)[None, None])
    return torch.hypot(right, down).flatten(1)


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of the rows of two matrices [B, N]."""
    a, b = (x.double() - x.double().mean(dim=1, keepdim=True) for x in (a, b))
    flat = torch.finfo(torch.float32).eps
    norms = [x.norm(dim=1) for x in (a, b)]
    known = (norms[0] > flat * a.shape[1]) & (norms[1] > flat * a.shape[1])
    return torch.where(known, (a * b).sum(dim=1) / (norms[0] * norms[1]), torch.nan).float()
