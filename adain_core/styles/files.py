"""A style library: small files that hold one style each, to keep and to share.

A style file is a .safetensors with ``mean.<tap>`` and ``std.<tap>`` [C] in float32, ``thumbnail``, the bytes of a JPEG,
and, as metadata, the format's version, the kind ``style``, the space and a name: about 16 KB for VGG-19. A style that
was measured with more detail has ``covariance.<tap>`` [C, C] or, at relu4_1, ``quantiles.<tap>`` [C, Q] too: 1.4 MB and
up to 8 MB. One for a decoder with transport on its skips has ``covariance.relu1_1``, 16 KB more.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..images.files import ImageError, opened
from ..images.pictures import Picture, from_pil, to_pil
from ..runtime.files import FLOATS, FORMAT, log_passed_over, write_tensors
from ..runtime.terminal import sentence

STYLE_SUFFIX = ".safetensors"
MOST_QUANTILES = 4096
"""Sorted values of a channel that a file has at most: all of a picture of 512 x 512 pixels at relu4_1."""
_TENSOR_NAME = re.compile(r"(mean|std|covariance|quantiles)\.(relu[1-5]_[1-4])")
_REQUIRED_TAP = "relu4_1"
_MAX_BYTES = 2**26
_MAX_CHANNELS = 4096
_SHAPES = {"mean": "[C]", "std": "[C]", "covariance": "[C, C]", "quantiles": f"[C, 1 to {MOST_QUANTILES}]"}
# By how much of the largest entry the two halves of a covariance may differ.
_ROUNDING = 1e-4
# Features of trained encoders stay below 1e5; what is far above overflows on its way through a decoder.
_MOST = {"mean": 1e6, "std": 1e6, "covariance": 1e12, "quantiles": 1e6}
_THUMBNAIL = "thumbnail"
_THUMBNAIL_SIDE = 96
_MAX_THUMBNAIL_SIDE = 512
_MAX_THUMBNAIL_BYTES = 2**20


class StyleFileError(ValueError):
    """A style file cannot be found, read or written; the message says which, why and what was expected, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(sentence(message))


@dataclass(frozen=True)
class StyleFile:
    """What a style file says of itself.

    Args:
        path: where it lies.
        name: what its author called it.
        space: the encoder that its statistics belong to.
        thumbnail: the style's picture, [1, 3, H, W] in 0..1 with a long side of about 96 pixels, if it has one.
    """

    path: Path
    name: str
    space: str
    thumbnail: Tensor | None = None


def is_style_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a style file rather than a picture: by its suffix alone."""
    return Path(path).suffix.lower() == STYLE_SUFFIX


def list_styles(folder: str | os.PathLike[str]) -> list[StyleFile]:
    """The style files of a folder and the folders in it, by path; other .safetensors files are passed over, with a
    warning.

    Raises:
        StyleFileError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StyleFileError(f"There is no folder {folder}; name one that holds style files.")
    styles = []
    for path in sorted(folder.rglob(f"*{STYLE_SUFFIX}")):
        try:
            styles.append(read_style(path)[0])
        except StyleFileError as error:
            log_passed_over(str(error))
    return styles


def write_style(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], space: str, name: str = "", image: Tensor | None = None
) -> None:
    """Write a style file, atomically.

    Args:
        path: ends in .safetensors.
        tensors: ``mean.<tap>`` and ``std.<tap>``, each [C]; where there are any ``covariance.<tap>`` [C, C] and
            ``quantiles.<tap>`` [C, up to MOST_QUANTILES].
        space: the encoder that they belong to.
        name: what to call the style; the file's name if empty.
        image: its picture, [1, 3, H, W] in 0..1, for the thumbnail.

    Raises:
        StyleFileError: the suffix is another.
        OSError: there is no room or no right to write; nothing half-written is left.
    """
    path = Path(path)
    if not is_style_file(path):
        raise StyleFileError(f"'{path.name}' is no name for a style file; let it end in {STYLE_SUFFIX}.")
    data = {key: x.detach().to("cpu", torch.float32).contiguous() for key, x in tensors.items()}
    if image is not None:
        data[_THUMBNAIL] = _encode_thumbnail(image)
    write_tensors(path, data, {"kind": "style", "space": space, "name": name or path.stem})


