"""The steps of style transfer: encode, measure the style, blend, decode."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..images.masks import checked_mask, filled_mask, soft_mask
from ..images.pictures import checked_result
from ..networks.decoder import Decoder
from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from ..options import TileSize
from ..runtime.progress import Preview, Progress, ignore_preview, ignore_progress, section
from ..styles.stats import Detail, StyleStats
from ..styles.transforms import ADAIN, TRANSFORMS
from .analyzer import StyleAnalyzer, as_asked
from .blend import Blend, paint
from .features import Features
from .shallow import ShallowMaps
from .tiling import CELL, DECODER_HALO, Tile, TiledEncoder, crop, for_each_tile, grid_of, pad_to_grid

ENCODING_SHARE = 0.4
"""Encoding is about this share of the work; decoding is the rest."""


class Steps(StyleAnalyzer):
    """An encoder and a decoder of the same space, and what they do one after the other.

    Args:
        encoder: stays as it is, as for :class:`StyleAnalyzer`.
        decoder: likewise; of the same space.
        space: its name.
        device: where to compute; where the networks are if not given.
        dtype: of the convolutions; the networks' own if not given. Statistics are always in float32.
        tile_memory: what tiles may use in bytes; a quarter of the free memory and at most 1.5 GB if not given.

    Raises:
        ValueError: the decoder reads features of other widths, or tile_memory is not finite and above 0.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        space: str,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        tile_memory: float | None = None,
    ) -> None:
        if decoder.widths != encoder.widths[: len(STYLE_TAPS)]:
            raise ValueError(f"The decoder is for an encoder of the widths {decoder.widths}, not {encoder.widths}.")
        super().__init__(encoder, space, device, dtype, tile_memory, decoder.skips)
        self.decoder = as_asked(decoder, device, dtype)

    @property
    def style_taps(self) -> tuple[str, ...]:
        """The taps where a style's statistics are needed."""
        return (DEEPEST_TAP, *(self.skips.taps if self.skips.normalization else ()))

    def forward(self, content: Tensor, style: Tensor, alpha: float | Tensor = 1.0) -> Tensor:
        """The paper's equation (Huang and Belongie 2017, equation 14), differentiable: ``g((1 - alpha) f(c) + alpha
        AdaIN(f(c), f(s)))``, on whole pictures.

        Args:
            content: [B, 3, H, W] in 0..1; compiled and exported graphs are for sides from 16 on.
            style: [B or 1, 3, h, w] in 0..1, one style or one for each content; likewise.
            alpha: strength, 0..1.

        Returns:
            [B, 3, H, W], about 0..1, not clamped, in the networks' dtype.
        """
        skips = self.skips
        content_maps = self.encoder(pad_to_grid(content), (DEEPEST_TAP, *skips.taps))
        style_maps = self.encoder(
            pad_to_grid(style), {*self.style_taps, *(skips.taps if skips.need_style_image else ())}
        )
        measured = {tap: style_maps[tap] for tap in self.style_taps}
        stats = StyleStats.measure(measured, self.space, covariance_at=skips.transported)
        blend = Blend(stats, alpha, transform=ADAIN)  # a compiler takes no default that is an object
        picture = paint(self.decoder, content_maps, [blend], [style_maps] if skips.need_style_image else [])
        return crop(picture, content.shape[-2:])

    @torch.no_grad()
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
            tile: as for :meth:`encode`.
            detail: as for :meth:`compute_style_stats`.

        Raises:
            ValueError: an argument is not one of these.
        """
        mask = None if mask is None else self.mask_on_grid(mask, features.image)
        weight = None if mask is None else filled_mask(mask)
        deepest = StyleStats.measure({DEEPEST_TAP: features.content}, self.space, weight, detail)
        if not self.skips.normalization:
            return deepest
        # Under the mask that decoding lays over shallow maps.
        weight = None if mask is None else filled_mask(soft_mask(mask, grid_of(features.image.shape[-2:])))
        joint = self.skips.taps if "covariance" in detail else self.skips.transported
        (shallow,) = self._shallow(features, tile).measure([weight], joint)
        parts = {name: getattr(shallow, name) | getattr(deepest, name) for name in ("mean", "std", "covariance")}
        return replace(deepest, **parts)

    @torch.no_grad()
    def blend(
        self,
        features: Features,
        style: StyleStats,
        alpha: float = 1.0,
        mask: Tensor | None = None,
        transform: str = ADAIN.name,
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
        if transform not in TRANSFORMS:
            raise ValueError(f"'{transform}' is no transform; expected {', '.join(TRANSFORMS)}.")
        checked = None if mask is None else checked_mask(mask, len(features.content))
        return self.lay(features, Blend(style, alpha, checked, TRANSFORMS[transform], content))

    @torch.no_grad()
    def lay(self, features: Features, blend: Blend) -> Features:
        """As :meth:`blend`, with a blend that is ready: its mask is of any size, for the whole pictures.

        Raises:
            ValueError: features and style come from different spaces, or do not fit together.
        """
        for what, space in (("There are features", features.space), ("There is a style", blend.style.space)):
            if space != self.space:
                raise ValueError(
                    f"{what} of the space {space}, but this model's is {self.space}; use one model for all."
                )
        self._check_layers(blend.style, (DEEPEST_TAP,))
        blend.style.check_count(len(features.content))
        blend = blend.to(self.device)
        if blend.mask is not None:
            blend = replace(blend, mask=self.mask_on_grid(blend.mask, features.image))
        current = blend.apply(features.current, features.content, DEEPEST_TAP)
        return replace(features, current=current, blends=(*features.blends, blend))

    @torch.no_grad()
    def decode(
        self,
        features: Features,
        tile: TileSize = "auto",
        progress: Progress = ignore_progress,
        preview: Preview = ignore_preview,
    ) -> Tensor:
        """Decode features to pictures [B, 3, H, W] in 0..1, float32, on the content's device.

        Args:
            features: from :meth:`encode` or :meth:`blend`.
            tile: as for :meth:`encode`.
            progress: called with the share that is done.
            preview: called with the pictures of each tile; where they are not decoded yet they are the content.

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
        for blend in features.blends if skips.normalization else ():
            self._check_layers(blend.style, skips.taps)
            self._check_covariance(blend)
        grid = grid_of(features.image.shape[-2:])
        blends = [b if b.mask is None else replace(b, mask=soft_mask(b.mask, grid)) for b in features.blends]
        shallow = self._shallow(features, tile)
        start = 0.0
        if skips.normalization and not all(part.covers(grid) for part in shallow.tiles):
            start = 0.0 if features.shallow else ENCODING_SHARE
            blends = shallow.measured(blends, section(progress, 0, start))
        pictures = features.image.to(torch.float32, memory_format=torch.contiguous_format, copy=True)

        def decode_tile(part: Tile) -> None:
            nonlocal blends
            outer = part.grow(DECODER_HALO, grid)
            if skips.normalization and not outer.covers(grid):  # memory may have run out for a tile that did
                blends = shallow.measured(blends)
            maps = shallow.joined(blends, outer) if skips.taps else {}
            cells = features.current[outer.at(CELL)].to(self.decoder.dtype)
            pixels = self.decoder(cells, maps)[part.within(outer, 1)]
            target = pictures[part.at(1)]
            target.copy_(pixels[:, :, : target.shape[-2], : target.shape[-1]].float().clamp(0, 1))
            preview(pictures[part.pictures])

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

    def _check_covariance(self, blend: Blend) -> None:
        for tap in self.skips.taps:
            if blend.at_skip(self.skips, tap).transform.lacks(blend.style, tap):
                raise ValueError(
                    f"The style lacks its covariance at {tap}, which the decoder '{self.skips}' needs; measure it again"
                    " from its picture with this model, or with the detail covariance."
                )

    def _shallow(self, features: Features, tile: TileSize) -> ShallowMaps:
        return ShallowMaps(TiledEncoder(self.encoder), self.skips, features, self.tiles(features.image, tile))
