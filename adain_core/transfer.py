"""Feature transforms: how content features take on a style's statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .distribution import cumulative, quantile_at, ranks
from .gaussian import coloring_map, transport_map
from .stats import Detail, StyleStats, resize_mask


class Transform(Protocol):
    """From content features [B, C, H, W], a style, its tap and a soft mask [B or 1, 1, H, W] to stylised features.

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
    # the mean, since a flat picture's scale is so large that rounding it would move all that is not centred; what
    # rounding the mean leaves goes into the shift.
    centre = content.mean[tap].to(features.dtype)
    shift = style.mean[tap] + (centre.float() - content.mean[tap]) * scale
    moved = features - centre
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
    """Whitening and colouring (Li et al. 2017): the features receive the style's mean and covariance."""
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


@dataclass(frozen=True)
class Blend:
    """One application of a style.

    Args:
        style: its batch is 1 or that of the content.
        alpha: strength, 0..1.
        mask: where to stylise, [B or 1, 1, H, W], 0..1, any size; a mask that is zero everywhere changes nothing.
        transform: a key of :data:`TRANSFORMS`.
        content: statistics of the content to use instead of measuring it, for the taps that it has.
    """

    style: StyleStats
    alpha: float = 1.0
    mask: Tensor | None = None
    transform: str = "adain"
    content: StyleStats | None = None

    def apply(self, current: Tensor, content: Tensor, tap: str, transform: str | None = None) -> Tensor:
        """Lay the style over feature maps: ``(1 - alpha m) * current + alpha m * transform(content)``.

        Args:
            current: features so far, [B, C, H, W]: the content's, or those of an earlier blend.
            content: the content's untouched features; statistics come from them, so that several masked blends compose.
            tap: the layer that these features are.
            transform: another transform than the blend's own.

        Returns:
            [B, C, H, W] in the dtype of ``current``.
        """
        move = TRANSFORMS[transform or self.transform]
        if self.mask is None:
            target = move(content, self.style, tap, None, self.content)
            return target if self.alpha == 1 else torch.lerp(current, target, self.alpha)
        # Statistics under an empty mask do not exist; nothing is stylised there, so any finite ones do.
        mask = resize_mask(self.mask, content.shape[-2:])
        empty = mask.sum(dim=(-2, -1), keepdim=True) == 0
        target = move(content, self.style, tap, torch.where(empty, torch.ones_like(mask), mask), self.content)
        return torch.lerp(current, target, (self.alpha * mask).to(current.dtype))

    def weight(self, size: Sequence[int]) -> Tensor | float:
        """How much of the style each cell of a grid receives: alpha, times the mask where there is one."""
        return self.alpha if self.mask is None else self.alpha * resize_mask(self.mask, size)

    def to(self, device: torch.device | str) -> Blend:
        """The same blend on another device."""
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self, style=self.style.to(device), mask=mask, content=self.content and self.content.to(device))

    def part(self, pictures: slice) -> Blend:
        """The blend for some pictures of the batch."""
        style = self.style if self.style.count == 1 else self.style.part(pictures)
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[pictures]
        content = self.content if self.content is None or self.content.count == 1 else self.content.part(pictures)
        return replace(self, style=style, mask=mask, content=content)