def read_style(path: str | os.PathLike[str]) -> tuple[StyleFile, dict[str, Tensor]]:
    """Read a style file; no tensor is read before its shape is known to be sound.

    Returns:
        What the file says of itself, and its tensors as :func:`write_style` takes them.

    Raises:
        StyleFileError: the file is missing, damaged, or holds something else than a style.
    """
    path = Path(path)
    if not path.is_file():
        raise StyleFileError(f"There is no style file {path}.")
    if path.stat().st_size > _MAX_BYTES:
        raise StyleFileError(
            f"{path} is too large for a style file ({path.stat().st_size} bytes); it is something else."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("kind") != "style":
                kind = metadata.get("kind")
                raise StyleFileError(
                    f"{path} is of the kind {kind!r}, not a style; expected a file that a style was saved to."
                )
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            jpeg = shapes.pop(_THUMBNAIL, None)
            _check_shapes(path, shapes)
            thumbnail = _decode_thumbnail(path, jpeg, file.get_tensor) if jpeg is not None else None
            tensors = {key: file.get_tensor(key) for key in shapes}
    except (SafetensorError, OSError) as error:
        raise StyleFileError(f"{path} is not a readable {STYLE_SUFFIX} file: {error}.") from error
    for key, stored in tensors.items():
        if stored.dtype not in FLOATS:
            raise StyleFileError(f"{path} is damaged: '{key}' has numbers of the type {stored.dtype}, expected floats.")
        part, x = key.split(".")[0], stored.float()
        tensors[key] = x
        if not ((x.abs() <= _MOST[part]).all() and _IS_SOUND[part](x)):
            raise StyleFileError(f"{path} is damaged: '{key}' holds numbers that are no statistics.")
    return StyleFile(path, metadata.get("name", path.stem), metadata.get("space", ""), thumbnail), tensors


def _is_covariance(x: Tensor) -> bool:
    """Whether a matrix is symmetric, but for rounding, with variances on its diagonal."""
    return bool((x - x.mT).abs().max() <= _ROUNDING * x.abs().max() and (x.diagonal() >= 0).all())


_IS_SOUND: dict[str, Callable[[Tensor], bool]] = {
    "mean": lambda x: True,
    "std": lambda x: bool((x >= 0).all()),
    "covariance": _is_covariance,
    "quantiles": lambda x: bool((x.diff() >= 0).all()),
}


def _check_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for key, shape in shapes.items():
        name = _TENSOR_NAME.fullmatch(key)
        if not name:
            raise StyleFileError(f"{path} is damaged: a style has no tensor '{key}'.")
        kind, tap = name.groups()
        channels = shape[0] if shape else 0
        if not (0 < channels <= _MAX_CHANNELS and _has_shape(kind, shape)):
            raise StyleFileError(f"{path} is damaged: '{key}' has the shape {list(shape)}, expected {_SHAPES[kind]}.")
        if any(shapes.get(f"{part}.{tap}") != (channels,) for part in ("mean", "std")):
            raise StyleFileError(f"{path} is damaged: '{key}' differs in channels from mean and standard deviation.")
    if f"mean.{_REQUIRED_TAP}" not in shapes:
        raise StyleFileError(f"{path} is damaged: it lacks the statistics of {_REQUIRED_TAP}.")


def _has_shape(kind: str, shape: tuple[int, ...]) -> bool:
    if kind == "quantiles":
        return len(shape) == 2 and 0 < shape[1] <= MOST_QUANTILES
    return shape == shape[:1] * (2 if kind == "covariance" else 1)


def _encode_thumbnail(image: Tensor) -> Tensor:
    thumbnail = to_pil(Picture(image[:1]))
    thumbnail.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG", quality=85)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def _decode_thumbnail(path: Path, shape: tuple[int, ...], get_tensor: Callable[[str], Tensor]) -> Tensor:
    try:
        if len(shape) != 1 or shape[0] > _MAX_THUMBNAIL_BYTES:
            raise ImageError(f"It has the shape {list(shape)}.")
        jpeg = get_tensor(_THUMBNAIL)
        if jpeg.dtype != torch.uint8:
            raise ImageError(f"It has numbers of the type {jpeg.dtype}.")
        with opened(io.BytesIO(jpeg.numpy().tobytes())) as image:
            if max(image.size) > _MAX_THUMBNAIL_SIDE:
                raise ImageError(f"It has {image.width} x {image.height} pixels.")
            return from_pil(image).rgb
    except ImageError as error:
        raise StyleFileError(f"{path} is damaged: its thumbnail cannot be read ({error}).") from error
