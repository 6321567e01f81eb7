"""What Gatys' optimization minimizes: distances of Gram matrices from the styles' and of features from the content's.

Gatys, Ecker and Bethge 2015 ("Texture synthesis using convolutional neural networks") and 2016 ("Image style transfer
using convolutional neural networks").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.masks import resize_mask
from ..images.pictures import resize
from ..measure.losses import total_variation
from ..networks.encoder import Encoder


@dataclass(frozen=True)
class Settings:
    """What is optimized, and how. The defaults are Gatys' own choice of layers.

    Args:
        content_tap: the layer whose features stay near the content's.
        style_taps: the layers whose Gram matrices become the style's.
        content_weight: factor on the content loss, the mean squared difference of the features.
        style_weight: factor on the style loss, see :func:`gram_distance`. Gatys' program has 1e3, which hardly leaves
            the photo within a few hundred evaluations.
        variation_weight: factor on the total variation of the picture.
        optimizer: ``lbfgs`` (:mod:`adain_core.gatys.lbfgs`) or ``adam`` (learning rate 0.02).
        iterations: evaluations of the loss and its gradient in all, shared equally by the scales. Most steps of L-BFGS
            and all of Adam take one.
        scales: from coarse to fine, each larger than the one before by sqrt(2); the last one is the full size. Scales
            whose short side would have less than 32 pixels are left out.
        history: pairs of vectors that L-BFGS remembers; each takes up to 48 bytes for each pixel.
        tolerance: a scale ends when its lowest loss fell by a smaller share than this over 20 evaluations; 0 for never.
        pooling: ``max`` as in VGG-19, or ``average``, which Gatys found to give slightly nicer pictures.
        seed: of the noise.
    """

    content_tap: str = "relu4_2"
    style_taps: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    content_weight: float = 1.0
    style_weight: float = 1e5
    variation_weight: float = 0.0
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    iterations: int = 300
    scales: int = 1
    history: int = 20
    tolerance: float = 0.0
    pooling: Literal["max", "average"] = "max"
    seed: int = 0

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


PRESETS = {
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
