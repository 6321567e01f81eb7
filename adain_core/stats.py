"""StyleStats: a style as the means and standard deviations of its features."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .library import read_style, write_style
from .normalize import EPS, mean_std


@dataclass(frozen=True)
class StyleStats:
    """Mean and standard deviation of each channel, layer by layer, for one style or a batch of styles.

    Args:
        mean: for each tap, float32 [B, C, 1, 1].
        std: for each tap, float32 [B, C, 1, 1].
        space: the encoder that the features come from (see :mod:`adain_core.weights`).
        image: the style picture itself, [B, 3, H, W] in 0..1, where there is one for each entry of the batch; skips
            from the style need it.
    """

    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    space: str
    image: Tensor | None = None

    @classmethod
    def measure(
        cls, features: Mapping[str, Tensor], space: str, weight: Tensor | None = None, image: Tensor | None = None
    ) -> StyleStats:
        """Statistics of feature maps [B, C, H, W], each picture by itself; ``weight`` is a soft mask [B or 1, 1, H,
        W] of any size."""
        mean, std = {}, {}
        for tap, x in features.items():
            mean[tap], std[tap] = mean_std(x, weight if weight is None else resize_mask(weight, x.shape[-2:]))
        return cls(mean, std, space, image)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StyleStats:
        """A style from a file that :meth:`save` wrote; it has no picture, only statistics.

        Raises:
            StyleFileError: the file is missing, damaged, or holds something else than a style.
        """
        file, tensors = read_style(path)
        mean, std = (
            {key.removeprefix(part): x.view(1, -1, 1, 1) for key, x in tensors.items() if key.startswith(part)}
            for part in ("mean.", "std.")
        )
        return cls(mean, std, file.space)

    def save(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Write a single style to a .safetensors file of a few KB, with a thumbnail if the style has its picture.

        Args:
            path: ends in .safetensors; a file there is replaced.
            name: what to call the style; the file's name if empty.

        Raises:
            StyleFileError: the suffix is another.
            ValueError: this is a batch of styles.
            OSError: there is no room or no right to write; nothing half-written is left.
        """
        if self.count != 1:
            raise ValueError(f"A style file holds one style, not {self.count}; save them one by one.")
        tensors = {
            f"{part}.{tap}": x.flatten()
            for part, xs in (("mean", self.mean), ("std", self.std))
            for tap, x in xs.items()
        }
        write_style(path, tensors, self.space, name, self.image)

    @property
    def count(self) -> int:
        """Number of styles in the batch."""
        return len(next(iter(self.mean.values())))

    @classmethod
    def stack(cls, styles: Sequence[StyleStats]) -> StyleStats:
        """Styles side by side as a batch; their pictures are kept where all have the same size."""
        space = _common_space(styles)
        mean, std = ({tap: torch.cat([p[tap] for p in parts]) for tap in parts[0]} for parts in _parts(styles))
        same_size = all(s.image is not None and s.image.shape[1:] == styles[0].image.shape[1:] for s in styles)
        return cls(mean, std, space, torch.cat([s.image for s in styles]) if same_size else None)

    def part(self, styles: slice) -> StyleStats:
        """Some styles of the batch."""
        mean, std = ({tap: x[styles] for tap, x in part.items()} for part in (self.mean, self.std))
        return replace(self, mean=mean, std=std, image=None if self.image is None else self.image[styles])

    def to(self, device: torch.device | str) -> StyleStats:
        """The same style on another device."""
        mean, std = ({tap: x.to(device) for tap, x in part.items()} for part in (self.mean, self.std))
        return replace(self, mean=mean, std=std, image=None if self.image is None else self.image.to(device))


def merge(styles: Sequence[StyleStats]) -> StyleStats:
    """One style that was seen several times: the statistics over all the pictures together, each counting the same.

    The variance of the whole is the mean of the variances plus the variance of the means.

    Raises:
        ValueError: the styles come from different spaces.
    """
    space = _common_space(styles)
    mean, std = {}, {}
    for tap in styles[0].mean:
        means = torch.cat([style.mean[tap] for style in styles])
        variances = torch.cat([style.std[tap] for style in styles]).square() - EPS
        mean[tap] = means.mean(dim=0, keepdim=True)
        between = means.var(dim=0, correction=0, keepdim=True)
        std[tap] = (variances.mean(dim=0, keepdim=True).clamp(min=0) + between + EPS).sqrt()
    only = styles[0].image if len(styles) == 1 and styles[0].count == 1 else None
    return StyleStats(mean, std, space, only)


def mix(styles: Sequence[StyleStats], weights: Sequence[float] | None = None) -> StyleStats:
    """A weighted mean of styles: linear in means and standard deviations.

    For independent Gaussian channels this is also their Wasserstein barycentre.

    Args:
        styles: one or more, each a single style.
        weights: one for each style, finite, not negative, not all zero; they are divided by their sum. Equal if not
            given.

    Raises:
        ValueError: the weights do not fit, or the styles come from different spaces.
    """
    space = _common_space(styles)
    shares = _shares(weights, len(styles))
    mean, std = (
        {tap: sum(w * part[tap] for w, part in zip(shares, parts, strict=True)) for tap in parts[0]}
        for parts in _parts(styles)
    )
    return StyleStats(mean, std, space, styles[0].image if len(styles) == 1 else None)


def _parts(styles: Sequence[StyleStats]) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    return [s.mean for s in styles], [s.std for s in styles]


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count:
        raise ValueError(f"There are {count} styles but {len(weights)} weights; give one weight for each style.")
    if not all(math.isfinite(w) and w >= 0 for w in weights):
        raise ValueError(f"The weights {weights} must be finite and not negative.")
    if sum(weights) == 0:
        raise ValueError("The weights of the styles are all zero; at least one must be positive.")
    return [w / sum(weights) for w in weights]


def _common_space(styles: Sequence[StyleStats]) -> str:
    spaces = sorted({style.space for style in styles})
    if len(spaces) != 1:
        raise ValueError(
            f"The styles come from different encoders ({', '.join(spaces)}); measure them all with one model."
        )
    return spaces[0]


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask [B, 1, H, W] in 0..1 at the size of a feature grid: the mean over each cell when it shrinks, bilinear
    when it grows."""
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    shrinks = mask.shape[-2] >= size[0] and mask.shape[-1] >= size[1]
    return torch.nn.functional.interpolate(mask.float(), size=size, mode="area" if shrinks else "bilinear")
