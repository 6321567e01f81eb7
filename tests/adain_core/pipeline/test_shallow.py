from dataclasses import replace

import pytest
import torch

from adain_core.models.weights import Weights, save_weights
from adain_core.networks.skips import SKIP_TAPS
from adain_core.pipeline.analyzer import StyleAnalyzer
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.distribution import covariance
from adain_core.styles.stats import mix
from tests.helpers import random_picture, tiny_model


def blended(model, picture, **options):
    features = model.encode(picture, **options)
    mask = torch.zeros(50, 60)
    mask[:, 20:] = 1
    features = model.blend(features, model.compute_style_stats(random_picture(40, 90, seed=1)), 0.8)
    return model.blend(features, model.compute_style_stats(random_picture(61, 33, seed=2)), mask=mask)


@pytest.mark.parametrize("skips", ["add-content", "concat-both", "concat-content-adain", "concat-content-transport"])
@pytest.mark.parametrize("tile", ["off", 64])
def test_maps_that_were_kept_are_those_that_would_be_computed_again(skips, tile):
    model, picture = tiny_model(skips), random_picture(100, 140, batch=2)
    kept, fresh = (blended(model, picture, tile="off", keep_shallow=keep) for keep in (True, False))
    assert set(kept.shallow) == set(SKIP_TAPS) and not fresh.shallow
    torch.testing.assert_close(model.decode(kept, tile), model.decode(fresh, "off"), rtol=0, atol=1e-4)
    first, again = (model.compute_content_stats(features) for features in (kept, fresh))
    for tap in again.mean:
        torch.testing.assert_close(first.mean[tap], again.mean[tap], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(first.std[tap], again.std[tap], rtol=1e-4, atol=1e-5)
    assert first.covariance.keys() == again.covariance.keys() == set(model.skips.transported)
    for tap in again.covariance:
        torch.testing.assert_close(first.covariance[tap], again.covariance[tap], rtol=1e-4, atol=1e-5)


def test_statistics_that_were_given_for_the_deepest_layer_alone_are_measured_in_the_rest():
    model, picture = tiny_model("concat-content-adain"), random_picture(100, 140)
    style, features = model.compute_style_stats(random_picture(40, 90, seed=1)), model.encode(picture)
    content = model.compute_content_stats(features)
    deepest = {part: {"relu4_1": getattr(content, part)["relu4_1"]} for part in ("mean", "std")}
    in_part, expected = (
        model.decode(model.blend(features, style, content=known), tile)
        for known, tile in ((replace(content, **deepest), 64), (content, "off"))
    )
    torch.testing.assert_close(in_part, expected, rtol=0, atol=2e-4)


def test_covariances_that_were_given_in_part_are_measured_in_the_rest():
    """Means that were smoothed stay; what a transform takes besides is the picture's own, in a tile that of all."""
    model, picture = tiny_model("concat-content-adain"), random_picture(100, 140)
    style = model.compute_style_stats(random_picture(40, 90, seed=1), detail=("covariance",))
    features = model.encode(picture)
    content = model.compute_content_stats(features)
    covariances = model.compute_style_stats(picture, detail=("covariance",)).covariance
    means = {tap: x + 0.3 * content.std[tap] for tap, x in content.mean.items()}
    smoothed = replace(content, mean=means, covariance={"relu4_1": covariances["relu4_1"]})
    in_part, expected, unsmoothed = (
        model.decode(model.blend(features, style, transform="gaussian-ot", content=known), tile)
        for known, tile in (
            (smoothed, 64),
            (replace(smoothed, covariance=covariances), "off"),
            (replace(content, covariance=covariances), "off"),
        )
    )
    torch.testing.assert_close(in_part, expected, rtol=0, atol=2e-4)
    assert (expected - unsmoothed).abs().mean() > 1e-3


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("skips", ["concat-content-adain", "concat-content-transport"])
def test_a_mask_that_is_zero_everywhere_leaves_its_picture_as_it_is(skips, keep):
    model, mask = tiny_model(skips), torch.zeros(2, 50, 60)
    mask[1] = 1
    features = model.encode(random_picture(48, 64, batch=2), keep_shallow=keep)
    style = model.compute_style_stats(random_picture(40, 90, seed=1))
    masked, full, none = (
        model.decode(model.blend(features, style, alpha, mask=where), 32)
        for alpha, where in ((1.0, mask), (1.0, None), (0.0, None))
    )
    torch.testing.assert_close(masked, torch.cat([none[:1], full[1:]]), rtol=0, atol=1e-4)


def test_nothing_is_kept_of_what_takes_several_tiles_or_joins_no_decoder():
    picture = random_picture(100, 140)
    assert not tiny_model("concat-content").encode(picture, 64, keep_shallow=True).shallow
    assert not tiny_model("plain").encode(picture, "off", keep_shallow=True).shallow


def test_keeping_saves_the_second_encoding(monkeypatch):
    model, calls = tiny_model("concat-content-adain"), []
    forward = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda *args: calls.append(args) or forward(*args))
    model(random_picture(64, 64), random_picture(64, 64, seed=1))
    assert len(calls) == 2


