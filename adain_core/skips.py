"""Skip connections: what a decoder receives from the encoder's shallow taps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from .transfer import Blend

Join = Literal["plain", "add", "concat", "concat2"]
Source = Literal["content", "style", "both"]

SKIP_TAPS = ("relu1_1", "relu2_1", "relu3_1")


@dataclass(frozen=True)
class Skips:
    """What a decoder receives from the three shallow encoder taps besides the features themselves.

    Written as one word: ``plain``, ``add-content``, ``concat-both``, ``concat-content-adain``, ...

    Args:
        join: ``plain`` (no skips), ``add``, ``concat`` or ``concat2`` (the report's own: at two of the taps, see
            :class:`~adain_core.decoder.Decoder`).
        source: whose encoder maps; those of the style are resized to the content's grid.
        adain: give the content's maps the style's statistics first (the report's outlook).
        strength: factor on added maps; a decoder is trained for one.
    """

    join: Join = "plain"
    source: Source = "content"
    adain: bool = False
    strength: float = 1.0

    @classmethod
    def parse(cls, name: str, strength: float = 1.0) -> Skips:
        """The skips that a word such as ``concat-content-adain`` names.

        Raises:
            ValueError: the word names no kind of skips, or the strength is not finite.
        """
        if not math.isfinite(strength):
            raise ValueError(f"The strength of the skips is {strength}; expected a finite number.")
        if name == "plain":
            return cls()
        for join, source, adain in product(get_args(Join), get_args(Source), (False, True)):
            skips = cls(join, source, adain, strength)
            if str(skips) == name and not (adain and source == "style"):
                return skips
        raise ValueError(
            f"'{name}' is no kind of decoder; expected 'plain' or 'add', 'concat' or 'concat2' with '-content',"
            " '-style' or '-both', and '-adain' after it for AdaIN on the content's skips."
        )

    def __str__(self) -> str:
        return "plain" if self.join == "plain" else "-".join([self.join, self.source, *["adain"] * self.adain])

    @property
    def taps(self) -> tuple[str, ...]:
        """The encoder taps that the decoder needs, shallow ones only."""
        return {"plain": (), "concat2": SKIP_TAPS[:2]}.get(self.join, SKIP_TAPS)

    @property
    def sources(self) -> int:
        """How many maps join at each tap."""
        return 2 if self.source == "both" else 1

    @property
    def need_style_image(self) -> bool:
        """Whether statistics are not enough: the style's own maps go into the decoder."""
        return self.join != "plain" and self.source != "content"

    def maps(
        self, tap: str, content: Tensor, blends: Sequence[Blend], style_maps: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """The maps that join the decoder at a tap.

        Args:
            tap: one of :attr:`taps`.
            content: the content's encoder map there, [B, C, H, W].
            blends: the styles that the features received, in order.
            style_maps: for each blend the style's encoder map, [B or 1, C, h, w]; needed where
                :attr:`need_style_image`.

        Returns:
            One or two maps [B, C, H, W]. Where alpha or a mask is 0 the content stands in for the style.
        """
        maps = []
        if self.source != "style":
            styled = content
            for blend in blends if self.adain else ():
                # A style keeps means and deviations at the shallow taps; without any style there must be none here too.
                transform = "instance-norm" if blend.transform == "instance-norm" else "adain"
                styled = blend.apply(styled, content, tap, transform)
            maps.append(styled)
        if self.source != "content":
            styled = content
            for blend, style_map in zip(blends, style_maps, strict=True):
                style_map = F.interpolate(style_map, size=content.shape[-2:], mode="bilinear", align_corners=False)
                weight = torch.as_tensor(blend.weight(content.shape[-2:]), dtype=content.dtype, device=content.device)
                styled = torch.lerp(styled, style_map.expand_as(content), weight)
            maps.append(styled)
        return maps
