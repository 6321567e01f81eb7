"""The VGG-19 topology as an encoder, at any width (Simonyan and Zisserman 2015, configuration E)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VGG19_WIDTHS = (64, 128, 256, 512)
STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
DEEPEST_TAP = STYLE_TAPS[-1]

# VGG-19 has 2, 2, 4, 4, 4 convolutions in its blocks; the last block in use ends after its first.
_CONVS_PER_BLOCK = (2, 2, 4, 4, 4)

# A CPU takes a third of a convolution's time to copy a map of so many bytes with its border. There the borders are
# convolved by themselves.
_LARGE = 2**24

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def conv_names(blocks: int) -> list[list[str]]:
    """Names of the convolutions of each block: [[conv1_1, conv1_2], [conv2_1, ...], ..., [convN_1]]."""
    counts = [*_CONVS_PER_BLOCK[: blocks - 1], 1]
    return [[f"conv{b}_{i}" for i in range(1, n + 1)] for b, n in enumerate(counts, start=1)]


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3x3 convolution with reflection padding; [B, C, H, W] keeps its size, H and W at least 2."""
    on_cpu = x.device.type == "cpu"
    if torch.is_grad_enabled() or (on_cpu and x.numel() * x.element_size() < _LARGE):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)
    if not on_cpu:
        return F.conv2d(reflected(x), weight, bias)
    result = F.conv2d(x, weight, bias, padding=1)
    sides = (
        (result[:, :, :1], x[:, :, :2], (1, 1, 1, 0)),
        (result[:, :, -1:], x[:, :, -2:], (1, 1, 0, 1)),
        (result[..., :1], x[..., :2], (1, 0, 1, 1)),
        (result[..., -1:], x[..., -2:], (0, 1, 1, 1)),
    )
    for target, edge, border in sides:
        target.copy_(F.conv2d(F.pad(edge, border, mode="reflect"), weight, bias))
    return result


def reflected(x: Tensor) -> Tensor:
    """A map [B, C, H, W] with its reflection as a border, [B, C, H + 2, W + 2].

    F.pad's reflection on CUDA gives up channels_last, which doubles the time of a large picture; this one takes twice
    as long on a CPU, and its gradient several times as long.
    """
    wide = torch.cat([x[..., 1:2], x, x[..., -2:-1]], dim=-1)
    return torch.cat([wide[..., 1:2, :], wide, wide[..., -2:-1, :]], dim=-2)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with reflection padding, so that borders carry no band of zeros."""

    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        return conv3x3(x, self.weight, self.bias)

    def upsampled(self, x: Tensor, maps: Sequence[Tensor] = ()) -> Tensor:
        """What this convolution makes of ``x`` after nearest upsampling by 2, in one step and less than half the time.

        Two neighbouring pixels that are copies of one cell share their weights, so the 3x3 kernel over the large map
        is a 4x4 kernel of a transposed convolution over the small one; reflection there is replication here.

        Args:
            x: [B, C, H, W], any H and W.
            maps: [B, .., 2 H, 2 W], which this convolution sees as further channels.

        Returns:
            [B, C', 2 H, 2 W].
        """
        weight, *rest = self.weight.split([y.shape[1] for y in (x, *maps)], dim=1)
        corners = [(0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0)]
        kernel = torch.stack([F.pad(weight, corner) for corner in corners]).sum(dim=0)
        # torch.compile takes the gradient of F.pad's replication for contiguous, which channels_last makes wrong.
        wide = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
        padded = torch.cat([wide[..., :1, :], wide, wide[..., -1:, :]], dim=-2)
        result = F.conv_transpose2d(padded, kernel.flip(-1, -2).transpose(0, 1), self.bias, stride=2, padding=3)
        for y, kernel in zip(maps, rest, strict=True):
            result = result.add_(conv3x3(y, kernel, None))
        return result


class Encoder(nn.Module):
    """VGG-19 from RGB to the first ReLU of its last block, with every ReLU as a tap.

    Preprocessing is part of the encoder: an affine map of the colours (a 1x1 convolution), kept as the
    buffers ``colour.weight`` and ``colour.bias``. The normalised VGG-19 has the map from RGB 0..1 to BGR * 255 -
    mean, torchvision's VGG-19 has ImageNet's mean and standard deviation.

    Args:
        widths: channels of each block; four blocks end at relu4_1 (AdaIN), five at relu5_1 (Gatys).
    """

    conv1_1: Conv3x3

    def __init__(self, widths: Sequence[int] = VGG19_WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.blocks = conv_names(len(self.widths))
        self.dtype = torch.float32
        self.pool: Callable[..., Tensor] = F.max_pool2d
        self.colour = AffineColour()
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
        x = image
        for block, names in enumerate(self.blocks):
            if block:
                x = self.pool(x, kernel_size=2, stride=2, ceil_mode=True)
            for name in names:
                x = self._first(x) if name == "conv1_1" else self.get_submodule(name)(x)
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

    def compute_in(self, dtype: torch.dtype) -> Encoder:
        """Convolve in a dtype from now on. The colour map and conv1_1 stay in float32, since folding them is exact
        only there."""
        for name in (name for names in self.blocks for name in names if name != "conv1_1"):
            self.get_submodule(name).to(dtype)
        self.dtype = dtype
        return self

    def _first(self, image: Tensor) -> Tensor:
        """conv1_1 with the colour map folded in, which is exact: a pointwise map commutes with reflection."""
        conv = self.conv1_1
        with torch.autocast(image.device.type, enabled=False):
            weight = torch.einsum("oikl,ij->ojkl", conv.weight, self.colour.weight)
            bias = conv.bias + torch.einsum("oikl,i->o", conv.weight, self.colour.bias)
        return conv3x3(image.to(self.dtype), weight.to(self.dtype), bias.to(self.dtype))


class AffineColour(nn.Module):
    """The colour map of an encoder: ``weight @ rgb + bias``; the identity until it is set."""

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(3))
        self.register_buffer("bias", torch.zeros(3))
