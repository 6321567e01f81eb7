import pytest
import torch
import torch.nn.functional as F

from adain_core.networks.normalization import (
    EPS,
    adaptive_instance_norm,
    batch_norm,
    conditional_instance_norm,
    instance_norm,
    mean_std,
    variance_and_mean,
)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(3, 5, 7, 9) * 4 + 2


def test_batch_norm_agrees_with_torch(features):
    gamma, beta = torch.randn(5), torch.randn(5)
    expected = F.batch_norm(features, None, None, gamma, beta, training=True, eps=EPS)
    torch.testing.assert_close(batch_norm(features, gamma, beta), expected, rtol=1e-5, atol=1e-5)


def test_instance_norm_agrees_with_torch(features):
    gamma, beta = torch.randn(5), torch.randn(5)
    expected = F.instance_norm(features, weight=gamma, bias=beta, eps=EPS)
    torch.testing.assert_close(instance_norm(features, gamma, beta), expected, rtol=1e-5, atol=1e-5)


def test_conditional_instance_norm_takes_each_pictures_own_style(features):
    gammas, betas, style = torch.randn(4, 5), torch.randn(4, 5), torch.tensor([2, 0, 3])
    result = conditional_instance_norm(features, gammas, betas, style)
    for i, s in enumerate(style):
        torch.testing.assert_close(result[i : i + 1], instance_norm(features[i : i + 1], gammas[s], betas[s]))


def test_adain_agrees_with_its_definition_in_float64(features):
    style = torch.rand(3, 5, 4, 6) * 3
    x, y = features.double(), style.double()

    def moments(t):
        mean = t.mean(dim=(2, 3), keepdim=True)
        return mean, ((t - mean).square().mean(dim=(2, 3), keepdim=True) + EPS).sqrt()

    (mx, sx), (my, sy) = moments(x), moments(y)
    expected = sy * (x - mx) / sx + my
    result = adaptive_instance_norm(features, *mean_std(style))
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)


def test_adain_to_its_own_statistics_changes_nothing(features):
    torch.testing.assert_close(adaptive_instance_norm(features, *mean_std(features)), features, rtol=1e-4, atol=1e-5)


def test_flat_features_stay_finite_and_take_the_styles_mean():
    style = torch.randn(1, 5, 4, 4)
    mean, std = mean_std(style)
    result = adaptive_instance_norm(torch.full((1, 5, 3, 3), 7.0), mean, std)
    torch.testing.assert_close(result, mean.expand_as(result))


def test_weighted_statistics_are_those_of_the_chosen_pixels(features):
    weight = torch.zeros(1, 1, 7, 9)
    weight[..., 2:5, 3:8] = 0.3
    mean, std = mean_std(features, weight)
    inside_mean, inside_std = mean_std(features[..., 2:5, 3:8])
    torch.testing.assert_close(mean, inside_mean)
    torch.testing.assert_close(std, inside_std)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_of_half_precision_features_are_float32(features, dtype):
    low = features.to(dtype)
    mean, std = mean_std(low)
    assert mean.dtype == std.dtype == torch.float32
    assert adaptive_instance_norm(low, mean, std).dtype == dtype
    var, expected = torch.var_mean(low.double(), dim=(2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(mean, expected.float())
    torch.testing.assert_close(std, (var + EPS).sqrt().float())


@pytest.mark.parametrize("dims", [(2, 3), (0, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_the_statistics_agree_with_torch(features, dims, dtype, monkeypatch):
    monkeypatch.setattr("adain_core.networks.normalization._STRIP", features.numel() // 3)
    found, expected = (features.to(dtype).clone().requires_grad_() for _ in range(2))
    factors = torch.randn(2, 3 if dims == (2, 3) else 1, 5, 1, 1)
    for x, statistics in (
        (found, variance_and_mean(found, dims)),
        (expected, torch.var_mean(expected.float(), dim=dims, correction=0, keepdim=True)),
    ):
        sum((f * s).sum() for f, s in zip(factors, statistics, strict=True)).backward()
        assert x.grad.dtype == dtype
    torch.testing.assert_close(found.grad, expected.grad)
