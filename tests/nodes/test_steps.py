"""The four steps, Mix Styles and AdaIN Stylize."""

import sys

import pytest
import torch

from adain_core.models.weights import load_model
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import mix
from tests.nodes.fake import PACK
from tests.nodes.models import image, load, save_model


def chain(comfy, model, content, style, alpha=1.0, transform="adain", style_mask=None, mask=None, **measure):
    (features,) = comfy.call("AdaINEncode", model=model, image=content)
    (stats,) = comfy.call("AdaINComputeStyleStats", model=model, image=style, mask=style_mask, **measure)
    (blended,) = comfy.call("AdaINBlend", features=features, style=stats, alpha=alpha, transform=transform, mask=mask)
    return comfy.call("AdaINDecode", model=model, features=blended)[0]


def stylize(comfy, model, content, style, **options):
    return comfy.call("AdaINStylize", model=model, content=content, style=style, **options)[0]


@pytest.mark.parametrize(("skips", "styles"), [("plain", 2), ("concat-both", 1)])
def test_stylize_takes_a_measured_style_in_place_of_a_picture(comfy, skips, styles):
    model, content = load(comfy, save_model("m.safetensors", skips=skips)), image(40, 48)
    pictures = image(32, 40, seed=1, batch=styles)
    for batch in ("one style", "each"):
        (style,) = comfy.call("AdaINComputeStyleStats", model=model, image=pictures, batch=batch)
        expected = stylize(comfy, model, content, pictures, batch=batch)
        assert torch.equal(stylize(comfy, model, content, style), expected)


def test_stylize_does_without_a_loader(comfy):
    content, style = image(40, 48), image(32, 40, seed=1)
    (alone,) = comfy.call("AdaINStylize", content=content, style=style)
    assert torch.equal(alone, stylize(comfy, load(comfy, "lite", precision="auto"), content, style))


def test_what_measures_a_style_is_refused_for_a_measured_one(comfy, tiny):
    (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=1))
    other = load(comfy, save_model("other.safetensors", space="other", seed=1))
    for model, options, message in (
        (tiny, {"style_scale": 2.0}, "'style_scale'.* where 'style' is measured"),
        (tiny, {"style_size": 64}, "'style_size' where 'style' is measured"),
        (tiny, {"style_mask": torch.ones(1, 8, 8)}, "Set 'style_mask'"),
        (tiny, {"keep_colors": "histogram"}, "'keep_colors' to luminance: histogram .* 'style' is measured"),
        (other, {}, "'style' belongs to the space tiny, 'model' to other"),
    ):
        with pytest.raises(ValueError, match=message):
            stylize(comfy, model, image(), style, **options)


@pytest.mark.parametrize("skips", ["plain", "concat-both", "add-content-adain"])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_chain_gives_bit_for_bit_what_stylize_gives(comfy, skips, channels):
    model = load(comfy, save_model("m.safetensors", skips=skips))
    content, style, mask = image(50, 71, channels=channels), image(64, 40, seed=1), torch.rand(1, 50, 71)
    options = {"alpha": 0.7, "style_scale": 1.5, "mask": mask, "style_mask": torch.rand(1, 32, 20)}
    result = stylize(comfy, model, content, style, **options)
    assert result.shape == content.shape and result.dtype == torch.float32 and result.is_contiguous()
    assert torch.equal(result, chain(comfy, model, content, style, **options))


def test_stylize_with_colors_is_the_chain_and_preserve_color(comfy, tiny):
    content, style = image(), image(seed=1)
    recolored = comfy.call(
        "AdaINPreserveColor", content=content, stylized=chain(comfy, tiny, content, style), method="luminance"
    )[0]
    assert torch.equal(stylize(comfy, tiny, content, style, keep_colors="luminance"), recolored)


