"""StyleStats: a style as the means and standard deviations of its features."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..images.masks import resize_mask
from ..networks.gaussian import barycenter, weighted_mean
from ..networks.normalization import EPS, mean_std, variance_and_mean
from ..runtime.progress import Progress, ignore_progress, section
from .distribution import covariance, products, quantiles, resample
from .files import MOST_QUANTILES, read_style, write_style

Detail = Literal["covariance", "quantiles"]
"""What some transforms need beyond mean and standard deviation."""

_PARTS = ("mean", "std", "covariance", "quantiles")


@dataclass(frozen=True, eq=False, repr=False)
class StyleStats:
    """Mean and standard deviation of each channel, layer by layer, for one style or a batch of styles.

    Args:
        mean: for each tap, float32 [B, C, 1, 1].
        std: for each tap, float32 [B, C, 1, 1].
        space: the encoder that the features come from (see :mod:`adain_core.models.spaces`).
        image: the style picture itself, [B, 3, H, W] in 0..1, where there is one for each entry of the batch; skips
            from the style need it.
        covariance: for some taps, float32 [B, C, C]; only where it was asked for.
        quantiles: for some taps the sorted values of each channel, float32 [B, C, Q] (see
            :mod:`adain_core.styles.distribution`); only where it was asked for.
    """

    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    space: str
    image: Tensor | None = None
    covariance: dict[str, Tensor] = field(default_factory=dict)
    quantiles: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def measure(
        cls,
        features: Mapping[str, Tensor],
        space: str,
        weight: Tensor | None = None,
        detail: Collection[Detail] = (),
        covariance_at: Collection[str] = (),
    ) -> StyleStats:
        """Statistics of feature maps, each picture by itself.

        Args:
            features: for each tap, [B, C, H, W].
            space: the encoder that they come from.
            weight: a soft mask [B or 1, 1, H, W] of any size, not negative and with a positive sum.
            detail: what to measure besides. For VGG-19 at relu4_1 the covariance takes 1 MB, the quantiles as much as
                the map.
            covariance_at: taps whose covariance is measured, whatever the detail.

        Raises:
            ValueError: there is no such detail.
        """
        check_detail(detail)
        stats = cls({}, {}, space)
        for tap, x in features.items():
            cells = None if weight is None else resize_mask(weight, x.shape[-2:])
            stats.mean[tap], stats.std[tap] = mean_std(x, cells)
            if "covariance" in detail or tap in covariance_at:
                stats.covariance[tap] = covariance(x, cells, stats.mean[tap])
            if "quantiles" in detail:
                stats.quantiles[tap] = quantiles(x, cells)
        return stats

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StyleStats:
        """A style from a file that :meth:`save` wrote; it has no picture, only statistics, with the detail that it was
        measured with.

        Raises:
            StyleFileError: the file is missing, damaged, or holds something else than a style.
        """
        file, tensors = read_style(path)
        stats = cls({}, {}, file.space)
        for key, x in tensors.items():
            part, tap = key.split(".")
            getattr(stats, part)[tap] = x.view(1, -1, 1, 1) if x.ndim == 1 else x[None]
        return stats

    def save(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Write a single style to a .safetensors file of a few KB, with a thumbnail if the style has its picture.

        The detail that it was measured with is saved too: covariances of VGG-19 take 1.4 MB, quantiles up to 8 MB. More
        sorted values than :data:`adain_core.styles.files.MOST_QUANTILES` are reduced to so many.

        Args:
            path: ends in .safetensors; a file there is replaced.
            name: what to call the style; the file's name if empty.

        Raises:
            StyleFileError: the suffix is another.
            ValueError: this is a batch of styles.
            OSError: there is no room or no right to write; nothing half-written is left.
        """
        if self.count != 1:
            raise ValueError(f"A style file holds one style, not {self.count}; save them one by one.")
        fewer = {tap: resample(x, min(x.shape[2], MOST_QUANTILES)) for tap, x in self.quantiles.items()}
        stored = replace(self, quantiles=fewer)
        tensors = {
            f"{part}.{tap}": x.flatten() if x.ndim == 4 else x[0]
            for part in _PARTS
            for tap, x in getattr(stored, part).items()
        }
        write_style(path, tensors, self.space, name, self.image)

    def __eq__(self, other: object) -> bool:
        """Whether another style has the same numbers in the same space; pictures do not count."""
        if not isinstance(other, StyleStats):
            return NotImplemented
        mine, theirs = (
            {(name, tap): x for name in _PARTS for tap, x in getattr(s, name).items()} for s in (self, other)
        )
        same = self.space == other.space and mine.keys() == theirs.keys()
        return same and all(torch.equal(x, theirs[key]) for key, x in mine.items())

    __hash__ = None  # type: ignore[assignment]  # what compares by numbers that may change place has no hash

    def __repr__(self) -> str:
        details = "".join(f", {name}" for name in _PARTS[2:] if getattr(self, name))
        picture = "" if self.image is None else ", with its picture"
        return f"StyleStats(count={self.count}, taps={', '.join(self.mean)}, space={self.space!r}{details}{picture})"

    @property
    def count(self) -> int:
        """Number of styles in the batch."""
        return len(next(iter(self.mean.values())))

    def check_count(self, contents: int) -> None:
        """Make sure that this is one style, or one for each of so many contents.

        Raises:
            ValueError: it is neither.
        """
        if self.count not in (1, contents):
            raise ValueError(
                f"There are {contents} contents but {self.count} styles; expected one style or one for each content."
            )

    @classmethod
    def stack(cls, styles: Sequence[StyleStats]) -> StyleStats:
        """Styles side by side as a batch; their pictures are kept where all have the same size."""
        images = [style.image for style in styles if style.image is not None]
        same_size = len(images) == len(styles) and all(x.shape[1:] == images[0].shape[1:] for x in images)
        image = torch.cat(images) if same_size else None
        parts = {name: {tap: torch.cat(xs) for tap, xs in _common(styles, name).items()} for name in _PARTS}
        return cls(**parts, space=_common_space(styles), image=image)

    def part(self, styles: slice) -> StyleStats:
        """Some styles of the batch."""
        return self._map(lambda x: x[styles])

    def to(self, device: torch.device | str) -> StyleStats:
        """The same style with its statistics on another device; its picture, of any size, stays where it is."""
        return replace(self._map(lambda x: x.to(device)), image=self.image)

    def _map(self, function: Callable[[Tensor], Tensor]) -> StyleStats:
        parts = {name: {tap: function(x) for tap, x in getattr(self, name).items()} for name in _PARTS}
        return StyleStats(**parts, space=self.space, image=None if self.image is None else function(self.image))


