"""The VGG-19 topology as an encoder, at any width (Simonyan and Zisserman 2015, configuration E)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv3x3

VGG19_WIDTHS = (64, 128, 256, 512)
"""Channels of each block of VGG-19, up to relu4_1."""
STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
DEEPEST_TAP = STYLE_TAPS[-1]

# VGG-19 has 2, 2, 4, 4, 4 convolutions in its blocks; the last block in use ends after its first.
_CONVS_PER_BLOCK = (2, 2, 4, 4, 4)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """The channels of each block.

    Raises:
        ValueError: there are no blocks or more than VGG-19 has, or one without channels.
    """
    if not 1 <= len(widths) <= len(_CONVS_PER_BLOCK) or min(widths) < 1:
        raise ValueError(
            f"The widths {list(widths)} make no network; expected 1 to {len(_CONVS_PER_BLOCK)} positive numbers, the"
            " channels of each block."
        )
    return tuple(widths)


def conv_names(blocks: int) -> list[list[str]]:
    """Names of the convolutions of each block: [[conv1_1, conv1_2], [conv2_1, ...], ..., [convN_1]]."""
    counts = [*_CONVS_PER_BLOCK[: blocks - 1], 1]
    return [[f"conv{b}_{i}" for i in range(1, n + 1)] for b, n in enumerate(counts, start=1)]


class Encoder(nn.Module):
    """VGG-19 from RGB to the first ReLU of its last block, with every ReLU as a tap.

    Preprocessing is part of the encoder: the normalized VGG-19 has a color map from RGB 0..1 to BGR * 255 - mean,
    torchvision's VGG-19 one with ImageNet's mean and standard deviation.

    Args:
        widths: channels of each block; four blocks end at relu4_1 (AdaIN), five at relu5_1 (Gatys).

    Raises:
        ValueError: they make no network.
    """

    conv1_1: Conv3x3

    def __init__(self, widths: Sequence[int] = VGG19_WIDTHS) -> None:
        super().__init__()
        self.widths = checked_widths(widths)
        self.blocks = conv_names(len(self.widths))
        self.pool: nn.Module = nn.MaxPool2d(2, ceil_mode=True)
        self.color = ColorMap()
        channels = 3
        for names, width in zip(self.blocks, self.widths, strict=True):
            for name in names:
                self.add_module(name, Conv3x3(channels, width))
                channels = width

    def forward(self, image: Tensor, taps: Iterable[str] = (DEEPEST_TAP,)) -> dict[str, Tensor]:
        """Feature maps of an image.

        Args:
            image: [B, 3, H, W], RGB in 0..1; H and W at least 16 (each block halves them, rounding up).
            taps: layers to return, ``reluN_M`` or ``convN_M`` (before the ReLU). Nothing deeper is computed.

        Returns:
            A map from each tap to [B, C, H / stride, W / stride], strides 1, 2, 4, 8 (and 16).

        Raises:
            ValueError: a tap that this encoder does not have.
        """
        wanted = set(taps)
        features: dict[str, Tensor] = {}
        x = self.color(image.to(self.dtype))
        for block, names in enumerate(self.blocks):
            if block:
                x = self.pool(x)
            for name in names:
                x = self.get_submodule(name)(x)
                if name in wanted:
                    features[name] = x
                # In place where nobody else holds the map: fresh memory for a large one costs as much as the
                # convolution.
                x = F.relu(x, inplace=name not in wanted)
                tap = name.replace("conv", "relu")
                if tap in wanted:
                    features[tap] = x
                if len(features) == len(wanted):
                    return features
        unknown = ", ".join(sorted(wanted - features.keys()))
        raise ValueError(f"This encoder has no layer {unknown}; its last one is relu{len(self.widths)}_1.")

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its convolutions."""
        return self.conv1_1.weight.dtype


class ColorMap(nn.Module):
    """An affine map of colors, ``weight @ rgb + bias``; the identity until it is set. It does not learn."""

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3))
        self.register_buffer("bias", torch.zeros(3))

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.weight[:, :, None, None], self.bias)
