"""More of a feature map's distribution than mean and standard deviation: covariances and sorted values.

A channel's sorted values are kept as its quantile function at Q equidistant places, ``(i + 0.5) / Q``; for a map of Q
cells these are the sorted values themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..networks.normalization import mean_std, row_strips


def covariance(features: Tensor, weight: Tensor | None = None, mean: Tensor | None = None) -> Tensor:
    """Population covariance of the channels, in float32.

    Args:
        features: [B, C, H, W].
        weight: a soft mask [B or 1, 1, H, W], not negative and with a positive sum.
        mean: that of the channels under the mask, [B, C, 1, 1], if it is known.

    Returns:
        [B, C, C].
    """
    if mean is None:
        mean, _ = mean_std(features, weight)
    total = features.shape[2] * features.shape[3] if weight is None else weight.float().sum(dim=(2, 3))[..., None]
    return products(features, mean, weight) / total


def products(features: Tensor, mean: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sums of the products of all pairs of channels about their means, in float32 whatever autocast says.

    Args:
        features: [B, C, H, W].
        mean: [B, C, 1, 1].
        weight: a soft mask [B or 1, 1, H, W].

    Returns:
        [B, C, C].
    """
    strips = row_strips(features)
    weights = [None] * len(strips) if weight is None else weight.float().split(strips[0].shape[2], dim=2)
    sums = []
    with torch.autocast(features.device.type, enabled=False):
        for strip, cells in zip(strips, weights, strict=True):
            centered = (strip.float() - mean).flatten(2)
            weighted = centered if cells is None else centered * cells.flatten(2)
            sums.append(weighted @ centered.mT)
        return torch.stack(sums).sum(dim=0)


def quantiles(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Each channel's quantile function at as many places as the map has cells.

    Args:
        features: [B, C, H, W].
        weight: a soft mask [B or 1, 1, H, W], not negative and with a positive sum.

    Returns:
        [B, C, HW] in float32, ascending.
    """
    values, order = features.float().flatten(2).sort(dim=2)
    if weight is None:
        return values
    share = _shares(values, weight).expand_as(values).gather(2, order)
    places = _places(values.shape[2], values).expand_as(values).contiguous()
    index = torch.searchsorted(share.cumsum(dim=2), places).clamp(max=values.shape[2] - 1)
    return values.gather(2, index)


def ranks(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Where each value of a map stands in its channel, 0..1; equal values get ranks one after the other.

    Args:
        features: [B, C, H, W].
        weight: a soft mask [B or 1, 1, H, W]: cells count by their weight.

    Returns:
        [B, C, H, W] in float32.
    """
    x = features.float().flatten(2)
    order = x.argsort(dim=2, stable=True)
    share = _shares(x, weight).expand_as(x).gather(2, order)
    return torch.empty_like(x).scatter_(2, order, share.cumsum(dim=2) - share / 2).view(features.shape)


def cumulative(features: Tensor, values: Tensor) -> Tensor:
    """The distribution function at each value of a map; equal values get the same, in the middle of their step.

    Args:
        features: [B, C, H, W].
        values: from :func:`quantiles`, [B or 1, C, Q].

    Returns:
        [B, C, H, W] in float32, 0..1.
    """
    x = features.float().flatten(2).contiguous()
    values = values.expand(len(x), -1, -1).contiguous()
    below, up_to = torch.searchsorted(values, x), torch.searchsorted(values, x, right=True)
    return ((below + up_to).float() / (2 * values.shape[2])).view(features.shape)


def quantile_at(values: Tensor, places: Tensor) -> Tensor:
    """A quantile function at any place, linear between the places where it is known.

    Args:
        values: [B or 1, C, Q], ascending.
        places: [B, C, ...] in 0..1.

    Returns:
        [B, C, ...].
    """
    count = values.shape[2]
    position = (places.flatten(2) * count - 0.5).clamp(0, count - 1)
    values = values.expand(len(position), -1, -1)
    lower = position.long()
    upper = (lower + 1).clamp(max=count - 1)
    return torch.lerp(values.gather(2, lower), values.gather(2, upper), position - lower).view(places.shape)


def resample(values: Tensor, count: int) -> Tensor:
    """A quantile function [B, C, Q] at another number of places, [B, C, count]."""
    if values.shape[2] == count:
        return values
    return quantile_at(values, _places(count, values).expand(*values.shape[:2], count))


def _places(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, device=like.device, dtype=torch.float32) + 0.5) / count


def _shares(x: Tensor, weight: Tensor | None) -> Tensor:
    """What share of the whole each cell of [B, C, HW] counts, [B or 1, 1, HW]."""
    if weight is None:
        return torch.full_like(x[:1, :1], 1 / x.shape[2])
    weight = weight.float().flatten(2)
    return weight / weight.sum(dim=2, keepdim=True)
