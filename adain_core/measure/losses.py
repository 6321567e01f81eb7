"""How far a result is from its content and its style: shared by the nodes, the command line and training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.color import luminance
from ..images.pictures import checked_image, resize
from ..networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from ..networks.normalization import adaptive_instance_norm, mean_std
from ..runtime.progress import Progress, ignore_progress
from ..styles.stats import StyleStats, merge

Convention = Literal["mse", "euclidean"]

# The smallest picture that has a structural similarity and features at every layer.
_SMALLEST = 16
# Bytes for each pixel and channel of the first block, in units of the number format, as measured: its maps, of which
# relu1_1 is kept.
_LIVE_MAPS = 5
_SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2


@dataclass(frozen=True)
class Measures:
    """What a loss network says of a result.

    Args:
        content: content loss, from the AdaIN target of the loss network.
        style: style loss of each tap.
        ssim: structural similarity of the luminances of content and result, -1..1.
    """

    content: float
    style: dict[str, float]
    ssim: float

    @property
    def total_style(self) -> float:
        """The style loss: the sum over the taps."""
        return sum(self.style.values())


def measure(
    loss_network: Encoder, result: Tensor, content: Tensor, content_features: Tensor, style: StyleStats
) -> Measures:
    """Content loss, style loss (mse convention, float32) and SSIM of results, averaged over the batch.

    Args:
        loss_network: in whose features to measure.
        result: pictures [B, 3, H, W] in 0..1, H and W at least 16.
        content: the content pictures, of the same shape.
        content_features: the loss network's relu4_1 of the content, [B, C, H / 8, W / 8].
        style: the loss network's statistics of the style at all taps, for one picture or B.
    """
    target = adaptive_instance_norm(content_features, style.mean[DEEPEST_TAP], style.std[DEEPEST_TAP])
    features = loss_network(result, STYLE_TAPS)
    return Measures(
        content=content_loss(features[DEEPEST_TAP], target).item(),
        style={tap: loss.item() for tap, loss in style_losses(features, style).items()},
        ssim=ssim(result, content).mean().item(),
    )


def measure_result(
    encoder: Encoder, result: Tensor, content: Tensor, style: Tensor, progress: Progress = ignore_progress
) -> Measures:
    """What an encoder says of results, averaged over them; on its device, where they come one at a time.

    Args:
        encoder: in whose features to measure.
        result: pictures [B, 3, H, W] in 0..1, H and W at least 16.
        content: [B or 1, 3, h, w] in 0..1; brought to the result's size.
        style: [N, 3, h, w] in 0..1, one style seen N times; h and w at least 16.
        progress: called before each picture, and at the end.

    Raises:
        ValueError: a picture is too small or not finite, or there are not as many contents as results.
    """
    if len(content) not in (1, len(result)):
        raise ValueError(f"There are {len(content)} contents but {len(result)} results; give one, or one for each.")
    for name, picture in (("result", result), ("style", style)):
        if min(picture.shape[-2:]) < _SMALLEST:
            raise ValueError(f"The {name} is smaller than {_SMALLEST} pixels; there is too little to measure.")
    device = next(encoder.parameters()).device
    results, contents, styles = (checked_image(pictures).split(1) for pictures in (result, content, style))
    count = len(styles) + len(results)
    seen, measured = [], []
    with torch.inference_mode():
        for i, picture in enumerate(styles):
            progress(i / count)
            seen.append(StyleStats.measure(encoder(picture.to(device), STYLE_TAPS), space=""))
        stats = merge(seen)
        for i, picture in enumerate(results):
            progress((len(styles) + i) / count)
            if i < len(contents):  # a single content serves all results
                original = resize(contents[i].to(device), result.shape[-2:])
                features = encoder(original)[DEEPEST_TAP]
            measured.append(measure(encoder, picture.to(device), original, features, stats))
    progress(1.0)
    return Measures(
        content=fmean(one.content for one in measured),
        style={tap: fmean(one.style[tap] for one in measured) for tap in STYLE_TAPS},
        ssim=fmean(one.ssim for one in measured),
    )


def estimate_memory(encoder: Encoder, sizes: Iterable[Sequence[int]]) -> int:
    """About how many bytes :func:`measure_result` needs at its peak for pictures of some sizes (H, W), beside the
    encoder and the pictures."""
    pixels = max(math.prod(size) for size in sizes)
    return _LIVE_MAPS * encoder.widths[0] * encoder.dtype.itemsize * pixels


def distance(a: Tensor, b: Tensor, convention: Convention = "mse") -> Tensor:
    """Distance of two tensors [B, ...], averaged over the batch.

    ``mse`` is the mean squared difference, which the public implementations compute; ``euclidean`` is the norm of the
    difference, which the paper's formulas print.
    """
    difference = (a.float() - b.float()).flatten(1)
    if convention == "mse":
        return difference.square().mean()
    return difference.norm(dim=1).mean()


def content_loss(features: Tensor, target: Tensor, convention: Convention = "mse") -> Tensor:
    """Distance of a result's relu4_1 features from the AdaIN target (Huang and Belongie 2017, equation 12; the
    study's equation 2).

    Args:
        features: the loss network's features of the result, [B, C, H, W].
        target: AdaIN of the loss network's features of content and style, [B, C, H, W].
        convention: see :func:`distance`.
    """
    return distance(features, target, convention)


def style_losses(
    features: Mapping[str, Tensor], style: StyleStats, convention: Convention = "mse"
) -> dict[str, Tensor]:
    """Distances of means plus those of standard deviations, layer by layer (Huang and Belongie 2017, equation 13; the
    study's equation 3).

    Args:
        features: the loss network's features of the result at each tap, [B, C, H, W].
        style: the statistics of the style in the same network, [B or 1, C, 1, 1].
        convention: see :func:`distance`.

    Returns:
        The loss at each tap; their sum is the style loss.
    """
    losses = {}
    for tap, x in features.items():
        mean, std = mean_std(x)
        style_mean, style_std = style.mean[tap].expand_as(mean), style.std[tap].expand_as(std)
        losses[tap] = distance(mean, style_mean, convention) + distance(std, style_std, convention)
    return losses


def total_variation(picture: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels of [B, 3, H, W], H and W at least 2: rows plus columns."""
    rows = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean()
    columns = (picture[:, :, :, 1:] - picture[:, :, :, :-1]).abs().mean()
    return rows + columns


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of the luminances of pictures [B, 3, H, W] in 0..1, H and W at least 11: one number for
    each pair, [B], 1 for equal pictures (Wang et al. 2004: Gaussian window of 11 pixels, sigma 1.5)."""
    offsets = torch.arange(_SSIM_WINDOW, device=a.device) - _SSIM_WINDOW // 2
    window = torch.exp(-offsets.float().square() / (2 * _SSIM_SIGMA**2))
    window = window / window.sum()

    def local_mean(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))

    x, y = luminance(a.float()), luminance(b.float())
    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x = local_mean(x * x) - mean_x.square()
    var_y = local_mean(y * y) - mean_y.square()
    covariance = local_mean(x * y) - mean_x * mean_y
    structure = (2 * covariance + _SSIM_C2) / (var_x + var_y + _SSIM_C2)
    brightness = (2 * mean_x * mean_y + _SSIM_C1) / (mean_x.square() + mean_y.square() + _SSIM_C1)
    return (structure * brightness).mean(dim=(1, 2, 3))


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of pictures [B, 3, H, W] in 0..1, in dB: one number for each pair, [B]; infinite for
    equal pictures."""
    return -10 * (a.float() - b.float()).square().mean(dim=(1, 2, 3)).log10()
