"""A blend: one application of a style to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..images.masks import resize_mask
from ..styles.stats import StyleStats
from ..styles.transforms import TRANSFORMS


@dataclass(frozen=True)
class Blend:
    """One application of a style.

    Args:
        style: its batch is 1 or that of the content.
        alpha: strength, 0..1.
        mask: where to stylize, [B or 1, 1, H, W], 0..1, any size; a mask that is zero everywhere changes nothing.
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
        # Statistics under an empty mask do not exist; nothing is stylized there, so any finite ones do.
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