@pytest.mark.parametrize(
    "transform, detail",
    [
        ("wct", "covariance"),
        ("wct", "both"),
        ("gaussian-ot", "covariance"),
        ("efdm", "quantiles"),
        ("efdm", "both"),
        ("instance-norm", "none"),
    ],
)
def test_every_transform_gives_the_same_in_the_chain_and_in_stylize(comfy, tiny, transform, detail):
    content, style = image(), image(seed=1)
    result = stylize(comfy, tiny, content, style, transform=transform)
    assert torch.equal(result, chain(comfy, tiny, content, style, transform=transform, detail=detail))
    assert not torch.equal(result, stylize(comfy, tiny, content, style))


def test_a_transform_that_the_style_was_not_measured_for_says_what_to_choose(comfy, tiny):
    with pytest.raises(ValueError, match="with the detail covariance"):
        chain(comfy, tiny, image(), image(seed=1), transform="wct")


@pytest.mark.parametrize("method", ["covariance", "histogram"])
@pytest.mark.parametrize("batch", ["one style", "each"])
def test_stylize_gives_the_style_the_contents_colors_before_the_transfer(comfy, tiny, method, batch):
    contents, styles = image(batch=2), image(30, 30, seed=1, batch=2)
    result = stylize(comfy, tiny, contents, styles, keep_colors=method, batch=batch)
    for i in range(2):
        seen = styles[i : i + 1] if batch == "each" else styles
        (recolored,) = comfy.call("AdaINPreserveColor", content=contents[i : i + 1], stylized=seen, method=method)
        torch.testing.assert_close(result[i : i + 1], stylize(comfy, tiny, contents[i : i + 1], recolored))


@pytest.mark.parametrize("skips, kept", [("concat-content", False), ("concat-style", True)])
def test_recolored_styles_are_kept_only_for_a_decoder_that_looks_at_them(comfy, monkeypatch, skips, kept):
    model = load(comfy, save_model("m.safetensors", skips=skips))
    stats = sys.modules[f"{PACK}.adain_core.styles.stats"].StyleStats
    stack, stacked = stats.stack, []

    def seen(styles):
        stacked.append([style.image is not None for style in styles])
        return stack(styles)

    monkeypatch.setattr(stats, "stack", seen)
    stylize(comfy, model, image(batch=3), image(30, 30, seed=1), keep_colors="covariance")
    assert stacked == [[kept] * 3]


@pytest.mark.parametrize("skips", ["plain", "concat-content", "concat-both", "add-content-adain"])
@pytest.mark.parametrize("styles", [1, 3])
def test_the_content_is_encoded_once_whatever_the_skips(comfy, skips, styles):
    model, encoded = load(comfy, save_model("m.safetensors", skips=skips)), []
    encoder = model.networks.encoder
    encoder.register_forward_pre_hook(lambda _, pictures: encoded.append(tuple(pictures[0].shape[-2:])))
    stylize(comfy, model, image(), image(64, 64, seed=1, batch=styles), batch="each")
    assert encoded.count((40, 56)) == 1


@pytest.mark.parametrize(
    "options", [{}, {"keep_colors": "covariance"}, {"work_size": 24, "tile": "256"}, {"low_memory": True}]
)
def test_the_nodes_give_what_the_library_gives(comfy, tmp_path, options):
    name = save_model("m.safetensors")
    weights = load_model(tmp_path / "models" / "adain" / name)
    core = StyleTransfer(weights.encoder, weights.decoder, weights.space, torch.device("cpu"))
    content, style, mask = image(), image(seed=1), torch.rand(40, 56)
    own = {key: int(value) if key == "tile" else value for key, value in options.items()}
    expected = core(content.movedim(-1, 1), style.movedim(-1, 1), alpha=0.6, mask=mask, **own).movedim(1, -1)
    result = stylize(comfy, load(comfy, name), content, style, alpha=0.6, mask=mask[None], **options)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


def test_one_style_for_a_batch(comfy, tiny):
    contents, style = image(batch=3), image(seed=1)
    result = stylize(comfy, tiny, contents, style)
    for i in range(3):
        torch.testing.assert_close(result[i : i + 1], stylize(comfy, tiny, contents[i : i + 1], style))


def test_each_content_with_its_own_style(comfy, tiny):
    contents, styles = image(batch=3), image(seed=1, batch=3)
    result = stylize(comfy, tiny, contents, styles, batch="each")
    for i in range(3):
        alone = stylize(comfy, tiny, contents[i : i + 1], styles[i : i + 1])
        torch.testing.assert_close(result[i : i + 1], alone)


