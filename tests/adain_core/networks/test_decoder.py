import itertools

import pytest
import torch
import torch.nn.functional as F

from adain_core.models.convert import in_current_layout
from adain_core.networks.convolution import Conv3x3, UpConv3x3
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import VGG19_WIDTHS, Encoder
from adain_core.networks.skips import SKIP_TAPS, Skips
from adain_core.pipeline.blend import Blend, joined_maps
from adain_core.styles.stats import StyleStats
from tests.helpers import TINY_WIDTHS, random_picture, tiny_model

KINDS = ["plain"] + [
    f"{join}-{rest}"
    for join, rest in itertools.product(["add", "concat"], ["content", "style", "both", "content-adain", "both-adain"])
]


@pytest.mark.parametrize("kind", ["plain", "add-both"])
def test_it_is_the_plain_sequence_of_layers(kind):
    """Upsampling, added maps, padding, convolution, and a ReLU after all but the last, whose values go below 0 too."""
    decoder = Decoder(TINY_WIDTHS, Skips.parse(kind, strength=0.5))
    sides = zip(SKIP_TAPS, TINY_WIDTHS, (8, 4, 2), strict=False)
    maps = {tap: [torch.rand(1, width, 3 * k, 2 * k) for _ in decoder.skips.names] for tap, width, k in sides}
    x = features = torch.rand(1, TINY_WIDTHS[-1], 3, 2)
    for before, name in itertools.pairwise(["", *decoder.names]):
        x = x.relu()
        if before.endswith("_1"):
            x = F.interpolate(x, scale_factor=2, mode="nearest") + 0.5 * sum(maps[f"relu{name[4]}_1"])
        conv = decoder.get_submodule(name)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
    assert x.min() < 0
    torch.testing.assert_close(decoder(features, maps), x, rtol=1e-4, atol=1e-5)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_plain_decoder_mirrors_the_encoder():
    decoder = Decoder(VGG19_WIDTHS)
    shapes = [(getattr(decoder, n).in_channels, getattr(decoder, n).out_channels) for n in decoder.names]
    assert shapes == [
        (512, 256),
        (256, 256),
        (256, 256),
        (256, 256),
        (256, 128),
        (128, 128),
        (128, 64),
        (64, 64),
        (64, 3),
    ]


@pytest.mark.parametrize("widths", [VGG19_WIDTHS, (32, 64, 112, 192), (24, 48, 96, 160)])
@pytest.mark.parametrize("kind", KINDS)
def test_no_variant_has_more_parameters_than_the_plain_one(kind, widths):
    with torch.device("meta"):
        assert parameters(Decoder(widths, Skips.parse(kind))) <= parameters(Decoder(widths))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_name_that_reads_back(kind):
    assert str(Skips.parse(kind)) == kind


@pytest.mark.parametrize(
    "name", ["", "add", "concat-", "add-photo", "concat-style-adain", "add-both-wct", "plain-content"]
)
def test_a_wrong_name_is_refused(name):
    with pytest.raises(ValueError, match="no kind of decoder"):
        Skips.parse(name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_decodes_to_the_contents_size(kind):
    model = tiny_model(kind)
    result = model(random_picture(40, 51), random_picture(33, 64, seed=1))
    assert result.shape == (1, 3, 40, 51)
    assert result.isfinite().all()


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "plain"])
def test_skips_change_the_result(kind):
    """With the deep features held fixed, other shallow maps give another picture."""
    skips = Skips.parse(kind)
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, skips)
    features = encoder(random_picture(32, 32), ("relu4_1",))["relu4_1"]

    def decode(seed: int) -> torch.Tensor:
        content, style = (encoder(random_picture(32, 32, seed=seed + i), SKIP_TAPS) for i in (0, 1))
        blend = Blend(StyleStats.measure(style, space=""))
        maps = [[style[tap]] if skips.need_style_image else [] for tap in SKIP_TAPS]
        return decoder(
            features, {t: joined_maps(skips, t, content[t], [blend], m) for t, m in zip(SKIP_TAPS, maps, strict=True)}
        )

    assert (decode(5) - decode(9)).abs().max() > 1e-3


def test_added_skips_of_no_strength_leave_the_plain_decoder():
    plain, added = Decoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, Skips.parse("add-content", strength=0.0))
    added.load_state_dict(plain.state_dict())
    features = torch.rand(1, TINY_WIDTHS[-1], 4, 4)
    maps = {tap: [torch.rand(1, w, s, s)] for tap, w, s in zip(SKIP_TAPS, TINY_WIDTHS, (32, 16, 8), strict=False)}
    torch.testing.assert_close(added(features, maps), plain(features))


