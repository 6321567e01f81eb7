"""Keeping the content's colors (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer").

Two of the methods change the colors of a whole picture to those of another, and are meant for the style before the
transfer; the third takes the stylized luminance alone, afterwards. Pictures are [B, 3, H, W], RGB in 0..1, on any
device; the result is float32 in 0..1, never rounded to levels, and finite for gray and flat pictures.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..networks.gaussian import move_by, transport_map
from .pictures import checked_image

ColorMethod = Literal["luminance", "covariance", "histogram"]
COLOR_METHODS: tuple[ColorMethod, ...] = ("luminance", "covariance", "histogram")

_LUMA = (0.299, 0.587, 0.114)

# Sixteen steps to each level of an 8-bit picture, whose levels fall onto steps.
_HISTOGRAM_STEPS = 255 * 16
_CHUNK_PIXELS = 2**22


def luminance(picture: Tensor) -> Tensor:
    """Luma of RGB pictures [B, 3, H, W] as [B, 1, H, W] (ITU-R BT.601)."""
    weights = torch.tensor(_LUMA, dtype=picture.dtype, device=picture.device)
    return torch.einsum("bchw,c->bhw", picture, weights)[:, None]


def preserve_color(stylized: Tensor, content: Tensor, method: ColorMethod = "luminance") -> Tensor:
    """Give a stylized picture its content's colors.

    Args:
        stylized: [B, 3, H, W].
        content: [B or 1, 3, H, W]; for ``covariance`` and ``histogram`` of any size.
        method: ``luminance``, ``covariance`` or ``histogram``.

    Returns:
        [B, 3, H, W], the size that ``stylized`` has.

    Raises:
        ValueError: there is no such method, the shapes do not fit, or a picture is not finite.
    """
    if method not in COLOR_METHODS:
        raise ValueError(f"'{method}' does not keep colors; expected {', '.join(COLOR_METHODS)}.")
    if method == "luminance":
        return replace_luminance(content, stylized)
    return match_color(stylized, content, method)


def match_color(picture: Tensor, reference: Tensor, method: ColorMethod = "covariance") -> Tensor:
    """Give a picture the colors of a reference, most often a style those of the content before the transfer.

    Args:
        picture: [B or 1, 3, H, W].
        reference: [B or 1, 3, h, w].
        method: ``covariance`` or ``histogram``.

    Returns:
        [B, 3, H, W].

    Raises:
        ValueError: there is no such method, the batches do not fit, or a picture is not finite.
    """
    matches = {"covariance": match_covariance, "histogram": match_histogram}
    if method not in matches:
        raise ValueError(f"'{method}' does not match colors; expected {' or '.join(matches)}.")
    _check_count(picture, reference)
    picture, reference = checked_image(picture), checked_image(reference)
    return matches[method](picture.float(), reference.to(picture.device, torch.float32))


def replace_luminance(picture: Tensor, light: Tensor) -> Tensor:
    """The colors of ``picture`` [B or 1, 3, H, W] with the luminance of ``light`` [B, 3, H, W].

    Luminance is exact: where a color has no room at its new luminance, it becomes paler rather than clipped.

    Raises:
        ValueError: the two differ in size, the batches do not fit, or a picture is not finite.
    """
    _check_count(light, picture)
    if picture.shape[-2:] != light.shape[-2:]:
        raise ValueError(
            f"A picture of {list(picture.shape)} and one of {list(light.shape)} differ in size; scale one."
        )
    picture, light = checked_image(picture).to(light.device, torch.float32), checked_image(light)
    chroma = picture - luminance(picture)
    y = luminance(light.float()).clamp(0, 1)
    room = torch.where(chroma > 0, 1 - y, y)
    tiny = torch.finfo(torch.float32).tiny
    paler = (room / chroma.abs().clamp(min=tiny)).amin(dim=1, keepdim=True).clamp(max=1)
    return (y + paler * chroma).clamp(0, 1)


def _check_count(picture: Tensor, reference: Tensor) -> None:
    if len(picture) != len(reference) and 1 not in (len(picture), len(reference)):
        raise ValueError(
            f"There are {len(picture)} pictures but {len(reference)} references; expected as many, or one."
        )


def match_covariance(picture: Tensor, reference: Tensor) -> Tensor:
    """The affine map of colors that gives a picture its reference's mean and covariance and moves them least: optimal
    transport between Gaussians (Pitié and Kokaram 2007, "The linear Monge-Kantorovitch color mapping")."""
    mean, covariance = _mean_covariance(picture)
    target_mean, target_covariance = _mean_covariance(reference)
    transport = transport_map(covariance, target_covariance)
    return move_by(transport, picture.expand(len(transport), -1, -1, -1), mean, target_mean).clamp(0, 1)


def _mean_covariance(picture: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 3, 1, 1] and [B, 3, 3]."""
    mean = picture.mean(dim=(2, 3), keepdim=True)
    centered = (picture - mean).flatten(2)
    return mean, centered @ centered.mT / centered.shape[-1]


def match_histogram(picture: Tensor, reference: Tensor) -> Tensor:
    """Give each channel of a picture the histogram of its reference's (Gonzalez and Woods, histogram specification).

    Equal colors stay equal; between the steps of the histogram the map is linear.
    """
    batch = max(len(picture), len(reference))
    result = torch.empty(batch, *picture.shape[1:], device=picture.device)
    for b in range(batch):
        for channel in range(3):
            source = picture[min(b, len(picture) - 1), channel].flatten()
            curve = _histogram_map(source, reference[min(b, len(reference) - 1), channel].flatten())
            parts = [_look_up(curve, part) for part in source.split(_CHUNK_PIXELS)]
            result[b, channel] = torch.cat(parts).view(picture.shape[-2:])
    return result


def _histogram_map(source: Tensor, reference: Tensor) -> Tensor:
    """What each step of 0..1 becomes: where the reference's cumulative histogram reaches the source's."""
    quantiles, heights = _cumulative_histogram(source), _cumulative_histogram(reference)
    above = torch.searchsorted(heights, quantiles).clamp(1, _HISTOGRAM_STEPS)
    gap = (heights[above] - heights[above - 1]).clamp(min=torch.finfo(torch.float64).tiny)
    part = ((quantiles - heights[above - 1]) / gap).clamp(0, 1)
    return ((above - 1 + part) / _HISTOGRAM_STEPS).to(source)


def _cumulative_histogram(values: Tensor) -> Tensor:
    """The share of values below each step plus half of those at it, float64 on the CPU."""
    counts = [
        torch.bincount((part.clamp(0, 1) * _HISTOGRAM_STEPS).round().long(), minlength=_HISTOGRAM_STEPS + 1)
        for part in values.split(_CHUNK_PIXELS)
    ]
    shares = torch.stack(counts).sum(dim=0).cpu().double() / len(values)
    return shares.cumsum(0) - shares / 2


def _look_up(curve: Tensor, values: Tensor) -> Tensor:
    place = values.clamp(0, 1) * _HISTOGRAM_STEPS
    below = place.long().clamp(max=_HISTOGRAM_STEPS - 1)
    return torch.lerp(curve[below], curve[below + 1], place - below)
