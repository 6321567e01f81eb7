"""Feature transforms: how content features take on a style's statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from .distribution import cumulative, quantile_at, ranks
from .gaussian import coloring_map, transport_map
from .stats import Detail, StyleStats


class Transform(Protocol):
    """From content features [B, C, H, W], a style, its tap and a soft mask [B or 1, 1, H, W] to stylized features.

    Statistics of the content are measured under the mask, or are those of ``content`` where it has the tap: the
    features may be a tile of a larger map, or a frame of a film whose statistics are smoothed over time.
    """

    def __call__(
        self, features: Tensor, style: StyleStats, tap: str, mask: Tensor | None, content: StyleStats | None
    ) -> Tensor: ...


def adain(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """AdaIN (Huang and Belongie 2017, equation 8): each channel receives the style's mean and standard deviation."""
    content = _content(features, tap, mask, content)
    scale = style.std[tap] / content.std[tap]
    # In the features' own dtype: a shallow map in float32 takes longer to move through memory than to convolve. About
    # the mean, since a flat picture's scale is so large that rounding it would move all that is not centered; what
    # rounding the mean leaves goes into the shift.
    center = content.mean[tap].to(features.dtype)
    shift = style.mean[tap] + (center.float() - content.mean[tap]) * scale
    moved = features - center
    # Into the same memory where no gradient needs it: fresh memory for a large map costs more than the sum.
    out = None if torch.is_grad_enabled() else moved
    return torch.addcmul(shift.to(features.dtype), moved, scale.to(features.dtype), out=out)


def instance_norm(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """The content without its own style: mean 0 and standard deviation 1 in each channel, whatever the style is."""
    content = _content(features, tap, mask, content)
    return ((features - content.mean[tap]) / content.std[tap]).to(features.dtype)


def wct(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Whitening and coloring (Li et al. 2017): the features receive the style's mean and covariance."""
    return _gaussian(coloring_map, "wct", features, style, tap, mask, content)


def gaussian_ot(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Optimal transport of Gaussians (Mroueh 2019): mean and covariance as in :func:`wct`, but with the map that moves
    the features least. Blending it with alpha walks along the Wasserstein geodesic."""
    return _gaussian(transport_map, "gaussian-ot", features, style, tap, mask, content)


def efdm(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Exact feature distribution matching (Zhang et al. 2022): the n-th smallest value of each channel becomes the
    style's n-th smallest, by interpolation where their numbers differ. Ranks need the whole map, so ``content`` is not
    used."""
    places = ranks(features, mask)
    return quantile_at(_detail(style, "quantiles", "efdm", tap), places).to(features.dtype)


def histogram(
    features: Tensor, style: StyleStats, tap: str, mask: Tensor | None = None, content: StyleStats | None = None
) -> Tensor:
    """Histogram matching (Gonzalez and Woods): as :func:`efdm`, but values that are equal stay equal."""
    content = _content(features, tap, mask, content, "quantiles")
    places = cumulative(features, content.quantiles[tap])
    return quantile_at(_detail(style, "quantiles", "histogram", tap), places).to(features.dtype)


TRANSFORMS: dict[str, Transform] = {
    "adain": adain,
    "instance-norm": instance_norm,
    "wct": wct,
    "gaussian-ot": gaussian_ot,
    "efdm": efdm,
    "histogram": histogram,
}

DETAILS: dict[str, tuple[Detail, ...]] = {
    "wct": ("covariance",),
    "gaussian-ot": ("covariance",),
    "efdm": ("quantiles",),
    "histogram": ("quantiles",),
}
"""What a style must have been measured with for a transform; nothing for those that are not here."""


def _gaussian(
    matrix_between: Callable[[Tensor, Tensor], Tensor],
    name: str,
    features: Tensor,
    style: StyleStats,
    tap: str,
    mask: Tensor | None,
    content: StyleStats | None,
) -> Tensor:
    content = _content(features, tap, mask, content, "covariance")
    matrix = matrix_between(content.covariance[tap], _detail(style, "covariance", name, tap))
    moved = matrix @ (features.float() - content.mean[tap]).flatten(2)
    return (moved.view(features.shape) + style.mean[tap]).to(features.dtype)


def _content(features: Tensor, tap: str, mask: Tensor | None, given: StyleStats | None, *detail: Detail) -> StyleStats:
    """The content's statistics, as given or else measured."""
    if given is not None and tap in given.mean and all(tap in getattr(given, name) for name in detail):
        return given
    return StyleStats.measure({tap: features}, "", mask, detail=detail)


def _detail(style: StyleStats, detail: Detail, transform: str, tap: str) -> Tensor:
    if tap not in getattr(style, detail):
        raise ValueError(
            f"The transform '{transform}' needs the style's {detail} at {tap}, which a style or its file has only if it"
            f" was measured with the detail {detail}; measure its picture so, or use the transform 'adain'."
        )
    return getattr(style, detail)[tap]
