import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adain_core.images.files import read_picture
from adain_core.images.pictures import Picture, scale_short_side
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats, mix
from tests.helpers import TINY_WIDTHS, random_picture, tiny_model

sides = st.integers(1, 70)


@settings(max_examples=25, deadline=None)
@given(height=sides, width=sides, style_height=sides, style_width=sides)
def test_the_result_has_exactly_the_contents_size(height, width, style_height, style_width):
    content = random_picture(height, width)
    before = content.clone()
    result = tiny_model()(content, random_picture(style_height, style_width, seed=1))
    assert result.shape == content.shape and result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(content, before)


def test_the_four_steps_are_the_call(model):
    content, style = random_picture(50, 61), random_picture(40, 33, seed=1)
    steps = model.decode(model.blend(model.encode(content), model.compute_style_stats(style), alpha=0.7))
    assert torch.equal(steps, model(content, style, alpha=0.7))


def test_alpha_0_is_the_reconstruction(model):
    content = random_picture(48, 48)
    reconstruction = model.decode(model.encode(content))
    assert torch.equal(model(content, random_picture(32, 32, seed=1), alpha=0.0), reconstruction)
    assert not torch.allclose(reconstruction, content, atol=0.01)


def test_full_alpha_gives_the_features_the_styles_statistics(model):
    style = model.compute_style_stats(random_picture(64, 48, seed=1))
    blended = model.blend(model.encode(random_picture(56, 64)), style).current
    mean, var = blended.mean(dim=(2, 3), keepdim=True), blended.var(dim=(2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(mean, style.mean["relu4_1"], rtol=1e-4, atol=1e-5)
    # The content's own variance enters with eps; where it is tiny the style's is not quite reached.
    torch.testing.assert_close(var.sqrt(), style.std["relu4_1"], rtol=0.1, atol=5e-3)


def test_a_batch_is_its_pictures_one_by_one(model):
    contents, style = random_picture(40, 40, batch=3), random_picture(30, 30, seed=1)
    one_by_one = torch.cat([model(content, style) for content in contents.split(1)])
    torch.testing.assert_close(model(contents, style), one_by_one, rtol=1e-4, atol=1e-5)


def test_each_pairs_style_i_with_content_i(model):
    contents, styles = random_picture(40, 40, batch=3), random_picture(30, 30, seed=1, batch=3)
    paired = model(contents, model.compute_style_stats(styles, each=True))
    expected = torch.cat([model(c, s) for c, s in zip(contents.split(1), styles.split(1), strict=True)])
    torch.testing.assert_close(paired, expected, rtol=1e-4, atol=1e-5)


def test_two_masks_side_by_side_compose(model):
    """Each half of the features is what one masked blend alone makes of it."""
    features = model.encode(random_picture(64, 64))
    left = torch.zeros(64, 64)
    left[:, :32] = 1
    a, b = (model.compute_style_stats(random_picture(32, 32, seed=s)) for s in (1, 2))
    both = model.blend(model.blend(features, a, mask=left), b, mask=1 - left).current
    torch.testing.assert_close(both[..., :4], model.blend(features, a, mask=left).current[..., :4])
    torch.testing.assert_close(both[..., 4:], model.blend(features, b, mask=1 - left).current[..., 4:])


def test_a_sharp_edge_of_a_mask_leaves_no_seam(examples):
    """The picture of one style becomes that of the other in many small steps, within 30 pixels of the edge."""
    model = StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")
    names = ("photo_coffee", "style_flow", "style_mosaic")
    content, *styles = (scale_short_side(read_picture(examples / f"{name}.jpg").rgb, 160) for name in names)
    first, second = (model.compute_style_stats(style) for style in styles)
    features, mask = model.encode(content), torch.zeros(content.shape[-2:])
    stats = model.compute_content_stats(features)
    mask[:, 117:] = 1
    one, two, both = (
        model.decode(model.blend(model.blend(features, first, content=stats), second, mask=m, content=stats))
        for m in (torch.zeros_like(mask), torch.ones_like(mask), mask)
    )
    from_one, from_two = ((both - picture).abs().mean(dim=(0, 1, 2)) for picture in (one, two))
    share = from_one / (from_one + from_two)
    assert share[:87].max() < 0.05 and share[147:].min() > 0.95
    assert share.diff().abs().max() < 0.15


def test_an_empty_mask_changes_nothing_and_a_full_one_is_no_mask(model):
    content, style = random_picture(40, 48), random_picture(32, 32, seed=1)
    assert torch.equal(model(content, style, mask=torch.zeros(64, 64)), model(content, style, alpha=0.0))
    for white in (1.0, 255.0):
        full = model(content, style, mask=torch.full((9, 9), white))
        torch.testing.assert_close(full, model(content, style), atol=1e-5, rtol=1e-4)


def test_a_style_mask_measures_only_what_it_shows(model):
    picture = random_picture(64, 64)
    mask = torch.zeros(64, 64)
    mask[:, :32] = 1
    changed = picture.clone()
    changed[..., 56:] = 0
    masked, again = (model.compute_style_stats(p, mask=mask) for p in (picture, changed))
    whole = model.compute_style_stats(picture)
    torch.testing.assert_close(masked.mean["relu1_1"], again.mean["relu1_1"])
    assert not torch.allclose(masked.mean["relu1_1"], whole.mean["relu1_1"], atol=1e-4)


def test_several_styles_are_mixed_by_weight(model):
    content, a, b = (random_picture(32, 32, seed=s) for s in range(3))
    stats = [model.compute_style_stats(a), model.compute_style_stats(b)]
    assert torch.equal(model(content, [a, b], weights=[3, 1]), model(content, mix(stats, [0.75, 0.25])))
    assert torch.equal(model(content, [a, b], weights=[1, 0]), model(content, mix(stats, [1, 0])))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_pictures_work_as_content_and_as_style(model, value):
    flat = torch.full((1, 3, 24, 24), value)
    for content, style in [(flat, random_picture(24, 24)), (random_picture(24, 24), flat), (flat, flat)]:
        assert model(content, style).isfinite().all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_flat_pictures_are_those_of_float32_in_half_precision(examples, dtype, value):
    flat = torch.full((1, 3, 64, 64), value)
    style = read_picture(examples / "style_mosaic.jpg").rgb
    full, low = (
        StyleTransfer.from_pretrained("lite", device="cpu", dtype=name)(flat, style)
        for name in ("float32", str(dtype).removeprefix("torch."))
    )
    assert (full - low).abs().mean() < 2 / 255


def test_what_is_transparent_in_a_style_does_not_count(model):
    picture, opacity, upper = random_picture(24, 32, seed=1), torch.zeros(1, 1, 24, 32), torch.zeros(24, 32)
    opacity[..., :16], upper[:16] = 1, 1
    seen = model.compute_style_stats(Picture(picture, opacity), tile="off")
    expected = model.compute_style_stats(picture, mask=opacity[:, 0], tile="off")
    both = model.compute_style_stats(Picture(picture, opacity), mask=upper, tile="off")
    everything = model.compute_style_stats(picture, tile="off")
    assert seen == expected and both == model.compute_style_stats(picture, mask=opacity[:, 0] * upper, tile="off")
    assert not torch.allclose(everything.mean["relu1_1"], expected.mean["relu1_1"], atol=1e-3)
    content = random_picture(24, 24)
    assert torch.equal(model(content, Picture(picture, opacity)), model(content, expected))
    with pytest.raises(ValueError, match="the picture is transparent"):
        model.compute_style_stats(Picture(picture, torch.zeros(1, 1, 24, 32)))


def test_whole_numbers_are_refused(model):
    with pytest.raises(ValueError, match=r"torch.uint8; expected 0..1 as float"):
        model(torch.zeros(1, 3, 20, 20, dtype=torch.uint8), random_picture(20, 20))


def test_pillow_in_pillow_out_with_its_opacity(model):
    opacity = Image.linear_gradient("L").resize((30, 20))
    content = Image.new("RGBA", (30, 20), (200, 100, 50, 255))
    content.putalpha(opacity)
    result = model(content, Image.new("RGB", (16, 16), "navy"))
    assert result.mode == "RGBA" and result.size == (30, 20)
    assert list(result.getchannel("A").tobytes()) == list(opacity.tobytes())


def test_bfloat16_pictures_are_those_of_float32():
    pictures = [random_picture(96, 96), random_picture(64, 64, seed=1)]
    full, low = (tiny_model(dtype=dtype)(*pictures) for dtype in (torch.float32, torch.bfloat16))
    assert 0 < (full - low).abs().mean() < 1 / 255


@pytest.mark.parametrize("alpha", [-0.1, 1.01, float("nan"), float("inf")])
def test_alpha_outside_0_to_1_is_refused(model, alpha):
    content, style = random_picture(16, 16), random_picture(16, 16)
    with pytest.raises(ValueError, match="alpha is"):
        model(content, style, alpha=alpha)
    with pytest.raises(ValueError, match="alpha is"):
        model.blend(model.encode(content), model.compute_style_stats(style), alpha)


def test_a_transform_that_does_not_exist_is_refused_with_those_that_do(model):
    picture = random_picture(16, 16)
    with pytest.raises(ValueError, match="'warp' is no transform; expected adain, "):
        model.blend(model.encode(picture), model.compute_style_stats(picture), transform="warp")


def test_a_detail_that_does_not_exist_is_refused(model):
    with pytest.raises(ValueError, match="expected a tuple of covariance and quantiles"):
        model.compute_style_stats(random_picture(16, 16), detail=("covariances",))


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_a_style_scale_that_is_none_is_refused(model, scale):
    with pytest.raises(ValueError, match="style_scale is"):
        model.compute_style_stats(random_picture(16, 16), style_scale=scale)


def test_a_style_that_is_shrunk_to_nothing_keeps_a_pixel(model):
    picture = random_picture(16, 24)
    mean = picture.mean(dim=(2, 3), keepdim=True)
    shrunk, pixel = (model.compute_style_stats(x, style_scale=scale) for x, scale in ((picture, 0.01), (mean, 1)))
    torch.testing.assert_close(shrunk.mean, pixel.mean, rtol=0, atol=0.1)


def test_a_style_of_other_channels_than_its_space_has_is_damaged(model):
    style, picture = tiny_model().compute_style_stats(random_picture(16, 16)), random_picture(16, 16)
    narrow = {part: {"relu4_1": getattr(style, part)["relu4_1"][:, 1:]} for part in ("mean", "std")}
    with pytest.raises(ValueError, match="style is damaged"):
        model(picture, replace(style, **narrow))


def test_another_models_style_and_features_are_refused(model):
    other = tiny_model(space="other")
    picture = random_picture(16, 16)
    with pytest.raises(ValueError, match=r"style of the space other, but this model's is tiny"):
        model(picture, other.compute_style_stats(picture))
    with pytest.raises(ValueError, match=r"features of the space other, but this model's is tiny"):
        model.blend(other.encode(picture), model.compute_style_stats(picture))
    with pytest.raises(ValueError, match=r"features come from the space other, but this model's is tiny"):
        model.decode(other.encode(picture))


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16), (0, 3, 16, 16), (1, 3, 0, 16)])
def test_a_tensor_of_another_shape_is_refused(model, shape):
    with pytest.raises(ValueError, match=r"expected \[B, 3, H, W\]"):
        model(torch.zeros(shape), random_picture(16, 16))