def test_low_memory_gives_one_content_each_of_several_styles(comfy, tiny):
    content, styles = image(channels=4), image(seed=1, batch=3)
    result = stylize(comfy, tiny, content, styles, batch="each", low_memory=True)
    assert result.shape == (3, 40, 56, 4)
    for i in range(3):
        alone = stylize(comfy, tiny, content, styles[i : i + 1], low_memory=True)
        torch.testing.assert_close(result[i : i + 1], alone)


@pytest.mark.parametrize("skips", ["plain", "concat-both"])
def test_one_content_with_several_styles(comfy, skips):
    model = load(comfy, save_model("m.safetensors", skips=skips))
    content, styles = image(channels=4), image(seed=1, batch=3)
    result = stylize(comfy, model, content, styles, batch="each", mask=torch.rand(1, 40, 56))
    assert result.shape == (3, 40, 56, 4)
    assert torch.equal(result[..., 3], content[..., 3].expand(3, -1, -1))
    assert not torch.equal(result[0], result[1])


def test_a_batch_as_one_style_differs_from_each(comfy, tiny):
    contents, styles = image(batch=2), image(seed=1, batch=2)
    assert not torch.equal(stylize(comfy, tiny, contents, styles), stylize(comfy, tiny, contents, styles, batch="each"))


def test_counts_that_do_not_fit_are_both_named(comfy, tiny):
    with pytest.raises(ValueError, match="3 contents but 2 styles"):
        stylize(comfy, tiny, image(batch=3), image(seed=1, batch=2), batch="each")
    with pytest.raises(ValueError, match="'mask' is a batch of 2, but 'features' of 3"):
        chain(comfy, tiny, image(batch=3), image(seed=1), mask=torch.rand(2, 40, 56))
    with pytest.raises(ValueError, match="'mask' is a batch of 2, but 'content' of 3"):
        stylize(comfy, tiny, image(batch=3), image(seed=1), mask=torch.rand(2, 40, 56))
    with pytest.raises(ValueError, match="'style_mask' is a batch of 3, but 'style' of 1"):
        stylize(comfy, tiny, image(), image(seed=1), style_mask=torch.rand(3, 40, 56))
    with pytest.raises(ValueError, match="'mask' is a batch of 3, but 'image' of 1"):
        chain(comfy, tiny, image(), image(seed=1), style_mask=torch.rand(3, 40, 56))


def test_load_images_way_to_say_no_mask_means_everywhere(comfy, tiny):
    content, style, none = image(), image(seed=1), torch.zeros(1, 64, 64)
    expected = chain(comfy, tiny, content, style)
    assert torch.equal(chain(comfy, tiny, content, style, mask=none, style_mask=none), expected)
    assert not torch.equal(chain(comfy, tiny, content, style, mask=torch.zeros(1, 40, 56)), expected)


def test_a_mask_keeps_the_rest_as_the_decoder_renders_it(comfy, tiny):
    content, style = image(64, 128), image(seed=1)
    mask = torch.zeros(1, 64, 128)
    mask[:, :, 96:] = 1
    masked = chain(comfy, tiny, content, style, mask=mask)
    untouched = chain(comfy, tiny, content, style, alpha=0.0)
    torch.testing.assert_close(masked[:, :, :40], untouched[:, :, :40])
    assert not torch.allclose(masked[:, :, 100:], untouched[:, :, 100:], atol=1e-4)


def test_blends_with_masks_compose(comfy, tiny):
    content, left = image(64, 128), torch.zeros(1, 64, 128)
    left[:, :, :64] = 1
    (features,) = comfy.call("AdaINEncode", model=tiny, image=content)
    for seed, mask in ((1, left), (2, 1 - left)):
        (style,) = comfy.call(
            "AdaINComputeStyleStats",
            model=tiny,
            image=image(seed=seed),
        )
        (features,) = comfy.call("AdaINBlend", features=features, style=style, mask=mask)
    (both,) = comfy.call("AdaINDecode", model=tiny, features=features)
    torch.testing.assert_close(both[:, :, :20], chain(comfy, tiny, content, image(seed=1), mask=left)[:, :, :20])