def check_detail(detail: Collection[str]) -> None:
    """Refuse what is no :data:`Detail`.

    Raises:
        ValueError: with what there is.
    """
    if not set(detail) <= set(get_args(Detail)):
        raise ValueError(f"detail is {detail!r}; expected a tuple of {' and '.join(get_args(Detail))}, or none.")


def merge(styles: Sequence[StyleStats]) -> StyleStats:
    """One style that was seen several times: the statistics over all the pictures together, each counting the same.

    The variance of the whole is the mean of the variances plus the variance of the means; so are covariances.

    Args:
        styles: one or more, single or batches; taps and details that not all of them have are left out.

    Returns:
        A single style, with its picture only if there was but one.

    Raises:
        ValueError: there is no style, or they come from different spaces.
    """
    space = _common_space(styles)
    mean, std = {}, {}
    all_means, all_stds = _common(styles, "mean"), _common(styles, "std")
    for tap in all_means:
        means = torch.cat(all_means[tap])
        variances = torch.cat(all_stds[tap]).square() - EPS
        mean[tap] = means.mean(dim=0, keepdim=True)
        between = means.var(dim=0, correction=0, keepdim=True)
        std[tap] = (variances.mean(dim=0, keepdim=True).clamp(min=0) + between + EPS).sqrt()
    matrices = {
        tap: torch.cat(xs).mean(dim=0, keepdim=True) + _covariance_of(all_means[tap])
        for tap, xs in _common(styles, "covariance").items()
    }
    pooled = {tap: _pooled(torch.cat(xs)) for tap, xs in _common(styles, "quantiles").items()}
    only = styles[0].image if len(styles) == 1 and styles[0].count == 1 else None
    return StyleStats(mean, std, space, only, matrices, pooled)


