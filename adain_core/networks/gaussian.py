"""Maps between Gaussian distributions that are given by their covariances (Mroueh 2019, arXiv:1905.12828).

All covariances are [B or 1, C, C]. Their eigenvalues count as at least ``EPS``, so that every map exists; roots are
computed in float64 on the CPU, since not every device has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..runtime.progress import Progress, ignore_progress
from .normalization import EPS

_BARYCENTER_STEPS = 100
_BARYCENTER_PRECISION = 1e-9


def coloring_map(source: Tensor, target: Tensor) -> Tensor:
    """Whitening, then coloring: ``target^1/2 source^-1/2`` (Li et al. 2017, universal style transfer)."""
    a, b = _double(source), _double(target)
    return (_power(b, 0.5) @ _power(a, -0.5)).to(source)


def transport_map(source: Tensor, target: Tensor) -> Tensor:
    """Monge's map, which moves least: ``source^-1/2 (source^1/2 target source^1/2)^1/2 source^-1/2``.

    Symmetric and positive definite, so the gradient of a convex function. On the straight way from a point to its image
    the distribution runs along the Wasserstein geodesic (Mroueh 2019).
    """
    a, b = _double(source), _double(target)
    root, inverse = _power(a, 0.5), _power(a, -0.5)
    return (inverse @ _power(root @ b @ root, 0.5) @ inverse).to(source)


def move_by(matrix: Tensor, features: Tensor, center: Tensor, target: Tensor) -> Tensor:
    """Features [B, C, H, W] about their mean ``center``, moved by matrices [B or 1, C, C] to the mean ``target``, both
    [B or 1, C, 1, 1]; in the features' dtype."""
    moved = matrix @ (features.float() - center).flatten(2)
    return (moved.view(features.shape) + target).to(features.dtype)


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
    doubles = []
    for covariance in covariances:
        progress(0.0)
        doubles.append(_double(covariance))
    center = weighted_mean(doubles, shares)
    for step in range(_BARYCENTER_STEPS):
        root, inverse = _power(center, 0.5), _power(center, -0.5)
        roots = []
        for i, covariance in enumerate(doubles):
            progress((step + i / len(doubles)) / _BARYCENTER_STEPS)
            roots.append(_power(root @ covariance @ root, 0.5))
        middle = weighted_mean(roots, shares)
        updated = inverse @ middle @ middle @ inverse
        moved = (updated - center).norm() / center.norm()
        center = updated
        if moved < _BARYCENTER_PRECISION:
            break
    progress(1.0)
    return center.to(covariances[0])


def weighted_mean(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The mean of tensors of one shape; the shares have the sum 1."""
    return torch.stack([share * tensor for share, tensor in zip(shares, tensors, strict=True)]).sum(dim=0)


def _double(covariance: Tensor) -> Tensor:
    return _power(covariance.detach().to("cpu", torch.float64), 1, smallest=EPS)


def _power(matrix: Tensor, exponent: float, smallest: float = 0.0) -> Tensor:
    """A power of a symmetric positive definite matrix, its eigenvalues raised to a smallest one first."""
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    return (vectors * values.clamp(min=smallest)[..., None, :] ** exponent) @ vectors.mT