def test_an_empty_style_mask_is_refused(model):
    empty, full = torch.zeros(16, 16), torch.ones(16, 16)
    for count, mask in ((1, empty), (2, torch.stack([full, empty]))):
        with pytest.raises(ValueError, match="nothing to measure"):
            model.compute_style_stats(random_picture(16, 16, batch=count), mask=mask)


def test_each_picture_of_a_batch_is_measured_under_its_own_mask(model):
    pictures, masks = random_picture(32, 40, batch=2), torch.zeros(2, 32, 40)
    masks[0, :, :16], masks[1, 16:] = 1, 1
    options = {"detail": ("covariance", "quantiles"), "tile": 16}
    together = model.compute_style_stats(pictures, masks, each=True, **options)
    alone = [model.compute_style_stats(pictures[i : i + 1], masks[i : i + 1], **options) for i in range(2)]
    for part in ("mean", "std", "covariance", "quantiles"):
        torch.testing.assert_close(getattr(together, part), getattr(StyleStats.stack(alone), part))


@pytest.mark.parametrize("dtypes", [("float32", "bfloat16"), ("bfloat16", "float32")])
@pytest.mark.parametrize("tile", ["off", 24])
def test_features_of_one_precision_decode_in_another(examples, dtypes, tile):
    first, second = (StyleTransfer.from_pretrained("lite", device="cpu", dtype=dtype) for dtype in dtypes)
    content = scale_short_side(read_picture(examples / "photo_coffee.jpg").rgb, 64)
    features = first.encode(content, "off", keep_shallow=True)
    features = first.blend(features, first.compute_style_stats(random_picture(40, 40)))
    torch.testing.assert_close(second.decode(features, tile), first.decode(features, tile), rtol=0, atol=0.1)