def _covariance_of(means: list[Tensor]) -> Tensor:
    centered = torch.cat(means).flatten(1)
    centered = centered - centered.mean(dim=0)
    return (centered.mT @ centered / len(centered))[None]


def _pooled(values: Tensor) -> Tensor:
    """The quantile function of all of [B, C, Q] together, [1, C, Q]."""
    together = values.transpose(0, 1).flatten(1).sort(dim=1).values
    return resample(together[None], values.shape[2])


def mix(styles: Sequence[StyleStats], weights: Sequence[float] | None = None) -> StyleStats:
    """A weighted mean of styles: linear in means, standard deviations, covariances and quantile functions.

    For independent Gaussian channels this is also their Wasserstein barycenter; else see :func:`mix_by_transport`.

    Args:
        styles: one or more, each a single style, or batches of as many.
        weights: one for each style, finite, not negative, not all zero; they are divided by their sum. Equal if not
            given.

    Raises:
        ValueError: there is no style, the weights or the batches do not fit, or the styles come from different spaces.
    """
    space = _common_space(styles)
    counts = [style.count for style in styles]
    if len(set(counts)) > 1:
        raise ValueError(f"Batches of {counts} styles cannot be mixed; mix single styles, or batches of as many.")
    shares = _shares(weights, len(styles))
    parts = {name: {tap: weighted_mean(xs, shares) for tap, xs in _common(styles, name).items()} for name in _PARTS}
    return StyleStats(**parts, space=space, image=styles[0].image if len(styles) == 1 else None)


def mix_by_transport(
    styles: Sequence[StyleStats], weights: Sequence[float] | None = None, progress: Progress = ignore_progress
) -> StyleStats:
    """The Wasserstein barycenter of styles as Gaussian distributions (Mroueh 2019): a mix whose textures are
    those of a style in between, where the linear mix of covariances lays all of them over each other.

    Where the styles have no covariances their channels count as independent, and this is :func:`mix`.

    Args:
        styles, weights: as for :func:`mix`.
        progress: called with the share that is done.

    Raises:
        ValueError: as :func:`mix`.
    """
    mixed = mix(styles, weights)
    shares = _shares(weights, len(styles))
    taps = _common(styles, "covariance")
    matrices = {
        tap: barycenter(xs, shares, section(progress, i / len(taps), (i + 1) / len(taps)))
        for i, (tap, xs) in enumerate(taps.items())
    }
    std = {tap: (x.diagonal(dim1=1, dim2=2)[..., None, None] + EPS).sqrt() for tap, x in matrices.items()}
    return replace(mixed, covariance=matrices, std=mixed.std | std)


def _common(styles: Sequence[StyleStats], name: str) -> dict[str, list[Tensor]]:
    """A part of each style, for the taps where all have it, on the first one's device; quantile functions at equally
    many places."""
    parts = [getattr(style, name) for style in styles]
    shared = [tap for tap in parts[0] if all(tap in part for part in parts)]
    common = {tap: [part[tap].to(parts[0][tap].device) for part in parts] for tap in shared}
    if name != "quantiles":
        return common
    return {tap: [resample(x, max(x.shape[2] for x in xs)) for x in xs] for tap, xs in common.items()}


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count:
        raise ValueError(f"There are {count} styles but {len(weights)} weights; give one weight for each style.")
    if not all(math.isfinite(w) and w >= 0 for w in weights):
        raise ValueError(f"The weights {weights} must be finite and not negative.")
    if max(weights) == 0:
        raise ValueError("The weights of the styles are all zero; at least one must be positive.")
    scaled = [w / max(weights) for w in weights]  # whose sum is finite, however large they are
    return [w / sum(scaled) for w in scaled]


