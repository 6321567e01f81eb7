"""A blend: one application of a style to features, and what a decoder makes of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.masks import resize_mask
from ..networks.decoder import Decoder
from ..networks.encoder import DEEPEST_TAP
from ..networks.skips import Skips
from ..styles.stats import StyleStats
from ..styles.transforms import ADAIN, GAUSSIAN_OT, Transform


@dataclass(frozen=True, eq=False)
class Blend:
    """One application of a style.

    Args:
        style: its batch is 1 or that of the content.
        alpha: strength, 0..1; a tensor of one number where a graph is to take it as an input.
        mask: where to stylize, [B or 1, 1, H, W], 0..1, any size; a mask that is zero everywhere changes nothing.
        transform: how the features take on the style.
        content: statistics of the content to use instead of measuring it, for the taps that it has.

    Raises:
        ValueError: alpha is not from 0 to 1.
    """

    style: StyleStats
    alpha: float | Tensor = 1.0
    mask: Tensor | None = None
    transform: Transform = ADAIN
    content: StyleStats | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, Tensor) and not (math.isfinite(self.alpha) and 0 <= self.alpha <= 1):
            raise ValueError(f"alpha is {self.alpha}; expected a number from 0 (content) to 1 (style).")

    def apply(self, current: Tensor, content: Tensor, tap: str) -> Tensor:
        """Lay the style over feature maps: ``(1 - alpha m) * current + alpha m * transform(content)``.

        Args:
            current: features so far, [B, C, H, W]: the content's, or those of an earlier blend.
            content: the content's untouched features; statistics come from them, so that several masked blends compose.
            tap: the layer that these features are.

        Returns:
            [B, C, H, W] in the dtype of ``current``.
        """
        move = self.transform.move
        if self.mask is None:
            target = move(content, self.style, tap, None, self.content)
            if isinstance(self.alpha, Tensor):
                return torch.lerp(current, target, self.alpha.to(current.dtype))
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

    def at_skip(self, skips: Skips, tap: str) -> Blend:
        """The blend for a tap of a decoder's skips: with its own transform, if that acts there and the style has what
        it needs, or with the one that the decoder was trained with."""
        if self.transform.at_skips and not self.transform.lacks(self.style, tap):
            return self
        return replace(self, transform=GAUSSIAN_OT if tap in skips.transported else ADAIN)


def joined_maps(
    skips: Skips, tap: str, content: Tensor, blends: Sequence[Blend], style_maps: Sequence[Tensor] = ()
) -> list[Tensor]:
    """The maps that join the decoder at a tap.

    Args:
        skips: of the decoder.
        tap: one of ``skips.taps``.
        content: the content's encoder map there, [B, C, H, W].
        blends: the styles that the features received, in order.
        style_maps: for each blend the style's encoder map, [B or 1, C, h, w]; needed where ``skips.need_style_image``.

    Returns:
        One or two maps [B, C, H, W]. Where alpha or a mask is 0 the content stands in for the style.
    """
    maps = []
    if skips.source != "style":
        styled = content
        for blend in blends if skips.normalization else ():
            styled = blend.at_skip(skips, tap).apply(styled, content, tap)
        maps.append(styled)
    if skips.source != "content":
        styled = content
        for blend, style_map in zip(blends, style_maps, strict=True):
            style_map = F.interpolate(style_map, size=content.shape[-2:], mode="bilinear", align_corners=False)
            weight = torch.as_tensor(blend.weight(content.shape[-2:]), dtype=content.dtype, device=content.device)
            styled = torch.lerp(styled, style_map.expand_as(content), weight)
        maps.append(styled)
    return maps


def paint(
    decoder: Decoder,
    content: Mapping[str, Tensor],
    blends: Sequence[Blend],
    styles: Sequence[Mapping[str, Tensor]] = (),
) -> Tensor:
    """The picture of whole feature maps after some blends: differentiable, and not clamped.

    Args:
        decoder: what paints.
        content: the content's maps [B, C, H, W] at relu4_1 and at the taps of the decoder's skips.
        blends: of styles, in order.
        styles: for each blend the style's own maps at those taps, where the decoder needs them.

    Returns:
        [B, 3, 8 H, 8 W], about 0..1.
    """
    features = content[DEEPEST_TAP]
    for blend in blends:
        features = blend.apply(features, content[DEEPEST_TAP], DEEPEST_TAP)
    maps = {
        tap: joined_maps(decoder.skips, tap, content[tap], blends, [style[tap] for style in styles])
        for tap in decoder.skips.taps
    }
    return decoder(features, maps)
