"""Feature transforms: how content features take on a style's statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .normalize import mean_std
from .stats import StyleStats, resize_mask


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
    """AdaIN (Huang and Belongie 2017, equation 8), with the content's statistics under the mask if there is one."""
    if content is not None and tap in content.mean:
        mean, std = content.mean[tap], content.std[tap]
    else:
        mean, std = mean_std(features, mask)
    scale = style.std[tap] / std
    return (features * scale + (style.mean[tap] - mean * scale)).to(features.dtype)


TRANSFORMS: dict[str, Transform] = {"adain": adain}


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
            return torch.lerp(current, move(content, self.style, tap, None, self.content), self.alpha)
        # Statistics under an empty mask do not exist; nothing is stylised there, so any finite ones do.
        mask = resize_mask(self.mask, content.shape[-2:])
        empty = mask.sum(dim=(-2, -1), keepdim=True) == 0
        target = move(content, self.style, tap, torch.where(empty, torch.ones_like(mask), mask), self.content)
        return torch.lerp(current, target, (self.alpha * mask).to(current.dtype))

    def weight(self, size: tuple[int, int]) -> Tensor | float:
        """How much of the style each cell of a grid receives: alpha, times the mask where there is one."""
        return self.alpha if self.mask is None else self.alpha * resize_mask(self.mask, size)

    def part(self, pictures: slice) -> Blend:
        """The blend for some pictures of the batch."""
        style = self.style if self.style.count == 1 else self.style.part(pictures)
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[pictures]
        content = self.content if self.content is None or self.content.count == 1 else self.content.part(pictures)
        return replace(self, style=style, mask=mask, content=content)