def test_measuring_with_detail_reports_both_of_its_passes(model):
    shares: list[float] = []
    model.compute_style_stats(random_picture(96, 64), detail=("quantiles",), tile=32, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] <= 1
    assert len([share for share in shares if share > 0.5]) == len([share for share in shares if share < 0.5]) > 4


def test_progress_reaches_the_end_and_an_exception_in_it_stops_the_work(model):
    one, other = random_picture(16, 16), random_picture(16, 16, seed=1)
    for options in ({}, {"regions": [(torch.ones(4, 4), one)]}, {"keep_colors": "histogram"}):
        shares: list[float] = []
        model(one, [one, other], progress=shares.append, **options)
        assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(random_picture(16, 16), random_picture(16, 16), progress=stop)


@pytest.mark.parametrize("skips", ["plain", "concat-content-adain"])
def test_instance_norm_keeps_nothing_of_the_style(skips):
    model, content = tiny_model(skips), random_picture(48, 40)
    results = [model(content, random_picture(32, 32, seed=s), transform="instance-norm") for s in (1, 2)]
    assert torch.equal(*results)


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["content", "style", "mask", "style_mask"])
def test_numbers_that_are_not_finite_are_refused(where, number):
    inputs = {"content": random_picture(20, 24), "style": random_picture(16, 16)}
    inputs |= {"mask": torch.ones(20, 24), "style_mask": torch.ones(16, 16)}
    inputs[where].view(-1)[7] = number
    with pytest.raises(ValueError, match=("mask" if "mask" in where else "picture") + " holds NaN or infinite"):
        tiny_model()(**inputs)


