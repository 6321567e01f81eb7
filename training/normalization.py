"""What can stand in AdaIN's place, with scale and shift learned: the study's section 2.1."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from adain_core.networks.convolution import Conv3x3
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import DEEPEST_TAP
from adain_core.networks.normalization import EPS, conditional_instance_norm
from adain_core.styles.stats import StyleStats

PACE = 30.0
"""Units of the learned scales and shifts. They are as large as features, and an optimizer that steps by its rate, as
Adam does, would need thousands of steps to get there (the equalized learning rate of Karras et al. 2018, arXiv
1710.10196)."""


class LearnedNormalization(nn.Module):
    """Batch, instance or conditional instance normalization of relu4_1.

    Args:
        kind: ``batch`` uses the statistics of the batch in training and running ones later, ``instance`` and
            ``conditional`` those of each picture. Their scales count by their magnitudes, as a style's standard
            deviations do.
        channels: of the features.
        styles: number of learned pairs of scale and shift; 1 unless conditional.
    """

    def __init__(self, kind: Literal["batch", "instance", "conditional"], channels: int, styles: int = 1) -> None:
        super().__init__()
        self.kind = kind
        if kind == "batch":
            self.batch = nn.BatchNorm2d(channels, eps=EPS)
        else:
            self.gamma = nn.Parameter(torch.full((styles, channels), 1 / PACE))
            self.beta = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, features: Tensor, style_images: Tensor) -> Tensor:
        """Normalize [B, C, H, W]; ``style_images`` [B] choose the pair where there are several."""
        if self.kind == "batch":
            return self.batch(features)
        chosen = style_images if self.kind == "conditional" else torch.zeros_like(style_images)
        return conditional_instance_norm(features, PACE * self.gamma.abs(), PACE * self.beta, chosen)

    def styles(self, space: str) -> list[StyleStats]:
        """The learned pairs as styles: instance normalization followed by a scale and a shift is AdaIN with them as
        standard deviation and mean. A batch-normalized model has none."""
        if self.kind == "batch":
            return []
        pairs = zip(PACE * self.beta.detach(), PACE * self.gamma.detach().abs(), strict=True)
        shape = (1, -1, 1, 1)
        return [
            StyleStats({DEEPEST_TAP: beta.view(shape)}, {DEEPEST_TAP: gamma.view(shape)}, space)
            for beta, gamma in pairs
        ]

    def fold_into(self, decoder: Decoder) -> Decoder:
        """The decoder that batch normalization leaves behind: with running statistics it is one scale and shift for
        each channel, which the decoder's first convolution takes up exactly. Its style is inside; it decodes the
        content's own features (alpha 0), and any other alpha is refused."""
        folded = copy.deepcopy(decoder)
        folded.style_inside = True
        mean, var, _ = self.batch.buffers()
        scale = self.batch.weight / (var + EPS).sqrt()
        shift = self.batch.bias - mean * scale
        first: Conv3x3 = getattr(folded, folded.names[0])
        with torch.no_grad():
            first.bias += torch.einsum("oikl,i->o", first.weight, shift)
            first.weight *= scale[:, None, None]
        return folded