def test_features_leave_nothing_on_the_device_that_they_are_moved_from(comfy, tiny):
    (features,) = comfy.call("AdaINEncode", model=tiny, image=image())
    (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=1))
    (features,) = comfy.call("AdaINBlend", features=features, style=style, mask=torch.rand(1, 40, 56))
    moved = features.to(torch.device("meta")).features
    (blend,) = moved.blends
    tensors = [moved.content, moved.current, blend.mask, *blend.style.mean.values()]
    assert all(x.device.type == "meta" for x in tensors)
    assert blend.style.image.device.type == "cpu"  # a picture of any size, of which decoding takes tiles


def test_mix_styles_is_the_weighted_mean_and_passes_over_what_is_not_connected(comfy, tiny):
    styles = [comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=i))[0] for i in (1, 2, 3)]
    inputs = {"style_1": styles[0], "weight_1": 1.0, "style_2": styles[1], "weight_2": 0.5, "weight_5": 9.0}
    (mixed,) = comfy.call("AdaINMixStyles", style_8=styles[2], weight_8=2.5, **inputs)
    for tap, mean in mix(styles, [1, 0.5, 2.5]).mean.items():
        torch.testing.assert_close(mixed.mean[tap], mean)
    unset = comfy.nodes["AdaINMixStyles"].execute(method="linear", style_1=styles[0], style_2=styles[1], weight_1=3.0)
    torch.testing.assert_close(unset.args[0].mean, mix(styles[:2], [3, 1]).mean)
    huge = {"weight_1": 1e308, "weight_2": 1e308}
    (mixed,) = comfy.call("AdaINMixStyles", **inputs | huge)
    torch.testing.assert_close(mixed.mean, mix(styles[:2]).mean)


def test_the_wasserstein_mixture_differs_where_covariances_are_known(comfy, tiny):
    for detail, equal in (("none", True), ("covariance", False)):
        styles = [
            comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=i), detail=detail)[0] for i in (1, 2)
        ]
        inputs = {"style_1": styles[0], "style_2": styles[1]}
        linear, transported = (
            comfy.call("AdaINMixStyles", method=method, **inputs)[0] for method in ("linear", "wasserstein")
        )
        assert torch.allclose(linear.std["relu4_1"], transported.std["relu4_1"], atol=1e-6) == equal


def test_a_wasserstein_mixture_can_be_stopped_before_each_root(comfy, tiny):
    import comfy.utils as utils
    from comfy import model_management

    styles = [
        comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=i), detail="covariance")[0] for i in (1, 2)
    ]
    inputs = {"method": "wasserstein", "style_1": styles[0], "style_2": styles[1]}
    comfy.call("AdaINMixStyles", **inputs)
    assert utils.bars[-1].current == utils.bars[-1].total
    model_management.stop_after = 5
    with pytest.raises(model_management.InterruptProcessingException):
        comfy.call("AdaINMixStyles", **inputs)


def test_a_decoder_that_needs_the_styles_picture_says_so_of_a_mixture(comfy):
    model = load(comfy, save_model("m.safetensors", skips="concat-style"))
    (style,) = comfy.call("AdaINComputeStyleStats", model=model, image=image())
    (mixed,) = comfy.call("AdaINMixStyles", style_1=style, weight_1=1.0, style_2=style, weight_2=1.0)
    (features,) = comfy.call("AdaINEncode", model=model, image=image())
    (features,) = comfy.call("AdaINBlend", features=features, style=mixed)
    with pytest.raises(ValueError, match="'concat-style' needs the style's picture"):
        comfy.call("AdaINDecode", model=model, features=features)


