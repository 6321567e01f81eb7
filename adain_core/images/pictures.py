"""Pictures between files, Pillow and tensors."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from ..runtime.files import write_atomically

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_ANIMATIONS = ("GIF", "PNG", "WEBP")
# TIFF's tag that says whether a page is a smaller copy of another.
_SUBFILE_TYPE, _REDUCED = 254, 1
_DIGITS = re.compile(r"(\d+)")
_ALPHA_FORMATS = {"PNG", "WEBP", "TIFF"}
_SAVE_OPTIONS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}


class ImageError(ValueError):
    """A picture cannot be read or written; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Picture:
    """A picture as tensors: ``rgb`` [1, 3, H, W] and, where the file has transparency, ``alpha`` [1, 1, H, W], both
    0..1."""

    rgb: Tensor
    alpha: Tensor | None = None

    def scaled(self, size: int | None) -> Picture:
        """The picture with a short side of so many pixels; None keeps its size."""
        alpha = None if self.alpha is None else scale_short_side(self.alpha, size, "size")
        return Picture(scale_short_side(self.rgb, size, "size"), alpha)


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read an image file of any mode; EXIF orientation is applied.

    Raises:
        ImageError: the file is missing, not an image, an animation or several pages, damaged, or larger than Pillow's
            limit for decompression bombs.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"There is no image file {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_single(path, file)
                return from_pil(ImageOps.exif_transpose(file))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{path} has too many pixels to be safe: {error}") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # damaged tags fail in many ways: struct.error, TypeError, AttributeError
        reason = "it is empty" if path.stat().st_size == 0 else "it is damaged or not an image"
        raise ImageError(f"{path} cannot be read as an image: {reason} ({error}).") from error


def _check_single(path: Path, file: Image.Image) -> None:
    """Refuse a file of several pictures, of which the first would stand for all."""
    if not getattr(file, "is_animated", False):
        return
    if file.format in _ANIMATIONS:
        raise ImageError(f"{path} is an animation, not one picture; 'adain video' takes animated GIF and PNG.")
    if isinstance(file, TiffImageFile):
        pages = 0
        for i in range(file.n_frames):
            file.seek(i)
            pages += not file.tag_v2.get(_SUBFILE_TYPE, 0) & _REDUCED
        file.seek(0)
        if pages > 1:
            raise ImageError(f"{path} has {pages} pages, not one picture; save the one you mean as a file of its own.")


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder by name, where ``frame_2`` comes before ``frame_10``.

    Raises:
        ImageError: there are none.
    """
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise ImageError(f"{folder} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return sorted(
        paths, key=lambda path: [int(part) if part.isdecimal() else part for part in _DIGITS.split(path.name)]
    )


def from_pil(image: Image.Image) -> Picture:
    """A Pillow image of any mode (palette, grayscale, 16-bit, CMYK, with or without alpha) as tensors."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.float32)
        clear = image.info.get("transparency")  # the one level that is
        alpha = None if clear is None else _tensor((levels != clear).astype(np.float32))
        return Picture(_tensor(levels / 65535).expand(1, 3, -1, -1).clamp(0, 1), alpha)
    if image.mode == "F":
        return Picture(_tensor(np.array(image)).expand(1, 3, -1, -1).nan_to_num().clamp(0, 1))
    if image.has_transparency_data:
        pixels = _tensor(np.asarray(image.convert("RGBA"), dtype=np.float32) / 255)
        return Picture(pixels[:, :3].contiguous(), pixels[:, 3:])
    return Picture(_tensor(np.asarray(image.convert("RGB"), dtype=np.float32) / 255))


def _tensor(pixels: np.ndarray) -> Tensor:
    channels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1)))[None]


def to_pil(picture: Picture) -> Image.Image:
    """A picture as an 8-bit Pillow image, RGB or RGBA."""
    channels = picture.rgb if picture.alpha is None else torch.cat([picture.rgb, picture.alpha.to(picture.rgb)], dim=1)
    pixels = channels[0].detach().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels)


def format_of(path: Path) -> str:
    """Pillow's name of the format that a file to write will have.

    Raises:
        ImageError: the suffix is no image format.
    """
    format_name = Image.registered_extensions().get(path.suffix.lower(), "")
    if format_name not in Image.SAVE:
        raise ImageError(f"'{path.name}' has no known image suffix; use one of {', '.join(IMAGE_SUFFIXES)}.")
    return format_name


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write an image file, atomically; alpha is kept in the formats that have it (PNG, WebP, TIFF).

    Raises:
        ImageError: the suffix is no image format, the format cannot hold such a picture, or there is no room or right
            to write; nothing half-written is left.
    """
    path = Path(path)
    format_name = format_of(path)
    image = to_pil(picture if format_name in _ALPHA_FORMATS else Picture(picture.rgb))
    buffer = io.BytesIO()
    try:
        image.save(buffer, format_name, **_SAVE_OPTIONS.get(format_name, {}))
        write_atomically(path, buffer.getvalue())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be written as {format_name}: {reason}.") from error


def checked_image(image: Tensor) -> Tensor:
    """The pictures themselves, [B, 3, H, W].

    Raises:
        ValueError: they have another shape, or numbers that are whole or not finite.
    """
    if not image.is_floating_point():
        raise ValueError(f"A picture has numbers of the type {image.dtype}; expected 0..1 as float: divide by 255.")
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise ValueError(f"A picture has the shape {list(image.shape)}; expected [B, 3, H, W], not empty.")
    # The sum shows what a test of each number would, without a second picture in memory.
    if not image.sum(dtype=torch.float32).isfinite():
        raise ValueError("A picture holds NaN or infinite numbers; look for what went wrong where it was made.")
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
    """Resize [B, C, H, W] to (H, W), antialiased, keeping 0..1."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
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