@pytest.mark.parametrize("keep", [True, False])
def test_parts_of_a_tile_that_did_not_fit_have_the_statistics_of_the_whole(keep, monkeypatch):
    model, picture = tiny_model("concat-content-adain"), random_picture(160, 240)
    features = blended(model, picture, keep_shallow=keep)
    expected = model.decode(features)
    forward = model.decoder.forward

    def hungry(cells, maps):
        if cells.shape[-1] >= 30:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(cells, maps)

    monkeypatch.setattr(model.decoder, "forward", hungry)
    torch.testing.assert_close(model.decode(features), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("keep", [True, False])
def test_progress_of_decoding_ends_with_the_last_tile(keep):
    model, shares = tiny_model("concat-content-adain"), []
    features = blended(model, random_picture(100, 140), tile="off", keep_shallow=keep)
    model.decode(features, 64, shares.append)
    assert shares == sorted(shares) and shares[0] == 0
    assert shares.count(1.0) == 1


def test_a_style_skip_needs_a_style_picture():
    model = tiny_model("add-style")
    styles = [model.compute_style_stats(random_picture(16, 16, seed=s)) for s in (1, 2)]
    with pytest.raises(ValueError, match="needs the style's picture"):
        model(random_picture(16, 16), mix(styles))


def test_adain_on_skips_needs_the_shallow_statistics_when_it_decodes():
    model, plain, picture = tiny_model("concat-content-adain"), tiny_model("plain"), random_picture(16, 16)
    whole = model.compute_style_stats(picture)
    deep = replace(whole, mean={"relu4_1": whole.mean["relu4_1"]}, std={"relu4_1": whole.std["relu4_1"]})
    features = model.blend(model.encode(picture), deep)
    with pytest.raises(ValueError, match="lacks relu1_1, relu2_1, relu3_1"):
        model.decode(features)
    plain.decode(features)


def test_transport_on_skips_needs_the_covariance_at_its_tap_alone():
    model, picture = tiny_model("concat-content-transport"), random_picture(16, 16)
    plain = StyleAnalyzer(model.encoder, "tiny")
    own, other, detailed = (
        model.compute_style_stats(picture),
        plain.compute_style_stats(picture),
        plain.compute_style_stats(picture, detail=("covariance",)),
    )
    assert own.covariance.keys() == {"relu1_1"} and not other.covariance
    with pytest.raises(ValueError, match=r"lacks its covariance at relu1_1.*'concat-content-transport' needs"):
        model(picture, other)
    model(picture, other, transform="instance-norm")
    torch.testing.assert_close(model(picture, own), model(picture, detailed))


@pytest.mark.parametrize("skips", ["concat-content-adain", "concat-content-transport"])
def test_a_style_without_covariances_at_shallow_taps_is_taken_all_the_same(skips):
    """As style files from before have it."""
    model, picture = tiny_model(skips), random_picture(48, 40)
    whole = model.compute_style_stats(random_picture(32, 32, seed=1), detail=("covariance",))
    kept = {tap: x for tap, x in whole.covariance.items() if tap in ("relu4_1", *model.skips.transported)}
    results = [model(picture, style, transform="gaussian-ot") for style in (whole, replace(whole, covariance=kept))]
    assert (results[0] - results[1]).abs().mean() > 1e-4


@pytest.mark.parametrize("transform", ["wct", "gaussian-ot"])
@pytest.mark.parametrize("skips", ["concat-content-adain", "concat-content-transport"])
def test_a_content_as_its_own_style_is_rebuilt(skips, transform):
    model, picture = tiny_model(skips), random_picture(48, 40)
    rebuilt = model(picture, picture, alpha=0.0)
    torch.testing.assert_close(model(picture, picture, transform=transform), rebuilt, rtol=0, atol=1e-3)


def test_the_file_of_a_decoder_with_transport_tells_what_is_to_be_measured_of_a_style(tmp_path):
    model, picture = tiny_model("concat-content-transport"), random_picture(24, 24)
    save_weights(Weights("tiny", model.encoder, model.decoder), tmp_path / "tiny.safetensors", torch.float32)
    for kind in (StyleAnalyzer, StyleTransfer):
        found = kind.from_pretrained(tmp_path / "tiny.safetensors", device="cpu", dtype="float32")
        assert str(found.skips) == "concat-content-transport"
        assert found.compute_style_stats(picture) == model.compute_style_stats(picture)


def test_transport_at_the_first_tap_gives_its_map_the_styles_covariance():
    model, content, style = (
        tiny_model("add-content-transport"),
        random_picture(48, 40),
        random_picture(32, 32, seed=1),
    )
    seen = []
    model.decoder.register_forward_hook(lambda _, inputs, output: seen.append(inputs[1]["relu1_1"][0]))
    stats = model.compute_style_stats(style)
    model(content, stats)
    torch.testing.assert_close(covariance(seen[0]), stats.covariance["relu1_1"], rtol=1e-2, atol=1e-3)
