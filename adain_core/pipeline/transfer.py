"""StyleTransfer: encode, measure the style, blend, decode."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from ..images.color import ColorMethod, match_color, preserve_color
from ..images.detail import restore_detail, shrink
from ..images.masks import filled_mask, soft_mask
from ..images.pictures import Picture, checked_image, checked_result, from_pil, to_pil
from ..models.weights import load_model
from ..networks.decoder import Decoder
from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from ..runtime.device import resolve_device, resolve_dtype
from ..runtime.progress import Progress, ignore_progress, section
from ..styles.stats import Detail, StyleStats, mix
from ..styles.transforms import DETAILS, TRANSFORMS
from .analyzer import StyleAnalyzer
from .blend import Blend
from .features import Features
from .shallow import ShallowMaps
from .thumbnails import stylize_by_thumbnail
from .tiling import (
    CELL,
    DECODER_HALO,
    Tile,
    TileSize,
    for_each_tile,
    grid_of,
)

ImageLike = TypeVar("ImageLike", Tensor, Image.Image)
StyleLike = Tensor | Image.Image | Picture | StyleStats

# Encoding is about this share of the work; decoding is the rest.
_ENCODING_SHARE = 0.4


class StyleTransfer(StyleAnalyzer):
    """Arbitrary style transfer with one encoder and one decoder of the same space.

    Use :meth:`from_pretrained`, then call it, or take the four steps one by one: :meth:`encode`,
    :meth:`compute_style_stats`, :meth:`blend`, :meth:`decode`.

    Args:
        encoder: in evaluation mode.
        decoder: of the same space.
        space: its name.
        device: where to compute.
        dtype: of the convolutions; statistics are always in float32.
        tile_memory: what tiles may use in bytes; a quarter of the free memory and at most 1.5 GB if not given.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        space: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tile_memory: float | None = None,
    ) -> None:
        super().__init__(encoder, space, device, dtype, tile_memory)
        decoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.decoder = decoder.to(dtype)
        self.skips = decoder.skips

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "lite",
        decoder: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        tile_memory: float | None = None,
    ) -> StyleTransfer:
        """Load weights.

        Args:
            model: the name of an embedded model, a .safetensors file, or a folder that holds an encoder and a decoder.
            decoder: another decoder of the same space: a name or a file.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
            dtype: ``auto`` (bfloat16 where the device is faster in it), ``float32``, ``bfloat16`` or
                ``float16``.
            tile_memory: what tiles may use in bytes; a quarter of the free memory and at most 1.5 GB if not given.

        Raises:
            WeightsError: the weights cannot be found or read, or they belong to different spaces.
            DeviceError: there is no such device or dtype here.
        """
        target = resolve_device(device)
        weights = load_model(model, decoder)
        return cls(weights.encoder, weights.decoder, weights.space, target, resolve_dtype(dtype, target), tile_memory)

    @torch.inference_mode()
    def __call__(
        self,
        content: ImageLike,
        style: StyleLike | Sequence[StyleLike] = (),
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        mask: Tensor | None = None,
        transform: str = "adain",
        *,
        regions: Sequence[tuple[Tensor, StyleLike]] = (),
        style_mask: Tensor | None = None,
        style_size: int | None = None,
        style_scale: float = 1.0,
        keep_colors: ColorMethod | None = None,
        size: int | None = None,
        work_size: int | None = None,
        tile: TileSize = "auto",
        low_memory: bool = False,
        progress: Progress = ignore_progress,
    ) -> ImageLike:
        """Stylize pictures.

        Args:
            content: [B, 3, H, W] in 0..1, or a Pillow image (whose transparency is kept).
            style: one style or several: tensors, pictures, of which what is transparent is not measured, or statistics;
                a batch of pictures is one style seen several times. May be left out where there are regions.
            alpha: strength, 0 (the content's reconstruction) to 1.
            weights: of several styles, relative to one another.
            mask: where to stylize, [H, W] or [B, H, W] in 0..1, any size; the rest is the content's reconstruction.
            transform: a key of :data:`adain_core.styles.transforms.TRANSFORMS`.
            regions: masks, each with the style for where it is white, each on top of those before. Even a sharp edge
                becomes a transition of about 30 pixels without a seam; blur the mask for a wider one.
            style_mask: where the styles' pictures are measured, as ``mask``.
            style_size: short side in pixels at which the styles' pictures are measured; their own if not given.
            style_scale: how much larger than that a style's picture is seen; strokes become larger by as much.
            keep_colors: keep the content's colors: ``luminance`` takes only the result's luminance, ``covariance`` and
                ``histogram`` match the styles' whole pictures to the content before they are measured.
            size: short side of the result in pixels; the content's own if not given.
            work_size: short side at which to stylize; the result has its own size and the content's detail, and strokes
                as large as at the work size.
            tile: side of the tiles in pixels, ``auto`` to fit the memory, or ``off``; the result is the same.
            low_memory: take the content's statistics from a thumbnail, so that memory grows with the tile alone; the
                result is approximate.
            progress: called with the share that is done.

        Returns:
            The stylized pictures, of the content's type; a tensor is on the content's device.

        Raises:
            ValueError: an argument or the shape of a picture is not one of these.
        """
        picture = from_pil(content) if isinstance(content, Image.Image) else Picture(checked_image(content))
        picture = picture.scaled(size)
        work = shrink(picture.rgb, work_size)

        look = partial(self.compute_style_stats, mask=style_mask, style_size=style_size, style_scale=style_scale)
        look = partial(look, detail=DETAILS.get(transform, ()), tile=tile, progress=lambda _: progress(0.0))

        def measure(style: StyleLike) -> StyleStats:
            if isinstance(style, Image.Image):
                style = from_pil(style)
            if keep_colors not in (None, "luminance"):
                picture = _picture_of(style)
                recolored = [match_color(picture.rgb, reference, keep_colors) for reference in work.split(1)]
                return StyleStats.stack([look(replace(picture, rgb=pictures)) for pictures in recolored])
            if isinstance(style, StyleStats) and (style_mask is not None or style_size or style_scale != 1):
                raise ValueError(
                    "style_mask, style_size and style_scale are for pictures, but a style was measured already."
                )
            return style if isinstance(style, StyleStats) else look(style)

        styles = list(style) if isinstance(style, Sequence) else [style]
        if not styles and not (regions and mask is None and weights is None):
            raise ValueError("There is no style; give at least one, or regions alone without mask and weights.")
        layers = [(mask, mix([measure(s) for s in styles], weights))] if styles else []
        layers += [(region, measure(s)) for region, s in regions]
        if low_memory:
            result = stylize_by_thumbnail(self, work, layers, alpha, transform, tile, progress)
        else:
            features = self.encode(work, tile, section(progress, 0, _ENCODING_SHARE), keep_shallow=True)
            for where, stats in layers:
                features = self.blend(features, stats, alpha, where, transform)
            result = self.decode(features, tile, section(progress, _ENCODING_SHARE, 1))
        result = restore_detail(result, work, picture.rgb)
        if keep_colors == "luminance":
            result = preserve_color(result, picture.rgb)
        return to_pil(replace(picture, rgb=result)) if isinstance(content, Image.Image) else result

    @torch.inference_mode()
    def compute_content_stats(
        self,
        features: Features,
        mask: Tensor | None = None,
        tile: TileSize = "auto",
        detail: Collection[Detail] = (),
    ) -> StyleStats:
        """Statistics of each content picture, to smooth over time and to give to :meth:`blend`.

        Args:
            features: from :meth:`encode`.
            mask: where to measure, [H, W] or [B, H, W] in 0..1, any size; a mask that is zero everywhere counts as
                none.
            tile: as for :meth:`__call__`.
            detail: as for :meth:`compute_style_stats`.
        """
        mask = None if mask is None else self._padded_mask(mask, features.image)
        weight = None if mask is None else filled_mask(mask)
        deepest = StyleStats.measure({DEEPEST_TAP: features.content}, self.space, weight, detail)
        if not self.skips.adain:
            return deepest
        # Under the mask that decoding lays over shallow maps.
        weight = None if mask is None else filled_mask(soft_mask(mask, grid_of(features.image.shape[-2:])))
        (shallow,) = self._shallow(features, tile).measure([weight])
        return replace(deepest, mean=shallow.mean | deepest.mean, std=shallow.std | deepest.std)

    @torch.inference_mode()
    def blend(
        self,
        features: Features,
        style: StyleStats,
        alpha: float = 1.0,
        mask: Tensor | None = None,
        transform: str = "adain",
        content: StyleStats | None = None,
    ) -> Features:
        """Lay a style over features; several blends in a row compose, each on top of those before.

        Args:
            features: from :meth:`encode` or an earlier blend.
            style: one style, or as many as there are contents.
            alpha: strength, 0..1.
            mask: where, [H, W] or [B, H, W] in 0..1, any size.
            transform: a key of :data:`adain_core.styles.transforms.TRANSFORMS`; some need a style with more ``detail``.
            content: statistics of the content to use instead of measuring it, from :meth:`compute_content_stats`.

        Raises:
            ValueError: features and style come from different spaces, or an argument is out of range.
        """
        for what, space in (("There are features", features.space), ("There is a style", style.space)):
            if space != self.space:
                raise ValueError(
                    f"{what} of the space {space}, but this model's is {self.space}; use one model for all."
                )
        self._check_layers(style, (DEEPEST_TAP,))
        if not (math.isfinite(alpha) and 0 <= alpha <= 1):
            raise ValueError(f"alpha is {alpha}; expected a number from 0 (content) to 1 (style).")
        if transform not in TRANSFORMS:
            raise ValueError(f"'{transform}' is no transform; expected {', '.join(TRANSFORMS)}.")
        style.check_count(len(features.content))
        region = None if mask is None else self._padded_mask(mask, features.image)
        blend = Blend(style.to(self.device), alpha, region, transform, content and content.to(self.device))
        current = blend.apply(features.current, features.content, DEEPEST_TAP)
        return replace(features, current=current, blends=(*features.blends, blend))

    @torch.inference_mode()
    def decode(self, features: Features, tile: TileSize = "auto", progress: Progress = ignore_progress) -> Tensor:
        """Decode features to pictures [B, 3, H, W] in 0..1, float32, on the content's device.

        Raises:
            ValueError: the features come from another space, the decoder needs the style's picture or its shallow
                statistics and the style has none, or has a style inside and takes no other, or the result is NaN.
        """
        if features.space != self.space:
            raise ValueError(f"The features come from the space {features.space}, but this model's is {self.space}.")
        if self.decoder.style_inside and any(blend.alpha > 0 for blend in features.blends):
            raise ValueError(
                "This decoder has its one style inside and takes no other (batch normalization); use alpha 0."
            )
        skips = self.skips
        if skips.need_style_image and any(blend.style.image is None for blend in features.blends):
            raise ValueError(
                f"The decoder '{skips}' needs the style's picture, but a style that was mixed, loaded or measured on"
                " several pictures has only its statistics; use one style picture, or a decoder without skips from the"
                " style."
            )
        for blend in features.blends if skips.adain else ():
            self._check_layers(blend.style, skips.taps)
        grid = grid_of(features.image.shape[-2:])
        blends = [b if b.mask is None else replace(b, mask=soft_mask(b.mask, grid)) for b in features.blends]
        shallow = self._shallow(features, tile)
        start = 0.0
        if skips.adain and not all(part.covers(grid) for part in shallow.tiles):
            start = 0.0 if features.shallow else _ENCODING_SHARE
            blends = shallow.measured(blends, section(progress, 0, start))
        pictures = torch.empty_like(features.image, dtype=torch.float32, memory_format=torch.contiguous_format)

        def decode_tile(part: Tile) -> None:
            nonlocal blends
            outer = part.grow(DECODER_HALO, grid)
            if skips.adain and not outer.covers(grid):  # memory may have run out for a tile that did
                blends = shallow.measured(blends)
            maps = shallow.joined(blends, outer) if skips.taps else {}
            cells = features.current[outer.at(CELL)].to(self.encoder.dtype)
            pixels = self.decoder(cells, maps)[part.within(outer, 1)]
            target = pictures[part.at(1)]
            target.copy_(pixels[:, :, : target.shape[-2], : target.shape[-1]].float().clamp(0, 1))

        for_each_tile(shallow.tiles, decode_tile, section(progress, start, 1))
        return checked_result(pictures)

    def _check_layers(self, style: StyleStats, needed: Sequence[str]) -> None:
        if missing := [tap for tap in needed if tap not in style.mean]:
            raise ValueError(
                f"The style lacks {', '.join(missing)}, where the decoder '{self.skips}' needs its statistics; measure"
                " it again from its picture, or use a decoder without AdaIN on its skips."
            )
        widths = dict(zip(STYLE_TAPS, self.encoder.widths, strict=False))
        if any(style.mean[tap].shape[1] != widths[tap] for tap in needed):
            raise ValueError("The style is damaged: it has not as many channels as its space; measure it again.")

    def _shallow(self, features: Features, tile: TileSize) -> ShallowMaps:
        return ShallowMaps(self._tiled, self.skips, features, self.tiles(features.image, tile))


def _picture_of(style: Tensor | Picture | StyleStats) -> Picture:
    if isinstance(style, Picture):
        return style
    pictures = style.image if isinstance(style, StyleStats) else style
    if pictures is None:
        raise ValueError(
            "A mixed or loaded style has no picture whose colors could be matched; keep colors by 'luminance'."
        )
    return Picture(pictures)
