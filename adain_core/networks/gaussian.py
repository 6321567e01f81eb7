"""Maps between Gaussian distributions that are given by their covariances (Mroueh 2019, arXiv:1905.12828).

All covariances are [B or 1, C, C]. ``EPS`` is added to their eigenvalues, as it is to variances, so that every map
exists; roots are computed in float64 on the CPU, since not every device has them (in a graph by products of matrices).
All maps are differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..runtime.progress import Progress, ignore_progress
from .normalization import EPS, row_strips

# What eigenvalues are apart by, as a share of the larger, where a difference of their roots is more than rounding.
_APART = 1e-6
# Rounding leaves no positive matrix with a smaller eigenvalue.
_SMALLEST = EPS**2
_NEWTON_STEPS = 40
_BARYCENTER_STEPS = 100
_BARYCENTER_PRECISION = 1e-9


def coloring_map(source: Tensor, target: Tensor) -> Tensor:
    """Whitening, then coloring: ``target^1/2 source^-1/2`` (Li et al. 2017, universal style transfer)."""
    return (_roots(_positive(target))[0] @ _roots(_positive(source))[1]).to(source)


def transport_map(source: Tensor, target: Tensor) -> Tensor:
    """Monge's map, which moves least: ``source^-1/2 (source^1/2 target source^1/2)^1/2 source^-1/2``.

    Symmetric and positive definite, so the gradient of a convex function. On the straight way from a point to its image
    the distribution runs along the Wasserstein geodesic (Mroueh 2019).
    """
    root, inverse = _roots(_positive(source))
    return (inverse @ _roots(root @ _positive(target) @ root)[0] @ inverse).to(source)


def move_by(matrix: Tensor, features: Tensor, center: Tensor, target: Tensor) -> Tensor:
    """Features [B, C, H, W] about their mean ``center``, moved by matrices [B or 1, C, C] to the mean ``target``, both
    [B or 1, C, 1, 1]; in the features' dtype."""

    def moved(strip: Tensor) -> Tensor:
        cells = (strip.float() - center).permute(0, 2, 3, 1).flatten(1, 2)
        cells = cells @ matrix.mT + target.flatten(1)[:, None]
        return cells.unflatten(1, strip.shape[2:]).permute(0, 3, 1, 2).to(features.dtype)

    with torch.autocast(features.device.type, enabled=False):
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return moved(features)
        out = torch.empty_like(features)
        for strip, place in zip(row_strips(features), row_strips(out), strict=True):
            place.copy_(moved(strip))
        return out


def barycenter(covariances: Sequence[Tensor], shares: Sequence[float], progress: Progress = ignore_progress) -> Tensor:
    """The covariance with the least mean squared Wasserstein distance from all (the fixed point of
    Álvarez-Esteban et al. 2016, arXiv:1511.05355).

    Args:
        covariances: one or more.
        shares: one for each, with the sum 1.
        progress: called with the share that is done before each root; few steps need all that they may take.

    Returns:
        [B, C, C].
    """
    doubles = [_positive(covariance) for covariance in covariances]
    center = weighted_mean(doubles, shares)
    for step in range(_BARYCENTER_STEPS):
        root, inverse = _roots(center)
        roots = []
        for i, covariance in enumerate(doubles):
            progress((step + i / len(doubles)) / _BARYCENTER_STEPS)
            roots.append(_roots(root @ covariance @ root)[0])
        middle = weighted_mean(roots, shares)
        updated = inverse @ middle @ middle @ inverse
        moved = (updated - center).norm() / center.norm()
        center = updated
        if moved < _BARYCENTER_PRECISION:
            break
    progress(1.0)
    return (center - EPS * torch.eye(center.shape[-1])).to(covariances[0])


def weighted_mean(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The mean of tensors of one shape; the shares have the sum 1."""
    return torch.stack([share * tensor for share, tensor in zip(shares, tensors, strict=True)]).sum(dim=0)


def _positive(covariance: Tensor) -> Tensor:
    double = covariance.double() if torch.compiler.is_compiling() else covariance.to("cpu", torch.float64)
    return double + EPS * torch.eye(covariance.shape[-1]).to(double)


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The square root of a symmetric positive matrix and its inverse."""
    if torch.compiler.is_compiling():
        return _newton_roots(matrix)
    root, inverse = _Roots.apply(matrix)
    return root, inverse


class _Roots(torch.autograd.Function):
    """By eigenvalues. The derivative is that of the roots (Daleckii and Krein; Higham 2008, "Functions of Matrices",
    theorem 3.11), not that of eigenvectors, which do not have any where eigenvalues are equal."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
        ctx.save_for_backward(values, vectors)
        raised = values.clamp(min=_SMALLEST)[..., None, :]
        return (vectors * raised**0.5) @ vectors.mT, (vectors * raised**-0.5) @ vectors.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        raised = values.clamp(min=_SMALLEST)
        gaps = values[..., :, None] - values[..., None, :]
        near = gaps.abs() <= _APART * torch.maximum(raised[..., :, None], raised[..., None, :])
        gaps = gaps.masked_fill(near, 1)
        inner = torch.zeros_like(gaps)
        for exponent, grad in zip((0.5, -0.5), grads, strict=True):
            power, slope = raised**exponent, exponent * raised ** (exponent - 1) * (values >= _SMALLEST)
            steps = power[..., :, None] - power[..., None, :]
            slopes = (slope[..., :, None] + slope[..., None, :]) / 2
            inner = inner + torch.where(near, slopes, steps / gaps) * (vectors.mT @ grad @ vectors)
        outer = vectors @ inner @ vectors.mT
        return (outer + outer.mT) / 2


def _newton_roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """By products of matrices, which every graph takes (the coupled Newton-Schulz iteration; Higham 2008, equation
    6.35). It grows the least of the eigenvalues' roots 1.5-fold in a step."""
    identity = torch.eye(matrix.shape[-1]).to(matrix)
    trace = (matrix * identity).sum(dim=(-2, -1), keepdim=True)
    root, inverse = matrix / trace, identity.expand_as(matrix)
    for _ in range(_NEWTON_STEPS):
        step = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    return root * trace.sqrt(), inverse / trace.sqrt()