def _common_space(styles: Sequence[StyleStats]) -> str:
    if not styles:
        raise ValueError("There is no style; give at least one.")
    spaces = sorted({style.space for style in styles})
    if len(spaces) != 1:
        raise ValueError(
            f"The styles come from different encoders ({', '.join(spaces)}); measure them all with one model."
        )
    return spaces[0]


class RunningStats:
    """Statistics of maps that come tile by tile: weighted means and sums of squares, merged pairwise in float32 (Chan,
    Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance").

    Args:
        count: number of pictures; each has statistics of its own.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._sums: dict[str, Moments] = {}

    def add(self, pictures: slice, moments: Mapping[str, Moments]) -> None:
        """Add what :func:`moments_of` makes of some pictures' tile."""
        for tap, new in moments.items():
            if tap not in self._sums:
                total, mean, squares = (torch.zeros(self._count, *x.shape[1:], device=x.device) for x in new)
                self._sums[tap] = total, mean, squares
            total, mean, squares = self._sums[tap]
            old = total[pictures], mean[pictures], squares[pictures]
            for place, merged in zip(old, _merge(old, new), strict=True):
                place.copy_(merged)

    def result(self, space: str, image: Tensor | None = None) -> StyleStats:
        """The statistics of all that was added."""
        stats = StyleStats({}, {}, space, image)
        for tap, (total, mean, squares) in self._sums.items():
            if squares.ndim == 3:
                stats.covariance[tap] = squares / total[..., 0]
                squares = squares.diagonal(dim1=1, dim2=2)[..., None, None]
            stats.mean[tap], stats.std[tap] = mean, (squares / total + EPS).sqrt()
        return stats


Moments = tuple[Tensor, Tensor, Tensor]
"""Total weight [b, 1, 1, 1], mean [b, C, 1, 1] and weighted sum of squared deviations, likewise, or of the products of
all pairs of deviations, [b, C, C]."""


def moments_of(
    maps: Mapping[str, Tensor], weight: Tensor | None = None, covariance_at: Collection[str] = ()
) -> dict[str, Moments]:
    """Moments of maps [b, C, h, w], each cell counted by a soft mask [b or 1, 1, H, W] of any size; with the products
    of channels at some taps."""
    return {tap: _moments(x, weight, tap in covariance_at) for tap, x in maps.items()}


def _moments(x: Tensor, weight: Tensor | None, joint: bool) -> Moments:
    if weight is None:
        var, mean = variance_and_mean(x)
        total = torch.full((len(x), 1, 1, 1), float(x.shape[2] * x.shape[3]), device=x.device)
        return total, mean, products(x, mean) if joint else var * total
    x = x.float()
    weight = resize_mask(weight, x.shape[-2:]).float()
    total = weight.sum(dim=(2, 3), keepdim=True)
    mean = (x * weight).sum(dim=(2, 3), keepdim=True) / _positive(total)
    if joint:
        return total, mean, products(x, mean, weight)
    return total, mean, ((x - mean).square() * weight).sum(dim=(2, 3), keepdim=True)


def _merge(a: Moments, b: Moments) -> Moments:
    (total_a, mean_a, squares_a), (total_b, mean_b, squares_b) = a, b
    total = total_a + total_b
    share = total_b / _positive(total)
    delta = mean_b - mean_a
    between = share * total_a * delta
    between = between[..., 0] * delta[..., 0].mT if squares_a.ndim == 3 else between * delta
    return total, mean_a + share * delta, squares_a + squares_b + between


def _positive(total: Tensor) -> Tensor:
    return total.clamp(min=torch.finfo(torch.float32).tiny)
