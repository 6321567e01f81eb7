"""StyleAnalyzer: what an encoder alone can do, to encode and to measure a style."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from ..images.masks import checked_mask, resize_mask
from ..images.pictures import Picture, checked_image, from_pil, resize, scale_short_side
from ..models.weights import load_for_measuring
from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from ..networks.skips import Skips
from ..options import TileSize
from ..runtime.device import resolve_device, resolve_dtype
from ..runtime.progress import Progress, ignore_progress, section
from ..styles.stats import Detail, StyleStats, check_detail, merge
from ..styles.transforms import ADAIN, Transform
from .features import Features
from .tiling import Tile, TiledEncoder, default_memory, pad_to_grid, plan_tiles

# Bytes that the first block's maps take for each pixel and channel of its width, in units of the number format.
_LIVE_MAPS = 5


Network = TypeVar("Network", bound=nn.Module)


class StyleAnalyzer(nn.Module):
    """Measures styles, for which no decoder is needed; StyleTransfer is one with a decoder.

    Device and dtype are those of the parameters, and ``.to`` changes them as of any module.

    Args:
        encoder: stays as it is: where device or dtype are others a copy is taken.
        space: its name.
        device: where to compute; where the encoder is if not given.
        dtype: of the convolutions; the encoder's own if not given. Statistics are always in float32.
        tile_memory: what tiles may use in bytes; a quarter of the free memory and at most 1.5 GB if not given.
        skips: what a decoder takes besides the features.

    Raises:
        ValueError: tile_memory is not finite and above 0.
    """

    def __init__(
        self,
        encoder: Encoder,
        space: str,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        tile_memory: float | None = None,
        skips: Skips | None = None,
    ) -> None:
        if tile_memory is not None and not 0 < tile_memory < math.inf:
            raise ValueError(f"tile_memory is {tile_memory}; expected a finite number of bytes above 0, or None.")
        super().__init__()
        self.encoder = as_asked(encoder, device, dtype)
        self.space = space
        self.tile_memory = tile_memory
        self.skips = skips or Skips()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.encoder.conv1_1.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its convolutions."""
        return self.encoder.dtype

    def extra_repr(self) -> str:
        return f"space={self.space!r}"

    @classmethod
    def from_pretrained(
        cls, model: str | os.PathLike[str] = "lite", *, device: str = "auto", dtype: str = "auto"
    ) -> StyleAnalyzer:
        """Load the weights of an encoder.

        Args:
            model: the name of an embedded model or of a preset, or a .safetensors file, which may hold the encoder
                alone. What its decoder needs of a style is measured.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
            dtype: ``auto`` (bfloat16 where the device is faster in it), ``float32``, ``bfloat16`` or ``float16``.

        Raises:
            WeightsError: the weights cannot be found or read.
            DeviceError: there is no such device or dtype here.
        """
        target = resolve_device(device)
        encoder, weights = load_for_measuring(model)
        skips = weights.decoder.skips if weights.decoder else None
        return cls(laid_out(encoder), weights.space, target, resolve_dtype(dtype, target), skips=skips)

    @torch.no_grad()
    def encode(
        self,
        image: Tensor,
        tile: TileSize = "auto",
        progress: Progress = ignore_progress,
        *,
        keep_shallow: bool = False,
    ) -> Features:
        """Encode pictures [B, 3, H, W] in 0..1, any H and W.

        Args:
            image: the pictures.
            tile: side of the tiles in pixels, ``auto`` to fit the memory, or ``off``; the result is the same.
            progress: called with the share that is done.
            keep_shallow: keep what the decoder's skips need, if one tile has it all, so that decoding does not compute
                it again. That is as much memory as encoding takes, for as long as the features live.

        Raises:
            ValueError: the tensor has another shape, or ``tile`` is no tile size.
        """
        tiles = self.tiles(checked_image(image), tile)
        taps = self.skips.taps if keep_shallow else ()
        features, shallow = TiledEncoder(self.encoder).features(image, tiles, progress, taps)
        return Features(image, features, features, self.space, shallow=shallow)

    @torch.no_grad()
    def compute_style_stats(
        self,
        images: Tensor | Image.Image | Picture,
        mask: Tensor | None = None,
        each: bool = False,
        style_size: int | None = None,
        style_scale: float = 1.0,
        detail: Collection[Detail] = (),
        tile: TileSize = "auto",
        progress: Progress = ignore_progress,
    ) -> StyleStats:
        """Measure a style.

        Args:
            images: [B, 3, H, W] in 0..1, or one picture, of which what is transparent is not measured.
            mask: where to measure, [H, W] or [B, H, W] in 0..1, any size.
            each: keep the pictures of a batch apart; otherwise they are one style seen several times.
            style_size: short side in pixels at which to measure; the pictures' own if not given.
            style_scale: enlarge the pictures by this factor, for a calmer texture, or shrink them, for a finer one.
            detail: what to measure besides, for transforms that need it, covariances at all taps and quantiles at
                relu4_1; see :attr:`~adain_core.styles.transforms.Transform.needs`. What the decoder needs is measured
                anyway.
            tile: as for :meth:`encode`.
            progress: called with the share that is done.

        Raises:
            ValueError: an argument is not one of these, or the mask is zero everywhere.
        """
        if isinstance(images, Image.Image):
            images = from_pil(images)
        images, opacity = (images.rgb, images.opacity) if isinstance(images, Picture) else (images, None)
        images = checked_image(images)
        if not (math.isfinite(style_scale) and style_scale > 0):
            raise ValueError(f"style_scale is {style_scale}; expected a positive number.")
        images = scale_short_side(images, style_size, "style_size")
        images = resize(images, tuple(max(1, round(side * style_scale)) for side in images.shape[-2:]))
        weight = None if mask is None else self.mask_on_grid(mask, images)
        if opacity is not None and opacity.min() < 1:
            seen = self.mask_on_grid(opacity[:, 0], images)
            weight = seen if weight is None else weight * seen
        if weight is not None and not weight.sum(dim=(1, 2, 3)).gt(0).all():
            raise ValueError(
                "The style mask is zero everywhere, or the picture is transparent there; there is nothing to measure."
            )
        check_detail(detail)
        tiles, first = self.tiles(images, tile), section(progress, 0, 0.5 if "quantiles" in detail else 1)
        joint = STYLE_TAPS if "covariance" in detail else self.skips.transported
        (measured,) = TiledEncoder(self.encoder).measure(images, STYLE_TAPS, [weight], tiles, first, joint)
        styles = measured.result(self.space, images)
        if "quantiles" in detail:
            parts = []
            for part in self.chunks(images, tile):
                again = section(progress, *(0.5 + 0.5 * end / len(images) for end in (part.start, part.stop)))
                deepest = {DEEPEST_TAP: self.encode(images[part], tile, again).content}
                own = weight if weight is None or len(weight) == 1 else weight[part]
                parts.append(StyleStats.measure(deepest, self.space, own, ["quantiles"]))
            styles = replace(styles, quantiles=StyleStats.stack(parts).quantiles)
        return styles if each else merge([styles])

    def tiles(self, images: Tensor, tile: TileSize) -> list[Tile]:
        """How pictures [B, 3, H, W] are cut into tiles."""
        skips = self.skips
        maps = _LIVE_MAPS * (3 if skips.need_style_image else 2 if skips.taps else 1)
        bytes_per_pixel = maps * self.encoder.widths[0] * self.encoder.dtype.itemsize
        memory = default_memory(self.device) if self.tile_memory is None else self.tile_memory
        return plan_tiles(images, tile, bytes_per_pixel, memory)

    def chunks(self, images: Tensor, tile: TileSize = "auto", transform: Transform = ADAIN) -> list[slice]:
        """A batch of pictures [B, 3, H, W] in parts whose feature maps fit the memory: as many as one tile holds, or
        single ones for a transform that needs detail, which may take as much again and a second for each."""
        if transform.needs:
            return [slice(i, i + 1) for i in range(len(images))]
        return [t.pictures for t in self.tiles(images, tile) if t.rows.start == t.columns.start == 0]

    def mask_on_grid(self, mask: Tensor, images: Tensor) -> Tensor:
        """A mask [H, W] or [B, H, W] of any size on the pictures' padded grid, [1 or B, 1, 8 rows, 8 columns].

        Raises:
            ValueError: it has another shape, or numbers that are not finite.
        """
        return pad_to_grid(resize_mask(checked_mask(mask, len(images)).to(self.device), images.shape[-2:]))


def as_asked(network: Network, device: torch.device | None, dtype: torch.dtype | None) -> Network:
    """A network on a device and in a dtype: itself where it is so already, else a copy."""
    weight = next(network.parameters())
    device = weight.device if device is None else torch.empty(0, device=device).device  # cuda is cuda:0, say
    dtype = dtype or weight.dtype
    if (weight.device, weight.dtype) == (device, dtype):
        return network
    return copy.deepcopy(network).to(device, dtype)


def laid_out(network: Network) -> Network:
    """The network itself, its weights in the order in memory that convolutions run fastest with."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