@pytest.mark.parametrize("options", [{}, {"mask": torch.ones(4, 4)}, {"weights": [1.0]}])
def test_mask_and_weights_without_a_style_are_refused(options):
    region = (torch.ones(4, 4), random_picture(16, 16))
    with pytest.raises(ValueError, match="no style"):
        tiny_model()(random_picture(20, 24), regions=[region] if options else [], **options)


@pytest.mark.parametrize("low_memory", [False, True])
def test_another_number_of_styles_than_contents_is_refused(model, low_memory):
    styles = model.compute_style_stats(torch.cat([random_picture(16, 16, seed=s) for s in range(3)]), each=True)
    contents = torch.cat([random_picture(16, 16, seed=s) for s in (4, 5)])
    with pytest.raises(ValueError, match="2 contents but 3 styles"):
        model(contents, styles, low_memory=low_memory)
    with pytest.raises(ValueError, match="1 contents but 3 styles"):
        model.blend(model.encode(contents[:1]), styles)
    with pytest.raises(ValueError, match="cannot be mixed"):
        mix([styles, model.compute_style_stats(contents, each=True)])


def test_a_result_that_is_nan_is_refused():
    model = tiny_model()
    model.decoder.conv1_1.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="result holds NaN"):
        model(random_picture(32, 32), random_picture(32, 32, seed=1))


