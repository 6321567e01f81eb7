"""Pictures of 16 bits for each color, of which Pillow keeps eight on reading and writes none but gray."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
from PIL import ImageFile, ImageOps, PngImagePlugin, TiffImagePlugin

# Pillow's unpackers of 16-bit colors keep the higher byte; that of the other byte order keeps the lower one.
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_PIXELS_PER_INCH = 0.0254


def read_levels(file: ImageFile.ImageFile, again: ImageFile.ImageFile) -> np.ndarray | None:
    """The levels [H, W, C] of a picture of 16-bit gray, gray and alpha, RGB or RGBA (C from 1 to 4), upright; None for
    any other.

    Args:
        file: the picture, opened and not loaded.
        again: the same, opened another time.
    """
    if file.mode.startswith("I;16"):
        return np.asarray(ImageOps.exif_transpose(file)).astype(np.uint16)[:, :, None]
    modes = {tile.args if isinstance(tile.args, str) else str((tile.args or ("",))[0]) for tile in file.tile}
    mode = modes.pop() if len(modes) == 1 else ""
    if mode == "LA;16B":  # four bytes each, as those of RGBA
        _unpack_as(again, "RGBA")
        high, low = np.split(np.asarray(ImageOps.exif_transpose(again))[:, :, [0, 2, 1, 3]], 2, axis=2)
    elif mode[:-1] in ("RGB;16", "RGBA;16"):
        _unpack_as(again, mode[:-1] + _OTHER_ORDER[mode[-1]])
        high, low = (np.asarray(ImageOps.exif_transpose(image)) for image in (file, again))
    else:
        return None
    return high.astype(np.uint16) << 8 | low


def _unpack_as(file: ImageFile.ImageFile, mode: str) -> None:
    file.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode) for tile in file.tile
    ]


def encode_png(levels: np.ndarray, dpi: tuple[float, float] | None, exif: bytes) -> bytes:
    """A PNG of the levels [H, W, 3 or 4], uint16 (PNG specification, 3rd edition)."""
    height, width, channels = levels.shape
    rows = levels.astype(">u2", order="C").view(np.uint8).reshape(height, -1)
    up = 2  # the filter of each row: differences from the one above
    filtered = np.full((height, 1 + rows.shape[1]), up, np.uint8)
    filtered[:, 1:] = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    color_type = {3: 2, 4: 6}[channels]
    PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">2I5B", width, height, 16, color_type, 0, 0, 0))
    if dpi:
        PngImagePlugin.putchunk(file, b"pHYs", struct.pack(">2IB", *(round(x / _PIXELS_PER_INCH) for x in dpi), 1))
    if exif:
        PngImagePlugin.putchunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(filtered.tobytes()))
    PngImagePlugin.putchunk(file, b"IEND", b"")
    return file.getvalue()


def encode_tiff(levels: np.ndarray, tags: TiffImagePlugin.ImageFileDirectory_v2) -> bytes:
    """A TIFF of the levels [H, W, 3 or 4], uint16, in one strip, with some tags more (TIFF 6.0)."""
    height, width, channels = levels.shape
    pixels = levels.astype("<u2").tobytes()
    tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH] = width, height
    tags[TiffImagePlugin.BITSPERSAMPLE] = (16,) * channels
    tags[TiffImagePlugin.COMPRESSION], tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1, 2
    tags[TiffImagePlugin.SAMPLESPERPIXEL], tags[TiffImagePlugin.ROWSPERSTRIP] = channels, height
    tags[TiffImagePlugin.STRIPOFFSETS], tags[TiffImagePlugin.STRIPBYTECOUNTS] = 0, len(pixels)
    if channels == 4:
        tags[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha that colors are not multiplied by
    file = io.BytesIO()
    tags.save(file)
    file.write(pixels)
    return file.getvalue()
