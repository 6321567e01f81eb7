from dataclasses import replace

import pytest
import torch

from adain_core.networks.skips import SKIP_TAPS
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
