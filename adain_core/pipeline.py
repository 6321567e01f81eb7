"""StyleTransfer: encode, measure the style, blend, decode."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .decoder import Decoder
from .device import resolve_device, resolve_dtype
from .encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from .images import from_pil, to_pil
from .progress import Progress, ignore_progress
from .stats import StyleStats, merge, mix, resize_mask
from .transfer import TRANSFORMS, Blend
from .weights import load_model

GRID = 8
"""Cells of relu4_1 are this many pixels wide; images are padded to a multiple."""
_SMALLEST = 16
_CHUNK_PIXELS = 2**21
"""Pictures of a batch are computed together up to about this many pixels."""

ImageLike = TypeVar("ImageLike", Tensor, Image.Image)


@dataclass(frozen=True)
class Features:
    """Content on its way through the pipeline.

    Args:
        image: the content, [B, 3, H, W] in 0..1, by reference: skips and the result's size come from it.
        content: its untouched relu4_1 features, [B, C, ceil(H / 8), ceil(W / 8)], at least 2 x 2.
        current: the features after all blends so far, of the same shape.
        space: the encoder that they come from.
        blends: the styles received so far, in order.
    """

    image: Tensor
    content: Tensor
    current: Tensor
    space: str
    blends: tuple[Blend, ...] = ()


class StyleTransfer:
    """Arbitrary style transfer with one encoder and one decoder of the same space.

    Use :meth:`from_pretrained`, then call it, or take the four steps one by one: :meth:`encode`,
    :meth:`compute_style_stats`, :meth:`blend`, :meth:`decode`.

    Args:
        encoder: in evaluation mode.
        decoder: of the same space.
        space: its name.
        device: where to compute.
        dtype: of the convolutions; statistics are always in float32.
    """

    def __init__(
        self, encoder: Encoder, decoder: Decoder, space: str, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self.encoder = encoder.to(device, memory_format=torch.channels_last).compute_in(dtype)
        self.decoder = decoder.to(device, memory_format=torch.channels_last).to(dtype)
        self.space = space
        self.device = device

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "lite",
        decoder: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> StyleTransfer:
        """Load weights.

        Args:
            model: the name of an embedded model, a .safetensors file, or a folder that holds an encoder and a decoder.
            decoder: another decoder of the same space: a name or a file.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ...
            dtype: ``auto`` (bfloat16 where the device computes in it natively), ``float32``, ``bfloat16`` or
                ``float16``.

        Raises:
            WeightsError: the weights cannot be found or read, or they belong to different spaces.
            DeviceError: there is no such device or dtype here.
        """
        target = resolve_device(device)
        weights = load_model(model, decoder)
        return cls(weights.encoder, weights.decoder, weights.space, target, resolve_dtype(dtype, target))

    @torch.inference_mode()
    def __call__(
        self,
        content: ImageLike,
        style: ImageLike | StyleStats | Sequence[ImageLike | StyleStats],
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        mask: Tensor | None = None,
        progress: Progress = ignore_progress,
    ) -> ImageLike:
        """Stylise pictures.

        Args:
            content: [B, 3, H, W] in 0..1, or a Pillow image (whose transparency is kept).
            style: one style or several: tensors, Pillow images, or statistics; a batch of pictures is one style seen
                several times.
            alpha: strength, 0 (the content's reconstruction) to 1.
            weights: of several styles, relative to one another.
            mask: where to stylise, [H, W] or [B, H, W] in 0..1, any size; the rest is the content's reconstruction.
            progress: called with the share that is done.

        Returns:
            The stylised pictures at the content's size, of the content's type; a tensor is on the content's device.

        Raises:
            ValueError: alpha, weights, mask or the shape of a picture is not one of these.
        """
        if isinstance(content, Image.Image):
            picture = from_pil(content)
            rgb = self(picture.rgb, style, alpha, weights, mask, progress)
            return to_pil(replace(picture, rgb=rgb))
        styles = list(style) if isinstance(style, Sequence) else [style]
        stats = [s if isinstance(s, StyleStats) else self.compute_style_stats(s) for s in styles]
        mixed = mix(stats, weights)
        features = self.blend(self.encode(content, progress=lambda share: progress(share / 2)), mixed, alpha, mask)
        return self.decode(features, progress=lambda share: progress((1 + share) / 2))

    @torch.inference_mode()
    def encode(self, image: Tensor, progress: Progress = ignore_progress) -> Features:
        """Encode pictures [B, 3, H, W] in 0..1, any H and W.

        Raises:
            ValueError: the tensor has another shape.
        """
        image = _checked_image(image)
        maps = []
        for part in _parts(image):
            progress(part.start / len(image))
            maps.append(self._encode(image[part], (DEEPEST_TAP,))[DEEPEST_TAP])
        progress(1.0)
        features = torch.cat(maps)
        return Features(image, features, features, self.space)

    @torch.inference_mode()
    def compute_style_stats(
        self, images: Tensor | Image.Image, mask: Tensor | None = None, each: bool = False
    ) -> StyleStats:
        """Measure a style.

        Args:
            images: [B, 3, H, W] in 0..1 or a Pillow image.
            mask: where to measure, [H, W] or [B, H, W] in 0..1, any size.
            each: keep the pictures of a batch apart; otherwise they are one style seen several times.

        Raises:
            ValueError: the tensor has another shape, or the mask is zero everywhere.
        """
        if isinstance(images, Image.Image):
            images = from_pil(images).rgb
        images = _checked_image(images)
        weights = None if mask is None else _checked_mask(mask, len(images)).expand(len(images), -1, -1, -1)
        if weights is not None and not weights.sum(dim=(1, 2, 3)).gt(0).all():
            raise ValueError("The style mask is zero everywhere; there is nothing to measure.")
        styles = []
        for i, image in enumerate(images.split(1)):
            weight = None if weights is None else _pad(weights[i : i + 1].to(self.device), image.shape[-2:])
            styles.append(StyleStats.measure(self._encode(image, STYLE_TAPS), self.space, weight, image))
        return StyleStats.stack(styles) if each else merge(styles)

    @torch.inference_mode()
    def blend(
        self,
        features: Features,
        style: StyleStats,
        alpha: float = 1.0,
        mask: Tensor | None = None,
        transform: str = "adain",
    ) -> Features:
        """Lay a style over features; several blends in a row compose, each on top of those before.

        Args:
            features: from :meth:`encode` or an earlier blend.
            style: one style, or as many as there are contents.
            alpha: strength, 0..1.
            mask: where, [H, W] or [B, H, W] in 0..1, any size.
            transform: ``adain``.

        Raises:
            ValueError: features and style come from different spaces, or an argument is out of range.
        """
        for name, space in (("The features", features.space), ("The style", style.space)):
            if space != self.space:
                raise ValueError(
                    f"{name} come from the space {space}, but this model's is {self.space}; make them with this model."
                )
        if not (math.isfinite(alpha) and 0 <= alpha <= 1):
            raise ValueError(f"alpha is {alpha}; expected a number from 0 (content) to 1 (style).")
        if transform not in TRANSFORMS:
            raise ValueError(f"'{transform}' is no transform; expected {', '.join(TRANSFORMS)}.")
        count = len(features.content)
        if style.count not in (1, count):
            raise ValueError(
                f"There are {count} contents but {style.count} styles; expected one style or one for each content."
            )
        region = None
        if mask is not None:
            region = _pad(_checked_mask(mask, count).to(self.device), features.image.shape[-2:])
        blend = Blend(style.to(self.device), alpha, region, transform)
        current = blend.apply(features.current, features.content, DEEPEST_TAP)
        return replace(features, current=current, blends=(*features.blends, blend))

    @torch.inference_mode()
    def decode(self, features: Features, progress: Progress = ignore_progress) -> Tensor:
        """Decode features to pictures [B, 3, H, W] in 0..1, float32, on the content's device.

        Raises:
            ValueError: the features come from another space, or the decoder needs the style's picture and the style
                has none.
        """
        if features.space != self.space:
            raise ValueError(f"The features come from the space {features.space}, but this model's is {self.space}.")
        height, width = features.image.shape[-2:]
        pictures: list[Tensor] = []
        for part in _parts(features.image):
            progress(part.start / len(features.image))
            maps = self._skip_maps(features.image[part], [blend.part(part) for blend in features.blends])
            pixels = self.decoder(features.current[part], maps)
            pictures.append(pixels[:, :, :height, :width].float().clamp(0, 1).to(features.image.device))
        progress(1.0)
        return torch.cat(pictures).contiguous()

    def _encode(self, images: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        padded = _pad(images.to(self.device, torch.float32), images.shape[-2:])
        return self.encoder(padded.contiguous(memory_format=torch.channels_last), taps)

    def _skip_maps(self, images: Tensor, blends: Sequence[Blend]) -> dict[str, list[Tensor]]:
        """What the decoder's skips need, computed again from the pictures rather than kept: relu1_1 is as large as
        the picture, 64-fold."""
        skips = self.decoder.skips
        if not skips.taps:
            return {}
        style_maps: list[dict[str, Tensor]] = []
        for blend in blends if skips.need_style_image else ():
            if blend.style.image is None:
                raise ValueError(
                    f"The decoder '{skips}' needs the style's picture, but a mixed or loaded style has only"
                    " its statistics; use one style picture, or a decoder without skips from the style."
                )
            style_maps.append(self._encode(blend.style.image, skips.taps))
        content = self._encode(images, skips.taps)
        return {tap: skips.maps(tap, content[tap], blends, [maps[tap] for maps in style_maps]) for tap in skips.taps}


def _parts(images: Tensor) -> Iterator[slice]:
    """Slices of a batch [B, 3, H, W] that are computed together."""
    step = max(1, _CHUNK_PIXELS // (images.shape[-2] * images.shape[-1]))
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))


def _pad(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring [B, C, h, w] to ``size`` (masks come in any) and pad to the grid: by reflection, or by replication where
    that is impossible."""
    images = resize_mask(images, size) if images.shape[1] == 1 else images
    height, width = (max(_SMALLEST, math.ceil(side / GRID) * GRID) - side for side in size)
    mode = "reflect" if height < size[0] and width < size[1] else "replicate"
    return F.pad(images, (0, width, 0, height), mode=mode) if height or width else images


def _checked_image(image: Tensor) -> Tensor:
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise ValueError(f"A picture has the shape {list(image.shape)}; expected [B, 3, H, W], not empty.")
    return image


def _checked_mask(mask: Tensor, count: int) -> Tensor:
    """A mask as [1 or B, 1, H, W]."""
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or len(mask) not in (1, count) or 0 in mask.shape:
        raise ValueError(f"A mask has the shape {list(mask.shape)}; expected [H, W] or [B, H, W] for {count} pictures.")
    return mask[:, None].float().clamp(0, 1)
