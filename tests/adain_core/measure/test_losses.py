"""Losses, SSIM and PSNR against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from adain_core.images.color import luminance
from adain_core.images.pictures import resize
from adain_core.measure.losses import (
    content_loss,
    distance,
    measure,
    measure_result,
    psnr,
    ssim,
    style_losses,
    total_variation,
)
from adain_core.networks.encoder import STYLE_TAPS
from adain_core.networks.normalization import mean_std
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats, merge
from tests.helpers import random_picture


def test_distances_in_both_conventions() -> None:
    a, b = torch.zeros(2, 3, 2, 2), torch.full((2, 3, 2, 2), 2.0)
    b[1] = 0
    assert distance(a, b, "mse").item() == pytest.approx(2.0)
    assert distance(a, b, "euclidean").item() == pytest.approx(math.sqrt(12 * 4) / 2)
    assert content_loss(b, b).item() == 0


def test_style_loss_is_the_distance_of_means_and_deviations() -> None:
    x = torch.randn(1, 4, 8, 8)
    style = StyleStats.measure({"relu1_1": x}, space="")
    assert style_losses({"relu1_1": x}, style)["relu1_1"].item() == pytest.approx(0, abs=1e-10)
    assert style_losses({"relu1_1": x + 3}, style)["relu1_1"].item() == pytest.approx(9, rel=1e-4)
    doubled = style_losses({"relu1_1": 2 * x}, style)["relu1_1"].item()
    mean, std = style.mean["relu1_1"], style.std["relu1_1"]
    assert doubled == pytest.approx((mean.square().mean() + std.square().mean()).item(), rel=1e-3)


def test_the_losses_heed_the_convention() -> None:
    x, y = torch.randn(2, 4, 8, 8), 2 + torch.randn(2, 4, 8, 8)
    style = StyleStats.measure({"relu1_1": y}, space="")
    (mean, std), (style_mean, style_std) = mean_std(x), mean_std(y)
    expected = (mean - style_mean).flatten(1).norm(dim=1).mean() + (std - style_std).flatten(1).norm(dim=1).mean()
    torch.testing.assert_close(style_losses({"relu1_1": x}, style, "euclidean")["relu1_1"], expected)
    torch.testing.assert_close(content_loss(x, y, "euclidean"), (x - y).flatten(1).norm(dim=1).mean())


def test_total_variation_of_stripes() -> None:
    stripes = torch.zeros(1, 3, 4, 6)
    stripes[..., ::2] = 1
    assert total_variation(stripes).item() == pytest.approx(1.0)


def test_ssim_of_constants_is_the_luminance_term() -> None:
    a, b = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(expected, rel=1e-3)


def test_ssim_is_that_of_scikit_image() -> None:
    """structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1) says so."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    a = 0.5 + 0.3 * (x / 3).sin() * (y / 5).cos()
    b = 0.5 + 0.25 * (x / 3 + 0.4).sin() * (y / 4.5).cos() + 0.05 * (x * y / 7).sin()
    assert ssim(a.expand(1, 3, -1, -1), b.expand(1, 3, -1, -1)).item() == pytest.approx(0.71518, abs=1e-4)


def test_ssim_knows_equal_and_inverted_pictures() -> None:
    picture = random_picture(32, 40, batch=2)
    torch.testing.assert_close(ssim(picture, picture), torch.ones(2))
    contrast = torch.rand(1, 3, 32, 32)
    assert ssim(contrast, 1 - contrast).item() < -0.5
    assert ssim(picture, picture.flip(3)).max() < 1


def test_luminance_is_bt601() -> None:
    red = torch.zeros(1, 3, 2, 2)
    red[:, 0] = 1
    torch.testing.assert_close(luminance(red), torch.full((1, 1, 2, 2), 0.299))


def test_psnr_of_a_known_error() -> None:
    picture = torch.full((1, 3, 8, 8), 0.5)
    assert psnr(picture, picture + 0.1).item() == pytest.approx(20, rel=1e-4)
    assert psnr(picture, picture).item() == math.inf


def test_measures_of_the_content_and_the_style_themselves(model: StyleTransfer) -> None:
    content, style = random_picture(48, 48, seed=1), random_picture(48, 48, seed=2)
    features = model.encoder(content)["relu4_1"]
    stats = StyleStats.measure(model.encoder(style, STYLE_TAPS), space="")
    copied = measure(model.encoder, content, content, features, stats)
    assert copied.ssim == pytest.approx(1)
    assert copied.total_style == pytest.approx(sum(copied.style.values()))
    assert copied.total_style > 0
    assert measure(model.encoder, style, content, features, stats).total_style == pytest.approx(0, abs=1e-8)
    same = StyleStats.measure(model.encoder(content, STYLE_TAPS), space="")
    assert measure(model.encoder, content, content, features, same).content == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("contents", [1, 3])
def test_a_batch_is_measured_one_by_one_with_the_same_numbers_as_together(model: StyleTransfer, contents: int) -> None:
    result, style = random_picture(40, 56, seed=1, batch=3), random_picture(32, 48, seed=2, batch=2)
    content = random_picture(60, 70, seed=3, batch=contents)
    stats = merge([StyleStats.measure(model.encoder(style, STYLE_TAPS), space="")])
    originals = resize(content, (40, 56))
    features = model.encoder(originals)["relu4_1"]
    together = measure(model.encoder, result, originals.expand_as(result), features, stats)

    encoded: list[int] = []
    shares: list[float] = []
    hook = model.encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    measures = measure_result(model.encoder, result, content, style, shares.append)
    hook.remove()
    assert encoded == [1] * (2 + contents + 3)
    assert shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert measures.content == pytest.approx(together.content, rel=1e-4)
    assert measures.style == pytest.approx(together.style, rel=1e-4)
    assert measures.ssim == pytest.approx(together.ssim, rel=1e-4)
