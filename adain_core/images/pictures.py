"""Pictures as tensors, to and from Pillow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..runtime.memory import check_fits
from .profiles import levels_to_srgb, to_srgb

# Beyond 0..1 by more than any enlargement overshoots: levels of 8 bits, or a network's features.
_FAR = 16


@dataclass(frozen=True)
class Origin:
    """What a result takes over from the file of its content besides the pixels: how many ``bits`` each color has, 8 or
    16, the resolution in dots per inch, across and down, and who made it when, as a block of EXIF."""

    bits: int = 8
    dpi: tuple[float, float] | None = None
    exif: bytes = b""


@dataclass(frozen=True)
class Picture:
    """A picture as tensors.

    Args:
        rgb: sRGB, [1, 3, H, W] in 0..1; a style may have several, [B, 3, H, W], which is one style seen B times.
        opacity: [1, 1, H, W] in 0..1 where the file has transparency: 0 is transparent.
        origin: what a result takes over from the file.
    """

    rgb: Tensor
    opacity: Tensor | None = None
    origin: Origin = Origin()

    def scaled(self, size: int | None) -> Picture:
        """The picture with a short side of so many pixels; None keeps its size."""
        opacity = None if self.opacity is None else scale_short_side(self.opacity, size, "size")
        return replace(self, rgb=scale_short_side(self.rgb, size, "size"), opacity=opacity)


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode (palette, grayscale, 16-bit, CMYK, transparent or not) as tensors in sRGB."""
    if image.mode.startswith("I"):
        return from_levels(np.asarray(image).clip(0, 65535)[:, :, None], image.info)
    if image.mode == "F":
        return Picture(_tensor(np.array(image)).expand(1, 3, -1, -1).nan_to_num().clamp(0, 1))
    image = to_srgb(image)
    if image.has_transparency_data:
        pixels = _tensor(np.asarray(image.convert("RGBA"), dtype=np.float32) / 255)
        return Picture(pixels[:, :3].contiguous(), pixels[:, 3:])
    return Picture(_tensor(np.asarray(image.convert("RGB"), dtype=np.float32) / 255))


def from_levels(levels: np.ndarray, info: Mapping[Any, Any]) -> Picture:
    """Levels of 16 bits [H, W, C] (gray, gray and alpha, RGB, RGBA) as tensors in sRGB; ``info`` is that of the Pillow
    image, with its ICC profile and the one color that is transparent, if there are such."""
    colors = levels[:, :, : levels.shape[2] - 1 | 1]
    opacity, clear = None, info.get("transparency")
    if colors.shape[2] < levels.shape[2]:
        opacity = _tensor(levels[:, :, -1] / np.float32(65535))
    elif clear is not None:
        opacity = _tensor((colors != np.array(clear)).any(axis=2).astype(np.float32))
    rgb = levels_to_srgb(colors / np.float32(65535), info.get("icc_profile"))
    return Picture(_tensor(rgb).expand(1, 3, -1, -1), opacity, Origin(16))


def _tensor(pixels: np.ndarray) -> Tensor:
    channels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1)))[None]


def to_pil(picture: Picture) -> Image.Image:
    """A picture as an 8-bit Pillow image, RGB or RGBA."""
    return Image.fromarray(to_levels(picture, 8))


def to_levels(picture: Picture, bits: int) -> np.ndarray:
    """A picture as levels [H, W, 3 or 4] of 8 or 16 bits."""
    channels = (
        picture.rgb if picture.opacity is None else torch.cat([picture.rgb, picture.opacity.to(picture.rgb)], dim=1)
    )
    levels = channels[0].detach().float().clamp(0, 1).mul(2**bits - 1).round().permute(1, 2, 0).cpu().numpy()
    return levels.astype(np.uint8 if bits == 8 else np.uint16)


def checked_image(image: Tensor) -> Tensor:
    """The pictures themselves, [B, 3, H, W].

    Raises:
        TypeError: this is no tensor.
        ValueError: they have another shape, or numbers that are whole, not finite or far from 0..1.
    """
    if not isinstance(image, Tensor):
        raise TypeError(
            f"A picture is a {type(image).__name__}; expected a tensor [B, 3, H, W] in 0..1 or a Pillow image, such as"
            " PIL.Image.open gives."
        )
    if not image.is_floating_point():
        raise ValueError(f"A picture has numbers of the type {image.dtype}; expected 0..1 as float: divide by 255.")
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise ValueError(f"A picture has the shape {list(image.shape)}; expected [B, 3, H, W], not empty.")
    # Extremes show what a test of each number would, without a second picture in memory.
    low, high = (bound.item() for bound in image.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("A picture holds NaN or infinite numbers; look for what went wrong where it was made.")
    if max(-low, high) > _FAR:
        raise ValueError(f"A picture holds numbers from {low:g} to {high:g}; expected 0..1: divide by 255, say.")
    return image


def checked_result(pictures: Tensor) -> Tensor:
    """Decoded pictures themselves.

    Raises:
        ValueError: they hold NaN.
    """
    if not pictures.sum().isfinite():
        raise ValueError(
            "The result holds NaN: the model or the style is damaged, or half precision is too little; try float32."
        )
    return pictures


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize [B, C, H, W] to (H, W), antialiased, keeping 0..1.

    Raises:
        ValueError: the memory would not suffice.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    # The result and the two that it is made by way of, in float32.
    needed = 3 * 4 * math.prod((*image.shape[:-2], *size))
    check_fits(needed, image.device, f"A picture of {size[1]} x {size[0]} pixels")
    return F.interpolate(image.float(), size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def scale_short_side(image: Tensor, short_side: int | None, name: str = "short_side") -> Tensor:
    """Resize [B, C, H, W] so that its short side has this many pixels and its shape stays; None keeps its size.

    Raises:
        ValueError: the size, which the user knows by this name, is not positive.
    """
    if short_side is None:
        return image
    if short_side < 1:
        raise ValueError(f"{name} is {short_side}; expected a number of pixels from 1 on.")
    height, width = image.shape[-2:]
    scale = short_side / min(height, width)
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
