"""What Gatys' optimization minimizes: distances of Gram matrices from the styles' and of features from the content's.

Gatys, Ecker and Bethge 2015 ("Texture synthesis using convolutional neural networks") and 2016 ("Image style transfer
using convolutional neural networks").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.masks import resize_mask
from ..images.pictures import resize
from ..measure.losses import total_variation
from ..networks.encoder import Encoder
from ..options import GatysOptions, GatysPreset, Optimization


class Settings(Optimization):
    """What is optimized, and how, for encoders that may lack some of the layers."""

    def for_encoder(self, encoder: Encoder) -> Settings:
        """The same settings with layers that the encoder has: styles without those that it lacks, content at its last
        layer where it lacks the one that was asked for (relu4_1 for an encoder of four blocks).

        Raises:
            ValueError: none of the style layers exists.
        """
        layers = [name for names in encoder.blocks for name in names]
        known = {tap for name in layers for tap in (name, name.replace("conv", "relu"))}
        style_taps = tuple(tap for tap in self.style_taps if tap in known)
        if not style_taps:
            raise ValueError(
                f"This encoder has none of the layers {', '.join(self.style_taps)}; it ends at relu{layers[-1][4:]}."
            )
        content_tap = self.content_tap if self.content_tap in known else f"relu{layers[-1][4:]}"
        return replace(self, content_tap=content_tap, style_taps=style_taps)


PRESETS: dict[GatysPreset, Settings] = {
    "gatys": Settings(),
    "tutorial": Settings(
        content_tap="conv2_2",
        style_taps=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
        style_weight=1e6,
        history=100,
    ),
}
"""``gatys``: the layers of the paper. ``tutorial``: what PyTorch's widely used tutorial does, which is not Gatys'
choice: the first five convolutions before their ReLUs, content at the fourth, style weight 1e6, 300 evaluations. It is
meant for torchvision's VGG-19."""


def settings_of(options: GatysOptions, **changes: Any) -> Settings:
    """The settings of a preset, with the style's weight multiplied and with changes; None leaves the preset's value.

    Raises:
        ValueError: a change is out of range.
    """
    preset = PRESETS[options.preset]
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(preset, style_weight=options.style_weight * preset.style_weight, **given)


@dataclass(frozen=True)
class Style:
    """One style of an optimization.

    Args:
        image: [1, 3, h, w] in 0..1; its own size is kept.
        weight: relative to the other styles.
        mask: where in the result, [H, W] in 0..1, any size; everywhere if not given.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """The weighted parts of the loss, which add up to ``total``."""

    content: float
    style: float
    variation: float

    @property
    def total(self) -> float:
        """What is minimized."""
        return self.content + self.style + self.variation


class Objective:
    """The loss of pictures at one scale.

    Args:
        content: [1, 3, H, W] at full size, or nothing for a texture.
        size: (h, w) of the pictures at this scale.
        scale: by which the styles are scaled, like the picture.
    """

    def __init__(
        self,
        network: Encoder,
        content: Tensor | None,
        styles: Sequence[Style],
        size: tuple[int, int],
        scale: float,
        settings: Settings,
    ) -> None:
        self.network = network
        self.settings = settings
        self.content = None
        self.grams = []
        self.masks = [style.mask for style in styles]
        self.shares = [style.weight / sum(s.weight for s in styles) for style in styles]
        with torch.no_grad():
            if content is not None:
                self.content = self._features(resize(content, size), [settings.content_tap])[settings.content_tap]
            for style in styles:
                image = resize(style.image, tuple(max(1, round(side * scale)) for side in style.image.shape[-2:]))
                features = self._features(image, settings.style_taps)
                self.grams.append({tap: gram_matrix(x) for tap, x in features.items()})

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """The fields of :class:`Losses`, differentiable."""
        settings = self.settings
        zero = picture.new_zeros(())
        taps = [*settings.style_taps, *([] if self.content is None else [settings.content_tap])]
        features = self._features(picture, taps)
        content = zero if self.content is None else F.mse_loss(features[settings.content_tap], self.content)
        style = zero
        for grams, mask, share in zip(self.grams, self.masks, self.shares, strict=True):
            for tap, gram in grams.items():
                weight = None if mask is None else resize_mask(mask[None, None], features[tap].shape[-2:])
                style = style + share * gram_distance(gram_matrix(features[tap], weight), gram)
        variation = total_variation(self._padded(picture)) if settings.variation_weight else zero
        return {
            "content": settings.content_weight * content,
            "style": settings.style_weight * style,
            "variation": settings.variation_weight * variation,
        }

    def _features(self, picture: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        return self.network(self._padded(picture), taps)

    def _padded(self, picture: Tensor) -> Tensor:
        """Pictures that are too small for the deepest layer are continued by their last row and column."""
        smallest = 2 ** len(self.network.widths)
        height, width = (max(0, smallest - side) for side in picture.shape[-2:])
        return F.pad(picture, (0, width, 0, height), mode="replicate") if height or width else picture


def gram_matrix(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean products of the channels of a feature map.

    Args:
        features: [B, C, H, W].
        mask: a soft mask [B or 1, 1, H, W], not zero everywhere: a weighted mean.

    Returns:
        ``F F^T / HW``, [B, C, C].
    """
    if mask is None:
        x = features.flatten(2) / math.sqrt(features[0, 0].numel())
    else:
        x = (features * (mask / mask.sum(dim=(-2, -1), keepdim=True)).sqrt()).flatten(2)
    return x @ x.mT


def gram_distance(a: Tensor, b: Tensor) -> Tensor:
    """Distance of two Gram matrices [B, C, C]: their mean squared difference divided by C squared, as Gatys' program
    weighs its layers (4 / C^2 times equation 4 of Gatys et al. 2016)."""
    return (a - b).square().mean() / a.shape[-1] ** 2
