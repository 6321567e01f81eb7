"""Batch, instance, conditional instance and adaptive instance normalization: the study's table 1, as functions.

All four subtract a mean and divide by a standard deviation, then scale and shift. They differ in what the statistics
are taken over and in where the scale (gamma) and the shift (beta) come from:

=====================  ====================  =======================================
normalization          mean and std over     gamma and beta
=====================  ====================  =======================================
batch                  batch, height, width  learned, one pair per channel
instance               height, width         learned, one pair per channel
conditional instance   height, width         learned, one pair per channel and style
adaptive instance      height, width         std and mean of the style's features
=====================  ====================  =======================================

Feature maps are [B, C, H, W]. Variances are population variances (1 / HW), ``std = sqrt(var + EPS)``, always in
float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPS = 1e-5
_STRIP = 2**18  # values, a megabyte in float32


def mean_std(features: Tensor, weight: Tensor | None = None, dims: tuple[int, ...] = (2, 3)) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a feature map, in float32.

    Args:
        features: [B, C, H, W], any float dtype.
        weight: [B or 1, 1, H, W], not negative and with a positive sum: a soft mask for weighted statistics.
        dims: the dimensions that the statistics run over.

    Returns:
        Two float32 tensors with size 1 in ``dims``: [B, C, 1, 1] by default.
    """
    if weight is None:
        var, mean = variance_and_mean(features, dims)
    else:
        x = features.float()
        weight = weight.float() / weight.float().sum(dim=dims, keepdim=True)
        mean = (x * weight).sum(dim=dims, keepdim=True)
        var = ((x - mean).square() * weight).sum(dim=dims, keepdim=True)
    return mean, (var + EPS).sqrt()


def variance_and_mean(features: Tensor, dims: tuple[int, ...] = (2, 3)) -> tuple[Tensor, Tensor]:
    """Population variance and mean of a feature map [B, C, H, W] over ``dims``, which include its rows, in float32.

    On a CPU the map is read twice in strips that stay in the cache, which takes a tenth of ``torch.var_mean``'s time.
    """
    if torch.compiler.is_compiling():  # a graph for any size cannot count strips
        x = features.float()
        mean = x.mean(dims, keepdim=True)
        return (x - mean).square().mean(dims, keepdim=True), mean
    if features.device.type != "cpu":
        return torch.var_mean(features.float(), dim=dims, correction=0, keepdim=True)
    var, mean = _Moments.apply(features, dims)
    return var, mean


def row_strips(features: Tensor) -> tuple[Tensor, ...]:
    """A map [B, C, H, W] in strips of rows that stay in a CPU's cache; in one elsewhere and in graphs for any size."""
    if torch.compiler.is_compiling() or features.device.type != "cpu":
        return (features,)
    return features.split(max(1, _STRIP * features.shape[2] // features.numel()), dim=2)


class _Moments(torch.autograd.Function):
    """Variance and mean on a CPU; for its backward pass it keeps the map as it is, not in float32."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        strips = row_strips(features)
        ctx.count = math.prod(features.shape[dim] for dim in dims)
        mean = torch.stack([strip.float().sum(dims, keepdim=True) for strip in strips]).sum(0) / ctx.count
        squares = [(strip.float() - mean).square_().sum(dims, keepdim=True) for strip in strips]
        ctx.save_for_backward(features, mean)
        return torch.stack(squares).sum(0) / ctx.count, mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, var_grad: Tensor, mean_grad: Tensor) -> tuple[Tensor, None]:
        features, mean = ctx.saved_tensors
        scale = 2 * var_grad / ctx.count
        shift = mean_grad / ctx.count - mean * scale
        return torch.addcmul(shift, features.float(), scale).to(features.dtype), None


def batch_norm(features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Batch normalization (Ioffe and Szegedy 2015) with the statistics of this batch.

    Args:
        features: [B, C, H, W].
        gamma: learned scale, [C].
        beta: learned shift, [C].

    Returns:
        ``gamma * (x - mean(x)) / std(x) + beta`` with the statistics over B, H and W.
    """
    return _normalize(features, mean_std(features, dims=(0, 2, 3)), gamma.view(1, -1, 1, 1), beta.view(1, -1, 1, 1))


def instance_norm(features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Instance normalization (Ulyanov et al. 2016).

    Args:
        features: [B, C, H, W].
        gamma: learned scale, [C].
        beta: learned shift, [C].

    Returns:
        ``gamma * (x - mean(x)) / std(x) + beta`` with the statistics of each picture and channel.
    """
    return _normalize(features, mean_std(features), gamma.view(1, -1, 1, 1), beta.view(1, -1, 1, 1))


def conditional_instance_norm(features: Tensor, gammas: Tensor, betas: Tensor, style: Tensor) -> Tensor:
    """Conditional instance normalization (Dumoulin et al. 2017): one learned scale and shift for each style.

    Args:
        features: [B, C, H, W].
        gammas: learned scales of S styles, [S, C].
        betas: learned shifts of S styles, [S, C].
        style: index of the style of each picture, [B], 0 to S - 1.

    Returns:
        ``gamma_s * (x - mean(x)) / std(x) + beta_s`` with the statistics of each picture and channel.
    """
    return _normalize(features, mean_std(features), gammas[style][:, :, None, None], betas[style][:, :, None, None])


def adaptive_instance_norm(features: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    """AdaIN (Huang and Belongie 2017, equation 8): give the content's features the style's mean and standard deviation.

    Args:
        features: [B, C, H, W].
        style_mean: [B or 1, C, 1, 1], as from :func:`mean_std`.
        style_std: [B or 1, C, 1, 1], as from :func:`mean_std`.

    Returns:
        ``std(y) * (x - mean(x)) / std(x) + mean(y)``, in the dtype of ``features``.
    """
    return _normalize(features, mean_std(features), style_std, style_mean)


def _normalize(features: Tensor, statistics: tuple[Tensor, Tensor], gamma: Tensor, beta: Tensor) -> Tensor:
    mean, std = statistics
    return ((features.float() - mean) / std * gamma + beta).to(features.dtype)
