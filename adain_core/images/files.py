"""Pictures in files: which formats are read and written, and what a result keeps of its content's file."""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import ExifTags, Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from ..runtime.files import write_atomically
from .deep import encode_png, encode_tiff, read_levels
from .pictures import Origin, Picture, checked_image, from_levels, from_pil, to_levels, to_pil
from .profiles import has_tables, to_srgb

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is read, whatever a file's name says: rasters that decoders of Pillow's own unpack. EPS, PDF, WMF and the like
are programs, which Pillow gives to others to run."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif")
"""Files of a folder with these are pictures."""

# These are written, too; GIF, which would leave 256 colors of a result, is not.
_WRITTEN = tuple(name for name in FORMATS if name != "GIF")
_ALPHA_FORMATS = {"AVIF", "PNG", "TIFF", "WEBP"}
_LONGEST_SIDE = {"AVIF": 65535, "JPEG": 65500, "WEBP": 16383}
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
}

# Who made a picture and when. Where, and with which camera, is nobody's business.
_KEPT_TAGS = (ExifTags.Base.Artist, ExifTags.Base.Copyright, ExifTags.Base.DateTime)
_KEPT_TIMES = (
    ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.DateTimeDigitized,
    ExifTags.Base.OffsetTime,
    ExifTags.Base.OffsetTimeOriginal,
    ExifTags.Base.OffsetTimeDigitized,
)
_LONGEST_TEXT = 4096
_INCH = 2
# TIFF's tag that says whether a page is a smaller copy of another.
_SUBFILE_TYPE, _REDUCED = 254, 1
_MOST_COPIES = 100
# The beginning of a JPEG's segments that say their length; bytes of the picture itself never look so.
_SEGMENT = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
_END, _SCAN = b"\xd9", b"\xda"
# Ten are usual. Each takes as long as the whole picture, in as few as twelve bytes.
_MOST_SCANS = 100
_DIGITS = re.compile(r"(\d+)")


class ImageError(ValueError):
    """A picture cannot be read or written; the message names the file and what is wrong."""


def read_picture(source: str | os.PathLike[str] | bytes) -> Picture:
    """Read an image file of any mode, or what is in one: upright, in sRGB, with all of 16 bits.

    Raises:
        ImageError: the file is missing, in none of :data:`FORMATS`, an animation or several pages, damaged, or larger
            than Pillow's limit for decompression bombs.
    """

    def file_of() -> str | os.PathLike[str] | BinaryIO:
        return io.BytesIO(source) if isinstance(source, bytes) else source

    with opened(file_of()) as file:
        levels = None
        if not has_tables(file.info.get("icc_profile")):
            with _open(file_of()) as again:
                levels = read_levels(file, again)
        picture = from_pil(ImageOps.exif_transpose(file)) if levels is None else from_levels(levels, file.info)
        return replace(picture, origin=_origin_of(file, 8 if levels is None else 16))


def open_image(path: str | os.PathLike[str], short_side: int = 0) -> Image.Image:
    """An image file as a Pillow image in 8-bit RGB: upright, in sRGB, without its alpha.

    Args:
        path: of the file.
        short_side: as many pixels are enough: a larger JPEG is decoded at a half, a quarter or an eighth of its size
            where that leaves them. 0 decodes all of it.

    Raises:
        ImageError: as :func:`read_picture`.
    """
    with opened(path) as file:
        if short_side:
            scale = short_side / min(file.size)
            file.draft(None, (math.ceil(file.width * scale), math.ceil(file.height * scale)))
        image = to_srgb(ImageOps.exif_transpose(file))
        return (to_pil(from_pil(image)) if image.mode.startswith(("I", "F")) else image).convert("RGB")


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[ImageFile.ImageFile]:
    """An image file as Pillow opens it, its pixels not yet read; every reader of pictures comes through here. Whatever
    Pillow raises inside is damage to the file.

    Raises:
        ImageError: as :func:`read_picture`.
    """
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    name = path or "The picture"
    if path and not path.is_file():
        raise ImageError(f"There is no image file {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Pillow puts right
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with _open(source) as file:
                _check_single(name, file)
                yield file
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} has too many pixels to be safe: {error}") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # damaged tags fail in many ways: struct.error, TypeError, AttributeError
        formats = f"it is damaged or not an image (of the formats {', '.join(FORMATS)})"
        reason = "it is empty" if path and path.stat().st_size == 0 else formats
        raise ImageError(f"{name} cannot be read as an image: {reason}.") from error


def _open(source: str | os.PathLike[str] | BinaryIO) -> ImageFile.ImageFile:
    Image.init()
    return Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN])


def _check_single(name: Path | str, file: ImageFile.ImageFile) -> None:
    """Refuse a file of several pictures, of which the first would stand for all. In a JPEG the first is the photograph,
    and others, which cameras add, are made of it."""
    if file.format in ("JPEG", "MPO"):
        _check_scans(name, file)
    elif isinstance(file, TiffImageFile):
        _check_pages(name, file)
    elif getattr(file, "is_animated", False):
        raise ImageError(f"{name} is an animation, not one picture; 'adain video' takes animated GIF and PNG.")


def _check_pages(name: Path | str, file: TiffImageFile) -> None:
    for page in count(1):
        try:
            file.seek(page)
        except EOFError:
            break
        if not file.tag_v2.get(_SUBFILE_TYPE, 0) & _REDUCED or page > _MOST_COPIES:
            raise ImageError(f"{name} has several pages, not one picture; save the one you mean as a file of its own.")
    file.seek(0)