def test_adain_on_skips_gives_them_the_styles_statistics():
    content, style = torch.rand(1, 8, 16, 16), torch.randn(1, 8, 9, 9)
    stats = StyleStats.measure({"relu1_1": style}, space="")
    (joined,) = joined_maps(Skips.parse("add-content-adain"), "relu1_1", content, [Blend(stats)])
    again = StyleStats.measure({"relu1_1": joined}, space="")
    torch.testing.assert_close(again.mean["relu1_1"], stats.mean["relu1_1"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again.std["relu1_1"], stats.std["relu1_1"], rtol=1e-3, atol=1e-3)


def test_of_both_maps_the_contents_comes_first():
    content, style = torch.rand(2, 1, 8, 16, 16)
    blend = Blend(StyleStats.measure({"relu1_1": style}, space=""))
    first, second = joined_maps(Skips.parse("add-both"), "relu1_1", content, [blend], [style])
    assert torch.equal(first, content)
    torch.testing.assert_close(second, style)


@pytest.mark.parametrize("mask", [None, torch.ones(1, 1, 4, 4)])
@pytest.mark.parametrize("kind", ["add-style", "concat-both-adain"])
def test_at_alpha_0_the_content_stands_in_for_the_style(kind, mask):
    skips = Skips.parse(kind)
    content, style = torch.rand(1, 8, 16, 16), torch.rand(1, 8, 9, 9)
    blend = Blend(StyleStats.measure({"relu1_1": style}, space=""), 0.0, mask)
    for joined in joined_maps(skips, "relu1_1", content, [blend], [style]):
        torch.testing.assert_close(joined, content)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (2, 2), (7, 4)])
def test_upsampling_and_convolution_in_one_step_is_the_two_steps(height, width):
    conv, fused = Conv3x3(3, 4), UpConv3x3(3, 4)
    fused.load_state_dict(conv.state_dict())
    x = torch.randn(2, 3, height, width)
    expected = conv(torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)


def test_maps_that_join_the_upsampling_are_further_channels():
    """One convolution over the upsampled map and the maps that join it, as files from before have it."""
    decoder = Decoder((4, 4, 4, 4), Skips.parse("concat-both"))
    whole = {f"conv1_2.{key}": x for key, x in Conv3x3(9, 4).state_dict().items()}
    state = decoder.state_dict() | in_current_layout(decoder, whole)
    decoder.load_state_dict(state)
    x, maps = torch.randn(2, 1, 4, 5), [torch.randn(2, 4, 8, 10) for _ in range(2)]
    parts = [decoder.conv1_2(x), decoder.conv1_2_content(maps[0]), decoder.conv1_2_style(maps[1])]
    seen = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), *maps], dim=1)
    expected = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="reflect"), whole["conv1_2.weight"], whole["conv1_2.bias"])
    torch.testing.assert_close(sum(parts), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["add-content", "concat-both"])
def test_a_decoder_without_the_maps_that_it_needs_is_refused(kind):
    decoder, features = Decoder(TINY_WIDTHS, Skips.parse(kind)), torch.rand(1, TINY_WIDTHS[-1], 2, 2)
    for maps in (None, {tap: [] for tap in SKIP_TAPS}):
        with pytest.raises(ValueError, match="relu1_1, relu2_1, relu3_1"):
            decoder(features, maps)


@pytest.mark.parametrize(
    ("kind", "widths", "words"),
    [
        ("concat-content", (2, 1, 4, 4), "at least 2 channels"),
        ("concat-both-adain", (4, 4, 3, 4), "at least 4 channels"),
        ("concat2-style", (4, 4, 4), "has 4 blocks, not 3"),
        ("concat2-style", (4, 4, 4, 4, 4), "has 4 blocks, not 5"),
    ],
)
def test_widths_that_leave_no_channel_or_no_block_to_skips_are_refused(kind, widths, words):
    with pytest.raises(ValueError, match=words):
        Decoder(widths, Skips.parse(kind))


@pytest.mark.parametrize("parts", [("nope",), ("add", "photo"), ("concat", "style", "adain"), ("add", "both", "norm")])
def test_skips_of_no_kind_are_refused(parts):
    with pytest.raises(ValueError, match="no kind of decoder"):
        Skips(*parts)


def test_skips_of_infinite_strength_are_refused():
    with pytest.raises(ValueError, match="strength of the skips is inf"):
        Skips("add", strength=float("inf"))
