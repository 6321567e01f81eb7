import pytest
import torch
from torch import Tensor

from adain_core.networks.gaussian import barycenter, coloring_map, transport_map
from adain_core.networks.normalization import EPS, adaptive_instance_norm, mean_std
from adain_core.networks.skips import SKIP_TAPS, Skips
from adain_core.pipeline.blend import Blend
from adain_core.styles.distribution import covariance, quantiles
from adain_core.styles.stats import StyleStats, merge, mix, mix_by_transport
from adain_core.styles.transforms import TRANSFORMS

TAP = "relu4_1"
ADAIN_SKIPS = Skips.parse("concat-content-adain")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
EVERYTHING = ("covariance", "quantiles")


def correlated(*shape: int, seed: int = 0) -> Tensor:
    """Feature maps whose channels depend on each other."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator)
    mixing = torch.eye(shape[1]) + 0.2 * torch.randn(shape[1], shape[1], generator=generator)
    return torch.einsum("dc,bchw->bdhw", mixing, x) + torch.randn(1, shape[1], 1, 1, generator=generator)


def measured(features: Tensor, weight: Tensor | None = None) -> StyleStats:
    return StyleStats.measure({TAP: features}, "s", weight, detail=EVERYTHING)


@pytest.fixture
def content(device: torch.device) -> Tensor:
    return correlated(2, 6, 12, 10).to(device)


@pytest.fixture
def style(device: torch.device) -> Tensor:
    return correlated(1, 6, 9, 11, seed=1).to(device) * 2


def apply(name: str, content: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
    return Blend(measured(style), mask=mask, transform=TRANSFORMS[name]).apply(content, content, TAP)


def test_adain_is_that_of_the_formula(content, style):
    torch.testing.assert_close(
        apply("adain", content, style), adaptive_instance_norm(content, *mean_std(style)), **CLOSE
    )


def test_instance_norm_leaves_no_style(content, style):
    mean, std = mean_std(apply("instance-norm", content, style))
    torch.testing.assert_close(mean, torch.zeros_like(mean), **CLOSE)
    torch.testing.assert_close(std, torch.ones_like(std), **CLOSE)


@pytest.mark.parametrize("name", ["wct", "gaussian-ot"])
def test_gaussian_maps_give_the_mean_and_covariance_of_the_style(name, content, style):
    result = apply(name, content, style)
    torch.testing.assert_close(mean_std(result)[0], mean_std(style)[0].expand(2, -1, -1, -1), **CLOSE)
    torch.testing.assert_close(covariance(result), covariance(style).expand(2, -1, -1), **CLOSE)


def test_adain_does_not_give_the_covariance(content, style):
    assert (covariance(apply("adain", content, style)) - covariance(style)).abs().max() > 0.1


def test_the_transport_map_is_the_gradient_of_a_convex_function_and_moves_less_than_wct(content, style):
    matrix = transport_map(covariance(content), covariance(style))
    torch.testing.assert_close(matrix, matrix.mT, **CLOSE)
    assert torch.linalg.eigvalsh(matrix).min() > 0
    moved = {name: (apply(name, content, style) - content).square().mean() for name in ("gaussian-ot", "wct")}
    assert moved["gaussian-ot"] < moved["wct"]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("map_of", [coloring_map, transport_map])
def test_independent_channels_are_scaled_as_adain_does_even_flat_ones(map_of, compiled):
    source, target = (x.flatten() for x in torch.meshgrid(*2 * [torch.tensor([0, 1e-6, 1e-3, 1])], indexing="ij"))
    expected = ((target + EPS) / (source + EPS)).sqrt().diag()[None]
    found = torch.compile(map_of, backend="eager", fullgraph=True) if compiled else map_of
    torch.testing.assert_close(found(source.diag()[None], target.diag()[None]), expected, **CLOSE)


def test_alpha_walks_along_the_geodesic(content, style):
    matrix = transport_map(covariance(content), covariance(style))
    for t in (0.25, 0.5):
        blended = Blend(measured(style), t, transform=TRANSFORMS["gaussian-ot"]).apply(content, content, TAP)
        step = (1 - t) * torch.eye(6) + t * matrix
        torch.testing.assert_close(covariance(blended), step @ covariance(content) @ step, **CLOSE)


@pytest.mark.parametrize("name", ["efdm", "histogram"])
def test_sorted_values_become_those_of_a_style_of_the_same_size(name, content):
    style = correlated(1, 6, 12, 10, seed=2)
    torch.testing.assert_close(quantiles(apply(name, content, style)), quantiles(style).expand(2, -1, -1), **CLOSE)


@pytest.mark.parametrize("name", ["efdm", "histogram"])
def test_a_style_of_another_size_is_interpolated(name, content):
    """The values of a channel that rises evenly have an evenly rising quantile function at any size."""
    style = torch.linspace(-1, 1, 240).view(1, 1, 12, 20).expand(1, 6, -1, -1)
    result = quantiles(apply(name, content, style))
    expected = torch.linspace(-1, 1, 240).view(120, 2).mean(dim=1).expand(2, 6, -1)
    torch.testing.assert_close(result, expected, **CLOSE)


def test_only_efdm_tells_equal_values_apart(style):
    flat = torch.relu(correlated(1, 6, 12, 10, seed=3))
    zeros = flat[0, 0] == 0
    assert zeros.sum() > 10
    assert apply("histogram", flat, style)[0, 0][zeros].unique().numel() == 1
    assert apply("efdm", flat, style)[0, 0][zeros].unique().numel() > 10


@pytest.mark.parametrize("name", TRANSFORMS)
def test_alpha_0_is_the_content(name, content, style):
    blend = Blend(measured(style), 0.0, transform=TRANSFORMS[name])
    torch.testing.assert_close(blend.apply(content, content, TAP), content, rtol=0, atol=0)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_alpha_counts_under_a_mask_too(name, content, style):
    full = Blend(measured(style), 0.4, torch.ones(1, 1, 12, 10), TRANSFORMS[name]).apply(content, content, TAP)
    plain = Blend(measured(style), 0.4, None, TRANSFORMS[name]).apply(content, content, TAP)
    torch.testing.assert_close(full, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_mask_of_whole_columns_is_a_crop(name, content, style):
    mask = torch.zeros(1, 1, 12, 10)
    mask[..., 4:] = 1
    result = apply(name, content, style, mask)
    torch.testing.assert_close(result[..., :4], content[..., :4], rtol=0, atol=0)
    # A histogram is kept at as many places as there are cells, of which the mask leaves fewer: half a place of error.
    error = quantiles(style).diff().max().item() if name == "histogram" else 1e-3
    torch.testing.assert_close(result[..., 4:], apply(name, content[..., 4:], style), rtol=1e-3, atol=error)


@pytest.mark.parametrize("name", ["adain", "instance-norm", "wct", "gaussian-ot", "histogram"])
def test_tiles_with_the_statistics_of_the_whole_are_parts_of_the_whole(name, content, style):
    whole = apply(name, content, style)
    tile = content[:, :, 3:9, :5]
    blend = Blend(measured(style), transform=TRANSFORMS[name], content=measured(content))
    torch.testing.assert_close(blend.apply(tile, tile, TAP), whole[:, :, 3:9, :5], **CLOSE)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_features_keep_their_precision(name, content, style):
    half = content.bfloat16()
    for alpha, mask in ((0.5, None), (1.0, None), (1.0, torch.rand(1, 1, 12, 10).to(content.device))):
        blend = Blend(measured(style), alpha, mask, TRANSFORMS[name])
        assert blend.apply(half, half, TAP).dtype == torch.bfloat16


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("shape", [(1, 6, 2, 2), (1, 6, 5, 5)])
def test_flat_and_tiny_maps_stay_finite(name, shape, style):
    assert apply(name, torch.full(shape, 0.7), style).isfinite().all()
    assert apply(name, correlated(*shape), torch.full((1, 6, 3, 3), 0.2)).isfinite().all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_content_can_have_a_style_of_its_own(name, content):
    styles = correlated(2, 6, 8, 8, seed=4)
    together = Blend(measured(styles), transform=TRANSFORMS[name]).apply(content, content, TAP)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], apply(name, content[i : i + 1], styles[i : i + 1]), **CLOSE)


@pytest.mark.parametrize("name", [name for name, transform in TRANSFORMS.items() if transform.needs])
def test_a_style_without_what_a_transform_needs_is_refused(name, content, style):
    blend = Blend(StyleStats.measure({TAP: style}, "s"), transform=TRANSFORMS[name])
    with pytest.raises(ValueError, match=f"'{name}' needs the style's {TRANSFORMS[name].needs[0]}"):
        blend.apply(content, content, TAP)


def test_merged_details_are_those_of_all_pixels_together():
    features = correlated(3, 5, 6, 6)
    merged = merge([measured(features)])
    together = measured(features.transpose(0, 1).reshape(1, 5, 1, -1))
    torch.testing.assert_close(merged.covariance[TAP], together.covariance[TAP], **CLOSE)
    middle = together.quantiles[TAP].view(1, 5, 36, 3)[..., 1]
    torch.testing.assert_close(merged.quantiles[TAP], middle, **CLOSE)


def test_statistics_under_a_soft_mask_count_cells_by_their_weight():
    features = correlated(1, 4, 2, 3)
    weight = torch.tensor([1.0, 0, 2, 3, 0, 2]).view(1, 1, 2, 3) / 3
    repeated = features.flatten(2).repeat_interleave(torch.tensor([1, 0, 2, 3, 0, 2]), dim=2)[..., None]
    stats, expected = measured(features, weight), measured(repeated)
    torch.testing.assert_close(stats.covariance[TAP], expected.covariance[TAP], **CLOSE)
    assert stats.quantiles[TAP].min() == repeated.min()
    assert stats.quantiles[TAP].max() == repeated.max()


def test_the_covariance_of_a_large_map_under_a_mask_is_that_of_all_its_strips():
    features, weight = correlated(1, 4, 400, 200), torch.rand(1, 1, 400, 200) * torch.linspace(0, 1, 400)[:, None]
    features[..., :100, :] *= 3
    expected = torch.cov(features[0].flatten(1), correction=0, aweights=weight.flatten())
    torch.testing.assert_close(covariance(features, weight)[0], expected, **CLOSE)


def test_styles_of_different_sizes_stack_and_mix():
    small, large = measured(correlated(1, 4, 3, 3)), measured(correlated(1, 4, 5, 5, seed=1))
    assert StyleStats.stack([small, large]).quantiles[TAP].shape == (2, 4, 25)
    half = mix([small, large])
    torch.testing.assert_close(half.covariance[TAP], (small.covariance[TAP] + large.covariance[TAP]) / 2)
    torch.testing.assert_close(half.quantiles[TAP].mean(dim=2)[..., None, None], half.mean[TAP], rtol=0.05, atol=0.05)


def test_the_barycenter_of_two_is_the_middle_of_the_geodesic():
    a, b = (covariance(correlated(1, 5, 8, 8, seed=seed)) for seed in (0, 1))
    step = (torch.eye(5) + transport_map(a, b)) / 2
    torch.testing.assert_close(barycenter([a, b], [0.5, 0.5]), step @ a @ step, **CLOSE)


def test_the_barycenter_of_independent_channels_is_the_linear_mix():
    a, b = torch.diag_embed(torch.rand(2, 1, 5) + 0.1)
    roots = [x.diagonal(dim1=1, dim2=2).sqrt() for x in (a, b)]
    expected = torch.diag_embed((0.3 * roots[0] + 0.7 * roots[1]).square())
    torch.testing.assert_close(barycenter([a, b], [0.3, 0.7]), expected, **CLOSE)


def test_the_barycenter_can_be_stopped_before_each_root():
    matrices = [covariance(correlated(1, 5, 8, 8, seed=seed)) for seed in (0, 1, 2)]
    shares: list[float] = []
    barycenter(matrices, [0.2, 0.3, 0.5], shares.append)
    assert len(shares) > 6 and shares == sorted(shares) and shares[-1] == 1

    def stop(share: float) -> None:
        if share > 0.005:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        barycenter(matrices, [0.2, 0.3, 0.5], stop)


def test_a_mix_by_transport_is_a_style_that_transforms_can_use(content):
    styles = [measured(correlated(1, 6, 8, 8, seed=seed)) for seed in (1, 2, 3)]
    mixed = mix_by_transport(styles, [1, 1, 2])
    result = Blend(mixed, transform=TRANSFORMS["gaussian-ot"]).apply(content, content, TAP)
    torch.testing.assert_close(covariance(result), mixed.covariance[TAP].expand(2, -1, -1), **CLOSE)
    torch.testing.assert_close(mean_std(result)[1], mixed.std[TAP].expand(2, -1, -1, -1), **CLOSE)
    linear = mix(styles, [1, 1, 2]).covariance[TAP]
    assert mixed.covariance[TAP][0].trace() < linear[0].trace()


@pytest.mark.parametrize("scale", [1, 1e-3])
def test_the_barycenter_of_one_is_itself(scale):
    matrix = scale * covariance(correlated(1, 5, 8, 8))
    torch.testing.assert_close(barycenter([matrix], [1.0]), matrix, rtol=1e-4, atol=1e-4 * scale)


def test_the_maps_from_a_mix_by_transport_to_its_styles_cancel_out():
    """What makes it a barycenter (Álvarez-Esteban et al. 2016, theorem 3.1): with their weights their mean moves
    nothing."""
    scales = torch.logspace(0, -2, 6).view(6, 1, 1)
    turns = [torch.linalg.qr(correlated(1, 6, 1, 6, seed=seed)[0, :, 0])[0] for seed in (1, 2, 3)]
    styles = [measured(torch.einsum("dc,bchw->bdhw", turn, scales * correlated(1, 6, 8, 8))) for turn in turns]
    center = mix_by_transport(styles, [1, 2, 5]).covariance[TAP]
    maps = [transport_map(center, style.covariance[TAP]) for style in styles]
    torch.testing.assert_close((maps[0] + 2 * maps[1] + 5 * maps[2]) / 8, torch.eye(6)[None], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_rounding_leaves_of_a_flat_maps_mean_does_not_show(dtype, style):
    """In half precision the mean of many equal values may be another number than they are."""
    flat = torch.full((1, 6, 9, 11), 0.7).to(style.device, dtype)
    off = StyleStats({TAP: torch.full((1, 6, 1, 1), 0.703)}, {TAP: torch.full((1, 6, 1, 1), 0.01)}, "s")
    blend = Blend(measured(style), transform=TRANSFORMS["adain"], content=off)
    exact = blend.apply(flat.float(), flat.float(), TAP)
    torch.testing.assert_close(blend.apply(flat, flat, TAP).float(), exact, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", ["adain", "instance-norm", "wct", "gaussian-ot"])  # ranks have no gradient
def test_gradients_reach_the_content(name, content, style):
    content.requires_grad_()
    apply(name, content, style).pow(3).sum().backward()
    assert content.grad.abs().max() > 1e-3


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shallow_taps_take_a_style_of_means_and_deviations_alone(name, content, style):
    plain = StyleStats.measure({TAP: style}, "s")
    blend = Blend(plain, transform=TRANSFORMS[name]).at_skip(ADAIN_SKIPS, TAP)
    expected = apply(name if name == "instance-norm" else "adain", content, style)
    torch.testing.assert_close(blend.apply(content, content, TAP), expected)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_covariances_are_matched_at_shallow_taps_that_have_them(name, content, style):
    blend = Blend(measured(style), transform=TRANSFORMS[name]).at_skip(ADAIN_SKIPS, TAP)
    acts = name in ("instance-norm", "wct", "gaussian-ot")
    torch.testing.assert_close(blend.apply(content, content, TAP), apply(name if acts else "adain", content, style))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_decoder_with_transport_has_it_at_its_first_tap_and_adain_at_the_others(name):
    style = StyleStats.measure({tap: correlated(1, 6, 9, 11) for tap in SKIP_TAPS}, "s", covariance_at=SKIP_TAPS[:1])
    blend = Blend(style, transform=TRANSFORMS[name])
    acting = [blend.at_skip(Skips.parse("concat-content-transport"), tap).transform.name for tap in SKIP_TAPS]
    stays = name in ("instance-norm", "wct")
    assert acting[0] == (name if stays else "gaussian-ot")
    assert acting[1:] == [name if name == "instance-norm" else "adain"] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["wct", "gaussian-ot"])
def test_strips_of_a_large_map_move_as_the_map_does(name, dtype):
    content = correlated(2, 6, 300, 200).to(dtype)
    style = correlated(1, 6, 20, 20, seed=1)
    with torch.no_grad():
        strips = apply(name, content, style)
    whole = apply(name, content, style)
    assert strips.dtype == dtype
    torch.testing.assert_close(strips, whole, rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-4)


def test_a_picture_in_its_own_style_stays_as_it_is(content):
    for name in ("wct", "gaussian-ot"):
        torch.testing.assert_close(apply(name, content[:1], content[:1]), content[:1], **CLOSE)


@pytest.mark.parametrize("map_of", [coloring_map, transport_map])
@pytest.mark.parametrize("source", [None, torch.eye(4), torch.diag(torch.tensor([3.0, 3.0, 2.0, 1.0]))])
def test_the_gradients_of_maps_are_those_of_differences_even_where_eigenvalues_are_equal(map_of, source):
    a, b = (covariance(correlated(1, 4, 5, 5, seed=seed)).double() for seed in (0, 1))
    a = a if source is None else source.double()[None]
    assert torch.autograd.gradcheck(map_of, (a.requires_grad_(), b.requires_grad_()))


def test_the_gradients_of_flat_maps_stay_finite(style):
    flat = torch.full((1, 6, 5, 5), 0.7).requires_grad_()
    apply("gaussian-ot", flat, style).square().sum().backward()
    assert flat.grad.isfinite().all()


def test_a_graph_finds_the_same_map_without_eigenvalues(content, style):
    a, b = covariance(content), covariance(style)
    compiled = torch.compile(transport_map, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(a, b), transport_map(a, b), rtol=0, atol=1e-3)
    scale = torch.tensor([1, 1, 1, 1e-3, 1e-3, 1e-6])
    thin = transport_map(a * scale * scale[:, None], b)
    error = compiled(a * scale * scale[:, None], b) - thin
    assert error.norm() < 0.1 * thin.norm()  # eigenvalues below EPS are EPS there, and their sum with it here


def test_covariances_are_exact_whatever_autocast_says(content):
    expected = covariance(content)
    with torch.autocast(content.device.type, torch.bfloat16):
        found, moved = covariance(content), apply("gaussian-ot", content, content[:1])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(moved, apply("gaussian-ot", content, content[:1]), **CLOSE)