def _check_scans(name: Path | str, file: ImageFile.ImageFile) -> None:
    """Refuse a JPEG that goes over its picture again and again (ITU-T T.81, B.1.1)."""
    stream = cast(BinaryIO, file.fp)  # as it is until the pixels are read
    stream.seek(0)
    data, scans, place = stream.read(), 0, 0
    while (segment := _SEGMENT.search(data, place)) and segment[1] != _END and scans <= _MOST_SCANS:
        scans += segment[1] == _SCAN
        place = segment.end() + int.from_bytes(data[segment.end() : segment.end() + 2])
    if scans > _MOST_SCANS:
        raise ImageError(f"{name} is built of more than {_MOST_SCANS} scans, which takes too long; save it anew.")


def _origin_of(file: ImageFile.ImageFile, bits: int) -> Origin:
    """What a result takes over; after the pixels, since a PNG may have its tags behind them."""
    tags, kept = file.getexif(), Image.Exif()
    # Pillow reads bytes as Latin-1, whatever they are, and would write ASCII.
    kept.update({number: text.encode("latin-1") for number, text in _texts(tags, _KEPT_TAGS)})
    if times := dict(_texts(tags.get_ifd(ExifTags.IFD.Exif), _KEPT_TIMES)):
        kept.get_ifd(ExifTags.IFD.Exif).update(times)
    if dpi := _dpi_of(file, tags):
        kept[ExifTags.Base.XResolution], kept[ExifTags.Base.YResolution] = dpi
        kept[ExifTags.Base.ResolutionUnit] = _INCH
    return Origin(bits, dpi, kept.tobytes() if kept else b"")


def _texts(tags: Mapping[int, Any], numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
    for number in numbers:
        text = tags.get(number)
        if isinstance(text, str) and 0 < len(text) <= _LONGEST_TEXT:
            yield number, text


def _dpi_of(file: ImageFile.ImageFile, tags: Image.Exif) -> tuple[float, float] | None:
    found = file.info.get("dpi")
    if not found and tags.get(ExifTags.Base.ResolutionUnit) == _INCH:
        found = (tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution))
    try:
        across, down = map(float, found or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 < across < 65536 and 1 < down < 65536 else None


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


def result_name(source: Path) -> str:
    """What the result of a picture is called in another folder: as the picture, with .png where its format is only
    read."""
    is_written = Image.registered_extensions().get(source.suffix.lower()) in _WRITTEN
    return source.name if is_written else f"{source.name}.png"


def check_target(path: Path, size: Sequence[int] = ()) -> str:
    """Pillow's name of the format that a file to write will have, by its suffix; it is one that holds a result of this
    size (height and width) as it is.

    Raises:
        ImageError: it does not.
    """
    format_name = Image.registered_extensions().get(path.suffix.lower(), "")
    if format_name not in _WRITTEN or format_name not in Image.SAVE:
        expected = ", ".join(suffix for suffix in IMAGE_SUFFIXES if suffix != ".gif")
        raise ImageError(f"'{path.name}' has no image suffix that holds a result as it is; use one of {expected}.")
    longest = _LONGEST_SIDE.get(format_name)
    if longest and max(size, default=0) > longest:
        raise ImageError(
            f"{path.name} would have {size[1]} x {size[0]} pixels, and a side of {format_name} at most {longest};"
            " use .png or .tif, or a smaller size."
        )
    return format_name


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write an image file, atomically: sRGB without a profile, alpha where the format has it (AVIF, PNG, TIFF, WebP),
    16 bits where the content had them and the format has them (PNG, TIFF), and what else the :class:`Origin` says.

    Raises:
        ImageError: the format cannot hold such a picture, or there is no room or right to write; nothing half-written
            is left.
        ValueError: the tensor is no picture, such as one with NaN.
    """
    path = Path(path)
    if len(checked_image(picture.rgb)) != 1:
        raise ImageError(f"{path.name} holds one picture, not {len(picture.rgb)}; write them one by one.")
    format_name = check_target(path, picture.rgb.shape[-2:])
    if format_name not in _ALPHA_FORMATS:
        picture = replace(picture, opacity=None)
    try:
        write_atomically(path, encode_picture(picture, format_name))
    except OSError as error:
        raise ImageError(f"{path} cannot be written as {format_name}: {error.strerror or error}.") from error


def encode_picture(picture: Picture, format_name: str) -> bytes:
    """What :func:`write_picture` writes, in a format of Pillow's name."""
    origin = picture.origin
    if origin.bits == 16 and format_name == "PNG":
        return encode_png(to_levels(picture, 16), origin.dpi, origin.exif)
    if origin.bits == 16 and format_name == "TIFF":
        return encode_tiff(to_levels(picture, 16), _tiff_tags(origin.exif))
    options = _SAVE_OPTIONS.get(format_name, {}).copy()
    if format_name == "TIFF":
        options["tiffinfo"] = _tiff_tags(origin.exif)
    elif format_name != "BMP" and origin.exif:
        options["exif"] = origin.exif
    if origin.dpi and format_name in ("BMP", "JPEG", "PNG"):
        options["dpi"] = origin.dpi
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, format_name, **options)
    return buffer.getvalue()


def _tiff_tags(exif: bytes) -> ImageFileDirectory_v2:
    """The tags of a block of EXIF for the directory of a TIFF, with texts as bytes, which Pillow leaves as they are."""
    block, tags = Image.Exif(), ImageFileDirectory_v2()
    block.load(exif)
    for number, value in block.items():
        if number == ExifTags.IFD.Exif:
            value = block.get_ifd(number)
        tags[number] = value.encode("latin-1") if isinstance(value, str) else value
    return tags
