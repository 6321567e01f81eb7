import math

import pytest
import torch

from adain_core.images.masks import resize_mask
from adain_core.styles.stats import StyleStats, merge, mix, mix_by_transport


def measured(features: torch.Tensor, space: str = "s") -> StyleStats:
    return StyleStats.measure({"relu4_1": features}, space)


def test_merged_statistics_are_those_of_all_pixels_together():
    features = torch.randn(4, 6, 5, 5) * torch.rand(4, 6, 1, 1) + torch.randn(4, 6, 1, 1)
    together = measured(features.transpose(0, 1).reshape(1, 6, 1, -1))
    merged = merge([measured(features)])
    torch.testing.assert_close(merged.mean["relu4_1"], together.mean["relu4_1"])
    torch.testing.assert_close(merged.std["relu4_1"], together.std["relu4_1"], rtol=1e-4, atol=1e-5)


def test_a_mix_is_the_weighted_mean():
    a, b = measured(torch.rand(1, 3, 4, 4)), measured(torch.rand(1, 3, 4, 4))
    mixed = mix([a, b], [2, 6])
    torch.testing.assert_close(mixed.std["relu4_1"], 0.25 * a.std["relu4_1"] + 0.75 * b.std["relu4_1"])
    torch.testing.assert_close(mixed.mean["relu4_1"], 0.25 * a.mean["relu4_1"] + 0.75 * b.mean["relu4_1"])


@pytest.mark.parametrize("blend", [mix, mix_by_transport])
@pytest.mark.parametrize("weight", [1e308, 5e-324])
def test_weights_of_any_size_are_relative(blend, weight):
    a, b = (StyleStats.measure({"relu4_1": torch.rand(1, 3, 4, 4)}, "s", detail=("covariance",)) for _ in range(2))
    expected, mixed = blend([a, b]), blend([a, b], [weight, weight])
    for part in ("mean", "std", "covariance"):
        torch.testing.assert_close(getattr(mixed, part), getattr(expected, part))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "2 styles but 1 weights"),
        ([1, -1], "not negative"),
        ([1, math.nan], "finite"),
        ([1, math.inf], "finite"),
        ([0, 0], "all zero"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    styles = [measured(torch.rand(1, 3, 4, 4)) for _ in range(2)]
    with pytest.raises(ValueError, match=message):
        mix(styles, weights)


def test_styles_mix_and_stack_on_the_first_ones_device():
    here = measured(torch.rand(1, 3, 4, 4))
    elsewhere = here.to("meta")
    for together in (mix([elsewhere, here]), StyleStats.stack([elsewhere, here])):
        assert together.mean["relu4_1"].device.type == together.std["relu4_1"].device.type == "meta"


def test_styles_of_two_spaces_do_not_mix():
    with pytest.raises(ValueError, match="a, b"):
        mix([measured(torch.rand(1, 3, 4, 4), "b"), measured(torch.rand(1, 3, 4, 4), "a")])


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (20, 31)])
def test_a_resized_mask_stays_in_range_and_keeps_its_mean(size):
    mask = torch.rand(1, 1, 12, 15)
    resized = resize_mask(mask, size)
    assert resized.shape[-2:] == size
    assert 0 <= resized.min() <= resized.max() <= 1
    assert abs(resized.mean() - mask.mean()) < 0.05


def test_a_mask_that_shrinks_in_one_direction_loses_no_row():
    mask = torch.zeros(1, 1, 1024, 16)
    mask[..., 0, :] = 1
    resized = resize_mask(mask, (32, 64))
    assert resized[..., 0, :].min() > 0 and not resized[..., 1:, :].any()
    torch.testing.assert_close(resized.mean(), mask.mean())


def test_merging_leaves_out_the_layers_that_not_all_have():
    all_layers = StyleStats.measure({"relu1_1": torch.rand(1, 2, 4, 4), "relu4_1": torch.rand(1, 3, 4, 4)}, "s")
    few_layers = measured(torch.rand(1, 3, 4, 4))
    for styles in ([all_layers, few_layers], [few_layers, all_layers]):
        assert list(merge(styles).mean) == list(merge(styles).std) == ["relu4_1"]


@pytest.mark.parametrize("detail", ["covariance", ("covariances",)])
def test_an_unknown_detail_is_refused(detail):
    with pytest.raises(ValueError, match="expected a tuple of covariance and quantiles"):
        StyleStats.measure({"relu4_1": torch.rand(1, 3, 4, 4)}, "s", detail=detail)