def test_size_is_that_of_the_result_and_style_size_that_at_which_styles_are_measured(model):
    content, style = random_picture(40, 60), random_picture(64, 48, seed=1)
    result = model(content, style, size=30, style_size=24)
    assert result.shape == (1, 3, 30, 45)
    assert torch.equal(result, model(scale_short_side(content, 30), scale_short_side(style, 24)))
    photo = Image.new("RGBA", (60, 40), (200, 100, 50, 128))
    small = model(photo, style, size=20)
    assert (small.size, small.mode, small.getpixel((9, 9))[3]) == ((30, 20), "RGBA", 128)


@pytest.mark.parametrize("option", ["size", "work_size", "style_size"])
def test_sizes_that_make_no_sense_are_named(model, option):
    with pytest.raises(ValueError, match=f"^{option} is 0; expected a whole number from 1"):
        model(random_picture(32, 32), random_picture(32, 32), **{option: 0})


@pytest.mark.parametrize("options", [{"style_size": 16}, {"style_scale": 2.0}, {"style_mask": torch.ones(8, 8)}])
def test_a_measured_style_cannot_be_measured_in_another_way(model, options):
    picture, style = random_picture(32, 32), model.compute_style_stats(random_picture(32, 32))
    for look in ({"style": style}, {"style": picture, "regions": [(torch.ones(8, 8), style)]}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}.* measured already"):
            model(picture, **look, **options)


def test_tile_memory_is_what_tiles_may_use():
    image = random_picture(256, 256)
    tiles = [
        len(StyleTransfer.from_pretrained(device="cpu", dtype="float32", tile_memory=memory).tiles(image, "auto"))
        for memory in (1e9, 20e6)
    ]
    assert tiles[0] == 1 < tiles[1]


def test_tiles_are_smaller_where_maps_join_the_decoder_and_larger_in_half_precision():
    image, models = random_picture(512, 512), [tiny_model(kind) for kind in ("concat-both", "concat-content", "plain")]
    models.append(tiny_model(dtype=torch.bfloat16))
    for model in models:
        model.tile_memory = 8e6
    counts = [len(model.tiles(image, "auto")) for model in models]
    assert counts == sorted(set(counts), reverse=True)


def test_a_mask_that_is_no_tensor_is_refused(model):
    with pytest.raises(TypeError, match="A mask has the type Image; expected a tensor"):
        model(random_picture(16, 16), random_picture(16, 16), mask=Image.new("L", (16, 16)))


@pytest.mark.parametrize("widths", [(4, 4, 4, 4), TINY_WIDTHS[:3]])
def test_a_decoder_for_another_encoder_is_refused(widths):
    with pytest.raises(ValueError, match="widths"):
        StyleTransfer(Encoder(TINY_WIDTHS), Decoder(widths), "s")


def test_an_encoder_that_goes_on_after_relu4_1_serves_the_same_decoder():
    decoder, picture = Decoder(TINY_WIDTHS), random_picture(24, 24)
    result = StyleTransfer(Encoder((*TINY_WIDTHS, 32)), decoder, "s")(picture, random_picture(24, 24, seed=1))
    assert result.shape == picture.shape


def test_a_decoder_with_its_style_inside_takes_no_other_however_weakly():
    model, picture = (
        StyleTransfer(Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, style_inside=True), "s"),
        random_picture(16, 16),
    )
    assert torch.equal(model(picture, picture, alpha=0.0), model.decode(model.encode(picture)))
    with pytest.raises(ValueError, match="use alpha 0"):
        model(picture, picture, alpha=0.1)


@pytest.mark.parametrize("memory", [0, -1, math.nan, math.inf])
def test_tile_memory_that_is_no_amount_is_refused(memory):
    with pytest.raises(ValueError, match="tile_memory is"):
        StyleTransfer(Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS), "s", tile_memory=memory)
