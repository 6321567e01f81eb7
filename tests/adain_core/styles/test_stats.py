import math
from dataclasses import replace

import pytest
import torch

from adain_core.images.masks import resize_mask
from adain_core.networks.normalization import EPS
from adain_core.styles.stats import RunningStats, StyleStats, merge, mix, mix_by_transport, moments_of


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
    styles = [measured(torch.rand(1, 3, 4, 4), space) for space in "ba"]
    for together in (mix, mix_by_transport, merge, StyleStats.stack):
        with pytest.raises(ValueError, match="a, b"):
            together(styles)


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (20, 31)])
def test_a_resized_mask_stays_in_range_and_keeps_its_mean(size):
    mask = torch.rand(1, 1, 12, 15)
    resized = resize_mask(mask, size)
    assert resized.shape[-2:] == size
    assert 0 <= resized.min() <= resized.max() <= 1
    assert abs(resized.mean() - mask.mean()) < 0.05


def test_a_mask_that_grows_has_soft_edges():
    assert resize_mask(torch.tensor([[[[0.0, 1.0]]]]), (2, 4)).tolist() == [[[[0, 0.25, 0.75, 1]] * 2]]


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


def test_styles_are_equal_in_space_layers_and_numbers():
    features = torch.rand(1, 3, 4, 4)
    style = measured(features)
    assert style == measured(features)
    assert style != measured(features, "another")
    assert style != measured(features + 0.1)
    assert style != StyleStats.measure({"relu3_1": features}, "s")
    assert style != StyleStats.measure({"relu4_1": features}, "s", detail=("covariance",))


def test_one_style_serves_any_number_of_contents_and_several_serve_as_many():
    one, two = measured(torch.rand(1, 3, 4, 4)), measured(torch.rand(2, 3, 4, 4))
    one.check_count(1)
    one.check_count(5)
    two.check_count(2)
    for contents in (1, 3):
        with pytest.raises(ValueError, match=f"{contents} contents but 2 styles"):
            two.check_count(contents)


def test_flat_pictures_that_are_alike_merge_to_a_flat_one():
    flat = measured(torch.full((1, 3, 4, 4), 0.5))
    from_a_file = replace(flat, std={"relu4_1": torch.zeros(1, 3, 1, 1)})
    for style in (flat, from_a_file):
        merged = merge([style] * 3)
        torch.testing.assert_close(merged.std["relu4_1"], torch.full((1, 3, 1, 1), EPS**0.5))


def test_flat_pictures_mix_by_transport_to_a_flat_one():
    flat = StyleStats.measure({"relu4_1": torch.full((1, 3, 4, 4), 0.5)}, "s", detail=("covariance",))
    mixed = mix_by_transport([flat, flat])
    torch.testing.assert_close(mixed.std["relu4_1"], torch.full((1, 3, 1, 1), EPS**0.5))


def test_pictures_go_on_only_where_there_is_one_for_each_style():
    def pictured(height: int, width: int, count: int = 1) -> StyleStats:
        return replace(measured(torch.rand(count, 3, 4, 4)), image=torch.rand(count, 3, height, width))

    one, other, batch = pictured(8, 8), pictured(8, 8), pictured(8, 8, 2)
    assert torch.equal(StyleStats.stack([one, other]).image, torch.cat([one.image, other.image]))
    for larger in (pictured(9, 8), pictured(8, 9)):
        assert StyleStats.stack([one, larger]).image is None
    assert StyleStats.stack([one, replace(other, image=None)]).image is None
    assert merge([one]).image is one.image and mix([one]).image is one.image
    assert merge([batch]).image is None
    assert merge([one, other]).image is None and mix([one, other]).image is None


@pytest.mark.parametrize("masked", [False, True])
def test_statistics_of_parts_of_different_shapes_are_those_of_the_whole(masked):
    features = 3 + torch.randn(2, 4, 12, 10) * torch.rand(2, 4, 1, 10)
    weight = torch.rand(2, 1, 12, 10) * torch.tensor([1.0, 0.1]).view(2, 1, 1, 1) if masked else None
    if masked:
        weight[..., :3, :8] = 0  # the first part, which tells nothing
    running, joint = RunningStats(2), RunningStats(2)
    for rows in (slice(0, 3), slice(3, 12)):
        for columns in (slice(0, 8), slice(8, 10)):
            part = weight[..., rows, columns] if masked else None
            maps = {"relu4_1": features[..., rows, columns]}
            running.add(slice(0, 2), moments_of(maps, part))
            joint.add(slice(0, 2), moments_of(maps, part, maps))
    whole = StyleStats.measure({"relu4_1": features}, "s", weight, ("covariance",))
    for merged in (running.result("s"), joint.result("s")):
        torch.testing.assert_close(merged.mean["relu4_1"], whole.mean["relu4_1"])
        torch.testing.assert_close(merged.std["relu4_1"], whole.std["relu4_1"])
    torch.testing.assert_close(merged.covariance["relu4_1"], whole.covariance["relu4_1"], rtol=1e-4, atol=1e-5)


def test_flat_parts_have_the_smallest_deviation():
    running = RunningStats(1)
    running.add(slice(0, 1), moments_of({"relu4_1": torch.ones(1, 2, 3, 3)}))
    torch.testing.assert_close(running.result("s").std["relu4_1"], torch.full((1, 2, 1, 1), EPS**0.5))


def test_the_progress_of_a_mix_by_transport_never_falls_back():
    maps = [{tap: torch.rand(1, 3, 4, 4) for tap in ("relu1_1", "relu4_1")} for _ in range(2)]
    styles = [StyleStats.measure(taps, "s", detail=("covariance",)) for taps in maps]
    shares = []
    mix_by_transport(styles, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1 and len(set(shares)) > 2
