"""ComfyUI's IMAGE and MASK as the tensors of adain_core, and back."""

from __future__ import annotations

from functools import partial

import torch
from comfy.model_management import intermediate_device
from torch import Tensor

from ..adain_core.images.batches import one_by_one
from ..adain_core.images.pictures import checked_image, scale_short_side
from ..adain_core.runtime.memory import check_fits
from .progress import heed_stop

_NO_MASK = (64, 64)


def from_image(image: Tensor, name: str) -> tuple[Tensor, Tensor | None]:
    """An IMAGE [B, H, W, C] as RGB [B, 3, H, W] and, where it has four channels, its opacity [B, 1, H, W].

    Both are views: the input itself is never changed.

    Args:
        image: the IMAGE.
        name: of the node's input, for the error.

    Raises:
        ValueError: this is no IMAGE with 1, 3 or 4 channels.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(f"'{name}' has the shape {list(image.shape)}; expected an IMAGE [batch, height, width, 3].")
    channels = image.movedim(-1, 1)
    if image.shape[-1] == 1:
        return channels.expand(-1, 3, -1, -1), None
    return channels[:, :3], channels[:, 3:] if image.shape[-1] == 4 else None


def from_image_at(image: Tensor, name: str, short_side: int) -> tuple[Tensor, Tensor | None]:
    """As :func:`from_image`, scaled to a short side in pixels; 0 keeps the size. What is no picture is refused before
    scaling, which clamps."""
    rgb, opacity = from_image(image, name)
    return _at(checked_image(rgb), short_side), opacity_at(opacity, short_side)


def opacity_at(opacity: Tensor | None, short_side: int) -> Tensor | None:
    """An opacity [B, 1, H, W] of :func:`from_image`, scaled to a short side in pixels; 0 keeps the size."""
    return None if opacity is None else _at(opacity, short_side)


def _at(pictures: Tensor, short_side: int) -> Tensor:
    return one_by_one(partial(scale_short_side, short_side=short_side or None), pictures, heed_stop)


def to_image(rgb: Tensor, opacity: Tensor | None = None) -> Tensor:
    """RGB [B, 3, H, W], and an opacity [B or 1, 1, H, W] if there is one, as an IMAGE on the intermediate device."""
    if opacity is not None:
        rgb = torch.cat([rgb, opacity.expand(len(rgb), -1, -1, -1).to(rgb)], dim=1)
    return rgb.movedim(1, -1).to(intermediate_device(), torch.float32).contiguous()


def check_room(image: Tensor, short_side: int) -> None:
    """Refuse to make a batch like an IMAGE [B, H, W, C], at a short side in pixels, that the memory cannot hold. What
    ComfyUI keeps on a graphics card is not asked: others make room there.

    Raises:
        ValueError: with both numbers.
    """
    count, height, width, channels = image.shape
    scale = short_side / min(height, width) if short_side > 0 else 1.0
    height, width = round(scale * height), round(scale * width)
    if intermediate_device().type == "cpu":
        # The parts of the batch, and all of it together.
        needed = 2 * 4 * count * height * width * channels
        check_fits(needed, intermediate_device(), f"A batch of {count} x {width} x {height} pixels")


def from_mask(mask: Tensor | None, name: str, other: str, count: int) -> Tensor | None:
    """A MASK [B, H, W] or [H, W] for ``count`` pictures; None where Load Image says that there is none, by 64 x 64
    zeros.

    Args:
        mask: the MASK.
        name: of the node's input, for the error.
        other: the input that the mask belongs to, for the error.
        count: how many pictures that has.

    Raises:
        ValueError: the number of masks fits neither one nor all of the pictures.
    """
    if mask is None:
        return None
    mask = mask[None] if mask.ndim == 2 else mask
    if tuple(mask.shape[-2:]) == _NO_MASK and not mask.any():
        return None
    if len(mask) not in (1, count):
        raise ValueError(
            f"'{name}' is a batch of {len(mask)}, but '{other}' of {count}; connect one mask or one for each picture."
        )
    return mask
