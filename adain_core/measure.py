"""Content and style losses: shared by the nodes, the command line and training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from .normalize import mean_std
from .stats import StyleStats

Convention = Literal["mse", "euclidean"]


def distance(a: Tensor, b: Tensor, convention: Convention = "mse") -> Tensor:
    """Distance of two tensors [B, ...], averaged over the batch.

    ``mse`` is the mean squared difference, which the public implementations compute; ``euclidean`` is the norm of the
    difference, which the paper's formulas print.
    """
    difference = (a.float() - b.float()).flatten(1)
    if convention == "mse":
        return difference.square().mean()
    return difference.norm(dim=1).mean()


def content_loss(features: Tensor, target: Tensor, convention: Convention = "mse") -> Tensor:
    """Distance of a result's relu4_1 features from the AdaIN target (Huang and Belongie 2017, equation 12; the
    report's equation 2).

    Args:
        features: the loss network's features of the result, [B, C, H, W].
        target: AdaIN of the loss network's features of content and style, [B, C, H, W].
        convention: see :func:`distance`.
    """
    return distance(features, target, convention)


def style_losses(
    features: Mapping[str, Tensor], style: StyleStats, convention: Convention = "mse"
) -> dict[str, Tensor]:
    """Distances of means plus those of standard deviations, layer by layer (Huang and Belongie 2017, equation 13; the
    report's equation 3).

    Args:
        features: the loss network's features of the result at each tap, [B, C, H, W].
        style: the statistics of the style in the same network, [B or 1, C, 1, 1].
        convention: see :func:`distance`.

    Returns:
        The loss at each tap; their sum is the style loss.
    """
    losses = {}
    for tap, x in features.items():
        mean, std = mean_std(x)
        style_mean, style_std = style.mean[tap].expand_as(mean), style.std[tap].expand_as(std)
        losses[tap] = distance(mean, style_mean, convention) + distance(std, style_std, convention)
    return losses


def total_variation(picture: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of [B, 3, H, W], H and W at least 2: rows plus columns."""
    rows = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean()
    columns = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).abs().mean()
    return rows + columns
