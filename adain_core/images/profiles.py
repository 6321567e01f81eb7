"""Colors of any ICC profile as sRGB."""

from __future__ import annotations

import io
import logging
import struct

import numpy as np
from PIL import Image

_log = logging.getLogger(__name__)

# The mode that Little CMS takes for each color space of profiles.
_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_UNFIT = "A color profile is damaged, or not for such a picture; its colors are read as sRGB: %s"


def to_srgb(image: Image.Image) -> Image.Image:
    """A Pillow image of 8 bits with the colors that its ICC profile means as sRGB, without the profile.

    Alpha stays as it is. An image without a profile is sRGB; so is, with a warning, one whose profile is damaged or
    does not fit its mode.
    """
    if image.mode != "LAB" and not image.info.get("icc_profile"):
        return image
    try:
        result = _converted(image)
    except Exception as error:  # PyCMSError, which may be missing as all of ImageCms, is nothing more
        if image.mode == "LAB":
            raise
        _log.warning(_UNFIT, error)
        result = image.copy()
    result.info.pop("icc_profile", None)
    return result


def _converted(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    if image.mode == "LAB":
        profile, colors = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), image
    else:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        space = profile.profile.xcolor_space.strip()
        gray = image.mode in ("1", "L", "LA")
        if space not in _MODES or (space == "GRAY") != gray or (space == "CMYK") != (image.mode == "CMYK"):
            raise ValueError(f"it is for {space} and the picture is {image.mode}")
        colors = image.convert(_MODES[space])
    # Little CMS's shortcut for gray is off by up to ten levels in the shadows.
    flags = ImageCms.Flags.NOOPTIMIZE if colors.mode == "L" else ImageCms.Flags.BLACKPOINTCOMPENSATION
    srgb, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(profile, srgb, colors.mode, "RGB", intent, flags)
    result = transform.apply(colors)
    if image.has_transparency_data:
        result.putalpha(image.convert("RGBA").getchannel("A"))
    return result


def has_tables(profile: bytes | None) -> bool:
    """Whether a profile is for RGB and has more than curves and a matrix, so that :func:`levels_to_srgb` cannot follow
    it."""
    try:
        from PIL import ImageCms

        facts = ImageCms.ImageCmsProfile(io.BytesIO(profile or b"")).profile
    except (ImportError, OSError):
        return False
    return facts.xcolor_space == "RGB " and not facts.is_matrix_shaper


def levels_to_srgb(levels: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Colors [H, W, 1 or 3] in 0..1 with the meaning of an ICC profile as sRGB, of the same shape, in full precision,
    where Pillow converts 8 bits.

    It follows profiles that consist of curves and, for RGB, a matrix, as those of cameras and editors do (ICC.1:2022,
    F.3). An absent profile is sRGB; so is, with a warning, one that is damaged or does not fit.
    """
    if not profile:
        return levels
    try:
        from PIL import ImageCms

        facts = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        space = facts.xcolor_space.strip()
        if space != {1: "GRAY", 3: "RGB"}[levels.shape[2]]:
            raise ValueError(f"it is for {space}")
        curves = ("kTRC",) if space == "GRAY" else ("rTRC", "gTRC", "bTRC")
        light = np.stack([_curve(_tag(profile, name), levels[..., i]) for i, name in enumerate(curves)], axis=2)
        if space == "RGB":
            srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).profile
            light = light @ (np.linalg.inv(_colorants(srgb)) @ _colorants(facts)).T
        if not np.isfinite(light).all():
            raise ValueError("its curves have no end")
    except Exception as error:  # as in to_srgb
        _log.warning(_UNFIT, error)
        return levels
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _colorants(profile: object) -> np.ndarray:
    """From linear RGB to XYZ under D50, 3 x 3."""
    return np.array([getattr(profile, f"{name}_colorant")[0] for name in ("red", "green", "blue")]).T


def _tag(profile: bytes, name: str) -> bytes:
    """The content of a profile's tag (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    for place in range(132, 132 + 12 * min(count, 100), 12):
        signature, offset, size = struct.unpack_from(">4sII", profile, place)
        if signature == name.encode():
            return profile[offset : offset + size]
    raise ValueError(f"it has no {name}")


def _curve(tag: bytes, levels: np.ndarray) -> np.ndarray:
    """Linear light of levels in 0..1 by a curve's tag: a table, a power, or a function (ICC.1:2022, 10.6 and 10.18)."""
    kind, count = struct.unpack_from(">4s4xI", tag)
    if kind == b"curv":
        table = np.frombuffer(tag, ">u2", count, 12)
        if count == 0:
            return levels
        if count == 1:
            return levels ** np.float32(table[0] / 256)
        return np.interp(levels, np.linspace(0, 1, count), table / 65535).astype(np.float32)
    if kind != b"para" or count >> 16 > 4:
        raise ValueError(f"it has a curve of the unknown kind {kind!r}")
    numbers = np.frombuffer(tag, ">i4", (1, 3, 4, 5, 7)[count >> 16], 12) / np.float32(65536)
    g, a, b, c, d, e, f = np.pad(numbers, (0, 7 - len(numbers)))
    if len(numbers) == 1:
        a = 1
    elif len(numbers) < 5:  # (aX + b)^g + c from -b/a on, and c before
        d, e, f, c = -b / a, c, c, 0
    return np.where(levels >= d, np.maximum(a * levels + b, 0) ** g + e, c * levels + f).astype(np.float32)
