"""The mirrored decoder, with no skips, additive or concatenated skips from the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv3x3, UpConv3x3
from .encoder import VGG19_WIDTHS, checked_widths, conv_names
from .skips import Skips


class Decoder(nn.Module):
    """The encoder's mirror image: its convolutions in reverse, nearest upsampling in place of pooling.

    Each convolution is named after the one that it mirrors, so ``conv4_1`` comes first. Joined maps enter after each
    upsampling, where their size and channels match; concatenated ones have a convolution of their own, such as
    ``conv3_4_content``, which adds up to the same and spares the upsampled map. For ``concat`` the convolution before
    is narrowed, so that no variant has more parameters than the plain decoder; ``concat2`` is the study's own decoder,
    which widens the ones after.

    Args:
        widths: those of the encoder.
        skips: what joins the decoder from the encoder.
        style_inside: whether its first convolution holds the one style that it knows, as batch normalization leaves it;
            it decodes the content's own features only.

    Raises:
        ValueError: the widths make no network, or none with these skips.
    """

    conv1_1: Conv3x3

    def __init__(
        self, widths: Sequence[int] = VGG19_WIDTHS, skips: Skips | None = None, style_inside: bool = False
    ) -> None:
        super().__init__()
        self.widths = checked_widths(widths)
        self.skips = skips or Skips()
        self.style_inside = style_inside
        self.names: list[str] = []
        if self.skips.join == "concat2":
            self._build_study()
        else:
            self._build_mirror()

    def _build_mirror(self) -> None:
        channels = self.widths[-1]
        for block, names in reversed(list(enumerate(conv_names(len(self.widths))))):
            for name in reversed(names[1:]):
                self._append(name, channels, self.widths[block])
                channels = self.widths[block]
            width = self.widths[block - 1] if block else 3
            if block and self.skips.join == "concat":
                kept = width // (2 * len(self.skips.names))
                if not kept:
                    raise ValueError(
                        f"The decoder '{self.skips}' needs at least {2 * len(self.skips.names)} channels in each block"
                        f" but the last; the widths are {list(self.widths)}."
                    )
                self._append(names[0], channels, kept)
                channels = kept + len(self.skips.names) * width
            else:
                self._append(names[0], channels, width)
                channels = width

    def _build_study(self) -> None:
        if len(self.widths) != len(VGG19_WIDTHS):
            raise ValueError(f"The decoder '{self.skips}' has {len(VGG19_WIDTHS)} blocks, not {len(self.widths)}.")
        first, second, third, channels = self.widths
        joined = {"conv3_1": len(self.skips.names) * second, "conv2_1": len(self.skips.names) * first}
        wide, widest = second + joined["conv3_1"], first + joined["conv2_1"]
        blocks = ((4, [third]), (3, [second]), (2, [wide, wide, second, first]), (1, [widest, widest, first, first, 3]))
        for block, widths in blocks:
            for number, width in zip(range(len(widths), 0, -1), widths, strict=True):
                name = f"conv{block}_{number}"
                self._append(name, channels, width)
                channels = width + joined.get(name, 0)

    def _append(self, name: str, in_channels: int, out_channels: int) -> None:
        first_of_block = bool(self.names) and self.names[-1].endswith("_1")
        upsampled = first_of_block and self.skips.join != "add"
        self.names.append(name)
        joined = self.skips.names if first_of_block and tap_of(name) in self.skips.taps else ()
        if joined and self.skips.join != "add":
            width = self.widths[int(name[4]) - 1]
            in_channels -= len(joined) * width
            for source in joined:
                self.add_module(f"{name}_{source}", Conv3x3(width, out_channels, bias=False))
        self.add_module(name, (UpConv3x3 if upsampled else Conv3x3)(in_channels, out_channels))

    def parts_of(self, name: str) -> list[str]:
        """The convolutions whose outputs add up at a layer: its own, and one for each map concatenated there."""
        return [name, *(part for source in self.skips.names if hasattr(self, part := f"{name}_{source}"))]

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its convolutions."""
        return self.conv1_1.weight.dtype

    def forward(self, features: Tensor, maps: Mapping[str, Sequence[Tensor]] | None = None) -> Tensor:
        """Decode relu4_1 features.

        Args:
            features: [B, C, H, W].
            maps: for each tap of ``skips.taps`` one map [B, C', h, w] for each of ``skips.names``.

        Returns:
            RGB picture [B, 3, 8 H, 8 W]; about 0..1, not clamped.

        Raises:
            ValueError: maps that the skips need are missing.
        """
        maps = maps or {}
        if missing := [tap for tap in self.skips.taps if len(maps.get(tap, ())) != len(self.skips.names)]:
            wanted = " and of the ".join(self.skips.names)
            raise ValueError(f"The decoder '{self.skips}' needs a map of the {wanted} at {', '.join(missing)}.")
        x = F.relu(self.get_submodule(self.names[0])(features), inplace=True)
        for before, name in pairwise(self.names):
            conv = self.get_submodule(name)
            if not before.endswith("_1"):
                x = conv(x)
            elif self.skips.join == "add":
                joined = sum(maps[tap_of(name)])
                x = conv(F.interpolate(x, scale_factor=2, mode="nearest") + self.skips.strength * joined)
            else:
                x = conv(x)
                if tap_of(name) in self.skips.taps:
                    for source, joined in zip(self.skips.names, maps[tap_of(name)], strict=True):
                        x = x.add_(self.get_submodule(f"{name}_{source}")(joined))
            if name != self.names[-1]:
                x = F.relu(x, inplace=True)
        return x


def tap_of(name: str) -> str:
    """The tap whose maps join the decoder at the first convolution of a block."""
    return f"relu{name[4]}_1"