def test_models_that_do_not_belong_together_are_named_by_input_and_space(comfy, tiny):
    other = load(comfy, save_model("other.safetensors", space="other", seed=1))
    (features,) = comfy.call("AdaINEncode", model=tiny, image=image())
    (style,) = comfy.call("AdaINComputeStyleStats", model=other, image=image())
    with pytest.raises(ValueError, match=r"Use one model .* 'style' belongs to the space other, 'features' to tiny"):
        comfy.call("AdaINBlend", features=features, style=style)
    with pytest.raises(
        ValueError, match=r"Use the model that .* 'features' belongs to the space tiny, 'model' to other"
    ):
        comfy.call("AdaINDecode", model=other, features=features)
    (fitting,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image())
    with pytest.raises(ValueError, match="same model: 'style_2' belongs to the space other, 'style_1' to tiny"):
        comfy.call("AdaINMixStyles", style_1=fitting, weight_1=1.0, style_2=style, weight_2=1.0)


def test_what_is_no_image_is_named(comfy, tiny):
    with pytest.raises(ValueError, match=r"'image' has the shape \[1, 8, 8, 2\]; expected an IMAGE"):
        comfy.call("AdaINEncode", model=tiny, image=torch.zeros(1, 8, 8, 2))


@pytest.mark.parametrize("height, width", [(1, 1), (7, 300), (33, 16)])
def test_any_size_and_gray_pictures_work(comfy, tiny, height, width):
    result = stylize(comfy, tiny, torch.rand(1, height, width, 1), torch.zeros(1, 1, 1, 3))
    assert result.shape == (1, height, width, 3) and torch.isfinite(result).all()


def test_size_is_the_short_side_of_the_result(comfy, tiny):
    assert stylize(comfy, tiny, image(40, 60, channels=4), image(seed=1), size=80).shape == (1, 80, 120, 4)


def test_every_bar_reaches_its_end(comfy, tiny):
    import comfy.utils as utils

    chain(comfy, tiny, image(batch=2), image(seed=1))
    stylize(comfy, tiny, image(), image(seed=1))
    stylize(comfy, tiny, image(), image(seed=1), low_memory=True)
    assert len(utils.bars) == 7 and all(bar.current == bar.total for bar in utils.bars)


def test_stop_ends_a_node_between_two_layers_and_leaves_nothing_broken(comfy, tiny):
    from comfy import model_management

    expected = stylize(comfy, tiny, image(), image(seed=1))
    for layer in range(0, 24, 5):
        model_management.stop_after = layer
        with pytest.raises(model_management.InterruptProcessingException):
            stylize(comfy, tiny, image(), image(seed=1))
    assert torch.equal(stylize(comfy, tiny, image(), image(seed=1)), expected)


def test_regions_are_blends_with_masks(comfy, tiny):
    content, style, mask = image(48, 64), image(seed=1), torch.zeros(1, 48, 64)
    mask[..., 32:] = 1
    (features,) = comfy.call("AdaINEncode", model=tiny, image=content)
    below, above = (comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=s))[0] for s in (1, 2))
    (features,) = comfy.call("AdaINBlend", features=features, style=below)
    (features,) = comfy.call("AdaINBlend", features=features, style=above, mask=mask)
    (expected,) = comfy.call("AdaINDecode", model=tiny, features=features)
    (regions,) = comfy.call("AdaINRegion", mask=mask, style=above)
    assert torch.equal(stylize(comfy, tiny, content, style, regions=regions), expected)
    close = stylize(comfy, tiny, content, style, regions=regions, low_memory=True)
    torch.testing.assert_close(close, expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match=r"Set 'keep_colors' to luminance: .* 'regions' is measured"):
        stylize(comfy, tiny, content, style, regions=regions, keep_colors="covariance")


def test_style_size_is_the_short_side_at_which_the_style_is_measured(comfy, tiny):
    content, style = image(), image(64, 96, seed=1)
    (small,) = comfy.call("ImageScaleBy", image=style, upscale_method="lanczos", scale_by=0.5)
    result = stylize(comfy, tiny, content, style, style_size=32)
    assert torch.equal(result, chain(comfy, tiny, content, style, style_size=32))
    assert (result - stylize(comfy, tiny, content, small)).abs().mean() < 0.02
    assert not torch.equal(result, stylize(comfy, tiny, content, style))
