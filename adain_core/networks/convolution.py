"""The two convolutions that encoder and decoder are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# A CPU takes a third of a convolution's time to copy a map of so many bytes with its border. There the borders are
# convolved by themselves.
_LARGE = 2**24


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with reflection padding, so that borders carry no band of zeros.

    Maps [B, C, H, W] keep their size, H and W at least 2.
    """

    bias: Tensor  # None in a decoder's convolutions for joined maps alone, where nothing else reads it

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if not plain and x.device.type != "cpu":
            return F.conv2d(reflected(x), self.weight, self.bias)
        if plain or x.numel() * x.element_size() < _LARGE:
            return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.weight, self.bias)
        result = F.conv2d(x, self.weight, self.bias, padding=1)
        sides = (
            (result[:, :, :1], x[:, :, :2], (1, 1, 1, 0)),
            (result[:, :, -1:], x[:, :, -2:], (1, 1, 0, 1)),
            (result[..., :1], x[..., :2], (1, 0, 1, 1)),
            (result[..., -1:], x[..., -2:], (0, 1, 1, 1)),
        )
        for target, edge, border in sides:
            target.copy_(F.conv2d(F.pad(edge, border, mode="reflect"), self.weight, self.bias))
        return result


class UpConv3x3(Conv3x3):
    """Nearest upsampling by 2 and a :class:`Conv3x3` in one step, in less than half the time.

    Two neighboring pixels that are copies of one cell share their weights, so the 3x3 kernel over the large map is a
    4x4 kernel of a transposed convolution over the small one; reflection there is replication here. Maps become
    [B, C', 2 H, 2 W], any H and W.
    """

    def forward(self, x: Tensor) -> Tensor:
        corners = [(0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0)]
        kernel = torch.stack([F.pad(self.weight, corner) for corner in corners]).sum(dim=0)
        # torch.compile takes the gradient of F.pad's replication for contiguous, which channels_last makes wrong.
        wide = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
        padded = torch.cat([wide[..., :1, :], wide, wide[..., -1:, :]], dim=-2)
        return F.conv_transpose2d(padded, kernel.flip(-1, -2).transpose(0, 1), self.bias, stride=2, padding=3)


def reflected(x: Tensor) -> Tensor:
    """A map [B, C, H, W] with its reflection as a border, [B, C, H + 2, W + 2].

    F.pad's reflection on CUDA gives up channels_last, which doubles the time of a large picture; this one takes twice
    as long on a CPU, and its gradient several times as long.
    """
    wide = torch.cat([x[..., 1:2], x, x[..., -2:-1]], dim=-1)
    return torch.cat([wide[..., 1:2, :], wide, wide[..., -2:-1, :]], dim=-2)
